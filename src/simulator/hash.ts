/** The hash of the inner flow, which becomes the outer UDP source port: packet-rules.md §4. */
import { read32 } from './bytes.ts';
import { type Ethernet, type FrameView, type Layer3, portsWord } from './parse.ts';

const SEED = 0x6d617077;

/** 32 bits, unsigned. */
export function hashWords(words: readonly number[]): number {
  let hash = SEED;
  for (const word of words) {
    const mixed = hash ^ Math.imul(word, 0xcc9e2d51);
    const rotated = (mixed << 13) | (mixed >>> 19);
    hash = (Math.imul(rotated, 5) + 0xe6546b64) | 0;
  }
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return hash >>> 0;
}

export function flowWords(frame: FrameView, ethernet: Ethernet, layer3: Layer3): number[] {
  const { bytes } = frame;
  if (layer3.kind !== 'ipv4' && layer3.kind !== 'ipv6') {
    const at = ethernet.offset;
    return [read32(bytes, at), read32(bytes, at + 4), read32(bytes, at + 8), ethernet.payloadType];
  }
  const words: number[] = [];
  const first = layer3.offset + (layer3.kind === 'ipv4' ? 12 : 8);
  const count = layer3.kind === 'ipv4' ? 2 : 8;
  for (let i = 0; i < count; i++) words.push(read32(bytes, first + 4 * i));
  words.push(layer3.flowProtocol);
  const { layer4 } = layer3;
  if (!layer3.fragment && (layer4?.kind === 'tcp' || layer4?.kind === 'udp')) words.push(portsWord(frame, layer4));
  return words;
}
