/** What the maps hold for a table and an environment: the compiler's entries, and what a data plane adds to them. */

import { groupOwner } from '../../src/compiler/ids.ts';
import { ENTRY_CODECS, type Entry, encapNumber, type Plan, STATE_FLAGS, stateFlags } from '../../src/compiler/index.ts';
import {
  DeviceFlags,
  Guard,
  LinkFlags,
  LinkRole,
  link as linkCodec,
  local as localCodec,
  type Nexthop,
  NODE_WIRE,
} from '../../src/generated/layout.ts';
import type { Device, Environment, Fault, NextHop } from '../../src/simulator/types.ts';
import {
  formatMac,
  ipBytes,
  macBytes,
  macOfMulticast,
  mappedBytes,
  parseIp,
  prefixBytes,
} from '../../src/table/address.ts';
import type { Encap } from '../../src/table/model.ts';
import { concat } from './packet-layer.ts';

/** Key and value. */
export type MapEntry = readonly [Uint8Array, Uint8Array];
/** By key, in hex. */
export type Entries = Map<string, MapEntry>;
/** By short name of the map. */
export type Packed = Map<string, Entries>;

/** Where the devices of an environment are in the kernel. */
export interface DeviceNumbers {
  readonly ifindexes: ReadonlyMap<string, number>;
  readonly slots: ReadonlyMap<string, number>;
}

interface Encoder {
  encode(value: unknown): Uint8Array;
}

/** Where the network stands in the value. */
const NETWORK_OFFSET = { port: 4, local: 20 } as const;
const FAR_FUTURE = 1n << 62n;

/** @param devmapSize bytes of a value of the map of devices */
export function packEntries(plan: Plan, environment: Environment, numbers: DeviceNumbers, devmapSize: number): Packed {
  const packed: Packed = new Map();
  const put = (map: string, key: Uint8Array, value: Uint8Array) => {
    const list = packed.get(map) ?? new Map();
    packed.set(map, list.set(hex(key), [key, value]));
  };
  for (const entry of plan.entries()) {
    const codec = ENTRY_CODECS[entry.map] as { key: Encoder; value: Encoder };
    put(entry.map, codec.key.encode(entry.key), codec.value.encode(withState(entry, plan, environment, numbers).value));
  }
  for (const [map, key, value] of deviceEntries(plan, environment, numbers, devmapSize)) put(map, key, value);
  for (const fault of environment.faults) spoil(packed, fault, plan, numbers);
  return packed;
}

/** What the compiler leaves to the data plane: next hops, states of nodes, MTUs that routers told, former places. */
function withState(entry: Entry, plan: Plan, environment: Environment, numbers: DeviceNumbers): Entry {
  if (entry.map === 'node') {
    const name = entry.key === NODE_WIRE ? undefined : plan.ids.nodeName(entry.key);
    const found = hopsOf(entry.key, plan, environment).map((hop) => nexthopOf(hop, environment, numbers));
    const nexthop = entry.value.nexthop.map((empty, i) => found[i] ?? empty);
    const state = environment.states.get(name ?? '');
    const flags = state === undefined ? entry.value.flags : (entry.value.flags & ~STATE_FLAGS) | stateFlags(state);
    const mtu = environment.nodeMtu.get(name ?? '') ?? 0;
    return { ...entry, value: { ...entry.value, flags, mtu, nexthop } };
  }
  if (entry.map === 'move') {
    const port = plan.ids.portName(entry.key)!;
    const heard = (BigInt(entry.key) << 32n) | BigInt(plan.table.port(port)?.sequence ?? 0);
    return environment.heard.has(port) ? { ...entry, value: { heard } } : entry;
  }
  if (entry.map === 'port') {
    const former = environment.former.get(plan.ids.portName(entry.key)!);
    if (former === undefined) return entry;
    const node = plan.ids.nodes.idOf(former.node)!;
    return { ...entry, value: { ...entry.value, former: node, formerUntil: former.past ? 1n : FAR_FUTURE } };
  }
  return entry;
}

type Hop = NextHop & { readonly vlan: number };

/** The ways to a node, a group (by its own MAC) or the wire (frames keep their MACs, and bring their own tag). */
function hopsOf(id: number, plan: Plan, environment: Environment): Hop[] {
  const { uplink, underlayVlan, nextHops } = environment;
  if (id === NODE_WIRE) return uplink === undefined ? [] : [{ ...uplink, destination: '00:00:00:00:00:00', vlan: 0 }];
  for (const group of plan.groups()) {
    if (group.id !== id) continue;
    if (uplink === undefined || group.local === undefined) return [];
    return [{ ...uplink, destination: formatMac(macOfMulticast(parseIp(group.address)!)), vlan: underlayVlan }];
  }
  return (nextHops.get(plan.ids.nodeName(id)!) ?? []).map((hop) => ({ ...hop, vlan: underlayVlan }));
}

function nexthopOf(hop: Hop, environment: Environment, { ifindexes, slots }: DeviceNumbers): Nexthop {
  const known = hop.device !== undefined;
  return {
    ifindex: known ? ifindexes.get(hop.device)! : 0,
    flags: known ? deviceFlags(environment.devices.get(hop.device)!) : 0,
    dmac: macBytes(hop.destination),
    smac: macBytes(hop.source),
    vlan: hop.vlan,
    slot: known ? slots.get(hop.device)! : 0,
  };
}

