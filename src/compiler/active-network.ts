import {
  Encap,
  FloodFlags,
  FloodKind,
  type FloodTarget,
  MAX_SHARED_MAC,
  NetworkFlags,
  NODE_WIRE,
} from '../generated/layout.ts';
import { macBytes } from '../table/address.ts';
import { defaultMtu, groupOf, isTunnel, pairFamily, wantsChecksum } from '../table/encapsulation.ts';
import type { Encap as EncapName, TableNetwork, TableNode, TablePort } from '../table/model.ts';
import { isForItself, viewOf } from '../table/view.ts';
import type { Entry } from './entries.ts';
import { keyText } from './entries.ts';
import { isIpv6, PRIORITY_NEVER, segmentOf } from './port-entries.ts';

const ENCAPS: Readonly<Record<EncapName, number>> = {
  vxlan: Encap.VXLAN,
  'vxlan-gpe': Encap.VXLAN_GPE,
  geneve: Encap.GENEVE,
  gre: Encap.GRE,
  lisp: Encap.LISP,
  flat: Encap.FLAT,
};

/** Value of `enum mw_encap`. */
export function encapNumber(name: EncapName): number {
  return ENCAPS[name];
}

/** How often ports of a network are reached at a node by one segment. */
interface Reach {
  all: number;
  /** Without those of priority 255. */
  used: number;
}

/** What the entries that belong to a network need to know about the rest of the plan. */
export interface NetworkContext {
  readonly node: string;
  nodeId(name: string): number;
  /** Kernel id of a multicast group. */
  groupId(address: string): number;
  /** A node of the table. */
  tableNode(name: string): TableNode;
  /** Kernel id of a port of this network. */
  portId(port: string): number;
}

/**
 * A network in which this node has a port: sums over its ports, kept in step port by port, so that an edit of one port
 * costs what the edit costs and not what the network holds.
 */
export class ActiveNetwork {
  readonly id: number;
  definition: TableNetwork;
  /** node -> segment -> how many locators. */
  readonly #reach = new Map<string, Map<number, Reach>>();
  /** Ports with a usable locator here, and the flags of their copies. */
  readonly #floodPorts = new Map<string, number>();
  readonly #sharedMacs = new Map<string, Set<string>>();
  /** What is in force, by key text. */
  #entries = new Map<string, Entry>();
  /** Everything has to be worked out again. */
  #all = true;
  /** Places (`node segment`) that came or went, with what was true of them at the last `refresh`. */
  readonly #places = new Map<string, { readonly reached: boolean; readonly used: boolean }>();
  /** Ports that were taken in or out, with what `#floodPorts` said of them then. */
  readonly #members = new Map<string, number | undefined>();
  readonly #macsChanged = new Set<string>();

  constructor(id: number, definition: TableNetwork) {
    this.id = id;
    this.definition = definition;
  }

  /** Nodes that any port of the network is reached at, this node included. */
  nodes(): IterableIterator<string> {
    return this.#reach.keys();
  }

  hasNode(node: string): boolean {
    return this.#reach.has(node);
  }

  /** Entries in force as of the last `refresh`. */
  entries(): IterableIterator<Entry> {
    return this.#entries.values();
  }

  /** Adds a port's share, as this node sees it. Returns the nodes that the network did not reach before. */
  add(port: TablePort, self: TableNode): readonly string[] {
    const fresh: string[] = [];
    for (const at of viewOf(port.at, self)) {
      const segment = segmentOf(this.definition, at);
      let segments = this.#reach.get(at.node);
      if (segments === undefined) {
        segments = new Map();
        this.#reach.set(at.node, segments);
        fresh.push(at.node);
      }
      this.#touchPlace(at.node, segment);
      let reach = segments.get(segment);
      if (reach === undefined) {
        reach = { all: 0, used: 0 };
        segments.set(segment, reach);
      }
      reach.all++;
      if (at.priority === PRIORITY_NEVER && at.pending !== true) continue;
      reach.used++;
      if (at.node === self.id) {
        this.#touchMember(port.id);
        this.#floodPorts.set(port.id, isForItself(at) ? FloodFlags.OWN : 0);
      }
    }
    for (const mac of port.macs) {
      const sharers = this.#sharedMacs.get(mac);
      if (sharers === undefined) this.#sharedMacs.set(mac, new Set([port.id]));
      else sharers.add(port.id);
      this.#macsChanged.add(mac);
    }
    return fresh;
  }

