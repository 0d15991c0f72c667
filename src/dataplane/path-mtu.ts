/** How long a told MTU is believed, milliseconds (RFC 1191 section 6.3). */
const KEEP_MS = 10 * 60_000;
/** Smaller ones are not believed: RFC 1191 section 7.1 would allow 68, which no tunnel can use; RFC 8200 section 5. */
const LEAST = { 4: 576, 6: 1280 } as const;

interface Told {
  readonly mtu: number;
  /** On the store's clock. */
  readonly until: number;
}

export interface PathMtuOptions {
  /** A clock that never goes back, milliseconds. Default `performance.now`. */
  readonly now?: () => number;
}

/** What routers told of the largest packet that gets to a node, by its underlay address. */
export class PathMtus {
  readonly #now: () => number;
  readonly #told = new Map<string, Told>();

  constructor(options: PathMtuOptions = {}) {
    this.#now = options.now ?? (() => performance.now());
  }

  /** Largest outer packet; undefined: nobody told. */
  of(address: string): number | undefined {
    return this.#told.get(address)?.mtu;
  }

  /**
   * A router's word, or what an earlier process left in the kernel.
   *
   * @param most what the uplinks take: nothing from there on is news
   * @returns whether it is in force now
   */
  tell(address: string, mtu: number, most: number): boolean {
    if (!Number.isInteger(mtu) || mtu < LEAST[address.includes(':') ? 6 : 4]) return false;
    if (mtu >= Math.min(most, this.of(address) ?? most)) return false;
    this.#told.set(address, { mtu, until: this.#now() + KEEP_MS });
    return true;
  }

  /** Forgets what is old. Gives the addresses. */
  expire(): string[] {
    const now = this.#now();
    const gone = [...this.#told].filter(([, { until }]) => until <= now).map(([address]) => address);
    for (const address of gone) this.#told.delete(address);
    return gone;
  }
}
