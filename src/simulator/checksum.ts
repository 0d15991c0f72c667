/** The Internet checksum (RFC 1071) and its incremental update (RFC 1624). Sums are 16-bit words, big-endian. */

/** One's complement sum of the bytes, not folded; an odd last byte is padded with zero. */
export function sum16(bytes: Uint8Array, start = 0, end = bytes.length, initial = 0): number {
  let sum = initial;
  for (let at = start; at < end; at += 2) sum += (bytes[at]! << 8) | (at + 1 < end ? bytes[at + 1]! : 0);
  return sum;
}

/** Folds a sum into 16 bits. */
export function fold(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

/** The checksum of these bytes: the inverted folded sum. */
export function checksum(bytes: Uint8Array, start = 0, end = bytes.length, initial = 0): number {
  return ~fold(sum16(bytes, start, end, initial)) & 0xffff;
}

/** The checksum after a 16-bit word under it has changed: RFC 1624, equation 3. */
export function updateChecksum(old: number, before: number, after: number): number {
  return ~fold((~old & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

/** Sum of the pseudo-header: both addresses (4 or 16 bytes each), the protocol and the layer-4 length. */
export function pseudoHeaderSum(addresses: Uint8Array, protocol: number, length: number): number {
  return sum16(addresses) + protocol + (length >>> 16) + (length & 0xffff);
}
