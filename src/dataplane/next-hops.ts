import type { Peer } from '../compiler/index.ts';
import type { HostLink, HostNeighbour, HostNetlink } from './host-netlink.ts';
import type { MadeNeighbour, StateFile } from './state-file.ts';
import type { NextHopStatus } from './types.ts';

/** Where frames for a node go next. */
export interface Hop {
  readonly ifindex: number;
  /** Destination MAC: the node's, or its gateway's. */
  readonly dmac: Uint8Array;
  /** Source MAC: the underlay device's. */
  readonly smac: Uint8Array;
}

export interface NextHopOptions {
  readonly netlink: HostNetlink;
  readonly state: StateFile;
  /** Names of the underlay devices. */
  readonly underlay: readonly string[];
}

/** NUD states in which a neighbour's MAC may be used (include/net/neighbour.h, NUD_VALID). */
const NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const NUD_FAILED = 0x20;
/** Notifications come in bursts. */
const SETTLE_MS = 20;
/** At most a fifth of the time is spent on looking again, however many neighbours are confirmed all the time. */
const REST_FACTOR = 4;

interface State {
  readonly hop: Hop | undefined;
  readonly device: string | undefined;
  readonly via: string | undefined;
  readonly why: string | undefined;
}

/**
 * The underlay next hop of each peer, so that the fast path asks no routing table: the route to the peer's address, the
 * neighbour entry of the gateway (or of the peer itself), kept resolved by the kernel (managed entries), followed by
 * notifications.
 */
export class NextHops {
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #underlay: ReadonlySet<string>;
  readonly #listeners = new Set<() => void>();
  readonly #stopListening: () => void;
  #peers = new Map<number, Peer>();
  #states = new Map<number, State>();
  /** `ifindex/address` of the entries that this process asked for. */
  #managed = new Map<string, MadeNeighbour>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** What the last look took, milliseconds. */
  #cost = 0;

  constructor(options: NextHopOptions) {
    this.#netlink = options.netlink;
    this.#state = options.state;
    this.#underlay = new Set(options.underlay);
    for (const made of options.state.neighbours) this.#managed.set(nameOf(made), made);
    this.#stopListening = options.netlink.onChange(() => this.#settle());
  }

  /** The peers of the plan in force. Call `refresh` afterwards. */
  setPeers(peers: Iterable<Peer>): void {
    this.#peers = new Map();
    for (const peer of peers) this.#peers.set(peer.id, peer);
  }

  /**
   * Looks at routes and neighbours again, asks for entries that are missing and lets go of those nobody needs.
   * Gives the kernel ids of the nodes whose next hop is another than before.
   */
  async refresh(): Promise<Set<number>> {
    const start = performance.now();
    try {
      return await this.#refresh();
    } finally {
      this.#cost = performance.now() - start;
    }
  }

