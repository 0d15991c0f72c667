import { bytesCodec, type Codec, defineCodec, getArray, INT_CODECS, putArray, putZero } from './codec.ts';
import { fieldName } from './names.ts';
import { type Shape, type StructShape, shapeName } from './shape.ts';

/** A value as codecs give it: field names and types as in src/generated/. */
export type Value = number | bigint | boolean | Uint8Array | readonly Value[] | { readonly [field: string]: Value };

/**
 * A codec for any shape, made at run time: for objects this build has no generated code for. It gives and takes the
 * same values and bytes as the generated one of the same struct, only slower.
 */
export function codecOf(shape: Shape): Codec<Value> {
  switch (shape.kind) {
    case 'int':
      return INT_CODECS[shape.type] as unknown as Codec<Value>;
    case 'bytes':
      return bytesCodec(shape.size) as unknown as Codec<Value>;
    case 'array': {
      const element = codecOf(shape.element);
      const { count, size } = shape;
      const stride = element.size;
      const name = shapeName(shape);
      return defineCodec<Value>(
        name,
        shape,
        (view, at, value) =>
          putArray(view, at, count, stride, value as Value[], name, (v, a, e) => element.write(v, a, e)),
        (view, at) => getArray(count, size / count, at, (a) => element.read(view, a)),
      );
    }
    case 'struct':
      return structCodec(shape);
  }
}

function structCodec(shape: StructShape): Codec<Value> {
  const fields = shape.fields
    .filter((field) => !field.padding)
    .map((field) => ({ name: fieldName(field.name), offset: field.offset, codec: codecOf(field.shape) }));
  return defineCodec<Value>(
    shapeName(shape),
    shape,
    (view, at, value) => {
      putZero(view, at, shape.size);
      const struct = value as Readonly<Record<string, Value>>;
      for (const { name, offset, codec } of fields) codec.write(view, at + offset, struct[name] as Value);
    },
    (view, at) => {
      const struct: Record<string, Value> = {};
      for (const { name, offset, codec } of fields) struct[name] = codec.read(view, at + offset);
      return struct;
    },
  );
}
