import { MapwireError } from '../errors.ts';
import { type Btf, type BtfMember, type BtfStruct, resolve } from './btf.ts';
import { alignOf, sizeOf } from './c-layout.ts';

/** The integers a codec can hold; `be…` is network order, the others are little-endian. */
export type IntType = 'u8' | 'u16' | 'u32' | 'u64' | 'i8' | 'i16' | 'i32' | 'i64' | 'be16' | 'be32' | 'be64' | 'bool';

/** What the bytes of a representable C type mean. Plain data; sizes and offsets in bytes. */
export type Shape = IntShape | BytesShape | ArrayShape | StructShape;

export interface IntShape {
  readonly kind: 'int';
  readonly type: IntType;
  readonly size: number;
  /** Name of the C enum, when it is one. */
  readonly enum?: string;
}

/** Array of 8-bit integers. */
export interface BytesShape {
  readonly kind: 'bytes';
  readonly size: number;
}

export interface ArrayShape {
  readonly kind: 'array';
  readonly size: number;
  readonly count: number;
  readonly element: Shape;
}

export interface StructShape {
  readonly kind: 'struct';
  /** Without the word `struct`; of one without name its typedef's, or empty. */
  readonly name: string;
  readonly size: number;
  /** In order of offset, without gaps. */
  readonly fields: readonly FieldShape[];
}

export interface FieldShape {
  /** As in C. */
  readonly name: string;
  readonly offset: number;
  readonly shape: Shape;
  /** Explicit padding (named `pad`, `pad2`, `pad_x`): always zero, not part of the value. */
  readonly padding?: true;
}

/** Larger than any map value here; keeps damaged BTF from asking for gigabytes. */
const MAX_SIZE = 1 << 20;
const MAX_DEPTH = 16;

/**
 * Unions whose meaning is known although C does not say it: the member that stands for the whole.
 * `struct bpf_devmap_val`: `fd` is written and `id` is read, both 32 bits (include/uapi/linux/bpf.h).
 */
const KNOWN_UNIONS: Readonly<Record<string, string>> = { 'bpf_devmap_val.bpf_prog': 'id' };

/**
 * The shape of a type, or a refusal. Throws ERR_MW_LAYOUT, with the path of the field, for what cannot be represented
 * or must not be relied on: pointers, bitfields, unions (unless a BTF declaration tag `mw:as=<member>` on the field
 * says which member stands for it), floats, integers of 128 bits, flexible and empty arrays, empty structs, packed or
 * misaligned fields, and padding that is not declared: hash keys compare it, and the compiler need not zero it.
 */
export function shapeOf(btf: Btf, id: number, path?: string): Shape {
  const type = resolve(btf, id);
  const start = path ?? ('name' in type && type.name !== '' ? type.name : `type ${id}`);
  return shape(btf, id, start, 0);
}

function refuse(path: string, problem: string, hint: string): MapwireError {
  return new MapwireError('ERR_MW_LAYOUT', `${path}: ${problem}`, { hint, details: { path } });
}

function shape(btf: Btf, id: number, path: string, depth: number): Shape {
  if (depth > MAX_DEPTH) throw refuse(path, 'is nested too deep or contains itself', 'flatten the struct');
  const typedefs: string[] = [];
  const type = resolve(btf, id, (name) => typedefs.push(name));
  switch (type.kind) {
    case 'int': {
      if (type.bits !== type.size * 8 || type.bitOffset !== 0) {
        throw refuse(path, 'is a bitfield', 'use whole integers and flag constants');
      }
      return { kind: 'int', type: intType(type.size, type.signed, type.bool, typedefs, path), size: type.size };
    }
    case 'enum':
    case 'enum64': {
      const scalar = intType(type.size, type.signed, false, typedefs, path);
      return { kind: 'int', type: scalar, size: type.size, ...(type.name ? { enum: type.name } : {}) };
    }
    case 'array': {
      if (type.count === 0) throw refuse(path, 'is a flexible or empty array', 'give it a fixed length');
      const element = shape(btf, type.element, `${path}[]`, depth + 1);
      const size = limited(element.size * type.count, path);
      if (element.kind === 'int' && (element.type === 'u8' || element.type === 'i8') && element.enum === undefined) {
        return { kind: 'bytes', size };
      }
      return { kind: 'array', size, count: type.count, element };
    }
    case 'struct':
      return structShape(btf, type, type.name || (typedefs.at(-1) ?? ''), path, depth);
    case 'union':
      throw refuse(path, 'is a union', 'tag the field with btf_decl_tag("mw:as=<member>"), or split it into fields');
    case 'ptr':
      throw refuse(path, 'is a pointer', 'a map is shared between programs: store an id');
    case 'float':
      throw refuse(path, 'is a floating-point number', 'eBPF has none: use a scaled integer');
    case 'fwd':
      throw refuse(path, `is only declared, not defined (struct ${type.name})`, 'include its definition');
    default:
      throw refuse(path, `is no data (${type.kind})`, 'use a struct, an array or an integer');
  }
}

