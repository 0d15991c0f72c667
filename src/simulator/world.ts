/**
 * What the data plane knows, as one object: the table seen from one node, with its environment. Each lookup answers like
 * a lookup in the kernel's maps: found, missing, or stale (the value carries another key's identity).
 */

import { ipBytes, ipFromMappedBytes, parseIp, parsePrefix, prefixContains } from '../table/address.ts';
import { type BalanceLevel, balanceOf, slotsOfLevel } from '../table/balance.ts';
import type {
  Encap,
  NodeState,
  Table,
  TableAddress,
  TableLocator,
  TableNetwork,
  TableNode,
  TablePort,
} from '../table/model.ts';
import { isIpOnly } from './encapsulation.ts';
import type { Device, Environment, Fault, FaultTarget, NextHop } from './types.ts';
import { addressOf, defaultMtu, type Family, familyOfAddress, pairFamily } from './underlay.ts';

export const PRIORITY_NEVER = 255;
const MAX_NEXTHOPS = 2;

export type Lookup<T> =
  | { readonly state: 'found'; readonly value: T }
  | { readonly state: 'missing' }
  | { readonly state: 'stale' };

/** A port device: whose it is. */
export interface PortLink {
  readonly device: Device;
  readonly port: TablePort;
}

/** A port's interface on this node. */
export interface LocalPort {
  readonly port: string;
  readonly device: Device;
}

export interface NetworkEntry {
  readonly network: TableNetwork;
  readonly mtu: number;
}

/** A node with this one's way to it; or a multicast group, or the wire, which are sent to in the same way. */
export interface NodeEntry {
  readonly kind: 'node' | 'group' | 'wire';
  /** Groups and the wire are up. */
  readonly state: NodeState;
  /** Those that are resolved, at most two. */
  readonly hops: readonly (NextHop & { readonly device: string })[];
  /** Outer addresses; the wire has none, nor has this node, nor one with no family in common. */
  readonly ends: { readonly family: Family; readonly remote: string; readonly local: string } | undefined;
  /** Over IPv6: with outer UDP checksums. */
  readonly checksum: boolean;
  /** Largest outer packet, as routers told. */
  readonly mtu: number | undefined;
}

/** Whom an underlay address belongs to. */
export type AddressOwner =
  | { readonly kind: 'node'; readonly node: TableNode }
  | { readonly kind: 'group'; readonly address: string };

export interface FloodMembers {
  /** The local ports. `own`: of this node alone. */
  readonly ports: readonly { readonly port: string; readonly own: boolean }[];
  /** The others, with the segment that a copy for them carries. */
  readonly targets: readonly { readonly to: FloodTarget; readonly segment: number }[];
}

export type FloodTarget =
  | { readonly kind: 'node'; readonly node: string }
  | { readonly kind: 'group'; readonly address: string }
  | { readonly kind: 'wire' };

/** Members by their ids. */
export interface LevelSlots {
  readonly first: readonly (string | undefined)[];
  readonly second: readonly (string | undefined)[];
  /** Each once, by id. */
  readonly members: readonly string[];
}

/** How a balanced address looks from this node. */
export interface BalanceEntry {
  readonly levels: readonly LevelSlots[];
  /** Of the members here; undefined: there is none. */
  readonly here: LevelSlots | undefined;
}

const MISSING = { state: 'missing' } as const;
const STALE = { state: 'stale' } as const;

export class World {
  readonly table: Table;
  readonly environment: Environment;
  /** This node. */
  readonly self: TableNode | undefined;
  readonly #portByIp = new Map<string, string>();
  readonly #portByMac = new Map<string, string>();
  readonly #portsBySourceMac = new Map<string, string[]>();
  readonly #portByDevice = new Map<string, string>();
  readonly #ownerByAddress = new Map<string, AddressOwner>();
  readonly #networkBySegment = new Map<string, string>();
  /** Networks in which this node has a port: what its plan holds. */
  readonly #networksHere = new Set<string>();
  /** Group -> nodes that have a port in one of its networks. */
  readonly #nodesOfGroup = new Map<string, Set<string>>();
  readonly #portsOfNetwork = new Map<string, TablePort[]>();
  readonly #faults = new Map<string, Fault['effect']>();
  readonly #addressByIp = new Map<string, TableAddress>();
  readonly #addressByMac = new Map<string, TableAddress>();
  readonly #balances = new Map<string, BalanceEntry>();

