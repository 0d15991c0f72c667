import { MapwireError } from '../errors.ts';
import type { IntShape, IntType, Shape } from './shape.ts';

/** Turns values of one C type into the bytes the kernel holds, and back. */
export interface Codec<T> {
  /** The C type, e.g. `struct mw_ip4_key` or `__u32`. */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** What the bytes look like; the pinned maps are compared with it. */
  readonly shape: Shape;
  /**
   * Writes every byte of the value at `offset` of `view`, padding as zero. Throws ERR_MW_INVALID_ARGUMENT, naming the
   * field, for a number out of its range or an array of the wrong length.
   */
  write(view: DataView, offset: number, value: T): void;
  /** Reads the value at `offset`; arrays of bytes are copied out. Throws RangeError beyond the view. */
  read(view: DataView, offset: number): T;
  encode(value: T): Uint8Array;
  /** Throws ERR_MW_INVALID_ARGUMENT unless there are exactly `size` bytes. */
  decode(bytes: Uint8Array): T;
}

/** Makes a codec of its two halves. */
export function defineCodec<T>(
  name: string,
  shape: Shape,
  write: (view: DataView, offset: number, value: T) => void,
  read: (view: DataView, offset: number) => T,
): Codec<T> {
  const size = shape.size;
  return {
    name,
    size,
    shape,
    write,
    read,
    encode(value) {
      const bytes = new Uint8Array(size);
      write(new DataView(bytes.buffer), 0, value);
      return bytes;
    },
    decode(bytes) {
      if (bytes.byteLength !== size) {
        throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `${name} has ${size} bytes, not ${bytes.byteLength}`);
      }
      return read(new DataView(bytes.buffer, bytes.byteOffset, size), 0);
    },
  };
}

function outOfRange(name: string, type: string, value: unknown): MapwireError {
  const shown = typeof value === 'bigint' ? `${value}n` : String(value);
  return new MapwireError('ERR_MW_INVALID_ARGUMENT', `${name}: ${shown} is no ${type}`, { details: { field: name } });
}

export function putU8(view: DataView, at: number, value: number, name: string): void {
  if ((value & 0xff) !== value) throw outOfRange(name, 'u8', value);
  view.setUint8(at, value);
}

export function putU16(view: DataView, at: number, value: number, name: string): void {
  if ((value & 0xffff) !== value) throw outOfRange(name, 'u16', value);
  view.setUint16(at, value, true);
}

export function putU32(view: DataView, at: number, value: number, name: string): void {
  if (value >>> 0 !== value) throw outOfRange(name, 'u32', value);
  view.setUint32(at, value, true);
}

export function putU64(view: DataView, at: number, value: bigint, name: string): void {
  if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) throw outOfRange(name, 'u64', value);
  view.setBigUint64(at, value, true);
}

export function putI8(view: DataView, at: number, value: number, name: string): void {
  if ((value << 24) >> 24 !== value) throw outOfRange(name, 'i8', value);
  view.setInt8(at, value);
}

export function putI16(view: DataView, at: number, value: number, name: string): void {
  if ((value << 16) >> 16 !== value) throw outOfRange(name, 'i16', value);
  view.setInt16(at, value, true);
}

export function putI32(view: DataView, at: number, value: number, name: string): void {
  if ((value | 0) !== value) throw outOfRange(name, 'i32', value);
  view.setInt32(at, value, true);
}

export function putI64(view: DataView, at: number, value: bigint, name: string): void {
  if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) throw outOfRange(name, 'i64', value);
  view.setBigInt64(at, value, true);
}

export function putBe16(view: DataView, at: number, value: number, name: string): void {
  if ((value & 0xffff) !== value) throw outOfRange(name, 'be16', value);
  view.setUint16(at, value, false);
}

export function putBe32(view: DataView, at: number, value: number, name: string): void {
  if (value >>> 0 !== value) throw outOfRange(name, 'be32', value);
  view.setUint32(at, value, false);
}

export function putBe64(view: DataView, at: number, value: bigint, name: string): void {
  if (typeof value !== 'bigint' || BigInt.asUintN(64, value) !== value) throw outOfRange(name, 'be64', value);
  view.setBigUint64(at, value, false);
}

export function putBool(view: DataView, at: number, value: boolean, name: string): void {
  if (typeof value !== 'boolean') throw outOfRange(name, 'bool', value);
  view.setUint8(at, value ? 1 : 0);
}

/** Exactly `length` bytes. */
export function putBytes(view: DataView, at: number, length: number, value: Uint8Array, name: string): void {
  if (!(value instanceof Uint8Array) || value.length !== length) {
    const found = value instanceof Uint8Array ? `${value.length} bytes` : String(value);
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `${name}: needs ${length} bytes, not ${found}`, {
      details: { field: name },
    });
  }
  for (let i = 0; i < length; i++) view.setUint8(at + i, value[i] as number);
}

