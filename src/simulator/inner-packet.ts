/** IP packets that came without an Ethernet header get their MACs from the map: packet-rules.md rules 3.6, 3.8 and 3.9. */
import {
  formatMac,
  isIpv4Multicast,
  isIpv6Multicast,
  macBytes,
  macOfLinkLocal,
  macOfMulticast,
  parseIp,
} from '../table/address.ts';
import type { TableNode, TablePort } from '../table/model.ts';
import { write16 } from './bytes.ts';
import type { Parsed } from './finish.ts';
import { isAt } from './guard-remote.ts';
import { type Arrival, toGroup, toLocalPort } from './inner-frame.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, type FrameView, type Ipv4, type Ipv6 } from './parse.ts';
import { type Decision, drop, type Run } from './run.ts';
import type { ReasonName } from './types.ts';
import type { Lookup, World } from './world.ts';

const ETHERNET = 14;
const BROADCAST_MAC = 'ff:ff:ff:ff:ff:ff';
const ETHERTYPES: Readonly<Record<number, number>> = { 4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6 };

/** The packet behind an Ethernet header without MACs; a packet that is none gets EtherType 0. */
export function framedPacket({ bytes, start, end, buffered }: FrameView): FrameView {
  const frame = new Uint8Array(ETHERNET + end - start);
  frame.set(bytes.subarray(start, end), ETHERNET);
  const version = end > start ? bytes[start]! >>> 4 : 0;
  write16(frame, 12, ETHERTYPES[version] ?? 0);
  return { bytes: frame, start: 0, end: frame.length, buffered: ETHERNET + buffered - start };
}

/** The port that an address belongs to: as listed, or (a link-local of EUI-64 form without an entry) by the MAC in it. */
export function portOfAddress(world: World, network: string, ip: string): Lookup<string> {
  const owner = world.portOfIp(network, ip);
  const address = parseIp(ip)!;
  if (owner.state !== 'missing' || typeof address === 'number') return owner;
  const mac = macOfLinkLocal(address);
  return mac === undefined ? owner : world.portOfMac(network, formatMac(mac));
}

/** Rule 3.8: the sending port, which has to be there, and (`guarded`) behind the node. */
export function sourceOfPacket(
  run: Run,
  network: string,
  node: TableNode,
  guarded: boolean,
  parsed: Parsed,
): TablePort | ReasonName {
  const { world, trace } = run;
  const { source } = parsed.layer3 as Ipv4 | Ipv6;
  const owner = portOfAddress(world, network, source);
  trace.note('3.8', `port of ${source}`, owner.state === 'found' ? owner.value : owner.state);
  if (owner.state !== 'found') return owner.state === 'stale' ? 'stale' : 'guard-remote';
  const port = world.port(owner.value);
  if (port.state !== 'found') return port.state === 'stale' ? 'stale' : 'guard-remote';
  if (!guarded) return port.value;
  const behind = isAt(world, owner.value, node.id);
  trace.note('3.8', `is ${owner.value} behind ${node.id}?`, String(behind));
  if (behind === 'stale') return 'stale';
  return behind ? port.value : 'guard-remote';
}

/** Rule 3.9: the destination by its address; then as any frame, with both MACs. */
export function forwardInnerPacket(arrival: Arrival, source: TablePort): Decision {
  const { run, network: id, parsed } = arrival;
  const { world, trace } = run;
  const network = world.network(id);
  if (network.state !== 'found') return drop('stale', id);
  const { destination } = parsed.layer3 as Ipv4 | Ipv6;
  const group = groupMac(destination);
  if (group !== undefined) {
    trace.note('3.9', `${destination}`, `a group: to ${group}`);
    return toGroup(withMacs(arrival, source.mac, group), network.value.network);
  }
  const target = portOfAddress(world, id, destination);
  trace.note('3.9', `(${id}, ${destination})`, target.state === 'found' ? target.value : target.state);
  if (target.state === 'stale') return drop('stale', id);
  if (target.state === 'missing') return drop('unknown-unicast', id);
  const port = world.port(target.value);
  if (port.state !== 'found') return drop('stale', id);
  return toLocalPort(withMacs(arrival, source.mac, port.value.mac), port.value);
}

/** The MAC of an IP group; undefined: the address of one port. */
function groupMac(ip: string): string | undefined {
  if (ip === '255.255.255.255') return BROADCAST_MAC;
  const address = parseIp(ip)!;
  const group = typeof address === 'number' ? isIpv4Multicast(address) : isIpv6Multicast(address);
  return group ? formatMac(macOfMulticast(address)) : undefined;
}

function withMacs(arrival: Arrival, source: string, destination: string): Arrival {
  const { run } = arrival;
  const bytes = run.frame.bytes.slice();
  bytes.set(macBytes(destination), 0);
  bytes.set(macBytes(source), 6);
  return { ...arrival, run: { ...run, frame: { ...run.frame, bytes } } };
}
