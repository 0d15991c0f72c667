/** Random values for any shape. */
import fc from 'fast-check';
import { fieldName } from '../../../src/bintools/names.ts';
import type { IntType, Shape } from '../../../src/bintools/shape.ts';
import type { Value } from '../../../src/bintools/shape-codec.ts';

const BITS: Readonly<Record<Exclude<IntType, 'bool'>, { readonly bits: number; readonly signed: boolean }>> = {
  u8: { bits: 8, signed: false },
  u16: { bits: 16, signed: false },
  u32: { bits: 32, signed: false },
  u64: { bits: 64, signed: false },
  i8: { bits: 8, signed: true },
  i16: { bits: 16, signed: true },
  i32: { bits: 32, signed: true },
  i64: { bits: 64, signed: true },
  be16: { bits: 16, signed: false },
  be32: { bits: 32, signed: false },
  be64: { bits: 64, signed: false },
};

/** Values a codec of this shape takes, the borders of each integer often among them. */
export function arbitraryValue(shape: Shape): fc.Arbitrary<Value> {
  switch (shape.kind) {
    case 'int': {
      if (shape.type === 'bool') return fc.boolean();
      const { bits, signed } = BITS[shape.type];
      if (bits === 64) {
        const [min, max] = signed ? [-(1n << 63n), (1n << 63n) - 1n] : [0n, (1n << 64n) - 1n];
        return fc.oneof(fc.constantFrom(min, max), fc.bigInt({ min, max }));
      }
      const [min, max] = signed ? [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] : [0, 2 ** bits - 1];
      return fc.oneof(fc.constantFrom(min, max), fc.integer({ min, max }));
    }
    case 'bytes':
      return fc.uint8Array({ minLength: shape.size, maxLength: shape.size });
    case 'array':
      return fc.array(arbitraryValue(shape.element), { minLength: shape.count, maxLength: shape.count });
    case 'struct': {
      const fields = shape.fields.filter((field) => !field.padding);
      return fc.record(
        Object.fromEntries(fields.map((field) => [fieldName(field.name), arbitraryValue(field.shape)])),
        {
          noNullPrototype: true,
        },
      );
    }
  }
}

/** Offsets of the bytes that are declared padding. */
export function paddingOf(shape: Shape, at = 0): number[] {
  switch (shape.kind) {
    case 'array':
      return Array.from({ length: shape.count }, (_, index) => index).flatMap((index) =>
        paddingOf(shape.element, at + index * shape.element.size),
      );
    case 'struct':
      return shape.fields.flatMap((field) =>
        field.padding
          ? Array.from({ length: field.shape.size }, (_, index) => at + field.offset + index)
          : paddingOf(field.shape, at + field.offset),
      );
    default:
      return [];
  }
}
