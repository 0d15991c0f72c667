/** Explicit congestion notification across the tunnel: RFC 6040, packet-rules.md rules 3.7 and 3.10. */
import { read16, write16 } from './bytes.ts';
import { updateChecksum } from './checksum.ts';
import type { Ipv4, Ipv6 } from './parse.ts';

export const NOT_ECT = 0;
export const ECT_1 = 1;
export const ECT_0 = 2;
export const CE = 3;

/** The ECN of the delivered packet; undefined: it has to be dropped. */
export function combineEcn(outer: number, inner: number): number | undefined {
  if (inner === NOT_ECT) return outer === CE ? undefined : NOT_ECT;
  if (outer === CE) return CE;
  if (inner === ECT_0 && outer === ECT_1) return ECT_1;
  return inner;
}

/** Writes the ECN bits of the packet whose header starts at `at`, and mends the IPv4 checksum. */
export function setEcn(frame: Uint8Array, at: number, kind: (Ipv4 | Ipv6)['kind'], ecn: number): void {
  if (kind === 'ipv6') {
    frame[at + 1] = (frame[at + 1]! & 0xcf) | (ecn << 4);
    return;
  }
  const before = read16(frame, at);
  const after = (before & 0xfffc) | ecn;
  write16(frame, at, after);
  if (after !== before) write16(frame, at + 10, updateChecksum(read16(frame, at + 10), before, after));
}
