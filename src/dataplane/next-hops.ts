import type { Group, Peer } from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import { MAX_NEXTHOPS, NODE_WIRE } from '../generated/layout.ts';
import { macFromBytes, macNumberToBytes, macOfMulticast, parseIp } from '../table/address.ts';
import type { HostLink, HostNeighbour, HostNetlink, HostPath } from './host-netlink.ts';
import type { MadeNeighbour, StateFile } from './state-file.ts';
import type { GroupStatus, NextHopStatus, NextHopWay, UnderlayDevice } from './types.ts';
import { outage, type Uplink, uplinks } from './underlay.ts';
import {
  type Hop,
  isFixed,
  isKept,
  neighbourName,
  neighbourOf,
  resolve,
  sameHops,
  type Way,
  type WayState,
  waysOf,
} from './ways.ts';

export interface NextHopOptions {
  readonly netlink: HostNetlink;
  readonly state: StateFile;
  readonly underlay: readonly Required<UnderlayDevice>[];
}

/** Notifications come in bursts. */
const SETTLE_MS = 20;
/** At most a fifth of the time is spent on looking again, however many neighbours are confirmed all the time. */
const REST_FACTOR = 4;

const NO_MAC = new Uint8Array(6);

interface Route {
  readonly ways: readonly Way[];
  /** Why there is none. */
  readonly why: string | undefined;
}

interface State {
  /** All ways of the route; those with a hop that `hops` lacks are in reserve. */
  readonly ways: readonly WayState[];
  /** In use, at most two, the same order each time: the hash of a flow chooses by place. */
  readonly hops: readonly Hop[];
  readonly why: string | undefined;
}

/**
 * The underlay next hops of each peer, so that the fast path asks no routing table: the ways of the route to the peer's
 * address, for each the neighbour entry of the gateway (or of the peer itself), kept resolved by the kernel (managed
 * entries), followed by notifications. A way whose device is down or whose neighbour does not answer is not used.
 *
 * Which route counts is the kernel's decision: two routes are shared between only where the kernel has them as one.
 */
export class NextHops {
  readonly #netlink: HostNetlink;
  readonly #state: StateFile;
  readonly #underlay: readonly Required<UnderlayDevice>[];
  readonly #listeners = new Set<() => void>();
  readonly #stopListening: () => void;
  #peers = new Map<number, Peer>();
  #states = new Map<number, State>();
  #groups = new Map<number, Group>();
  #wire = false;
  /** The first underlay device that is up: for groups and the wire. */
  #uplink: Uplink | undefined;
  /** The entries that this process, or an earlier one, asked for. */
  readonly #managed = new Map<string, MadeNeighbour>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  /** What the last look took, milliseconds. */
  #cost = 0;

  constructor(options: NextHopOptions) {
    this.#netlink = options.netlink;
    this.#state = options.state;
    this.#underlay = options.underlay;
    for (const made of options.state.neighbours) this.#managed.set(neighbourName(made), made);
    this.#stopListening = options.netlink.onChange(() => this.#settle());
  }

  /** The peers of the plan in force. Call `refresh` afterwards. */
  setPeers(peers: Iterable<Peer>): void {
    this.#peers = new Map();
    for (const peer of peers) this.#peers.set(peer.id, peer);
  }

  /** The groups of the plan in force, and whether it has flat networks. Takes effect at once. */
  setGroups(groups: Iterable<Group>, wire: boolean): void {
    this.#groups = new Map();
    for (const group of groups) this.#groups.set(group.id, group);
    this.#wire = wire;
  }

