import { MapwireError } from '../errors.ts';
import { NodeFlags } from '../generated/layout.ts';
import { CompactTable } from '../table/compact-table.ts';
import {
  type Family,
  familyOfAddress,
  groupOf,
  isIpOnly,
  isTunnel,
  underlayAddress,
  wantsChecksum,
} from '../table/encapsulation.ts';
import type { Encap, Table, TableAddress, TableNetwork, TableNode } from '../table/model.ts';
import type { NumberColumn } from '../table/number-column.ts';
import { portOfRow, type StoredRow } from '../table/port-store.ts';
import { RowView } from '../table/row-view.ts';
import { atOnce, type Steps } from '../table/steps.ts';
import { isViewed } from '../table/view.ts';
import { ActiveNetwork, encapNumber, type NetworkContext } from './active-network.ts';
import { balanceEntries } from './balance-entries.ts';
import { differs, type Entry, type EntryChange, keyText, type PlanMap, sortChanges, WRITE_ORDER } from './entries.ts';
import type { EntryBuffer } from './entry-buffer.ts';
import { groupNatural, groupOwner, type IdBook, networkNatural, nodeNatural, portNatural, portOwner } from './ids.ts';
import { groupEntries, nodeEntries, WIRE_ENTRY, wayTo } from './node-entries.ts';
import { PortPacker } from './pack-ports.ts';
import { isLocal, isPortMap, type PortContext, type PortMap, portEntries } from './port-entries.ts';
import { sameAddresses } from './same-addresses.ts';

/** Ids of what was added, changed or removed between two tables. Ids of things that did not change do no harm. */
export interface TableEdits {
  readonly nodes: Iterable<string>;
  readonly networks: Iterable<string>;
  readonly ports: Iterable<string>;
  /** Default: none. */
  readonly addresses?: Iterable<string>;
}

/** What the programs of this node must be able to do; the rest is removed from them before they are loaded. */
export interface Features {
  /** Some address or prefix of the plan is IPv6. */
  readonly ip6: boolean;
  readonly allow: boolean;
  readonly macs: boolean;
  readonly unknownFlood: boolean;
  /** Bits `1 << enum mw_encap` of the encapsulations of the plan's networks. */
  readonly encaps: number;
  /** Some network has `vlan: transparent`. */
  readonly transparent: boolean;
  /** Some network floods to a multicast group. */
  readonly group: boolean;
  /** Some peer or group over IPv6 wants outer UDP checksums. */
  readonly checksum: boolean;
  /** Some address is balanced. */
  readonly balance: boolean;
  /** Some port has a sequence, so that it may move: then the programs are ready for it. */
  readonly move: boolean;
}

/** A port with a locator on this node. */
export interface LocalPort {
  readonly port: string;
  /** Kernel ids. */
  readonly id: number;
  readonly network: number;
  readonly networkName: string;
  readonly mac: string;
  /** The device, when the table names it. */
  readonly interface: string | undefined;
  readonly role: 'router' | 'dhcp' | undefined;
  /** `allow`, or a balanced address that it serves. */
  readonly hasAllow: boolean;
  readonly hasMacs: boolean;
  readonly linkLocal: 'any' | 'eui64';
  /** Its network carries tagged frames. */
  readonly transparent: boolean;
  /** Its network carries IP packets alone. */
  readonly ipOnly: boolean;
}

/** Another node that shares a network with this one. */
export interface Peer {
  readonly node: string;
  /** Kernel id. */
  readonly id: number;
  /** Underlay addresses of that family; undefined: the two have none in common. */
  readonly remote: string | undefined;
  readonly local: string | undefined;
  readonly family: Family | undefined;
  /** Outer UDP checksums over IPv6 are computed. */
  readonly checksum: boolean;
  /** Some network that both are in is a tunnel: packets are sent to the node's address. Not so when all are flat. */
  readonly tunnels: boolean;
}

/** A multicast group that networks of this node flood to. */
export interface Group {
  readonly address: string;
  /** Kernel id: a node's. */
  readonly id: number;
  /** This node's underlay address of the group's family. */
  readonly local: string | undefined;
  /** Ids of the table, sorted. */
  readonly networks: readonly string[];
}

export interface PlannedNetwork {
  readonly network: string;
  /** Kernel id. */
  readonly id: number;
  readonly definition: TableNetwork;
  /** In force: the table's, or worked out. */
  readonly mtu: number;
  /** Ports in it, here or elsewhere. */
  readonly ports: number;
  readonly localPorts: number;
  /** Other nodes that have a port in it. */
  readonly nodes: readonly string[];
}

/** What one edit of the table changes on this node. */
export interface PlanChanges {
  /** True when so much changes that `entries` does not list it: everything is to be compared. */
  readonly whole: boolean;
  /** In the order in which they are to be written. */
  readonly entries: readonly EntryChange[];
  /** Ports, by table id, that are or were local and whose `LocalPort` changed. */
  readonly localPorts: ReadonlySet<string>;
  /** Nodes, by table id, that are or were peers and whose `Peer` changed. */
  readonly peers: ReadonlySet<string>;
  /** True when `groups()` or `wire` may be other than before. */
  readonly groups: boolean;
}

/**
 * Everything one node has to hold of a table. Entries are made when asked for. A plan is constant until it is handed to
 * `replan`, which takes it over: the old plan is then closed and only the new one may be used.
 */
export interface Plan {
  readonly table: CompactTable;
  readonly revision: number;
  /** This node: its id in the table and in the kernel. */
  readonly node: string;
  readonly self: number;
  readonly ids: IdBook;
  readonly features: Features;
  /** Number of entries of each map. */
  readonly sizes: Readonly<Record<PlanMap, number>>;
  /** All entries, or those of one map, in no particular order. */
  entries(map?: PlanMap): IterableIterator<Entry>;
  /** Those entries of a map that do not belong to one port alone. */
  sharedEntries(map?: PlanMap): IterableIterator<Entry>;
  /**
   * The other ones, as bytes and by the thousand: adds them to a buffer of this map until it is full, or for a while. Returns where to go on;
   * undefined when that was all. Between two calls the table may have been edited.
   */
  pack(map: PortMap, from: number, into: EntryBuffer): number | undefined;
  /** Networks in which this node has a port. */
  networks(): IterableIterator<PlannedNetwork>;
  readonly localPortCount: number;
  localPort(port: string): LocalPort | undefined;
  localPorts(): IterableIterator<LocalPort>;
  peer(node: string): Peer | undefined;
  peers(): IterableIterator<Peer>;
  /** Multicast groups that some network here floods to. */
  groups(): IterableIterator<Group>;
  /** Some network here is flat: the pseudo node `NODE_WIRE` has an entry. */
  readonly wire: boolean;
}

