/** What an outer header carries of a frame, and what it takes from it: packet-rules.md §4. */

import type { Encap } from '../table/model.ts';
import { read16, write16 } from './bytes.ts';
import { fold, pseudoHeaderSum } from './checksum.ts';
import { isIpOnly } from './encapsulation.ts';
import type { Parsed } from './finish.ts';
import { flowWords, hashWords } from './hash.ts';
import { PROTOCOL_TCP, PROTOCOL_UDP } from './parse.ts';
import { isIp, type Run } from './run.ts';
import type { Tag } from './types.ts';

/** A layer 4 whose own checksum vouches for its bytes. */
export interface Vouched {
  /** Where it begins in the inner packet, and its length. */
  readonly at: number;
  readonly length: number;
  /** What its words add up to. */
  readonly sum: number;
}

export interface Inner {
  /** What follows the tunnel header. */
  readonly bytes: Uint8Array;
  readonly version: 4 | 6 | undefined;
  readonly ecn: number;
  readonly dscp: number;
  readonly hash: number;
  /** Undefined: all of it has to be summed up. */
  readonly vouched: Vouched | undefined;
}

/** `frame` is the frame of the run as it leaves, from the Ethernet header on. */
export function innerOf(run: Run, parsed: Parsed, frame: Uint8Array, encap: Encap): Inner {
  const { layer3 } = parsed;
  const ip = isIp(layer3);
  const whole = run.tag === undefined ? frame : insertTag(frame, run.tag);
  const bytes = isIpOnly(encap) ? whole.slice(14) : whole;
  const vouched = vouchedLayer4(run, parsed);
  return {
    bytes,
    version: ip ? (layer3.kind === 'ipv4' ? 4 : 6) : undefined,
    ecn: ip ? layer3.ecn : 0,
    dscp: ip ? layer3.dscp : 0,
    hash: hashOf(run, parsed),
    vouched: vouched && { ...vouched, at: vouched.at + bytes.length - frame.length },
  };
}

export function hashOf(run: Run, { ethernet, layer3 }: Parsed): number {
  return hashWords(flowWords(run.frame, ethernet, layer3));
}

/** The frame with a tag behind its MACs. */
export function insertTag(frame: Uint8Array, tag: Tag): Uint8Array {
  const tagged = new Uint8Array(frame.length + 4);
  tagged.set(frame.subarray(0, 12), 0);
  write16(tagged, 12, tag.etherType);
  write16(tagged, 14, tag.tci);
  tagged.set(frame.subarray(12), 16);
  return tagged;
}

/**
 * TCP, or UDP with a checksum, whole, and directly behind the IP header or with a checksum that the stack has yet to finish;
 * `at` counts from the start of the frame.
 */
export function vouchedLayer4(run: Run, { layer3 }: Parsed): Vouched | undefined {
  if (!isIp(layer3) || layer3.fragment) return undefined;
  const { layer4 } = layer3;
  const { bytes, start } = run.frame;
  if (layer4?.kind !== 'tcp' && layer4?.kind !== 'udp') return undefined;
  const udp = layer4.kind === 'udp';
  const checksum = read16(bytes, layer4.offset + (udp ? 6 : 16));
  if (udp && checksum === 0) return undefined;
  const [first, last] = layer3.kind === 'ipv4' ? [12, 20] : [8, 40];
  const addresses = bytes.subarray(layer3.offset + first, layer3.offset + last);
  const pseudo = fold(pseudoHeaderSum(addresses, udp ? PROTOCOL_UDP : PROTOCOL_TCP, layer4.length));
  if (layer3.kind === 'ipv6' && layer3.extended && checksum !== pseudo) return undefined;
  return { at: layer4.offset - start, length: layer4.length, sum: 0xffff - pseudo };
}

/** Bytes of the frame that an outer checksum has to add up, beyond the headers: all of it, or the padding alone. */
export function bytesToSum(run: Run, parsed: Parsed): number {
  const { start, end } = run.frame;
  const vouched = vouchedLayer4(run, parsed);
  return end - start - (vouched === undefined ? 0 : vouched.at + vouched.length);
}
