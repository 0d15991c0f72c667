/** TCP and UDP checksums that the sending stack left to a device: packet-rules.md §5. */
import { read16, write16 } from './bytes.ts';
import { checksum, fold, pseudoHeaderSum } from './checksum.ts';
import { type FrameView, type Layer3, PROTOCOL_TCP, PROTOCOL_UDP } from './parse.ts';

/** XDP completes no checksum over more bytes than this. */
export const LONGEST_COMPLETED = 2048;

export interface Unfinished {
  /** Where layer 4 starts, from the start of the frame. */
  readonly offset: number;
  readonly length: number;
  /** Where the checksum field is, from the start of the frame. */
  readonly field: number;
  readonly udp: boolean;
}

/** Undefined when the checksum is finished, as far as anybody can see. */
export function unfinishedChecksum(frame: FrameView, layer3: Layer3): Unfinished | undefined {
  if ((layer3.kind !== 'ipv4' && layer3.kind !== 'ipv6') || layer3.fragment) return undefined;
  const { layer4 } = layer3;
  if (layer4?.kind !== 'tcp' && layer4?.kind !== 'udp') return undefined;
  const { bytes } = frame;
  const [first, last] = layer3.kind === 'ipv4' ? [12, 20] : [8, 40];
  const addresses = bytes.subarray(layer3.offset + first, layer3.offset + last);
  const udp = layer4.kind === 'udp';
  const sum = fold(pseudoHeaderSum(addresses, udp ? PROTOCOL_UDP : PROTOCOL_TCP, layer4.length));
  const field = layer4.offset + (udp ? 6 : 16);
  if (read16(bytes, field) !== sum) return undefined;
  return { offset: layer4.offset - frame.start, length: layer4.length, field: field - frame.start, udp };
}

/** Finishes it in place: the field holds the sum of the pseudo-header already. `frame` starts with the Ethernet header. */
export function completeChecksum(frame: Uint8Array, unfinished: Unfinished): void {
  const { offset, length, field, udp } = unfinished;
  const sum = checksum(frame, offset, offset + length);
  write16(frame, field, udp && sum === 0 ? 0xffff : sum);
}