/** The ports of one network of the table, whether this node takes part in it or not. */
interface NetworkPorts {
  count: number;
  /** Those with a locator on this node. */
  readonly locals: Set<string>;
  /** Those that nodes see differently. */
  readonly viewed: Set<string>;
}

/** A balanced address of an active network. */
interface BalancedState {
  readonly network: string;
  /** Owner of its kernel id. */
  readonly owner: string;
  /** In force. */
  entries: Entry[];
}

/** By how many active networks a node is reached. */
interface NodeUse {
  all: number;
  /** Those that are not flat. */
  tunnels: number;
}

interface GroupState {
  /** Active networks that flood to it. */
  readonly networks: Set<string>;
  /** In force. */
  entries: Entry[];
}

type Changed = (before: Entry | undefined, after: Entry | undefined) => void;

/** Everything that a plan is made of; passed on from plan to plan. */
interface State {
  table: CompactTable;
  /** Kernel ids of ports by row: those of `ids.ports`. Rows that are not in the plan have 0. */
  rowIds: NumberColumn;
  readonly node: string;
  readonly ids: IdBook;
  readonly index: Map<string, NetworkPorts>;
  readonly active: Map<string, ActiveNetwork>;
  readonly nodeUse: Map<string, NodeUse>;
  /** During an edit: nodes of which that changed, with whether tunnels led to them before; undefined: nothing did. */
  usedBefore: Map<string, boolean | undefined> | undefined;
  /** Entries in force of every node of the table. */
  readonly nodes: Map<string, Entry[]>;
  /** By address. */
  readonly groups: Map<string, GroupState>;
  /** Of active networks, by id in the table. */
  readonly balanced: Map<string, BalancedState>;
  /** Network -> ids of its balanced addresses, whether this node takes part or not. */
  readonly addressesOf: Map<string, Set<string>>;
  /** Port -> ids of the balanced addresses that it serves. */
  readonly servedBy: Map<string, Set<string>>;
  /** The entry of the wire is in force. */
  wire: boolean;
  readonly sizes: Record<PlanMap, number>;
  /** Active networks of each encapsulation. */
  readonly encaps: Map<Encap, number>;
  /** Active networks with `unknown: flood`, and with `vlan: transparent`. */
  unknownFlood: number;
  transparent: number;
  /** Underlay and group addresses that are IPv6. */
  underlay6: number;
  /** Entries of `node` that ask for checksums. */
  checksums: number;
  /** Ports of active networks that have a sequence. */
  sequenced: number;
}

function emptySizes(): Record<PlanMap, number> {
  return Object.fromEntries(WRITE_ORDER.map((map) => [map, 0])) as Record<PlanMap, number>;
}

function requireNode(table: Table, node: string): TableNode {
  const found = table.nodes.get(node);
  if (found === undefined) {
    throw new MapwireError('ERR_MW_TABLE', `this node, '${node}', is not in the table's nodes`, {
      hint: "add it to 'nodes', or give the name the table uses as 'node' in the configuration",
      details: { node },
    });
  }
  return found;
}

/** The address by which a node is found again in the kernel's maps. */
function naturalAddress(node: TableNode): string {
  return underlayAddress(node) ?? node.underlay[0] ?? node.id;
}

function networkContext(state: State): NetworkContext {
  const { ids, table, node } = state;
  return {
    node,
    nodeId: (name) => nodeId(ids, name),
    groupId: (address) => known(ids.nodes.idOf(groupOwner(address)), groupNatural(address)),
    tableNode: (name) => known(table.nodes.get(name), name),
    portId: (port) => known(ids.ports.idOf(port), port),
  };
}

function nodeId(ids: IdBook, name: string): number {
  return known(ids.nodes.idOf(name), name);
}

function known<T>(found: T | undefined, name: string): T {
  if (found === undefined) {
    throw new MapwireError('ERR_MW_TABLE', `the table refers to '${name}', which it does not hold`);
  }
  return found;
}

function portContext(state: State, network: ActiveNetwork, id: number): PortContext {
  const { ids } = state;
  return {
    id,
    network: network.id,
    definition: network.definition,
    self: requireNode(state.table, state.node),
    nodeId: (name) => nodeId(ids, name),
  };
}

class CompiledPlan implements Plan {
  readonly table: CompactTable;
  readonly node: string;
  readonly self: number;
  readonly ids: IdBook;
  readonly features: Features;
  readonly sizes: Readonly<Record<PlanMap, number>>;
  readonly wire: boolean;
  #state: State | undefined;

  constructor(state: State) {
    this.#state = state;
    this.table = state.table;
    this.node = state.node;
    this.ids = state.ids;
    this.self = nodeId(state.ids, state.node);
    this.sizes = { ...state.sizes };
    this.wire = state.wire;
    const { sizes } = this;
    this.features = {
      ip6: sizes.ip6 > 0 || sizes.allow6 > 0 || state.underlay6 > 0,
      allow: sizes.allow4 > 0 || sizes.allow6 > 0,
      macs: sizes.source_mac > 0,
      unknownFlood: state.unknownFlood > 0,
      encaps: [...state.encaps.keys()].reduce((bits, encap) => bits | (1 << encapNumber(encap)), 0),
      transparent: state.transparent > 0,
      group: state.groups.size > 0,
      checksum: state.checksums > 0,
      balance: sizes.balance > 0,
      move: state.sequenced > 0,
    };
  }

  get localPortCount(): number {
    const state = this.#open;
    let count = 0;
    for (const name of state.active.keys()) count += (state.index.get(name) as NetworkPorts).locals.size;
    return count;
  }

  get revision(): number {
    return this.table.revision;
  }