  async #refresh(): Promise<Set<number>> {
    const links = new Map((await this.#netlink.links()).map((link) => [link.ifindex, link]));
    const routes = await this.#routes(links);
    await this.#manage(routes);
    const neighbours = new Map<string, HostNeighbour>();
    for (const one of await this.#netlink.neighbours()) neighbours.set(nameOf(one), one);
    const before = this.#states;
    this.#states = new Map();
    const changed = new Set<number>();
    for (const [id, route] of routes) {
      const state = this.#resolve(route, neighbours);
      this.#states.set(id, state);
      if (!sameHop(before.get(id)?.hop, state.hop)) changed.add(id);
    }
    for (const [id, state] of before) if (!routes.has(id) && state.hop !== undefined) changed.add(id);
    return changed;
  }

  /** The next hop of a node, once resolved. */
  hopOf(node: number): Hop | undefined {
    return this.#states.get(node)?.hop;
  }

  status(): NextHopStatus[] {
    const all: NextHopStatus[] = [];
    for (const [id, peer] of this.#peers) {
      const state = this.#states.get(id);
      all.push({
        node: peer.node,
        address: peer.remote ?? '',
        resolved: state?.hop !== undefined,
        device: state?.device,
        via: state?.via,
        mac: state?.hop === undefined ? undefined : macText(state.hop.dmac),
        why: state === undefined ? 'not looked at yet' : state.why,
      });
    }
    return all.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  /** Calls back, after a burst of notifications, when it is worth a `refresh`. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Stops listening; neighbour entries stay. Idempotent. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#stopListening();
  }

  #settle(): void {
    if (this.#closed || this.#timer !== undefined) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined;
        for (const listener of this.#listeners) listener();
      },
      SETTLE_MS + REST_FACTOR * this.#cost,
    );
  }

  async #routes(links: ReadonlyMap<number, HostLink>): Promise<Map<number, Route>> {
    const routes = new Map<number, Route>();
    for (const [id, peer] of this.#peers) {
      if (peer.remote === undefined) {
        routes.set(id, { why: 'no address family in common' });
        continue;
      }
      const route = await this.#netlink.routeTo(peer.remote);
      const link = route === undefined ? undefined : links.get(route.ifindex);
      if (route === undefined || link === undefined) routes.set(id, { why: `no route to ${peer.remote}` });
      else if (!this.#underlay.has(link.name)) {
        routes.set(id, { why: `the route to ${peer.remote} leaves by ${link.name}, which is no underlay device` });
      } else routes.set(id, { link, via: route.gateway ?? peer.remote });
    }
    return routes;
  }

  /** Entries are written down before they are made, and forgotten after they are removed. */
  async #manage(routes: ReadonlyMap<number, Route>): Promise<void> {
    const wanted = new Map<string, MadeNeighbour>();
    for (const { link, via } of routes.values()) {
      if (link === undefined || via === undefined || !link.up) continue;
      const made = { ifindex: link.ifindex, address: via };
      wanted.set(nameOf(made), made);
    }
    const missing = [...wanted].filter(([name]) => !this.#managed.has(name)).map(([, made]) => made);
    this.#state.addNeighbours(missing);
    for (const made of missing) {
      await this.#netlink.manageNeighbour(made.ifindex, made.address);
      this.#managed.set(nameOf(made), made);
    }
    const gone = [...this.#managed].filter(([name]) => !wanted.has(name)).map(([, made]) => made);
    for (const made of gone) {
      await this.#netlink.removeNeighbour(made.ifindex, made.address);
      this.#managed.delete(nameOf(made));
    }
    this.#state.removeNeighbours(gone);
  }

  #resolve(route: Route, neighbours: ReadonlyMap<string, HostNeighbour>): State {
    const { link, via, why } = route;
    if (link === undefined || via === undefined) return { hop: undefined, device: undefined, via: undefined, why };
    const state = { device: link.name, via };
    if (!link.up) return { ...state, hop: undefined, why: `${link.name} is down` };
    const neighbour = neighbours.get(nameOf({ ifindex: link.ifindex, address: via }));
    const mac = neighbour?.mac;
    if (neighbour === undefined || mac === undefined || (neighbour.state & NUD_VALID) === 0) {
      const failed = neighbour !== undefined && (neighbour.state & NUD_FAILED) !== 0;
      // A name that was managed before a restart of the link may be gone from the kernel: ask again next time.
      if (neighbour === undefined) this.#managed.delete(nameOf({ ifindex: link.ifindex, address: via }));
      return { ...state, hop: undefined, why: failed ? `${via} does not answer` : `${via} is being resolved` };
    }
    return { ...state, hop: { ifindex: link.ifindex, dmac: mac, smac: link.mac }, why: undefined };
  }
}

interface Route {
  readonly link?: HostLink;
  readonly via?: string;
  readonly why?: string;
}

/** Removes every neighbour entry that was made: for `down`. Gives how many. */
export async function removeNeighbours(netlink: HostNetlink, state: StateFile): Promise<number> {
  const made = [...state.neighbours];
  for (const one of made) await netlink.removeNeighbour(one.ifindex, one.address);
  state.removeNeighbours(made);
  return made.length;
}

function nameOf(one: { readonly ifindex: number; readonly address: string }): string {
  return `${one.ifindex}/${one.address}`;
}

function sameHop(a: Hop | undefined, b: Hop | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.ifindex === b.ifindex && sameBytes(a.dmac, b.dmac) && sameBytes(a.smac, b.smac);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function macText(mac: Uint8Array): string {
  return [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}