  /**
   * Looks at routes and neighbours again, asks for entries that are missing and lets go of those nobody needs.
   * Gives the kernel ids of the nodes (and groups, and the wire) whose next hops are others than before.
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
    const present = uplinks(this.#underlay, links);
    const routes = await this.#routes(links, present);
    const { neighbours, refused } = await this.#manage(routes);
    // From here on nothing fails: what is told as changed and what is held go together.
    const before = this.#states;
    this.#states = new Map();
    const changed = new Set<number>();
    for (const [id, route] of routes) {
      const state = stateOf(route, neighbours, refused);
      this.#states.set(id, state);
      if (!sameHops(before.get(id)?.hops ?? [], state.hops)) changed.add(id);
    }
    for (const [id, state] of before) if (!routes.has(id) && state.hops.length > 0) changed.add(id);
    const shared = this.#sharedIds().map((id) => ({ id, hops: this.hopsOf(id) }));
    this.#uplink = present.find((one) => outage(one) === undefined);
    for (const { id, hops } of shared) if (!sameHops(hops, this.hopsOf(id))) changed.add(id);
    return changed;
  }

  /** Of everything that has next hops. */
  ids(): number[] {
    return [...this.#peers.keys(), ...this.#sharedIds()];
  }

  /** The next hops of a node, a group or the wire that are in use: at most two. */
  hopsOf(node: number): readonly Hop[] {
    const uplink = this.#uplink;
    if (node === NODE_WIRE) {
      // The tag of a flat network is its segment, and not that of the tunnels.
      if (!this.#wire || uplink === undefined) return [];
      return [{ ifindex: uplink.link.ifindex, dmac: NO_MAC, smac: NO_MAC, vlan: 0 }];
    }
    const group = this.#groups.get(node);
    if (group === undefined) return this.#states.get(node)?.hops ?? [];
    if (uplink === undefined) return [];
    const { link, face, vlan } = uplink;
    return [{ ifindex: link.ifindex, dmac: groupMac(group.address), smac: face.mac, vlan }];
  }

  /** The device that frames to groups and flat networks leave by, and are received on; undefined: none is up. */
  get uplink(): Uplink | undefined {
    return this.#uplink;
  }

  /** The peer with an underlay address. */
  peerAt(address: string): Peer | undefined {
    for (const peer of this.#peers.values()) if (peer.remote === address) return peer;
    return undefined;
  }

  /** The largest packet that every next hop in use takes; undefined: none is in use. */
  mtuOf(node: number): number | undefined {
    const state = this.#states.get(node);
    let least: number | undefined;
    for (const way of state?.ways ?? []) {
      if (way.uplink === undefined || way.hop === undefined || !state?.hops.includes(way.hop)) continue;
      least = Math.min(least ?? Number.POSITIVE_INFINITY, way.uplink.face.mtu);
    }
    return least;
  }

  /** @param pathMtu what routers told of an address */
  status(pathMtu: (address: string) => number | undefined): NextHopStatus[] {
    const all: NextHopStatus[] = [];
    for (const [id, peer] of this.#peers) {
      const state = this.#states.get(id);
      const ways = (state?.ways ?? []).map((way) => wayStatus(way, state?.hops ?? []));
      const first = ways.find(({ used }) => used) ?? ways[0];
      all.push({
        node: peer.node,
        address: peer.remote ?? '',
        family: peer.family,
        resolved: ways.some(({ used }) => used),
        device: first?.device,
        via: first?.via,
        mac: first?.mac,
        ways,
        mtu: peer.remote === undefined ? undefined : (pathMtu(peer.remote) ?? this.mtuOf(id)),
        pathMtu: peer.remote === undefined ? undefined : pathMtu(peer.remote),
        why: state === undefined ? 'not looked at yet' : state.why,
      });
    }
    return all.sort((a, b) => (a.node < b.node ? -1 : 1));
  }

  groupStatus(): GroupStatus[] {
    return [...this.#groups.values()].map(({ address, networks }) => ({
      group: address,
      networks,
      device: this.#uplink?.link.name,
      vlan: this.#uplink?.vlan ?? 0,
      mac: macFromBytes(groupMac(address)),
    }));
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

  #sharedIds(): number[] {
    return [...this.#groups.keys(), ...(this.#wire ? [NODE_WIRE] : [])];
  }

  async #routes(links: ReadonlyMap<number, HostLink>, present: readonly Uplink[]): Promise<Map<number, Route>> {
    const routes = new Map<number, Route>();
    for (const [id, { remote }] of this.#peers) {
      if (remote === undefined) routes.set(id, { ways: [], why: 'no address family in common' });
      else routes.set(id, await this.#route(remote, links, present));
    }
    return routes;
  }

  async #route(remote: string, links: ReadonlyMap<number, HostLink>, present: readonly Uplink[]): Promise<Route> {
    let paths: readonly HostPath[];
    try {
      paths = await this.#netlink.routeTo(remote);
    } catch (error) {
      return { ways: [], why: `no route to ${remote}: ${textOfRefusal(error)}` };
    }
    const ways = waysOf(remote, paths, links, present);
    if (ways.length === 0) return { ways, why: `no route to ${remote}` };
    if (ways.some(({ why }) => why === undefined)) return { ways, why: undefined };
    // The kernel goes on using a route without carrier. Another underlay device that has a route, of whatever metric, is better.
    for (const uplink of present) {
      if (outage(uplink) !== undefined) continue;
      const others = await this.#netlink.routeTo(remote, uplink.face.ifindex).catch(() => []);
      const living = waysOf(remote, others, links, present).filter(({ why }) => why === undefined);
      if (living.length > 0) return { ways: [...living, ...ways], why: undefined };
    }
    return { ways, why: undefined };
  }

  /**
   * Has the kernel keep the neighbours of all usable ways resolved. Entries are written down before they are made, and
   * forgotten after they are removed.
   */
  async #manage(routes: ReadonlyMap<number, Route>): Promise<{
    readonly neighbours: ReadonlyMap<string, HostNeighbour>;
    /** Entries that the kernel would not make, and its words. */
    readonly refused: ReadonlyMap<string, string>;
  }> {
    const wanted = new Map<string, MadeNeighbour>();
    for (const { ways } of routes.values()) {
      for (const way of ways) {
        const neighbour = neighbourOf(way);
        if (neighbour !== undefined) wanted.set(neighbourName(neighbour), neighbour);
      }
    }
    let neighbours = await this.#neighbours();
    const refused = new Map<string, string>();
    const missing = [...wanted].filter(([name]) => !isKept(neighbours.get(name)));
    this.#state.addNeighbours(missing.map(([, made]) => made));
    for (const [name, made] of missing) {
      this.#managed.set(name, made);
      try {
        await this.#netlink.manageNeighbour(made.ifindex, made.address);
      } catch (error) {
        refused.set(name, textOfRefusal(error));
      }
    }
    if (missing.length > 0) neighbours = await this.#neighbours();
    const gone = [...this.#managed].filter(([name]) => {
      const neighbour = neighbours.get(name);
      return !wanted.has(name) || (neighbour !== undefined && isFixed(neighbour));
    });
    for (const [name, made] of gone) {
      const neighbour = neighbours.get(name);
      // A fixed one is somebody else's by now.
      if (neighbour !== undefined && !isFixed(neighbour)) {
        await this.#netlink.removeNeighbour(made.ifindex, made.address);
      }
      this.#managed.delete(name);
    }
    this.#state.removeNeighbours(gone.map(([, made]) => made));
    return { neighbours, refused };
  }

  async #neighbours(): Promise<Map<string, HostNeighbour>> {
    return new Map((await this.#netlink.neighbours()).map((one) => [neighbourName(one), one]));
  }
}

