/** The packet of a question such as "what happens to a ping from this port to that address?". */
import { MapwireError } from '../errors.ts';
import {
  formatIpv6,
  formatMac,
  ipBytes,
  isIpv4Multicast,
  isIpv6Multicast,
  macBytes,
  macOfMulticast,
  parseIp,
  parseMac,
  solicitedNode,
} from '../table/address.ts';
import type { Table, TablePort } from '../table/model.ts';
import { write16 } from './bytes.ts';
import { checksum, pseudoHeaderSum } from './checksum.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, PROTOCOL_ICMP, PROTOCOL_ICMPV6 } from './parse.ts';

const BROADCAST = 'ff:ff:ff:ff:ff:ff';
/** For local experiments (IEEE 802): a frame that is neither IP nor ARP. */
const ETHERTYPE_EXPERIMENT = 0x88b5;
const ECHO_DATA = 56;
const SHORTEST_FRAME = 60;

export interface Question {
  /** Id of the port that asks. */
  readonly from: string;
  /** IPv4 or IPv6 address, or MAC. */
  readonly to: string;
  /** `echo` (the default for an address): an echo request. `resolve`: the ARP request or neighbour solicitation before it. */
  readonly kind?: 'echo' | 'resolve';
  /** Layer-3 length of an echo request, in bytes (default: as `ping` sends it). */
  readonly size?: number;
}

/**
 * Builds the frame as the port's guest would send it. An address that no port of the network has is sent to the network's
 * router, when there is one, and asked for otherwise. A MAC gets an echo request when it is a port's with an address of a
 * family that both have, else a frame of an experimental EtherType.
 *
 * @throws ERR_MW_INVALID_ARGUMENT no such port, no such address, no address of that family
 */
export function questionFrame(table: Table, question: Question): Uint8Array {
  const from = table.port(question.from);
  if (from === undefined) throw invalid(`the table has no port '${question.from}'`, 'mapwire check lists what it read');
  if (parseMac(question.to) !== undefined) return toMac(table, from, question);
  const ip = parseIp(question.to);
  if (ip === undefined)
    throw invalid(
      `'${question.to}' is neither an IP address nor a MAC`,
      'for example 10.1.0.2, fd00::2 or 02:00:00:00:00:02',
    );
  const source = addressOf(from, typeof ip === 'number' ? 4 : 6);
  if (source === undefined) {
    throw invalid(
      `port '${from.id}' has no address of the family of ${question.to}`,
      `its addresses: ${from.ips.join(', ') || 'none'}`,
    );
  }
  const multicast = typeof ip === 'number' ? isIpv4Multicast(ip) : isIpv6Multicast(ip);
  if (multicast) return echo(from.mac, formatMac(macOfMulticast(ip)), source, question.to, question.size);
  const target = ownerOf(table, from.network, question.to) ?? routerOf(table, from);
  if (question.kind === 'resolve' || target === undefined) return resolve(from.mac, source, question.to);
  return echo(from.mac, target.mac, source, question.to, question.size);
}

function toMac(table: Table, from: TablePort, question: Question): Uint8Array {
  const mac = formatMac(parseMac(question.to)!);
  for (const port of table.ports()) {
    if (port.network !== from.network || port.mac !== mac) continue;
    for (const family of [4, 6] as const) {
      const [source, destination] = [addressOf(from, family), addressOf(port, family)];
      if (source !== undefined && destination !== undefined)
        return echo(from.mac, mac, source, destination, question.size);
    }
  }
  const frame = ethernet(from.mac, mac, ETHERTYPE_EXPERIMENT, Math.max(SHORTEST_FRAME, 14 + (question.size ?? 0)));
  return frame;
}

function invalid(message: string, hint: string): MapwireError {
  return new MapwireError('ERR_MW_INVALID_ARGUMENT', message, { hint });
}

function addressOf(port: TablePort, family: 4 | 6): string | undefined {
  return port.ips.find((ip) => ip.includes(':') === (family === 6));
}

function ownerOf(table: Table, network: string, ip: string): { readonly mac: string } | undefined {
  for (const address of table.addresses.values()) {
    if (address.network === network && address.ips.includes(ip)) return address;
  }
  for (const port of table.ports()) if (port.network === network && port.ips.includes(ip)) return port;
  return undefined;
}

function routerOf(table: Table, asker: TablePort): TablePort | undefined {
  for (const port of table.ports()) {
    if (port.network === asker.network && port.role === 'router' && port.id !== asker.id) return port;
  }
  return undefined;
}

function ethernet(source: string, destination: string, etherType: number, length: number): Uint8Array {
  const frame = new Uint8Array(length);
  frame.set(macBytes(destination), 0);
  frame.set(macBytes(source), 6);
  write16(frame, 12, etherType);
  return frame;
}

function echo(
  sourceMac: string,
  destinationMac: string,
  source: string,
  destination: string,
  size?: number,
): Uint8Array {
  const v6 = destination.includes(':');
  const header = v6 ? 40 : 20;
  const length = Math.max(header + 8, size ?? header + 8 + ECHO_DATA);
  const frame = ethernet(sourceMac, destinationMac, v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4, 14 + length);
  const icmp = 14 + header;
  frame[icmp] = v6 ? 128 : 8;
  write16(frame, icmp + 6, 1);
  if (v6) {
    ipv6Header(frame, source, destination, length - 40, 64);
    write16(
      frame,
      icmp + 2,
      checksum(frame, icmp, frame.length, pseudoHeaderSum(frame.subarray(22, 54), PROTOCOL_ICMPV6, length - 40)),
    );
    return frame;
  }
  frame[14] = 0x45;
  write16(frame, 16, length);
  write16(frame, 20, 0x4000);
  frame[22] = 64;
  frame[23] = PROTOCOL_ICMP;
  frame.set(ipBytes(source), 26);
  frame.set(ipBytes(destination), 30);
  write16(frame, 24, checksum(frame, 14, 34));
  write16(frame, icmp + 2, checksum(frame, icmp));
  return frame;
}

function ipv6Header(frame: Uint8Array, source: string, destination: string, payload: number, hopLimit: number): void {
  frame[14] = 0x60;
  write16(frame, 18, payload);
  frame[20] = PROTOCOL_ICMPV6;
  frame[21] = hopLimit;
  frame.set(ipBytes(source), 22);
  frame.set(ipBytes(destination), 38);
}

/** An ARP request, or a neighbour solicitation with the asker's link-layer address. */
function resolve(mac: string, source: string, target: string): Uint8Array {
  const ip = parseIp(target)!;
  if (typeof ip === 'number') {
    const frame = ethernet(mac, BROADCAST, ETHERTYPE_ARP, SHORTEST_FRAME);
    frame.set([0, 1, 8, 0, 6, 4, 0, 1], 14);
    frame.set(macBytes(mac), 22);
    frame.set(ipBytes(source), 28);
    frame.set(ipBytes(target), 38);
    return frame;
  }
  const group = solicitedNode(ip);
  const frame = ethernet(mac, formatMac(macOfMulticast(group)), ETHERTYPE_IPV6, 86);
  ipv6Header(frame, source, formatIpv6(group), 32, 255);
  frame[54] = 135;
  frame.set(ipBytes(target), 62);
  frame[78] = 1;
  frame[79] = 1;
  frame.set(macBytes(mac), 80);
  write16(frame, 56, checksum(frame, 54, 86, pseudoHeaderSum(frame.subarray(22, 54), PROTOCOL_ICMPV6, 32)));
  return frame;
}