  get #open(): State {
    if (this.#state === undefined) {
      throw new MapwireError('ERR_MW_CLOSED', 'this plan was handed to replan; use the plan that it returned');
    }
    return this.#state;
  }

  /** Takes the state over; this plan is closed afterwards. */
  surrender(): State {
    const state = this.#open;
    this.#state = undefined;
    return state;
  }

  *entries(map?: PlanMap): IterableIterator<Entry> {
    yield* this.sharedEntries(map);
    if (map !== undefined && !isPortMap(map)) return;
    const state = this.#open;
    const { rowIds, table } = state;
    for (let row = 0; row < table.rowLimit; row++) {
      const id = rowIds.get(row);
      const stored = id ? table.storedAt(row) : undefined;
      const network = stored && state.active.get(stored.row.network);
      if (!id || network === undefined) continue;
      yield* portEntries(portOfRow((stored as StoredRow).row), portContext(state, network, id), map);
    }
  }

  *sharedEntries(map?: PlanMap): IterableIterator<Entry> {
    const state = this.#open;
    for (const entries of state.nodes.values()) yield* only(entries, map);
    for (const { entries } of state.groups.values()) yield* only(entries, map);
    for (const { entries } of state.balanced.values()) yield* only(entries, map);
    if (state.wire) yield* only([WIRE_ENTRY], map);
    for (const network of state.active.values()) yield* only(network.entries(), map);
  }

  pack(map: PortMap, from: number, into: EntryBuffer): number | undefined {
    const state = this.#open;
    const { table, rowIds, active } = state;
    const packer = new PortPacker(new RowView(table), rowIds, {
      network: (name) => active.get(name)?.id,
      nodeId: (name) => nodeId(state.ids, name),
      segment: (name) => (active.get(name) as ActiveNetwork).definition.segment,
      entries: (stored, id) => {
        const network = active.get(stored.row.network) as ActiveNetwork;
        return portEntries(portOfRow(stored.row), portContext(state, network, id), map);
      },
    });
    return packer.pack(map, from, into);
  }

  *networks(): IterableIterator<PlannedNetwork> {
    const state = this.#open;
    for (const [name, network] of state.active) {
      const { count, locals } = state.index.get(name) as NetworkPorts;
      yield {
        network: name,
        id: network.id,
        definition: network.definition,
        mtu: network.mtu(networkContext(state)),
        ports: count,
        localPorts: locals.size,
        nodes: [...network.nodes()].filter((node) => node !== state.node),
      };
    }
  }

  localPort(port: string): LocalPort | undefined {
    const state = this.#open;
    const found = state.table.port(port);
    const network = found && state.active.get(found.network);
    const at = found?.at.find((locator) => locator.node === state.node);
    if (found === undefined || network === undefined || at === undefined) return undefined;
    return {
      port,
      id: known(state.rowIds.get(state.table.rowOf(port)) || undefined, port),
      network: network.id,
      networkName: found.network,
      mac: found.mac,
      interface: at.interface,
      role: found.role,
      hasAllow: found.allow.length > 0 || servesIp(state, port),
      hasMacs: found.macs.length > 0,
      linkLocal: network.definition.linkLocal,
      transparent: network.definition.vlan === 'transparent',
      ipOnly: isIpOnly(network.definition.encap),
    };
  }

  *localPorts(): IterableIterator<LocalPort> {
    const state = this.#open;
    for (const name of state.active.keys()) {
      for (const port of (state.index.get(name) as NetworkPorts).locals) yield this.localPort(port) as LocalPort;
    }
  }

  peer(node: string): Peer | undefined {
    const state = this.#open;
    const found = state.table.nodes.get(node);
    const use = state.nodeUse.get(node);
    if (found === undefined || node === state.node || use === undefined) return undefined;
    const way = wayTo(found, requireNode(state.table, state.node));
    return {
      node,
      id: nodeId(state.ids, node),
      remote: way?.remote,
      local: way?.local,
      family: way?.family,
      checksum: way?.checksum ?? false,
      tunnels: use.tunnels > 0,
    };
  }

  *peers(): IterableIterator<Peer> {
    const state = this.#open;
    for (const node of state.nodeUse.keys()) {
      const peer = this.peer(node);
      if (peer !== undefined) yield peer;
    }
  }

  *groups(): IterableIterator<Group> {
    const state = this.#open;
    const self = requireNode(state.table, state.node);
    for (const [address, { networks }] of state.groups) {
      yield {
        address,
        id: known(state.ids.nodes.idOf(groupOwner(address)), groupNatural(address)),
        local: underlayAddress(self, familyOfAddress(address)),
        networks: [...networks].sort(),
      };
    }
  }
}

function servesIp({ servedBy, table }: State, port: string): boolean {
  for (const id of servedBy.get(port) ?? []) if ((table.addresses.get(id)?.ips.length ?? 0) > 0) return true;
  return false;
}

function* only(entries: Iterable<Entry>, map: PlanMap | undefined): IterableIterator<Entry> {
  for (const entry of entries) if (map === undefined || entry.map === map) yield entry;
}

function indexOf(state: State, network: string): NetworkPorts {
  let found = state.index.get(network);
  if (found === undefined) {
    found = { count: 0, locals: new Set(), viewed: new Set() };
    state.index.set(network, found);
  }
  return found;
}

/** Counts an entry that comes or goes. */
function counter(state: State): Changed {
  return (before, after) => {
    if (before !== undefined) state.sizes[before.map]--;
    if (after !== undefined) state.sizes[after.map]++;
  };
}

/** Takes a network into the plan; its ports follow. */
function open(state: State, name: string, definition: TableNetwork): ActiveNetwork {
  const id = state.ids.networks.acquire(name, networkNatural(encapNumber(definition.encap), definition.segment));
  const network = new ActiveNetwork(id, definition);
  state.active.set(name, network);
  enlist(state, definition);
  return network;
}

/** All rows of a network, of this version of the table, a few at a time: after each part there may be a pause. */
function* rowParts(table: CompactTable, name: string): Generator<{ view: RowView; rows: readonly number[] }> {
  for (let row = 0; row < table.rowLimit; ) {
    const view = new RowView(table);
    const number = view.networkNumber(name);
    const rows: number[] = [];
    const end = Math.min(row + STEP_ROWS, table.rowLimit);
    for (; row < end && rows.length < STEP_PORTS; row++) {
      if (view.isPlain(row) ? view.network(row) === number : view.stored(row)?.row.network === name) rows.push(row);
    }
    yield { view, rows };
  }
}