  /**
   * Adds the shares of ports that have one locator, at `node`, with the network's own segment, and no shared MACs. `locals`: their names,
   * when that is this node. Returns whether the network did not reach the node before.
   */
  addPlain(node: string, count: number, locals: readonly string[]): boolean {
    const { segment } = this.definition;
    let segments = this.#reach.get(node);
    const fresh = segments === undefined;
    if (segments === undefined) {
      segments = new Map();
      this.#reach.set(node, segments);
    }
    this.#touchPlace(node, segment);
    const reach = segments.get(segment);
    if (reach === undefined) segments.set(segment, { all: count, used: count });
    else {
      reach.all += count;
      reach.used += count;
    }
    for (const port of locals) {
      this.#touchMember(port);
      this.#floodPorts.set(port, 0);
    }
    return fresh;
  }

  /** Takes a port's share away; this node must be as it was when it was added. Returns the nodes that the network no longer reaches. */
  remove(port: TablePort, self: TableNode): readonly string[] {
    const gone: string[] = [];
    for (const at of viewOf(port.at, self)) {
      const segment = segmentOf(this.definition, at);
      const segments = this.#reach.get(at.node);
      const reach = segments?.get(segment);
      if (segments === undefined || reach === undefined) continue;
      this.#touchPlace(at.node, segment);
      if (at.priority !== PRIORITY_NEVER || at.pending === true) reach.used--;
      if (--reach.all === 0) {
        segments.delete(segment);
        if (segments.size === 0) {
          this.#reach.delete(at.node);
          gone.push(at.node);
        }
      }
    }
    this.#touchMember(port.id);
    this.#floodPorts.delete(port.id);
    for (const mac of port.macs) {
      const sharers = this.#sharedMacs.get(mac);
      sharers?.delete(port.id);
      if (sharers?.size === 0) this.#sharedMacs.delete(mac);
      this.#macsChanged.add(mac);
    }
    return gone;
  }

  /** The definition changed in something other than encapsulation and segment, or what it takes from a node did. */
  touch(): void {
    this.#all = true;
  }

  #touchPlace(node: string, segment: number): void {
    const key = `${node} ${segment}`;
    if (this.#places.has(key)) return;
    const reach = this.#reach.get(node)?.get(segment);
    this.#places.set(key, { reached: reach !== undefined, used: (reach?.used ?? 0) > 0 });
  }

  #touchMember(port: string): void {
    if (!this.#members.has(port)) this.#members.set(port, this.#floodPorts.get(port));
  }

  /** What is other than at the last `refresh`; an edit takes a port out and in again, which often changes neither. */
  #differences(): { readonly reach: boolean; readonly flood: boolean } {
    let reach = this.#all;
    let flood = this.#all;
    for (const [key, before] of this.#places) {
      const space = key.lastIndexOf(' ');
      const now = this.#reach.get(key.slice(0, space))?.get(Number(key.slice(space + 1)));
      if (before.reached !== (now !== undefined)) reach = true;
      if (before.used !== (now?.used ?? 0) > 0) flood = true;
    }
    for (const [port, before] of this.#members) if (before !== this.#floodPorts.get(port)) flood = true;
    this.#all = false;
    this.#places.clear();
    this.#members.clear();
    return { reach, flood };
  }

  /** Largest layer-3 packet of the network in bytes. */
  mtu(context: NetworkContext): number {
    if (this.definition.mtu !== undefined) return this.definition.mtu;
    return defaultMtu(this.definition, this.#tableNodes(context));
  }

  *#tableNodes(context: NetworkContext): IterableIterator<TableNode> {
    for (const node of this.#reach.keys()) yield context.tableNode(node);
  }

  /** Does another node of the network want outer UDP checksums over IPv6? */
  wantsChecksum(context: NetworkContext): boolean {
    for (const node of this.#reach.keys()) {
      if (node !== context.node && wantsChecksum(context.tableNode(node))) return true;
    }
    return false;
  }

  /**
   * Works out again what may have changed; reports each difference to what was in force. Returns whether its nodes, or what
   * they are like, may be other than before.
   */
  refresh(context: NetworkContext, changed: (before: Entry | undefined, after: Entry | undefined) => void): boolean {
    const differs = this.#differences();
    if (differs.reach) {
      this.#replace('network', [this.#networkEntry(context)], changed);
      this.#replace('segment', this.#segmentEntries(context), changed);
    }
    if (differs.flood || differs.reach) {
      const flood = this.#floodEntry(context);
      this.#replace('flood', flood === undefined ? [] : [flood], changed);
    }
    for (const mac of this.#macsChanged) {
      const entry = this.#sharedMacEntry(mac, context);
      const key = keyText(entry ?? emptySharedMac(this.id, mac));
      this.#set(key, entry, changed);
    }
    this.#macsChanged.clear();
    return differs.reach;
  }

  #replace(
    map: Entry['map'],
    entries: readonly Entry[],
    changed: (before: Entry | undefined, after: Entry | undefined) => void,
  ): void {
    const wanted = new Map(entries.map((entry) => [keyText(entry), entry]));
    for (const [key, entry] of this.#entries) {
      if (entry.map === map && !wanted.has(key)) this.#set(key, undefined, changed);
    }
    for (const [key, entry] of wanted) this.#set(key, entry, changed);
  }

