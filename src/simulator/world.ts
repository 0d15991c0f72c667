/**
 * What the data plane knows, as one object: the table seen from one node, with its environment. Each lookup answers like
 * a lookup in the kernel's maps: found, missing, or stale (the value carries another key's identity).
 */
import { parseIp, parsePrefix, prefixContains } from '../table/address.ts';
import type { Table, TableLocator, TableNetwork, TablePort } from '../table/model.ts';
import type { Device, Environment, Fault, FaultTarget, NextHop } from './types.ts';

/** Bytes that VXLAN over IPv4 puts before an inner layer-3 packet: IPv4 20, UDP 8, VXLAN 8, inner Ethernet 14. */
const OUTER_OVERHEAD = 50;
const PRIORITY_NEVER = 255;

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

export interface NodeEntry {
  readonly down: boolean;
  /** The first next hop that is resolved. */
  readonly nextHop: (NextHop & { readonly device: string }) | undefined;
  /** Outer destination and source, IPv4. */
  readonly remote: string;
  readonly local: string;
}

export interface FloodMembers {
  /** Ids of the local ports. */
  readonly ports: readonly string[];
  /** The other nodes, with the segment that a copy for them carries. */
  readonly nodes: readonly { readonly node: string; readonly segment: number }[];
}

const MISSING = { state: 'missing' } as const;
const STALE = { state: 'stale' } as const;

export class World {
  readonly table: Table;
  readonly environment: Environment;
  /** This node's underlay IPv4 address. */
  readonly self: string | undefined;
  readonly #portByIp = new Map<string, string>();
  readonly #portByMac = new Map<string, string>();
  readonly #portsBySourceMac = new Map<string, string[]>();
  readonly #portByDevice = new Map<string, string>();
  readonly #nodeByAddress = new Map<string, string>();
  readonly #networkBySegment = new Map<number, string>();
  readonly #portsOfNetwork = new Map<string, TablePort[]>();
  readonly #faults = new Map<string, Fault['effect']>();

  constructor(table: Table, environment: Environment) {
    this.table = table;
    this.environment = environment;
    this.self = this.#ipv4Of(environment.node);
    for (const node of table.nodes.values()) {
      for (const address of node.underlay) this.#nodeByAddress.set(address, node.id);
    }
    for (const port of table.ports()) this.#addPort(port);
    for (const [port, device] of environment.interfaces) this.#portByDevice.set(device, port);
    for (const { target, key, effect } of environment.faults) this.#faults.set(`${target} ${key}`, effect);
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
      if (at.node === this.environment.node) this.#networkBySegment.set(this.segmentOf(port, at), network);
    }
  }

  #ipv4Of(node: string): string | undefined {
    return this.table.nodes.get(node)?.underlay.find((address) => !address.includes(':'));
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

  /** (network, address) -> id of the port that owns it. */
  portOfIp(network: string, ip: string): Lookup<string> {
    const key = `${network} ${ip}`;
    return this.#lookup('ip', key, this.#portByIp.get(key));
  }

  /** (network, MAC) -> id of the port. */
  portOfMac(network: string, mac: string): Lookup<string> {
    const key = `${network} ${mac}`;
    return this.#lookup('mac', key, this.#portByMac.get(key));
  }

  /** (network, MAC) -> ids of the ports that may also send from it. */
  portsOfSourceMac(network: string, mac: string): Lookup<readonly string[]> {
    const key = `${network} ${mac}`;
    return this.#lookup('source-mac', key, this.#portsBySourceMac.get(key));
  }

  /** Does the longest of the port's `allow` prefixes that match hold this address? The value is that prefix. */
  allowed(port: TablePort, ip: string): Lookup<string> {
    const address = parseIp(ip);
    let best: string | undefined;
    let bestLength = -1;
    for (const text of port.allow) {
      const prefix = parsePrefix(text);
      if (prefix === undefined || address === undefined || prefix.length <= bestLength) continue;
      if (!prefixContains(prefix, address)) continue;
      best = text;
      bestLength = prefix.length;
    }
    return this.#lookup('allow', `${port.id} ${best ?? ''}`, best);
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
    let smallest = Number.POSITIVE_INFINITY;
    for (const port of this.#portsOfNetwork.get(network.id) ?? []) {
      for (const at of port.at) smallest = Math.min(smallest, this.table.nodes.get(at.node)?.mtu ?? smallest);
    }
    return smallest - OUTER_OVERHEAD;
  }

  /** Segment on the wire -> network, of those that this node is addressed with. */
  networkOfSegment(segment: number): Lookup<string> {
    return this.#lookup('segment', String(segment), this.#networkBySegment.get(segment));
  }

  /** Underlay address -> node. */
  nodeOfAddress(address: string): Lookup<string> {
    return this.#lookup('vtep', address, this.#nodeByAddress.get(address));
  }

  node(id: string): Lookup<NodeEntry> {
    const remote = this.#ipv4Of(id);
    if (remote === undefined || this.self === undefined) return MISSING;
    const resolved = this.environment.nextHops.get(id)?.find((hop) => hop.device !== undefined);
    const nextHop = resolved?.device === undefined ? undefined : { ...resolved, device: resolved.device };
    return this.#lookup('node', id, { down: this.environment.down.has(id), nextHop, remote, local: this.self });
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

  /** Usable: not priority 255, and its node is this one or not known to be down. */
  usable(at: TableLocator): boolean {
    if (at.priority === PRIORITY_NEVER) return false;
    if (this.isSelf(at.node)) return true;
    const node = this.node(at.node);
    return node.state !== 'found' || !node.value.down;
  }

  flood(network: string): Lookup<FloodMembers> {
    const entry = this.table.networks.get(network);
    if (entry === undefined || (entry.flood !== 'replicate' && entry.unknown !== 'flood')) return MISSING;
    const ports: string[] = [];
    const segments = new Map<string, Set<number>>();
    for (const port of this.#portsOfNetwork.get(network) ?? []) {
      for (const at of port.at) {
        if (at.priority === PRIORITY_NEVER) continue;
        if (this.isSelf(at.node)) ports.push(port.id);
        else segments.set(at.node, (segments.get(at.node) ?? new Set()).add(this.segmentOf(port, at)));
      }
    }
    const nodes = [...segments].map(([node, set]) => ({
      node,
      segment: set.has(entry.segment) ? entry.segment : Math.min(...set),
    }));
    return this.#lookup('flood', network, { ports, nodes });
  }
}