/** Adds ports to an active network without telling of each entry: many at once. */
function admit(state: State, network: ActiveNetwork, view: RowView, rows: Iterable<number>): void {
  const { ids, sizes, node } = state;
  const self = requireNode(state.table, node);
  const selfNumber = view.nodeNumber(node);
  /** Plain ports at each node. */
  const counts = new Map<number, number>();
  const locals: string[] = [];
  const count = counter(state);
  for (const row of rows) {
    if (!view.isPlain(row)) {
      include(state, network, view.stored(row) as StoredRow, count);
      continue;
    }
    ids.ports.acquire(row, network.id, view.mac(row));
    const at = view.node(row);
    counts.set(at, (counts.get(at) ?? 0) + 1);
    if (at === selfNumber) locals.push(view.id(row));
    sizes.port++;
    sizes.mac++;
    if (view.hasIp4(row)) sizes.ip4++;
    if (view.hasIp6(row)) sizes.ip6++;
  }
  for (const [at, many] of counts) {
    const name = view.nodeName(at);
    if (network.addPlain(name, many, name === self.id ? locals : [])) addUse(state, name, network.definition.encap, 1);
  }
}

/** Counts a network that becomes active, or the new definition of one that is. */
function enlist(state: State, definition: TableNetwork): void {
  const { encap, id } = definition;
  if (definition.unknown === 'flood') state.unknownFlood++;
  if (definition.vlan === 'transparent') state.transparent++;
  state.encaps.set(encap, (state.encaps.get(encap) ?? 0) + 1);
  const address = groupOf(definition);
  if (address === undefined) return;
  state.ids.nodes.acquire(groupOwner(address), groupNatural(address));
  const group = state.groups.get(address);
  if (group === undefined) state.groups.set(address, { networks: new Set([id]), entries: [] });
  else group.networks.add(id);
}

/** The opposite of `enlist`. A group that nobody uses any more stays until `refreshGroup`. */
function delist(state: State, definition: TableNetwork): void {
  const { encap, id } = definition;
  if (definition.unknown === 'flood') state.unknownFlood--;
  if (definition.vlan === 'transparent') state.transparent--;
  const left = (state.encaps.get(encap) ?? 0) - 1;
  if (left > 0) state.encaps.set(encap, left);
  else state.encaps.delete(encap);
  const address = groupOf(definition);
  if (address !== undefined) state.groups.get(address)?.networks.delete(id);
}

/** Adds a port to an active network. @param only the map whose entries change; the others are in force */
function include(state: State, network: ActiveNetwork, stored: StoredRow, changed: Changed, only?: PortMap): void {
  const port = portOfRow(stored.row);
  const id = state.ids.ports.acquire(stored.place, network.id, stored.row.mac);
  if (port.sequence !== undefined) state.sequenced++;
  for (const node of network.add(port, requireNode(state.table, state.node)))
    addUse(state, node, network.definition.encap, 1);
  for (const entry of portEntries(port, portContext(state, network, id), only)) changed(undefined, entry);
}

/** Removes a port from an active network; its kernel id stays, and is returned. @param only the map whose entries go; the others stay */
function exclude(state: State, network: ActiveNetwork, stored: StoredRow, changed: Changed, only?: PortMap): number {
  const port = portOfRow(stored.row);
  const id = known(state.rowIds.get(stored.place) || undefined, port.id);
  if (port.sequence !== undefined) state.sequenced--;
  for (const entry of portEntries(port, portContext(state, network, id), only)) changed(entry, undefined);
  for (const node of network.remove(port, requireNode(state.table, state.node)))
    addUse(state, node, network.definition.encap, -1);
  return id;
}

function addUse(state: State, node: string, encap: Encap, change: 1 | -1): void {
  let use = state.nodeUse.get(node);
  if (state.usedBefore?.has(node) === false) state.usedBefore.set(node, use && use.tunnels > 0);
  if (use === undefined) {
    use = { all: 0, tunnels: 0 };
    state.nodeUse.set(node, use);
  }
  use.all += change;
  if (isTunnel(encap)) use.tunnels += change;
  if (use.all === 0) state.nodeUse.delete(node);
}

/** Works out a node's entries again. */
function refreshNode(state: State, name: string, changed: Changed): void {
  const node = state.table.nodes.get(name);
  const before = state.nodes.get(name) ?? [];
  const after =
    node === undefined
      ? []
      : nodeEntries(node, nodeId(state.ids, name), requireNode(state.table, state.node), state.nodeUse.has(name));
  if (after.length > 0) state.nodes.set(name, after);
  else state.nodes.delete(name);
  replaceEntries(state, before, after, changed);
}

/** Works out a group's entries again; one that nobody uses goes. */
function refreshGroup(state: State, address: string, changed: Changed): void {
  const group = state.groups.get(address);
  if (group === undefined) return;
  const { ids, active } = state;
  const before = group.entries;
  if (group.networks.size === 0) {
    state.groups.delete(address);
    ids.nodes.release(groupOwner(address));
    group.entries = [];
  } else {
    // A copy goes to all of them: one that wants a checksum has its way.
    const checksum = [...group.networks].some((name) => {
      const network = active.get(name);
      return network?.wantsChecksum(networkContext(state)) ?? false;
    });
    const id = known(ids.nodes.idOf(groupOwner(address)), groupNatural(address));
    group.entries = groupEntries(address, id, requireNode(state.table, state.node), checksum);
  }
  replaceEntries(state, before, group.entries, changed);
}

/** Enters an address into the indexes, or (`remove`) takes it out. */
function indexAddress(state: State, address: TableAddress, remove = false): void {
  const change = (map: Map<string, Set<string>>, key: string): void => {
    const set = map.get(key) ?? new Set<string>();
    if (remove) set.delete(address.id);
    else set.add(address.id);
    if (set.size === 0) map.delete(key);
    else map.set(key, set);
  };
  change(state.addressesOf, address.network);
  for (const { port } of address.members) change(state.servedBy, port);
}

/** Takes the entries of a balanced address out, until it is worked out again. */
function excludeAddress(state: State, id: string, changed: Changed): void {
  const balanced = state.balanced.get(id);
  if (balanced === undefined) return;
  for (const entry of balanced.entries) changed(entry, undefined);
  balanced.entries = [];
}