export function putZero(view: DataView, at: number, length: number): void {
  for (let i = 0; i < length; i++) view.setUint8(at + i, 0);
}

/** At most `count` elements of `stride` bytes; those that are missing are written as zero. */
export function putArray<T>(
  view: DataView,
  at: number,
  count: number,
  stride: number,
  values: readonly T[],
  name: string,
  put: (view: DataView, at: number, value: T, name: string) => void,
): void {
  if (!Array.isArray(values) || values.length > count) {
    const found = Array.isArray(values) ? String(values.length) : String(values);
    throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `${name}: takes at most ${count} elements, not ${found}`, {
      details: { field: name },
    });
  }
  for (let i = 0; i < values.length; i++) put(view, at + i * stride, values[i] as T, name);
  putZero(view, at + values.length * stride, (count - values.length) * stride);
}

export function getBytes(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length).slice();
}

export function getBool(view: DataView, at: number): boolean {
  return view.getUint8(at) !== 0;
}

export function getArray<T>(count: number, stride: number, at: number, get: (at: number) => T): T[] {
  const values = new Array<T>(count);
  for (let i = 0; i < count; i++) values[i] = get(at + i * stride);
  return values;
}

function intShape(type: IntType, size: 1 | 2 | 4 | 8): IntShape {
  return { kind: 'int', type, size };
}

export const u8: Codec<number> = defineCodec(
  '__u8',
  intShape('u8', 1),
  (view, at, value) => putU8(view, at, value, '__u8'),
  (view, at) => view.getUint8(at),
);
export const u16: Codec<number> = defineCodec(
  '__u16',
  intShape('u16', 2),
  (view, at, value) => putU16(view, at, value, '__u16'),
  (view, at) => view.getUint16(at, true),
);
export const u32: Codec<number> = defineCodec(
  '__u32',
  intShape('u32', 4),
  (view, at, value) => putU32(view, at, value, '__u32'),
  (view, at) => view.getUint32(at, true),
);
export const u64: Codec<bigint> = defineCodec(
  '__u64',
  intShape('u64', 8),
  (view, at, value) => putU64(view, at, value, '__u64'),
  (view, at) => view.getBigUint64(at, true),
);
export const i8: Codec<number> = defineCodec(
  '__s8',
  intShape('i8', 1),
  (view, at, value) => putI8(view, at, value, '__s8'),
  (view, at) => view.getInt8(at),
);
export const i16: Codec<number> = defineCodec(
  '__s16',
  intShape('i16', 2),
  (view, at, value) => putI16(view, at, value, '__s16'),
  (view, at) => view.getInt16(at, true),
);
export const i32: Codec<number> = defineCodec(
  '__s32',
  intShape('i32', 4),
  (view, at, value) => putI32(view, at, value, '__s32'),
  (view, at) => view.getInt32(at, true),
);
export const i64: Codec<bigint> = defineCodec(
  '__s64',
  intShape('i64', 8),
  (view, at, value) => putI64(view, at, value, '__s64'),
  (view, at) => view.getBigInt64(at, true),
);
export const be16: Codec<number> = defineCodec(
  '__be16',
  intShape('be16', 2),
  (view, at, value) => putBe16(view, at, value, '__be16'),
  (view, at) => view.getUint16(at, false),
);
export const be32: Codec<number> = defineCodec(
  '__be32',
  intShape('be32', 4),
  (view, at, value) => putBe32(view, at, value, '__be32'),
  (view, at) => view.getUint32(at, false),
);
export const be64: Codec<bigint> = defineCodec(
  '__be64',
  intShape('be64', 8),
  (view, at, value) => putBe64(view, at, value, '__be64'),
  (view, at) => view.getBigUint64(at, false),
);
export const bool: Codec<boolean> = defineCodec(
  'bool',
  intShape('bool', 1),
  (view, at, value) => putBool(view, at, value, 'bool'),
  (view, at) => getBool(view, at),
);

/** The codec of each integer type. */
export const INT_CODECS = { u8, u16, u32, u64, i8, i16, i32, i64, be16, be32, be64, bool } as const;

/** `length` bytes as they are. */
export function bytesCodec(length: number): Codec<Uint8Array> {
  const name = `__u8[${length}]`;
  return defineCodec(
    name,
    { kind: 'bytes', size: length },
    (view, at, value) => putBytes(view, at, length, value, name),
    (view, at) => getBytes(view, at, length),
  );
}
