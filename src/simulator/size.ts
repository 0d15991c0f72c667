/** How large a packet counts: packet-rules.md rules 2.10 and 3.9. */
import type { Ethernet, FrameView, Layer3 } from './parse.ts';

const TAG = 4;

/** Layer-3 length in bytes, without tags; of a super-packet (`gsoSize` > 0) that of one of its segments. */
export function layer3Length(frame: FrameView, ethernet: Ethernet, layer3: Layer3, gsoSize: number): number {
  if (layer3.kind !== 'ipv4' && layer3.kind !== 'ipv6') {
    return frame.end - frame.start - 14 - TAG * ethernet.tagsInFrame;
  }
  if (gsoSize === 0) return layer3.length;
  const { layer4 } = layer3;
  let layer4Header = 0;
  if (!layer3.fragment && layer4?.kind === 'tcp') layer4Header = (frame.bytes[layer4.offset + 12]! >>> 4) * 4;
  if (!layer3.fragment && layer4?.kind === 'udp') layer4Header = 8;
  return layer3.headerLength + layer4Header + gsoSize;
}

/** The same with the tags, which a tunnel carries in front of the packet. */
export function tunnelLength(frame: FrameView, ethernet: Ethernet, layer3: Layer3, gsoSize: number): number {
  return layer3Length(frame, ethernet, layer3, gsoSize) + TAG * ethernet.tags;
}