/** Works out a balanced address again. One whose network is not active has no entries. */
function refreshAddress(state: State, address: TableAddress, changed: Changed): void {
  const network = state.active.get(address.network);
  if (network === undefined) return;
  const owner = portOwner(network.id, address.id);
  const id = state.ids.addresses.acquire(owner, portNatural(network.id, address.mac));
  const before = state.balanced.get(address.id);
  const { table, node, ids } = state;
  const portId = (port: string): number => known(ids.ports.idOf(port), port);
  const entries = balanceEntries(address, { id, network: network.id, table, node, portId }, before?.entries);
  for (const entry of before?.entries ?? []) changed(entry, undefined);
  for (const entry of entries) changed(undefined, entry);
  state.balanced.set(address.id, { network: address.network, owner, entries });
}

/** The wire has an entry while some network is flat. Returns whether it came or went. */
function refreshWire(state: State, changed: Changed): boolean {
  const wire = state.encaps.has('flat');
  if (wire === state.wire) return false;
  state.wire = wire;
  if (wire) changed(undefined, WIRE_ENTRY);
  else changed(WIRE_ENTRY, undefined);
  return true;
}

function replaceEntries(state: State, before: readonly Entry[], after: readonly Entry[], changed: Changed): void {
  for (const entry of before) changed(entry, undefined);
  for (const entry of after) changed(undefined, entry);
  state.underlay6 += countIpv6(after) - countIpv6(before);
  state.checksums += countChecksums(after) - countChecksums(before);
}

function countChecksums(entries: readonly Entry[]): number {
  return entries.filter((entry) => entry.map === 'node' && (entry.value.flags & NodeFlags.CHECKSUM) !== 0).length;
}

/** IPv6 addresses among the underlay addresses; mapped IPv4 begins with ten zero bytes and ff ff. */
function countIpv6(entries: readonly Entry[]): number {
  let count = 0;
  for (const entry of entries) {
    if (entry.map !== 'vtep') continue;
    const { addr } = entry.key;
    if (!(addr[10] === 0xff && addr[11] === 0xff && addr.subarray(0, 10).every((byte) => byte === 0))) count++;
  }
  return count;
}

/**
 * The plan of a table for one node: only the networks in which the node has a port (by any locator), with all of their
 * ports; the underlay addresses of all nodes; how to reach the nodes that share a network. Pure, but for `ids`, which
 * hands out the kernel ids and gets back those that the table no longer uses.
 *
 * Throws ERR_MW_TABLE when the node is not in the table.
 */
export function plan(table: Table, node: string, ids: IdBook): Plan {
  return atOnce(planSteps(table, node, ids));
}

/** Between two pauses: rows that are looked at, ports that become entries, and entries that are compared. */
const STEP_ROWS = 4_096;
const STEP_PORTS = 64;
const STEP_ENTRIES = 512;

/** `plan`, with a pause after every few thousand ports. The table may be edited in the pauses: the plan is of the version that is given. */
export function* planSteps(given: Table, node: string, ids: IdBook): Steps<Plan> {
  const table = versioned(given);
  requireNode(table, node);
  const state: State = {
    table,
    rowIds: ids.ports.byRow,
    node,
    ids,
    index: new Map(),
    active: new Map(),
    nodeUse: new Map(),
    usedBefore: undefined,
    nodes: new Map(),
    groups: new Map(),
    balanced: new Map(),
    addressesOf: new Map(),
    servedBy: new Map(),
    wire: false,
    sizes: emptySizes(),
    encaps: new Map(),
    unknownFlood: 0,
    transparent: 0,
    underlay6: 0,
    checksums: 0,
    sequenced: 0,
  };
  const spaces = [ids.nodes, ids.networks, ids.addresses];
  for (const space of spaces) space.beginPass();
  for (const each of table.nodes.values()) ids.nodes.acquire(each.id, nodeNatural(naturalAddress(each)));
  yield* indexRows(state);
  for (const { id, stored } of yield* ids.ports.bindSteps(table, true)) {
    ids.ports.rest(id, ids.networks.idOf(stored.row.network) ?? 0, stored.row.mac);
  }
  state.rowIds = ids.ports.byRow;
  for (const [name, { locals }] of state.index) {
    const definition = table.networks.get(name);
    if (locals.size > 0 && definition !== undefined) open(state, name, definition);
  }
  yield* admitAll(state);
  const changed = counter(state);
  for (const network of state.active.values()) network.refresh(networkContext(state), changed);
  for (const name of table.nodes.keys()) refreshNode(state, name, changed);
  for (const address of state.groups.keys()) refreshGroup(state, address, changed);
  for (const address of table.addresses.values()) {
    indexAddress(state, address);
    refreshAddress(state, address, changed);
    yield;
  }
  refreshWire(state, changed);
  for (const space of spaces) space.endPass();
  ids.ports.restUnclaimed();
  return new CompiledPlan(state);
}

/** A plan goes through the rows of a table's store, and follows its versions. */
function versioned(table: Table): CompactTable {
  if (table instanceof CompactTable) return table;
  throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'not a table of this program');
}

/** Which ports each network of the table has, as far as a plan wants to know. */
function* indexRows(state: State): Generator<undefined> {
  const { table, node } = state;
  for (let from = 0; from < table.rowLimit; from += STEP_ROWS) {
    const view = new RowView(table);
    const selfNumber = view.nodeNumber(node);
    /** Of one step: numbers of names may be others after a pause. */
    const found: (NetworkPorts | undefined)[] = [];
    for (let row = from; row < Math.min(from + STEP_ROWS, table.rowLimit); row++) {
      if (view.isPlain(row)) {
        const number = view.network(row);
        let ports = found[number];
        if (ports === undefined) {
          ports = indexOf(state, view.networkName(number));
          found[number] = ports;
        }
        ports.count++;
        if (view.node(row) === selfNumber) ports.locals.add(view.id(row));
        continue;
      }
      const stored = view.stored(row);
      if (stored === undefined) continue;
      const port = stored.row;
      const ports = indexOf(state, port.network);
      ports.count++;
      if (isLocal(port, node)) ports.locals.add(port.id);
      if (isViewed(port.at)) ports.viewed.add(port.id);
    }
    yield;
  }
}

