/** The outer headers: packet-rules.md §4. */
import { ipBytes, macBytes } from '../table/address.ts';
import { write16 } from './bytes.ts';
import { checksum, fold, pseudoHeaderSum, sum16 } from './checksum.ts';
import type { TunnelHeader } from './encapsulation.ts';
import { type Inner, insertTag } from './inner.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_VLAN, PROTOCOL_UDP } from './parse.ts';
import type { Hook } from './types.ts';
import type { Family } from './underlay.ts';

const ETHERNET = 14;
const UDP = 8;
const DONT_FRAGMENT = 0x4000;
const FIRST_SOURCE_PORT = 49152;

export interface Outer {
  readonly destinationMac: string;
  readonly sourceMac: string;
  readonly family: Family;
  readonly source: string;
  readonly destination: string;
  readonly ttl: number;
  readonly dscp: number;
  /** UDP port of the encapsulation; not looked at for GRE. */
  readonly port: number | undefined;
  readonly header: TunnelHeader;
  readonly segment: number;
  /** Over IPv6 and UDP: with a checksum. */
  readonly checksum: boolean;
}

/** UDP source port of a flow. */
export function sourcePort(hash: number): number {
  return FIRST_SOURCE_PORT + (hash & 0x3fff);
}

/** Flow label of a flow over IPv6. */
export function flowLabel(hash: number): number {
  return hash >>> 12;
}

/** The inner packet behind its outer headers, as one new frame. */
export function encapsulate(inner: Inner, outer: Outer): Uint8Array {
  const tunnel = outer.header.write(outer.segment, inner.version);
  const ipHeader = outer.family === 4 ? 20 : 40;
  const overUdp = outer.header.carrier === PROTOCOL_UDP;
  const carrier = ETHERNET + ipHeader;
  const payload = (overUdp ? UDP : 0) + tunnel.length + inner.bytes.length;
  const frame = new Uint8Array(carrier + payload);
  frame.set(macBytes(outer.destinationMac), 0);
  frame.set(macBytes(outer.sourceMac), 6);
  if (outer.family === 4) writeIpv4(frame, inner, outer, payload);
  else writeIpv6(frame, inner, outer, payload);
  frame.set(tunnel, carrier + (overUdp ? UDP : 0));
  frame.set(inner.bytes, frame.length - inner.bytes.length);
  if (overUdp) {
    write16(frame, carrier, sourcePort(inner.hash));
    write16(frame, carrier + 2, outer.port!);
    write16(frame, carrier + 4, payload);
    if (outer.family === 6 && outer.checksum) write16(frame, carrier + 6, udpChecksum(frame, carrier, inner));
  }
  return frame;
}

function writeIpv4(frame: Uint8Array, inner: Inner, outer: Outer, payload: number): void {
  write16(frame, 12, ETHERTYPE_IPV4);
  frame[14] = 0x45;
  frame[15] = (outer.dscp << 2) | inner.ecn;
  write16(frame, 16, 20 + payload);
  write16(frame, 20, DONT_FRAGMENT);
  frame[22] = outer.ttl;
  frame[23] = outer.header.carrier;
  frame.set(ipBytes(outer.source), 26);
  frame.set(ipBytes(outer.destination), 30);
  write16(frame, 24, checksum(frame, 14, 34));
}

function writeIpv6(frame: Uint8Array, inner: Inner, outer: Outer, payload: number): void {
  const label = flowLabel(inner.hash);
  write16(frame, 12, ETHERTYPE_IPV6);
  write16(frame, 14, 0x6000 | (((outer.dscp << 2) | inner.ecn) << 4) | (label >>> 16));
  write16(frame, 16, label & 0xffff);
  write16(frame, 18, payload);
  frame[20] = outer.header.carrier;
  frame[21] = outer.ttl;
  frame.set(ipBytes(outer.source), 22);
  frame.set(ipBytes(outer.destination), 38);
}

/**
 * Everything is summed up, but for a layer 4 that vouches for itself: that counts as what it adds up to when its own
 * checksum is right, whether it is or not.
 */
function udpChecksum(frame: Uint8Array, udp: number, inner: Inner): number {
  const counted = frame.slice(udp);
  let sum = pseudoHeaderSum(frame.subarray(22, 54), PROTOCOL_UDP, counted.length);
  if (inner.vouched !== undefined) {
    const at = counted.length - inner.bytes.length + inner.vouched.at;
    counted.fill(0, at, at + inner.vouched.length);
    sum += inner.vouched.sum;
  }
  const result = ~fold(sum16(counted, 0, counted.length, sum)) & 0xffff;
  return result === 0 ? 0xffff : result;
}

/** A frame with a tag of priority 0: XDP puts it in, TC sends it beside. VLAN 0: no tag. */
export function withTag(
  hook: Hook,
  frame: Uint8Array,
  vlan: number,
): { readonly frame: Uint8Array; readonly tag?: number } {
  if (vlan === 0) return { frame };
  if (hook === 'tc') return { frame, tag: vlan };
  return { frame: insertTag(frame, { etherType: ETHERTYPE_VLAN, tci: vlan }) };
}
