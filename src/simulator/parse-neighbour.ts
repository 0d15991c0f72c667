/** Neighbour discovery messages (RFC 4861), validated as a receiver must: packet-rules.md §1. */
import { ipFromBytes, macFromBytes } from '../table/address.ts';
import { type FrameView, missing, type ParseProblem } from './parse.ts';

export const ROUTER_SOLICITATION = 133;
export const ROUTER_ADVERTISEMENT = 134;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
export const REDIRECT = 137;

export const SOURCE_LINK_LAYER = 1;
export const TARGET_LINK_LAYER = 2;

const MAX_OPTIONS = 16;

/** Bytes before the options, by type. */
const FIXED_LENGTH: Readonly<Record<number, number>> = {
  [ROUTER_SOLICITATION]: 8,
  [ROUTER_ADVERTISEMENT]: 16,
  [NEIGHBOUR_SOLICITATION]: 24,
  [NEIGHBOUR_ADVERTISEMENT]: 24,
  [REDIRECT]: 40,
};

/** A source or target link-layer address option. */
export interface LinkLayerOption {
  readonly type: number;
  /** Undefined when the option is not one unit (8 bytes) long and so holds no Ethernet address. */
  readonly mac: string | undefined;
}

export interface NeighbourMessage {
  readonly type: number;
  /** Target address of a solicitation, advertisement or redirect. */
  readonly target: string | undefined;
  readonly linkLayer: readonly LinkLayerOption[];
}

/** `offset` and `end` bound the ICMPv6 message; its first four bytes are known to be there. */
export function parseNeighbour(
  frame: FrameView,
  offset: number,
  end: number,
  hopLimit: number,
): NeighbourMessage | ParseProblem {
  const { bytes } = frame;
  const type = bytes[offset]!;
  const fixed = FIXED_LENGTH[type]!;
  if (hopLimit !== 255 || bytes[offset + 1] !== 0) return 'malformed';
  const problem = missing(frame, offset, fixed, end);
  if (problem !== undefined) return problem;
  const linkLayer: LinkLayerOption[] = [];
  let at = offset + fixed;
  for (let count = 0; at < end; count++) {
    if (count === MAX_OPTIONS) return 'malformed';
    const cut = missing(frame, at, 2, end);
    if (cut !== undefined) return cut;
    const optionType = bytes[at]!;
    const length = bytes[at + 1]! * 8;
    if (length === 0) return 'malformed';
    const outside = missing(frame, at, length, end);
    if (outside !== undefined) return outside;
    if (optionType === SOURCE_LINK_LAYER || optionType === TARGET_LINK_LAYER) {
      linkLayer.push({ type: optionType, mac: length === 8 ? macFromBytes(bytes, at + 2) : undefined });
    }
    at += length;
  }
  const hasTarget = type >= NEIGHBOUR_SOLICITATION;
  const target = hasTarget ? ipFromBytes(bytes.subarray(offset + 8, offset + 24)) : undefined;
  return { type, target, linkLayer };
}