/** Puts the ports of all active networks in, and takes the ids of other ones away. */
function* admitAll(state: State): Generator<undefined> {
  const { table, active, ids, rowIds } = state;
  for (let from = 0; from < table.rowLimit; from += STEP_ROWS) {
    const view = new RowView(table);
    const rows = new Map<string, number[]>();
    const byNumber: (number[] | undefined)[] = [];
    const listOf = (name: string): number[] => {
      let list = rows.get(name);
      if (list === undefined) {
        list = [];
        rows.set(name, list);
      }
      return list;
    };
    for (let row = from; row < Math.min(from + STEP_ROWS, table.rowLimit); row++) {
      if (view.isPlain(row)) {
        const number = view.network(row);
        let list = byNumber[number];
        if (list === undefined) {
          list = listOf(view.networkName(number));
          byNumber[number] = list;
        }
        list.push(row);
      } else {
        const stored = view.stored(row);
        if (stored !== undefined) listOf(stored.row.network).push(row);
      }
    }
    for (const [name, list] of rows) {
      const network = active.get(name);
      if (network !== undefined) {
        admit(state, network, view, list);
        continue;
      }
      for (const row of list) {
        const id = rowIds.get(row) === 0 ? 0 : ids.ports.detach(row);
        if (id !== 0) ids.ports.rest(id, ids.networks.idOf(name) ?? 0, (view.stored(row) as StoredRow).row.mac);
      }
    }
    yield;
  }
}

/** What came and went of each key. */
class ChangeSet {
  readonly #touched = new Map<string, { before: Entry | undefined; after: Entry | undefined }>();

  readonly record: Changed = (before, after) => {
    if (before !== undefined) {
      const slot = this.#slot(before);
      // Of a key that is taken away twice only the first is what was in force before the edit.
      if (slot.after === undefined) slot.before ??= before;
      slot.after = undefined;
    }
    if (after !== undefined) this.#slot(after).after = after;
  };

  #slot(entry: Entry): { before: Entry | undefined; after: Entry | undefined } {
    const key = keyText(entry);
    let slot = this.#touched.get(key);
    if (slot === undefined) {
      slot = { before: undefined, after: undefined };
      this.#touched.set(key, slot);
    }
    return slot;
  }

  *changes(): Steps<EntryChange[]> {
    const changes: EntryChange[] = [];
    let count = 0;
    for (const { before, after } of this.#touched.values()) {
      if (++count % STEP_ENTRIES === 0) yield;
      if (after !== undefined) {
        if (before === undefined || differs(before, after)) {
          changes.push({ op: 'put', entry: after, before });
        }
      } else if (before !== undefined) {
        changes.push({ op: 'delete', entry: before });
      }
    }
    return sortChanges(changes);
  }
}

/**
 * The plan of an edited table, and what differs; costs what the edit costs. The old plan is closed by it. Equal to
 * `plan(table, …)` with the same ids.
 *
 * Throws ERR_MW_TABLE when the node is not in the new table (the old plan is then still good), ERR_MW_CLOSED when `old`
 * was handed over before.
 */
export function replan(old: Plan, table: Table, edits: TableEdits): { plan: Plan; changes: PlanChanges } {
  return atOnce(replanSteps(old, table, edits));
}

/**
 * `replan` with pauses, in which the tables may be edited. From the first step on the old plan is closed. When it is given up half way
 * there is no plan: `plan` makes another one with the same ids.
 */
export function* replanSteps(old: Plan, table: Table, edits: TableEdits): Steps<{ plan: Plan; changes: PlanChanges }> {
  if (!(old instanceof CompiledPlan)) throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'not a plan of this compiler');
  requireNode(table, old.node);
  const after = versioned(table);
  const state = old.surrender();
  const edit = new Edit(state, after, edits);
  yield* edit.run();
  const changes = yield* edit.result();
  return { plan: new CompiledPlan(state), changes };
}

/** More ports than this are not listed entry by entry. */
export const LISTED_PORTS = 20_000;

/** The id of a port that was taken out of the plan, and whose it was. */
interface FreedId {
  /** Before the edit. */
  readonly row: number;
  readonly id: number;
  /** Kernel id. */
  readonly network: number;
  readonly mac: number;
}

/** One pass of `replan`. The steps stand in the order in which they run. */
class Edit {
  readonly #state: State;
  readonly #before: CompactTable;
  readonly #after: CompactTable;
  readonly #ports: Set<string>;
  /** Those of which all entries but one stay as they are: only that one is taken out and put in. */
  readonly #moved = new Set<string>();
  /** Networks that they are in after the edit: all, and those where some are local. */
  readonly #entered = new Set<string>();
  readonly #enteredHere = new Set<string>();
  readonly #networks: Set<string>;
  readonly #nodes: Set<string>;
  readonly #addresses: Set<string>;
  readonly #set = new ChangeSet();
  readonly #localPorts = new Set<string>();
  readonly #peers = new Set<string>();
  /** Active networks whose sums may have changed. */
  readonly #dirty = new Set<string>();
  /** Multicast groups, by address, that networks joined or left. */
  readonly #groups = new Set<string>();
  #groupsChanged = false;
  #whole = false;
  readonly #changed: Changed;

  constructor(state: State, table: CompactTable, edits: TableEdits) {
    this.#state = state;
    this.#before = state.table;
    this.#after = table;
    this.#ports = new Set(edits.ports);
    this.#networks = new Set(edits.networks);
    this.#nodes = new Set(edits.nodes);
    // In another region this node sees such ports differently.
    if (this.#before.nodes.get(state.node)?.region !== this.#after.nodes.get(state.node)?.region) {
      for (const { viewed } of state.index.values()) for (const port of viewed) this.#ports.add(port);
    }
    this.#addresses = new Set(edits.addresses);
    const count = counter(state);
    this.#whole = this.#ports.size > LISTED_PORTS;
    this.#changed = (before, after) => {
      count(before, after);
      if (!this.#whole) this.#set.record(before, after);
    };
  }

  *run(): Steps<void> {
    yield* this.#bindIds(this.#before);
    const usedBefore = new Map<string, boolean | undefined>();
    this.#state.usedBefore = usedBefore;
    this.#noteAddresses();
    const freed = yield* this.#withdrawPorts();
    const rebuilt = yield* this.#closeNetworks(freed);
    yield* this.#releaseIds(freed);
    this.#state.table = this.#after;
    yield* this.#bindIds(this.#after);
    this.#acquireNodes();
    yield* this.#enterPorts();
    yield* this.#openNetworks(rebuilt);
    this.#touchNetworks();
    yield* this.#refresh(usedBefore);
    this.#state.usedBefore = undefined;
    yield* this.#refreshAddresses();
    this.#releaseNodes();
  }

