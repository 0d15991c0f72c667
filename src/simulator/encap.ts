/** The outer header: packet-rules.md §4. */
import { ipBytes, macBytes } from '../table/address.ts';
import { write16, write24 } from './bytes.ts';
import { checksum } from './checksum.ts';
import { ETHERTYPE_IPV4, PROTOCOL_UDP } from './parse.ts';

export const OUTER_LENGTH = 50;
const VXLAN_FLAG_SEGMENT = 0x08;
const TTL = 64;
const DONT_FRAGMENT = 0x4000;
const FIRST_SOURCE_PORT = 49152;

export interface Outer {
  readonly destinationMac: string;
  readonly sourceMac: string;
  readonly source: string;
  readonly destination: string;
  /** ECN bits of the inner packet, 0 for what is not IP. */
  readonly ecn: number;
  /** Flow hash of the inner packet. */
  readonly hash: number;
  readonly port: number;
  readonly segment: number;
}

/** The inner frame behind its outer header, as one new frame. */
export function encapsulate(inner: Uint8Array, outer: Outer): Uint8Array {
  const frame = new Uint8Array(OUTER_LENGTH + inner.length);
  frame.set(macBytes(outer.destinationMac), 0);
  frame.set(macBytes(outer.sourceMac), 6);
  write16(frame, 12, ETHERTYPE_IPV4);
  frame[14] = 0x45;
  frame[15] = outer.ecn;
  write16(frame, 16, OUTER_LENGTH - 14 + inner.length);
  write16(frame, 20, DONT_FRAGMENT);
  frame[22] = TTL;
  frame[23] = PROTOCOL_UDP;
  frame.set(ipBytes(outer.source), 26);
  frame.set(ipBytes(outer.destination), 30);
  write16(frame, 24, checksum(frame, 14, 34));
  write16(frame, 34, FIRST_SOURCE_PORT + (outer.hash & 0x3fff));
  write16(frame, 36, outer.port);
  write16(frame, 38, OUTER_LENGTH - 34 + inner.length);
  frame[42] = VXLAN_FLAG_SEGMENT;
  write24(frame, 46, outer.segment);
  frame.set(inner, OUTER_LENGTH);
  return frame;
}
