/** Reading and writing network-order fields of a frame. Offsets are checked by the parser before. */

export function read16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function read24(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 16) | read16(bytes, at + 1);
}

/** Unsigned. */
export function read32(bytes: Uint8Array, at: number): number {
  return ((read16(bytes, at) << 16) | read16(bytes, at + 2)) >>> 0;
}

export function write16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

export function write24(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 16;
  write16(bytes, at + 1, value);
}

export function write32(bytes: Uint8Array, at: number, value: number): void {
  write16(bytes, at, value >>> 16);
  write16(bytes, at + 2, value & 0xffff);
}