  constructor(table: Table, environment: Environment) {
    this.table = table;
    this.environment = environment;
    this.self = table.nodes.get(environment.node);
    for (const node of table.nodes.values()) {
      for (const address of node.underlay) this.#ownerByAddress.set(address, { kind: 'node', node });
    }
    for (const port of table.ports()) this.#addPort(port);
    for (const address of table.addresses.values()) {
      const { network, mac, ips } = address;
      this.#addressByMac.set(`${network} ${mac}`, address);
      for (const ip of ips) this.#addressByIp.set(`${network} ${ip}`, address);
    }
    for (const [port, device] of environment.interfaces) this.#portByDevice.set(device, port);
    for (const { target, key, effect } of environment.faults) {
      const named = target === 'segment' && !key.includes(' ') ? `vxlan ${key}` : key;
      this.#faults.set(`${target} ${named}`, effect);
    }
    for (const id of this.#networksHere) this.#addGroup(table.networks.get(id)!);
  }

  #addPort(port: TablePort): void {
    const { network } = port;
    const others = this.#portsOfNetwork.get(network);
    if (others === undefined) this.#portsOfNetwork.set(network, [port]);
    else others.push(port);
    this.#portByMac.set(`${network} ${port.mac}`, port.id);
    for (const ip of port.ips) this.#portByIp.set(`${network} ${ip}`, port.id);
    for (const mac of port.macs) {
      const key = `${network} ${mac}`;
      this.#portsBySourceMac.set(key, [...(this.#portsBySourceMac.get(key) ?? []), port.id]);
    }
    for (const at of port.at) {
      if (at.node !== this.environment.node) continue;
      this.#networksHere.add(network);
      this.#networkBySegment.set(`${this.encapOf(network)} ${this.segmentOf(port, at)}`, network);
    }
  }

  #addGroup({ id, flood, group }: TableNetwork): void {
    if (flood !== 'multicast' || group === undefined) return;
    this.#ownerByAddress.set(group, { kind: 'group', address: group });
    const nodes = this.#nodesOfGroup.get(group) ?? new Set();
    this.#nodesOfGroup.set(group, nodes);
    for (const port of this.#portsOfNetwork.get(id) ?? []) for (const at of port.at) nodes.add(at.node);
  }

  /** Is any network of this node of that encapsulation? */
  hasEncap(encap: Encap): boolean {
    return this.environment.allFeatures === true || this.#someNetwork((network) => network.encap === encap);
  }

  hasTransparent(): boolean {
    return this.environment.allFeatures === true || this.#someNetwork(({ vlan }) => vlan === 'transparent');
  }

  #someNetwork(matches: (network: TableNetwork) => boolean): boolean {
    return [...this.#networksHere].some((id) => matches(this.table.networks.get(id)!));
  }

  encapOf(network: string): Encap {
    return this.table.networks.get(network)!.encap;
  }

  /** Does the network carry IP packets alone? */
  isIpOnly(network: string): boolean {
    return isIpOnly(this.encapOf(network));
  }

  isTransparent(network: string): boolean {
    return this.table.networks.get(network)!.vlan === 'transparent';
  }

