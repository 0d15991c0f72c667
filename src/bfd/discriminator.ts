/**
 * The S-BFD discriminator of a node (RFC 7880 section 4.1): FNV-1a, 32 bits, of its id in UTF-8, never 0. Every node works it out
 * by itself. Two nodes with the same one do no harm: a probe goes to a node's address, and is told apart by it too.
 */
export function nodeDiscriminator(node: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(node)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0 || 1;
}