  *result(): Steps<PlanChanges> {
    return {
      whole: this.#whole,
      entries: this.#whole ? [] : yield* this.#set.changes(),
      localPorts: this.#localPorts,
      peers: this.#peers,
      groups: this.#groupsChanged,
    };
  }

  /** Rows of the ids are those of this table. Ids that were not given back go with their ports. */
  *#bindIds(table: CompactTable): Steps<void> {
    const { ids } = this.#state;
    yield* ids.ports.bindSteps(table, false);
    this.#state.rowIds = ids.ports.byRow;
  }

  #enlist(definition: TableNetwork): void {
    enlist(this.#state, definition);
    this.#noteGroup(definition);
  }

  #delist(definition: TableNetwork): void {
    delist(this.#state, definition);
    this.#noteGroup(definition);
  }

  #noteGroup(definition: TableNetwork): void {
    const group = groupOf(definition);
    if (group === undefined) return;
    this.#groups.add(group);
    this.#groupsChanged = true;
  }

  /** Takes the old shape of every edited port out. Returns the ids that may become free, by their ports. */
  *#withdrawPorts(): Steps<Map<string, FreedId>> {
    const state = this.#state;
    const freed = new Map<string, FreedId>();
    let count = 0;
    for (const name of this.#ports) {
      if (++count % STEP_PORTS === 0) yield;
      const after = this.#after.storedPort(name)?.row;
      if (after !== undefined) {
        this.#entered.add(after.network);
        if (isLocal(after, state.node)) this.#enteredHere.add(after.network);
      }
      const stored = this.#before.storedPort(name);
      if (stored === undefined) continue;
      const ports = indexOf(state, stored.row.network);
      ports.count--;
      ports.viewed.delete(name);
      if (ports.locals.delete(name)) this.#localPorts.add(name);
      const network = state.active.get(stored.row.network);
      if (network === undefined) continue;
      this.#dirty.add(stored.row.network);
      if (after !== undefined && sameAddresses(stored.row, after)) {
        this.#moved.add(name);
        exclude(state, network, stored, this.#changed, 'port');
        continue;
      }
      const id = exclude(state, network, stored, this.#changed);
      freed.set(name, { row: stored.place, id, network: network.id, mac: stored.row.mac });
    }
    return freed;
  }

  /** Will the network be part of the plan? Asked before the new ports are entered. */
  #willBeActive(name: string): boolean {
    return (
      this.#after.networks.has(name) &&
      ((this.#state.index.get(name)?.locals.size ?? 0) > 0 || this.#enteredHere.has(name))
    );
  }

  /**
   * Takes networks out that leave the plan, and those whose encapsulation or segment changed, because every port's entry
   * holds it. Returns the latter: they keep their ids and come back.
   */
  *#closeNetworks(freed: Map<string, FreedId>): Steps<Set<string>> {
    const state = this.#state;
    const rebuilt = new Set<string>();
    for (const name of new Set([...this.#dirty, ...this.#networks])) {
      const network = state.active.get(name);
      if (network === undefined) continue;
      const stays = this.#willBeActive(name);
      const definition = this.#after.networks.get(name);
      const same = definition?.encap === network.definition.encap && definition?.segment === network.definition.segment;
      if (stays && same) continue;
      yield* this.#closePorts(name, network, stays, freed);
      for (const entry of network.entries()) this.#changed(entry, undefined);
      for (const id of state.addressesOf.get(name) ?? []) this.#withdrawAddress(id);
      this.#delist(network.definition);
      state.active.delete(name);
      this.#dirty.delete(name);
      if (stays) rebuilt.add(name);
      else state.ids.networks.release(name);
    }
    return rebuilt;
  }

  /** Takes out what is left of a network's ports. Their ids stay with them when the network `stays`. */
  *#closePorts(name: string, network: ActiveNetwork, stays: boolean, freed: Map<string, FreedId>): Steps<void> {
    const state = this.#state;
    if (indexOf(state, name).count > LISTED_PORTS) this.#whole = true;
    for (const { view, rows } of rowParts(this.#before, name)) {
      for (const row of rows) {
        const stored = view.stored(row) as StoredRow;
        const { id: name, mac } = stored.row;
        let id: number;
        if (!this.#ports.has(name)) {
          id = exclude(state, network, stored, this.#changed);
          if (isLocal(stored.row, state.node)) this.#localPorts.add(name);
        } else if (this.#moved.delete(name)) {
          id = state.rowIds.get(row);
          for (const entry of portEntries(portOfRow(stored.row), portContext(state, network, id)))
            if (entry.map !== 'port') this.#changed(entry, undefined);
        } else continue;
        if (!stays) freed.set(name, { row, id, network: network.id, mac });
      }
      yield;
    }
  }

  /** Gives ids back before new ones are taken, so that a renamed port finds its own again. */
  *#releaseIds(freed: ReadonlyMap<string, FreedId>): Steps<void> {
    const { ids } = this.#state;
    let count = 0;
    for (const [name, { row, id, network, mac }] of freed) {
      if (++count % STEP_PORTS === 0) yield;
      const port = this.#after.storedPort(name)?.row;
      if (port !== undefined && ids.networks.idOf(port.network) === network) continue;
      ids.ports.detach(row);
      ids.ports.rest(id, network, mac);
    }
  }

  #acquireNodes(): void {
    const { ids } = this.#state;
    for (const name of this.#nodes) {
      const node = this.#after.nodes.get(name);
      if (node !== undefined) ids.nodes.acquire(name, nodeNatural(naturalAddress(node)));
    }
  }

  /** Enters the new shape of every edited port. */
  *#enterPorts(): Steps<void> {
    const state = this.#state;
    let count = 0;
    for (const name of this.#ports) {
      if (++count % STEP_PORTS === 0) yield;
      const stored = this.#after.storedPort(name);
      if (stored === undefined) continue;
      const port = stored.row;
      const ports = indexOf(state, port.network);
      ports.count++;
      if (isViewed(port.at)) ports.viewed.add(name);
      if (isLocal(port, state.node)) {
        ports.locals.add(name);
        this.#localPorts.add(name);
      }
      const network = state.active.get(port.network);
      if (network === undefined) continue;
      include(state, network, stored, this.#changed, this.#moved.has(name) ? 'port' : undefined);
      this.#dirty.add(port.network);
    }
  }

  *#openNetworks(rebuilt: ReadonlySet<string>): Steps<void> {
    const state = this.#state;
    for (const name of new Set([...rebuilt, ...this.#networks, ...this.#entered])) {
      const definition = this.#after.networks.get(name);
      const { locals, count } = indexOf(state, name);
      if (definition === undefined || locals.size === 0 || state.active.has(name)) continue;
      if (count > LISTED_PORTS) this.#whole = true;
      const network = open(state, name, definition);
      for (const { view, rows } of rowParts(this.#after, name)) {
        if (this.#whole) admit(state, network, view, rows);
        else for (const row of rows) include(state, network, view.stored(row) as StoredRow, this.#changed);
        yield;
      }
      for (const id of state.addressesOf.get(name) ?? []) this.#addresses.add(id);
      this.#noteGroup(definition);
      this.#dirty.add(name);
      for (const id of locals) this.#localPorts.add(id);
    }
    for (const name of this.#networks) if (indexOf(state, name).count === 0) state.index.delete(name);
  }

  /** Definitions that changed in little things, and what networks take from their nodes. */
  #touchNetworks(): void {
    const state = this.#state;
    for (const name of this.#networks) {
      const network = state.active.get(name);
      const definition = this.#after.networks.get(name);
      if (network === undefined || definition === undefined || network.definition === definition) continue;
      this.#delist(network.definition);
      this.#enlist(definition);
      if (network.definition.linkLocal !== definition.linkLocal || network.definition.vlan !== definition.vlan) {
        for (const id of indexOf(state, name).locals) this.#localPorts.add(id);
      }
      network.definition = definition;
      network.touch();
      this.#dirty.add(name);
    }
    for (const node of this.#nodes) {
      if (sameForNetworks(this.#before.nodes.get(node), this.#after.nodes.get(node))) continue;
      for (const [name, network] of state.active) {
        if (!network.hasNode(node)) continue;
        network.touch();
        this.#dirty.add(name);
      }
    }
  }

  /** @param usedBefore as in the state: who becomes a peer, or is none any more, is among them */
  *#refresh(usedBefore: ReadonlyMap<string, boolean | undefined>): Steps<void> {
    const state = this.#state;
    for (const name of this.#dirty) {
      yield;
      const network = state.active.get(name);
      const moved = network?.refresh(networkContext(state), this.#changed);
      const group = network && moved === true ? groupOf(network.definition) : undefined;
      if (group !== undefined) this.#groups.add(group);
    }
    const nodes = new Set(this.#nodes);
    for (const [node, before] of usedBefore) {
      const use = state.nodeUse.get(node);
      if (before !== (use && use.tunnels > 0)) nodes.add(node);
    }
    // The outer source of every peer's and every group's entry is this node's own address.
    if (this.#nodes.has(state.node)) {
      for (const node of state.nodeUse.keys()) nodes.add(node);
      for (const address of state.groups.keys()) this.#groups.add(address);
      if (state.groups.size > 0) this.#groupsChanged = true;
    }
    for (const address of this.#groups) refreshGroup(state, address, this.#changed);
    if (refreshWire(state, this.#changed)) this.#groupsChanged = true;
    let count = 0;
    for (const node of nodes) {
      if (++count % STEP_PORTS === 0) yield;
      refreshNode(state, node, this.#changed);
      if (usedBefore.get(node) !== undefined || state.nodeUse.has(node)) this.#peers.add(node);
    }
    this.#peers.delete(state.node);
  }

  /** Addresses that are edited, or that a port or node which is edited has a part in. */
  #noteAddresses(): void {
    const state = this.#state;
    for (const id of this.#addresses) {
      const [before, after] = [this.#before.addresses.get(id), this.#after.addresses.get(id)];
      if (before !== undefined) indexAddress(state, before, true);
      if (after !== undefined) indexAddress(state, after);
      // Whether a local port serves an address is part of what the data plane knows of it.
      for (const { port } of [...(before?.members ?? []), ...(after?.members ?? [])]) {
        if (this.#isLocalEither(port)) this.#localPorts.add(port);
      }
    }
    for (const port of this.#ports) for (const id of state.servedBy.get(port) ?? []) this.#addresses.add(id);
    for (const node of this.#nodes) {
      if (this.#before.nodes.get(node)?.region === this.#after.nodes.get(node)?.region) continue;
      for (const id of state.balanced.keys()) {
        if (this.#after.addresses.get(id)?.prefer === 'region') this.#addresses.add(id);
      }
    }
    // Before ports are entered: what one of them takes over must not be taken out after it.
    for (const id of this.#addresses) excludeAddress(state, id, this.#changed);
  }

  #withdrawAddress(id: string): void {
    this.#addresses.add(id);
    excludeAddress(this.#state, id, this.#changed);
  }

  #isLocalEither(port: string): boolean {
    return [this.#before.port(port), this.#after.port(port)].some(
      (found) => found !== undefined && isLocal(found, this.#state.node),
    );
  }

  *#refreshAddresses(): Steps<void> {
    const state = this.#state;
    for (const id of this.#addresses) {
      const address = this.#after.addresses.get(id);
      const balanced = state.balanced.get(id);
      const active = address && state.active.get(address.network);
      const owner = active && portOwner(active.id, id);
      if (balanced === undefined || balanced.owner === owner) continue;
      excludeAddress(state, id, this.#changed);
      state.balanced.delete(id);
      state.ids.addresses.release(balanced.owner);
    }
    for (const id of this.#addresses) {
      yield;
      const address = this.#after.addresses.get(id);
      if (address !== undefined) refreshAddress(state, address, this.#changed);
    }
  }

  #releaseNodes(): void {
    for (const name of this.#nodes) if (!this.#after.nodes.has(name)) this.#state.ids.nodes.release(name);
  }
}

/** Do networks take the same from both: MTU, address families and their order, checksums? */
function sameForNetworks(before: TableNode | undefined, after: TableNode | undefined): boolean {
  if (before === undefined || after === undefined) return before === after;
  const families = (node: TableNode): string => node.underlay.map(familyOfAddress).join();
  return (
    before.mtu === after.mtu && families(before) === families(after) && wantsChecksum(before) === wantsChecksum(after)
  );
}