  #lookup<T>(target: FaultTarget, key: string, value: T | undefined): Lookup<T> {
    const fault = this.#faults.get(`${target} ${key}`);
    if (value === undefined || fault === 'missing') return MISSING;
    return fault === undefined ? { state: 'found', value } : STALE;
  }

  /** The port whose device this is. */
  portLink(device: string): Lookup<PortLink> {
    const port = this.table.port(this.#portByDevice.get(device) ?? '');
    const known = this.environment.devices.get(device);
    return this.#lookup('link', device, port && known && { device: known, port });
  }

  underlayLink(device: string): Lookup<Device> {
    const known = this.environment.underlay.has(device) ? this.environment.devices.get(device) : undefined;
    return this.#lookup('link', device, known);
  }

  /** (network, address) -> id of the port that owns it. A balanced address is no port's. */
  portOfIp(network: string, ip: string): Lookup<string> {
    const key = `${network} ${ip}`;
    return this.#otherwise(this.balancedOfIp(network, ip), this.#lookup('ip', key, this.#portByIp.get(key)));
  }

  /** (network, MAC) -> id of the port. That of a balanced address is no port's. */
  portOfMac(network: string, mac: string): Lookup<string> {
    const key = `${network} ${mac}`;
    return this.#otherwise(this.balancedOfMac(network, mac), this.#lookup('mac', key, this.#portByMac.get(key)));
  }

  /** The entry that is one of a balanced address is none of a port, but may be stale. */
  #otherwise(balanced: Lookup<TableAddress>, port: Lookup<string>): Lookup<string> {
    return balanced.state === 'stale' ? balanced : port;
  }

  /** (network, address) -> the balanced address. */
  balancedOfIp(network: string, ip: string): Lookup<TableAddress> {
    const key = `${network} ${ip}`;
    return this.#lookup('ip', key, this.#addressByIp.get(key));
  }

  /** (network, MAC) -> the balanced address. */
  balancedOfMac(network: string, mac: string): Lookup<TableAddress> {
    const key = `${network} ${mac}`;
    return this.#lookup('mac', key, this.#addressByMac.get(key));
  }

  /** The slots of a balanced address as this node has them. */
  balance(id: string): Lookup<BalanceEntry> {
    const address = this.table.addresses.get(id);
    let entry = this.#balances.get(id);
    if (entry === undefined && address !== undefined) {
      const { levels, here } = balanceOf(address, this.table, this.environment.node);
      entry = { levels: levels.map(namedSlots), here: here && namedSlots(here) };
      this.#balances.set(id, entry);
    }
    return this.#lookup('balance', id, entry);
  }

  /** Does the port serve this balanced IP address? */
  serves(port: TablePort, ip: string): boolean {
    const address = this.#addressByIp.get(`${port.network} ${ip}`);
    return address?.members.some((member) => member.port === port.id) ?? false;
  }

  /** (network, MAC) -> ids of the ports that may also send from it. */
  portsOfSourceMac(network: string, mac: string): Lookup<readonly string[]> {
    const key = `${network} ${mac}`;
    return this.#lookup('source-mac', key, this.#portsBySourceMac.get(key));
  }

  /**
   * Does the longest of the port's `allow` prefixes that match hold this address? The value is that prefix. A balanced address
   * that it serves is one of them, whole. Where the longest has no entry, the next one is found, as in a trie.
   */
  allowed(port: TablePort, ip: string): Lookup<string> {
    const address = parseIp(ip);
    const matching = port.allow
      .flatMap((text) => {
        const prefix = parsePrefix(text);
        if (prefix === undefined || address === undefined || !prefixContains(prefix, address)) return [];
        return { text, length: prefix.length };
      })
      .sort((one, other) => other.length - one.length);
    const whole = `${ip}/${ip.includes(':') ? 128 : 32}`;
    const candidates = matching.map(({ text }) => text);
    if (this.serves(port, ip)) candidates.unshift(whole);
    for (const text of candidates) {
      const found = this.#lookup('allow', `${port.id} ${text}`, text);
      if (found.state !== 'missing') return found;
    }
    return MISSING;
  }

  port(id: string): Lookup<TablePort> {
    return this.#lookup('port', id, this.table.port(id));
  }

  network(id: string): Lookup<NetworkEntry> {
    const network = this.table.networks.get(id);
    return this.#lookup('network', id, network && { network, mtu: this.#mtuOf(network) });
  }

  #mtuOf(network: TableNetwork): number {
    if (network.mtu !== undefined) return network.mtu;
    const ids = new Set((this.#portsOfNetwork.get(network.id) ?? []).flatMap(({ at }) => at.map(({ node }) => node)));
    return defaultMtu(
      network,
      [...ids].flatMap((id) => this.table.nodes.get(id) ?? []),
    );
  }

  /** (encapsulation, segment) on the wire -> network, of those that this node is addressed with. */
  networkOfSegment(encap: Encap, segment: number): Lookup<string> {
    const key = `${encap} ${segment}`;
    return this.#lookup('segment', key, this.#networkBySegment.get(key));
  }

  /** Underlay address -> node or group; an IPv4-mapped address counts as the IPv4 address. */
  ownerOfAddress(address: string): Lookup<AddressOwner> {
    const plain = address.includes(':') ? ipFromMappedBytes(ipBytes(address)) : address;
    return this.#lookup('vtep', plain, this.#ownerByAddress.get(plain));
  }

  /** This node's address of a family. */
  ownAddress(family: Family): string | undefined {
    return addressOf(this.self, family);
  }

  node(id: string): Lookup<NodeEntry> {
    const node = this.table.nodes.get(id);
    if (node === undefined || this.self === undefined) return MISSING;
    const family = this.isSelf(id) ? undefined : pairFamily(this.self, node);
    const hops = family === undefined ? [] : (this.environment.nextHops.get(id) ?? []).slice(0, MAX_NEXTHOPS);
    return this.#lookup('node', id, {
      kind: 'node',
      state: this.environment.states.get(id) ?? node.state ?? 'up',
      hops: hops.flatMap((hop) => (hop.device === undefined ? [] : [{ ...hop, device: hop.device }])),
      ends: family && { family, remote: addressOf(node, family)!, local: this.ownAddress(family)! },
      checksum: family === 6 && wantsChecksum(node),
      mtu: this.environment.nodeMtu.get(id),
    });
  }

  group(address: string): Lookup<NodeEntry> {
    const family = familyOfAddress(address);
    const local = this.ownAddress(family);
    const others = [...(this.#nodesOfGroup.get(address) ?? [])].filter((id) => !this.isSelf(id));
    return this.#lookup('node', `group ${address}`, {
      kind: 'group',
      state: 'up',
      hops: local === undefined ? [] : this.#uplink(),
      ends: { family, remote: address, local: local ?? (family === 4 ? '0.0.0.0' : '::') },
      checksum: family === 6 && others.some((id) => wantsChecksum(this.table.nodes.get(id)!)),
      mtu: undefined,
    });
  }

  wire(): Lookup<NodeEntry> {
    return this.#lookup('node', 'the wire', {
      kind: 'wire',
      state: 'up',
      hops: this.#uplink(),
      ends: undefined,
      checksum: false,
      mtu: undefined,
    });
  }

  #uplink(): (NextHop & { device: string })[] {
    const { uplink } = this.environment;
    return uplink === undefined ? [] : [{ ...uplink, destination: '00:00:00:00:00:00' }];
  }

  target(to: FloodTarget): Lookup<NodeEntry> {
    if (to.kind === 'wire') return this.wire();
    return to.kind === 'group' ? this.group(to.address) : this.node(to.node);
  }

  /** A port's interface here. */
  local(port: string): Lookup<LocalPort> {
    const device = this.environment.devices.get(this.environment.interfaces.get(port) ?? '');
    return this.#lookup('local', port, device && { port, device });
  }

  device(name: string): Device | undefined {
    return this.environment.devices.get(name);
  }

  segmentOf(port: TablePort, at: TableLocator): number {
    return at.segment ?? this.table.networks.get(port.network)!.segment;
  }

  isSelf(node: string): boolean {
    return node === this.environment.node;
  }

  /** The locators that this node has: those it prefers first, the others behind them, both in the order of the table. */
  viewOf(port: TablePort): TableLocator[] {
    const had = port.at.filter((at) => this.isSelf(at.node) || at.for === undefined || this.#isAmong(at.for));
    const preferred = had.filter((at) => at.prefer !== undefined && this.#isAmong(at.prefer));
    return [...preferred, ...had.filter((at) => !preferred.includes(at))];
  }

  /** Is this node in a list of nodes and regions? */
  #isAmong(names: readonly string[]): boolean {
    const { node } = this.environment;
    return names.some((name) => name === node || name === `region:${this.self?.region ?? ''}`);
  }

  /** A node without an entry, or with a stale one, is up. */
  stateOf(node: string): NodeState {
    const entry = this.node(node);
    return entry.state === 'found' ? entry.value.state : 'up';
  }

  /**
   * The locator in use, as seen from here: of those that are not priority 255 the first whose node is up, else the first whose
   * node is drained, else the one here, whatever this node's state. Of a port that moves the pending one, when it is there by now
   * or has no other place.
   */
  placeOf(port: TablePort): TableLocator | undefined {
    if (port.state === 'down') return undefined;
    const pending = port.at.find((at) => at.pending && (this.stateOf(at.node) !== 'down' || this.isSelf(at.node)));
    if (pending !== undefined && (port.move?.send === 'new' || this.isHeard(port))) return pending;
    const possible = this.viewOf(port).filter((at) => at.priority !== PRIORITY_NEVER);
    return (
      possible.find((at) => this.stateOf(at.node) === 'up') ??
      possible.find((at) => this.stateOf(at.node) === 'drain') ??
      possible.find((at) => this.isSelf(at.node)) ??
      pending
    );
  }

  /** The same a moment later: the guest of this port was heard. */
  hearing(port: string): World {
    const heard = new Set([...this.environment.heard, port]);
    return new World(this.table, { ...this.environment, heard });
  }

  /** Was the guest of a port that moves heard from its new place? */
  isHeard(port: TablePort): boolean {
    return port.move?.activate === 'announcement' && this.environment.heard.has(port.id);
  }

  /** Where a second copy goes: the place that the port moves to, beside the one in use. */
  secondOf(port: TablePort): TableLocator | undefined {
    if (port.move?.send !== 'both') return undefined;
    const pending = port.at.find((at) => at.pending);
    if (pending === undefined || pending === this.placeOf(port)) return undefined;
    return this.isSelf(pending.node) || this.stateOf(pending.node) === 'down' ? undefined : pending;
  }

  /** Of a port with a place here: does this place deliver to it? */
  isActiveHere(port: TablePort): boolean {
    if (port.move === undefined) return true;
    const pending = port.at.find((at) => at.pending && this.isSelf(at.node));
    return pending === undefined ? !this.isHeard(port) : this.placeOf(port) === pending;
  }

  /** The locator here of a port that is not down, of any priority. */
  reachedHere(port: TablePort): TableLocator | undefined {
    return port.state === 'down' ? undefined : port.at.find((at) => this.isSelf(at.node));
  }

  flood(network: string): Lookup<FloodMembers> {
    const entry = this.table.networks.get(network);
    if (entry === undefined || (entry.flood === 'none' && entry.unknown !== 'flood')) return MISSING;
    const ports: FloodMembers['ports'][number][] = [];
    const segments = new Map<string, Set<number>>();
    for (const port of this.#portsOfNetwork.get(network) ?? []) {
      for (const at of this.viewOf(port)) {
        if (at.priority === PRIORITY_NEVER && at.pending !== true) continue;
        if (this.isSelf(at.node)) ports.push({ port: port.id, own: isOwn(at) });
        else segments.set(at.node, (segments.get(at.node) ?? new Set()).add(this.segmentOf(port, at)));
      }
    }
    return this.#lookup('flood', network, { ports, targets: this.#targets(entry, segments) });
  }

  #targets(network: TableNetwork, segments: ReadonlyMap<string, ReadonlySet<number>>): FloodMembers['targets'] {
    const { encap, flood, group, segment } = network;
    if (encap === 'flat') return [{ to: { kind: 'wire' }, segment }];
    if (flood === 'multicast') return [{ to: { kind: 'group', address: group! }, segment }];
    return [...segments].map(([node, set]) => ({
      to: { kind: 'node', node },
      segment: set.has(segment) ? segment : Math.min(...set),
    }));
  }
}

function namedSlots(level: BalanceLevel): LevelSlots {
  const { first, second } = slotsOfLevel(level);
  const name = (index: number): string | undefined => level.members[index]?.port;
  const members = level.members.map(({ port }) => port);
  return { first: Array.from(first, name), second: Array.from(second, name), members };
}

/** Over IPv6: does this node take no packet without an outer UDP checksum? */
function wantsChecksum({ kind, udp6Checksum }: TableNode): boolean {
  return udp6Checksum === 'auto' ? kind === 'foreign' : udp6Checksum === 'computed';
}

/** Does `for` name the node of the locator and nobody else? */
function isOwn({ node, for: named }: TableLocator): boolean {
  return named?.every((name) => name === node) ?? false;
}