function* deviceEntries(
  plan: Plan,
  environment: Environment,
  { ifindexes, slots }: DeviceNumbers,
  devmapSize: number,
): Generator<[string, Uint8Array, Uint8Array]> {
  const owners = new Map([...environment.interfaces].map(([port, device]) => [device, port]));
  for (const [name, device] of environment.devices) {
    const ifindex = ifindexes.get(name)!;
    const slot = slots.get(name)!;
    const flags = deviceFlags(device);
    const key = u32(ifindex);
    if (device.xdpRedirect) yield ['dev', key, devmapValue(ifindex, devmapSize)];
    const common = { ifindex, slot, device: flags };
    if (environment.underlay.has(name)) {
      const underlay = { port: 0, network: 0, flags: 0, role: LinkRole.UNDERLAY, guard: 0 };
      const mac = macBytes(device.mac);
      yield ['link', key, linkCodec.encode({ ...common, ...underlay, mac, vlan: environment.underlayVlan })];
    }
    const port = plan.localPort(owners.get(name) ?? '');
    if (port === undefined) continue;
    const link = {
      ...common,
      port: port.id,
      network: port.network,
      flags:
        (port.hasAllow ? LinkFlags.HAS_ALLOW : 0) |
        (port.hasMacs ? LinkFlags.HAS_MACS : 0) |
        (port.role === 'router' ? LinkFlags.ROUTER : 0) |
        (port.role === 'dhcp' ? LinkFlags.DHCP : 0) |
        (port.linkLocal === 'any' ? LinkFlags.LOCAL_ANY : 0) |
        (port.transparent ? LinkFlags.TRANSPARENT : 0) |
        (port.ipOnly ? LinkFlags.IP : 0),
      role: LinkRole.PORT,
      guard: { off: Guard.OFF, mac: Guard.MAC, full: Guard.FULL }[environment.guard],
      mac: macBytes(port.mac),
      vlan: 0,
    };
    yield ['link', key, linkCodec.encode(link)];
    yield [
      'local',
      u32(port.id),
      localCodec.encode({ ...common, port: port.id, mtu: device.mtu, network: port.network }),
    ];
  }
}

/** Takes an entry out, or writes another key's identity into its value. */
function spoil(packed: Packed, fault: Fault, plan: Plan, numbers: DeviceNumbers): void {
  const [map, key, identity] = targetOf(fault, plan, numbers);
  const list = packed.get(map);
  const found = list?.get(hex(key));
  if (list === undefined || found === undefined) throw new Error(`no entry for the fault ${fault.target} ${fault.key}`);
  if (fault.effect === 'missing') {
    list.delete(hex(key));
    return;
  }
  const value = found[1].slice();
  const at = fault.effect === 'stale' ? identity : NETWORK_OFFSET[fault.target as 'port' | 'local'];
  value[at] = value[at]! ^ 0x55;
  list.set(hex(key), [found[0], value]);
}

/** Map, key and a byte of the identity in the value. */
function targetOf({ target, key }: Fault, plan: Plan, { ifindexes }: DeviceNumbers): [string, Uint8Array, number] {
  const [first = '', second = ''] = key.split(' ');
  const { ids } = plan;
  const network = () => ids.networks.idOf(first)!;
  const portId = (name: string) => ids.ports.idOf(name)!;
  switch (target) {
    case 'ip':
      return second.includes(':')
        ? ['ip6', concat(u32(network()), ipBytes(second)), 8]
        : ['ip4', concat(u32(network()), ipBytes(second)), 8];
    case 'mac':
      return ['mac', concat(u32(network()), macBytes(second), new Uint8Array(2)), 8];
    case 'source-mac':
      return ['source_mac', concat(u32(network()), macBytes(second), new Uint8Array(2)), 4];
    case 'allow': {
      const { bytes, length } = prefixBytes(second);
      return [bytes.length === 4 ? 'allow4' : 'allow6', concat(u32(32 + length), u32(portId(first)), bytes), 0];
    }
    case 'port':
      return ['port', u32(portId(first)), 0];
    case 'network':
      return ['network', u32(network()), 0];
    case 'segment': {
      const [encap, segment] = second === '' ? ['vxlan', first] : [first, second];
      return ['segment', concat(u32(encapNumber(encap as Encap)), u32(Number(segment))), 8];
    }
    case 'vtep':
      return ['vtep', mappedBytes(first), 20];
    case 'node':
      if (key === 'the wire') return ['node', u32(NODE_WIRE), 0];
      return ['node', u32(ids.nodes.idOf(first === 'group' ? groupOwner(second) : first)!), 0];
    case 'link':
      return ['link', u32(ifindexes.get(first)!), 0];
    case 'local':
      return ['local', u32(portId(first)), 0];
    case 'flood':
      return ['flood', u32(network()), 0];
    case 'balance':
      return [
        'balance',
        u32(ids.addresses.idOf(`${ids.networks.idOf(plan.table.addresses.get(first)!.network)} ${first}`)!),
        0,
      ];
  }
}

function deviceFlags(device: Device): number {
  return (
    (device.xdpRedirect ? DeviceFlags.XDP_REDIRECT : 0) |
    (device.xdpFrags ? DeviceFlags.XDP_FRAGS : 0) |
    (device.partialChecksum ? DeviceFlags.PARTIAL_CHECKSUM : 0)
  );
}

/** struct bpf_devmap_val: ifindex and, where there is room, a program (none). */
function devmapValue(ifindex: number, size: number): Uint8Array {
  const value = new Uint8Array(size);
  new DataView(value.buffer).setUint32(0, ifindex, true);
  if (size >= 8) new DataView(value.buffer).setInt32(4, -1, true);
  return value;
}

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
