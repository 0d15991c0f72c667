import { LITTLE_ENDIAN } from '../byte-order.ts';

/** Netlink attributes (struct nlattr): u16 length, u16 type, payload, padding to 4 bytes. */

export type AttributeValue = Uint8Array | readonly Attribute[];
export type Attribute = readonly [type: number, value: AttributeValue];

const NESTED = 1 << 15;
const TYPE_MASK = 0x3fff;

export function align4(size: number): number {
  return (size + 3) & ~3;
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(2));
  view.setUint16(0, value, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

export function u32(value: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(4));
  view.setUint32(0, value, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

/** NUL-terminated. */
export function text(value: string): Uint8Array {
  return new TextEncoder().encode(`${value}\0`);
}

export const flag = new Uint8Array(0);

export function encodeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const parts = attributes.map(([type, value]) => {
    const nested = !(value instanceof Uint8Array);
    return { type: nested ? type | NESTED : type, bytes: nested ? encodeAttributes(value) : value };
  });
  const out = new Uint8Array(parts.reduce((size, { bytes }) => size + align4(4 + bytes.byteLength), 0));
  const view = new DataView(out.buffer);
  let at = 0;
  for (const { type, bytes } of parts) {
    view.setUint16(at, 4 + bytes.byteLength, LITTLE_ENDIAN);
    view.setUint16(at + 2, type, LITTLE_ENDIAN);
    out.set(bytes, at + 4);
    at += align4(4 + bytes.byteLength);
  }
  return out;
}

/** The attributes of a buffer, in order; what does not add up ends the walk. */
export function* readAttributes(bytes: Uint8Array): Generator<[type: number, payload: Uint8Array], void, undefined> {
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.byteLength; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < 4 || at + length > bytes.byteLength) return;
    yield [view.getUint16(at + 2, LITTLE_ENDIAN) & TYPE_MASK, bytes.subarray(at + 4, at + length)];
    at += align4(length);
  }
}

/** Attributes by type; of several with one type the last. */
export class AttributeMap {
  readonly #map: ReadonlyMap<number, Uint8Array>;

  constructor(bytes: Uint8Array) {
    this.#map = new Map(readAttributes(bytes));
  }

  bytes(type: number): Uint8Array | undefined {
    return this.#map.get(type);
  }

  has(type: number): boolean {
    return this.#map.has(type);
  }

  u8(type: number): number | undefined {
    return this.#map.get(type)?.[0];
  }

  u16(type: number): number | undefined {
    const bytes = this.#map.get(type);
    return bytes === undefined || bytes.byteLength < 2 ? undefined : viewOf(bytes).getUint16(0, LITTLE_ENDIAN);
  }

  u32(type: number): number | undefined {
    const bytes = this.#map.get(type);
    return bytes === undefined || bytes.byteLength < 4 ? undefined : viewOf(bytes).getUint32(0, LITTLE_ENDIAN);
  }

  i32(type: number): number | undefined {
    const value = this.u32(type);
    return value === undefined ? undefined : value | 0;
  }

  u64(type: number): bigint | undefined {
    const bytes = this.#map.get(type);
    return bytes === undefined || bytes.byteLength < 8 ? undefined : viewOf(bytes).getBigUint64(0, LITTLE_ENDIAN);
  }

  text(type: number): string | undefined {
    const bytes = this.#map.get(type);
    if (bytes === undefined) return undefined;
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  nested(type: number): AttributeMap | undefined {
    const bytes = this.#map.get(type);
    return bytes === undefined ? undefined : new AttributeMap(bytes);
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