function structShape(btf: Btf, struct: BtfStruct, name: string, path: string, depth: number): StructShape {
  const size = limited(struct.size, path);
  if (size === 0) throw refuse(path, 'is an empty struct', 'give it a field');
  const fields: FieldShape[] = [];
  let end = 0;
  let align = 1;
  for (const [index, member] of struct.members.entries()) {
    const at = member.name === '' ? `${path}.(anonymous)` : `${path}.${member.name}`;
    if (member.bitSize !== 0 || member.bitOffset % 8 !== 0) {
      throw refuse(at, 'is a bitfield', 'use whole integers and flag constants');
    }
    const offset = member.bitOffset / 8;
    // before the field is looked into: what lies within its parent is bounded, so that damaged BTF cannot explode
    if (offset < end)
      throw refuse(at, `begins at byte ${offset}, inside the field before it`, 'declare fields in order');
    if (offset + sizeOf(btf, member.type) > size) {
      throw refuse(at, `reaches beyond the ${size} bytes of its struct`, 'the BTF is damaged');
    }
    const field = shape(btf, memberType(btf, struct, member, index, at), at, depth + 1);
    const natural = alignOf(btf, member.type);
    if (offset % natural !== 0)
      throw refuse(at, `is packed: at byte ${offset}, aligned to ${natural}`, 'do not pack structs');
    if (offset > end) throw implicitPadding(path, at, end, offset - end);
    if (member.name === '') throw refuse(at, 'has no name', 'name the field');
    align = Math.max(align, natural);
    end = offset + field.size;
    const padding = PADDING.test(member.name);
    if (padding && !(field.kind === 'int' || field.kind === 'bytes')) {
      throw refuse(at, 'is named as padding but is neither an integer nor bytes', 'rename it');
    }
    fields.push({ name: member.name, offset, shape: field, ...(padding ? { padding: true as const } : {}) });
  }
  if (end < size) throw implicitPadding(path, `${path} (at its end)`, end, size - end);
  if (size % align !== 0) throw refuse(path, `is packed: ${size} bytes, aligned to ${align}`, 'do not pack structs');
  return { kind: 'struct', name, size, fields };
}

const PADDING = /^pad(\d*|_\w+)$/;

function implicitPadding(path: string, at: string, offset: number, size: number): MapwireError {
  return refuse(
    at,
    `${size} bytes of implicit padding at byte ${offset} of ${path}`,
    `declare them: __u8 pad[${size}];`,
  );
}

/** The type of a member; for a union with a known meaning that of the member which stands for it. */
function memberType(btf: Btf, struct: BtfStruct, member: BtfMember, index: number, path: string): number {
  const type = resolve(btf, member.type);
  if (type.kind !== 'union') return member.type;
  const chosen = tagOf(btf, struct, index) ?? KNOWN_UNIONS[`${struct.name}.${member.name}`];
  if (chosen === undefined) return member.type;
  const as = type.members.find((candidate) => candidate.name === chosen);
  if (!as) throw refuse(path, `is to be read as '${chosen}', which is no member of the union`, 'correct the tag');
  if (sizeOf(btf, as.type) !== type.size) {
    throw refuse(path, `is to be read as '${chosen}', which is smaller than the union`, 'choose its largest member');
  }
  return as.type;
}

const tags = new WeakMap<Btf, Map<string, string>>();

function tagOf(btf: Btf, struct: BtfStruct, index: number): string | undefined {
  let known = tags.get(btf);
  if (!known) {
    known = new Map();
    for (const tag of btf.types) {
      if (tag.kind === 'decl_tag' && tag.component >= 0 && tag.name.startsWith('mw:as=')) {
        known.set(`${tag.type}:${tag.component}`, tag.name.slice('mw:as='.length));
      }
    }
    tags.set(btf, known);
  }
  return known.get(`${struct.id}:${index}`);
}

function limited(size: number, path: string): number {
  if (size > MAX_SIZE) throw refuse(path, `has ${size} bytes, more than ${MAX_SIZE}`, 'split it over several entries');
  return size;
}

const BIG_ENDIAN: Readonly<Record<string, IntType>> = { __be16: 'be16', __be32: 'be32', __be64: 'be64' };

function intType(size: number, signed: boolean, bool: boolean, typedefs: readonly string[], path: string): IntType {
  const bigEndian = typedefs.map((name) => BIG_ENDIAN[name]).find((name) => name !== undefined);
  if (bigEndian) {
    if (size * 8 !== Number(bigEndian.slice(2))) {
      throw refuse(path, `is ${bigEndian} of ${size} bytes`, 'use the __be types of linux/types.h');
    }
    return bigEndian;
  }
  if (bool && size === 1) return 'bool';
  switch (size) {
    case 1:
      return signed ? 'i8' : 'u8';
    case 2:
      return signed ? 'i16' : 'u16';
    case 4:
      return signed ? 'i32' : 'u32';
    case 8:
      return signed ? 'i64' : 'u64';
    default:
      throw refuse(path, `is an integer of ${size * 8} bits`, 'use at most 64 bits, or bytes');
  }
}

/** The type as C would name it. */
export function shapeName(shape: Shape): string {
  switch (shape.kind) {
    case 'int':
      return shape.enum === undefined ? shape.type : `enum ${shape.enum}`;
    case 'bytes':
      return `u8[${shape.size}]`;
    case 'array':
      return `${shapeName(shape.element)}[${shape.count}]`;
    case 'struct':
      return `struct ${shape.name || '{…}'}`;
  }
}
