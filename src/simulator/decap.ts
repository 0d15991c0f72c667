/** The outer headers of what comes from the underlay: packet-rules.md rules 3.1 to 3.3. */
import { ipFromBytes, macFromBytes } from '../table/address.ts';
import { read16, read24 } from './bytes.ts';
import { fold, sum16 } from './checksum.ts';
import { ETHERTYPE_IPV4, type FrameView, PROTOCOL_UDP } from './parse.ts';

const VXLAN_FLAG_SEGMENT = 0x08;
const OUTER_HEADERS = 20 + 8 + 8;

export interface Tunnel {
  readonly kind: 'tunnel';
  readonly source: string;
  readonly ecn: number;
  readonly segment: number;
  /** The inner frame. */
  readonly inner: FrameView;
}

export type OuterResult =
  | Tunnel
  | { readonly kind: 'stack'; readonly why: string }
  | { readonly kind: 'outer-malformed'; readonly why: string }
  | { readonly kind: 'tunnel-header' }
  | { readonly kind: 'not-in-first-buffer' };

function notOurs(why: string): OuterResult {
  return { kind: 'stack', why };
}

function bad(why: string): OuterResult {
  return { kind: 'outer-malformed', why };
}

/** `mac` is the device's, `self` this node's underlay address, `port` the VXLAN port. */
export function parseOuter(frame: FrameView, mac: string, self: string | undefined, port: number): OuterResult {
  const { bytes, start, end, buffered } = frame;
  const ip = start + 14;
  if (ip + 20 > end) return notOurs('too short');
  if (ip + 20 > buffered) return { kind: 'not-in-first-buffer' };
  if (macFromBytes(bytes, start) !== mac) return notOurs('to another MAC');
  const headerLength = (bytes[ip]! & 0xf) * 4;
  if (read16(bytes, start + 12) !== ETHERTYPE_IPV4 || bytes[ip]! >>> 4 !== 4 || headerLength < 20)
    return notOurs('not IPv4');
  if (ipFromBytes(bytes.subarray(ip + 16, ip + 20)) !== self) return notOurs('to another address');
  if (bytes[ip + 9] !== PROTOCOL_UDP) return notOurs('not UDP');
  if ((read16(bytes, ip + 6) & 0x3fff) !== 0) return notOurs('a fragment');
  const udp = ip + headerLength;
  if (udp + 8 > end) return notOurs('too short');
  if (udp + 8 > buffered) return { kind: 'not-in-first-buffer' };
  if (read16(bytes, udp + 2) !== port) return notOurs('to another UDP port');

  if (headerLength !== 20) return bad('IP options');
  const length = read16(bytes, ip + 2);
  if (length < OUTER_HEADERS || ip + length > end) return bad('total length');
  if (fold(sum16(bytes, ip, ip + 20)) !== 0xffff) return bad('header checksum');
  const udpLength = read16(bytes, udp + 4);
  if (udpLength < 16 || udpLength > length - 20) return bad('UDP length');

  const vxlan = udp + 8;
  if (vxlan + 8 > buffered) return { kind: 'not-in-first-buffer' };
  if ((bytes[vxlan]! & VXLAN_FLAG_SEGMENT) === 0) return { kind: 'tunnel-header' };
  const innerEnd = udp + udpLength;
  return {
    kind: 'tunnel',
    source: ipFromBytes(bytes.subarray(ip + 12, ip + 16)),
    ecn: bytes[ip + 1]! & 3,
    segment: read24(bytes, vxlan + 4),
    inner: { bytes, start: vxlan + 8, end: innerEnd, buffered: Math.min(buffered, innerEnd) },
  };
}