function stateOf(
  { ways, why }: Route,
  neighbours: ReadonlyMap<string, HostNeighbour>,
  refused: ReadonlyMap<string, string>,
): State {
  const states = ways.map((way) => {
    const name = neighbourOf(way);
    const neighbour = name === undefined ? undefined : neighbours.get(neighbourName(name));
    const refusal = name === undefined ? undefined : refused.get(neighbourName(name));
    const state = resolve(way, neighbour);
    return state.hop === undefined && refusal !== undefined ? { ...state, why: refusal } : state;
  });
  const hops = states.flatMap(({ hop }) => (hop === undefined ? [] : [hop])).slice(0, MAX_NEXTHOPS);
  return { ways: states, hops, why: hops.length > 0 ? undefined : (why ?? states[0]?.why) };
}

function wayStatus(way: WayState, hops: readonly Hop[]): NextHopWay {
  const { uplink, via, hop } = way;
  const used = hop !== undefined && hops.includes(hop);
  return {
    device: uplink?.link.name,
    vlan: uplink?.vlan ?? 0,
    via,
    mac: hop === undefined ? undefined : macFromBytes(hop.dmac),
    used,
    why: way.why ?? (used ? undefined : `in reserve: ${MAX_NEXTHOPS} others are used`),
  };
}

/** RFC 1112 section 6.4, RFC 2464 section 7. */
function groupMac(address: string): Uint8Array {
  const ip = parseIp(address);
  if (ip === undefined) throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `'${address}' is no address`);
  return macNumberToBytes(macOfMulticast(ip));
}

/** What concerns one neighbour or route must not keep back the rest; missing rights and the like concern all. */
function textOfRefusal(error: unknown): string {
  if (error instanceof MapwireError && (error.code === 'ERR_MW_NETLINK' || error.code === 'ERR_MW_NOT_FOUND')) {
    return error.message;
  }
  throw error;
}

/** Removes every neighbour entry that was made: for `down`. Gives how many. */
export async function removeNeighbours(netlink: HostNetlink, state: StateFile): Promise<number> {
  const made = [...state.neighbours];
  const fixed = new Set((await netlink.neighbours()).filter(isFixed).map(neighbourName));
  for (const one of made) {
    if (!fixed.has(neighbourName(one))) await netlink.removeNeighbour(one.ifindex, one.address);
  }
  state.removeNeighbours(made);
  return made.length;
}
