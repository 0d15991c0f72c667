/** The flow hash of packet-rules.md §4 once more, in big integers, and what the outer headers take from it. */
import { ipBytes, macBytes } from '../../src/table/address.ts';
import { concat } from './packet.ts';

const WORD = 1n << 32n;

function rotateLeft(value: bigint, by: bigint): bigint {
  return ((value << by) | (value >> (32n - by))) % WORD;
}

export function hash32(words: readonly bigint[]): bigint {
  let h = 0x6d617077n;
  for (const word of words) h = (rotateLeft(h ^ ((word * 0xcc9e2d51n) % WORD), 13n) * 5n + 0xe6546b64n) % WORD;
  h ^= h >> 16n;
  h = (h * 0x85ebca6bn) % WORD;
  h ^= h >> 13n;
  h = (h * 0xc2b2ae35n) % WORD;
  return h ^ (h >> 16n);
}

function wordsOf(bytes: Uint8Array): bigint[] {
  const words: bigint[] = [];
  for (let at = 0; at < bytes.length; at += 4) {
    words.push(BigInt(`0x${Buffer.from(bytes.subarray(at, at + 4)).toString('hex')}`));
  }
  return words;
}

/** Hash of an IP flow; `ports` (source, destination) only for whole TCP and UDP packets. */
export function ipHash(
  source: string,
  destination: string,
  protocol: number,
  ports?: readonly [number, number],
): number {
  const words = [...wordsOf(concat(ipBytes(source), ipBytes(destination))), BigInt(protocol)];
  if (ports !== undefined) words.push(BigInt(ports[0] * 65536 + ports[1]));
  return Number(hash32(words));
}

/** Hash of everything else: by the Ethernet header. */
export function ethernetHash(destination: string, source: string, etherType: number): number {
  return Number(hash32([...wordsOf(concat(macBytes(destination), macBytes(source))), BigInt(etherType)]));
}

/** Outer UDP source port of a flow. */
export function sourcePort(hash: number): number {
  return 49152 + (hash % 16384);
}

/** Outer IPv6 flow label of a flow. */
export function flowLabel(hash: number): number {
  return Math.floor(hash / 4096);
}

/** Which of two next hops a flow takes: 0 or 1. */
export function pathOf(hash: number): number {
  return Math.floor(hash / 2 ** 31);
}

export function ipEntropy(...flow: Parameters<typeof ipHash>): number {
  return sourcePort(ipHash(...flow));
}

export function ethernetEntropy(...flow: Parameters<typeof ethernetHash>): number {
  return sourcePort(ethernetHash(...flow));
}
