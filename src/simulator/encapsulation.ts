/** What is the same for all tunnel headers: how one is written, and how one is read (packet-rules.md §4 and rule 3.3). */
import type { Encap } from '../table/model.ts';

/** What carries the header: IP protocol numbers. */
export type Carrier = 17 | 47;

/** Bytes in which a header is to be read. */
export interface HeaderBytes {
  readonly bytes: Uint8Array;
  /** Where the header begins. */
  readonly at: number;
  /** Where the tunnel's payload ends, by the outer lengths. */
  readonly end: number;
  /** End of the first buffer. */
  readonly buffered: number;
}

export type HeaderProblem = 'outer-malformed' | 'tunnel-header' | 'tunnel-option';

export type HeaderResult =
  | { readonly kind: 'header'; readonly segment: number; readonly length: number }
  | { readonly kind: 'problem'; readonly reason: HeaderProblem; readonly why: string }
  | { readonly kind: 'not-in-first-buffer' };

export interface TunnelHeader {
  readonly encap: Exclude<Encap, 'flat'>;
  readonly carrier: Carrier;
  /** Carries the IP packet without its Ethernet header. */
  readonly ipOnly: boolean;
  /** The bytes in front of the payload; `version` is that of the IP packet, where the header has to say it. */
  write(segment: number, version: 4 | 6 | undefined): Uint8Array;
  /** The header as it came. That 8 bytes are there (over UDP), or the fixed 4 (GRE), is known. */
  read(header: HeaderBytes): HeaderResult;
}

export function problem(reason: HeaderProblem, why: string): HeaderResult {
  return { kind: 'problem', reason, why };
}

/** May this encapsulation carry frames only as IP packets? */
export function isIpOnly(encap: Encap): boolean {
  return encap === 'vxlan-gpe' || encap === 'lisp';
}
