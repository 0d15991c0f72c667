/**
 * Edits through the API from several clients at once, and a book of what was acknowledged: what has to be in the kernel
 * whatever happens to the daemon. Each client has ports of its own, so the order between clients does not matter.
 */
import { ask, ndjson } from './api.ts';
import type { Mapwire } from './mapwire.ts';
import { dumpMap, ip4Of, macOf } from './pinned-maps.ts';
import type { Random } from './random.ts';

const CLIENTS = 8;
const PORTS = 64;
const ADDRESSES = 8;

/** Which of its addresses a port has; undefined: there is no such port. */
type State = number | undefined;

interface Edit {
  readonly port: number;
  readonly to: State;
}

const macNumber = (n: number) => [2, 0, 0, 3, n >> 8, n & 255].map((byte) => byte.toString(16).padStart(2, '0'));
const mac = (n: number) => macNumber(n).join(':');
const ip = (n: number, state: number) => `10.${20 + state}.${n >> 8}.${n & 255}`;

export class EditStorm {
  acknowledged = 0;
  readonly #mapwire: Mapwire;
  readonly #random: Random;
  readonly #book = new Map<number, State>();
  /** Edits on which the daemon was killed: nobody knows. */
  readonly #open = new Map<number, State>();

  constructor(mapwire: Mapwire, random: Random) {
    this.#mapwire = mapwire;
    this.#random = random;
  }

  /** Edits from all clients until `count` more are acknowledged, or the daemon is gone. Throws when one is refused. */
  async run(count: number): Promise<void> {
    let left = count;
    const client = async (number: number) => {
      while (left > 0) {
        left--;
        const edit = this.#next(number);
        const body = ndjson(this.#record(edit));
        const answer = await ask(this.#mapwire.socket, 'PATCH', '/v1/table', { body }).catch(() => undefined);
        if (answer === undefined) {
          this.#open.set(edit.port, edit.to);
          return;
        }
        if (answer.status !== 200) throw new Error(`${body}: ${answer.status} ${answer.text}`);
        this.#book.set(edit.port, edit.to);
        this.acknowledged++;
      }
    };
    await Promise.all(Array.from({ length: CLIENTS }, (_, number) => client(number)));
  }

  /** Takes all its ports out again. */
  async clear(): Promise<void> {
    const ports = [...this.#book].filter(([, state]) => state !== undefined).map(([port]) => port);
    const body = ndjson(...ports.map((port) => this.#record({ port, to: undefined })));
    const { status, text } = await ask(this.#mapwire.socket, 'PATCH', '/v1/table', { body });
    if (status !== 200) throw new Error(`${status} ${text}`);
    this.#book.clear();
  }

  #next(client: number): Edit {
    const port = client * PORTS + this.#random.below(PORTS);
    const now = this.#book.get(port);
    const gone = now !== undefined && this.#random.chance(0.3);
    return { port, to: gone ? undefined : this.#random.below(ADDRESSES) };
  }

  #record({ port, to }: Edit): object {
    const name = `storm-${port}`;
    if (to === undefined) return { delete: 'port', id: name };
    return { port: name, network: 'blue', mac: mac(port), ips: [ip(port, to)], at: [{ node: 'host-b' }] };
  }

  /** What the kernel holds and the book does not, or the other way round. Settles what was open. */
  async differences(): Promise<string[]> {
    const macs = new Set((await dumpMap(this.#mapwire, 'mac')).map(({ formatted: { key } }) => macOf(key.mac)));
    const ips = new Set((await dumpMap(this.#mapwire, 'ip4')).map(({ formatted: { key } }) => ip4Of(key.addr_be)));
    const found: string[] = [];
    for (let port = 0; port < CLIENTS * PORTS; port++) {
      const held = Array.from({ length: ADDRESSES }, (_, state) => state).filter((state) => ips.has(ip(port, state)));
      if (held.length > 1 || (held.length === 1) !== macs.has(mac(port))) {
        found.push(`storm-${port} has ${held.length} addresses and ${macs.has(mac(port)) ? 'a' : 'no'} MAC`);
      }
      const allowed = [this.#book.get(port), ...(this.#open.has(port) ? [this.#open.get(port)] : [])];
      if (!allowed.includes(held[0])) found.push(`storm-${port} is ${held[0]}, not ${allowed.join(' or ')}`);
      this.#book.set(port, held[0]);
    }
    this.#open.clear();
    return found;
  }

  /** Ports that are there, by the book. */
  get ports(): number {
    return [...this.#book.values()].filter((state) => state !== undefined).length;
  }
}