  #set(
    key: string,
    after: Entry | undefined,
    changed: (before: Entry | undefined, after: Entry | undefined) => void,
  ): void {
    const before = this.#entries.get(key);
    if (after === undefined) this.#entries.delete(key);
    else this.#entries.set(key, after);
    if (before !== undefined || after !== undefined) changed(before, after);
  }

  #networkEntry(context: NetworkContext): Entry {
    const { definition, id } = this;
    let flags = 0;
    if (definition.flood !== 'none') flags |= NetworkFlags.FLOOD;
    if (definition.unknown === 'flood') flags |= NetworkFlags.UNKNOWN_FLOOD;
    if (definition.vlan === 'transparent') flags |= NetworkFlags.VLAN_TRANSPARENT;
    return {
      map: 'network',
      key: id,
      value: {
        network: id,
        flags,
        segment: definition.segment,
        mtu: this.mtu(context),
        encap: encapNumber(definition.encap),
      },
    };
  }

  /** The segments by which this node is addressed. */
  #segmentEntries(context: NetworkContext): Entry[] {
    const encap = encapNumber(this.definition.encap);
    return [...(this.#reach.get(context.node)?.keys() ?? [])].map((segment) => ({
      map: 'segment',
      key: { encap, segment },
      value: { network: this.id, encap, segment },
    }));
  }

  #floodEntry(context: NetworkContext): Entry | undefined {
    const { definition } = this;
    if (definition.flood === 'none' && definition.unknown !== 'flood') return undefined;
    const targets: FloodTarget[] = [];
    for (const [port, flags] of this.#floodPorts) {
      targets.push({ kind: FloodKind.PORT, id: context.portId(port), segment: 0, flags });
    }
    const group = groupOf(definition);
    if (!isTunnel(definition.encap)) {
      targets.push({ kind: FloodKind.NODE, id: NODE_WIRE, segment: definition.segment, flags: 0 });
    } else if (group !== undefined) {
      targets.push({
        kind: FloodKind.NODE,
        id: context.groupId(group),
        segment: definition.segment,
        flags: isIpv6(group) ? FloodFlags.IP6 : 0,
      });
    } else {
      for (const [node, segments] of this.#reach) {
        const segment = node === context.node ? undefined : copySegment(segments, definition.segment);
        if (segment !== undefined)
          targets.push({
            kind: FloodKind.NODE,
            id: context.nodeId(node),
            segment,
            flags: pairFamily(context.tableNode(context.node), context.tableNode(node)) === 6 ? FloodFlags.IP6 : 0,
          });
      }
    }
    targets.sort((a, b) => a.kind - b.kind || a.id - b.id);
    const count: FloodTarget = { kind: FloodKind.COUNT, id: targets.length, segment: 0, flags: 0 };
    return { map: 'flood', key: this.id, value: [count, ...targets] };
  }

  #sharedMacEntry(mac: string, context: NetworkContext): Entry | undefined {
    const sharers = this.#sharedMacs.get(mac);
    if (sharers === undefined) return undefined;
    const ports = [...sharers].map((port) => context.portId(port)).sort((a, b) => a - b);
    ports.length = Math.min(ports.length, MAX_SHARED_MAC);
    while (ports.length < MAX_SHARED_MAC) ports.push(0);
    const bytes = macBytes(mac);
    return {
      map: 'source_mac',
      key: { network: this.id, mac: bytes },
      value: { network: this.id, mac: bytes, port: ports },
    };
  }
}

/** An entry that stands for its key only. */
function emptySharedMac(network: number, mac: string): Entry {
  const bytes = macBytes(mac);
  return { map: 'source_mac', key: { network, mac: bytes }, value: { network, mac: bytes, port: [] } };
}

/** The segment of a node's flooded copy: the network's own where it serves, else the lowest. */
function copySegment(segments: ReadonlyMap<number, Reach>, own: number): number | undefined {
  if ((segments.get(own)?.used ?? 0) > 0) return own;
  let lowest: number | undefined;
  for (const [segment, { used }] of segments) {
    if (used > 0 && (lowest === undefined || segment < lowest)) lowest = segment;
  }
  return lowest;
}
