import { ByteReader } from './byte-reader.ts';

/** Where a BTF integer or member comes from: Documentation/bpf/btf.rst of the kernel, include/uapi/linux/btf.h. */
const BTF_MAGIC = 0xeb9f;
const HEADER_SIZE = 24;

export interface BtfMember {
  /** Empty for an anonymous struct or union. */
  readonly name: string;
  readonly type: number;
  /** From the start of the struct, in bits. */
  readonly bitOffset: number;
  /** Width of a bitfield in bits; 0: not a bitfield. */
  readonly bitSize: number;
}

export interface BtfEnumerator<V> {
  readonly name: string;
  readonly value: V;
}

export type BtfInt = {
  readonly kind: 'int';
  readonly id: number;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** Width in bits, less than 8 × size for the bitfields of old compilers. */
  readonly bits: number;
  readonly bitOffset: number;
  readonly signed: boolean;
  readonly char: boolean;
  readonly bool: boolean;
};

export type BtfStruct = {
  readonly kind: 'struct' | 'union';
  readonly id: number;
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  readonly members: readonly BtfMember[];
};

export type BtfArray = {
  readonly kind: 'array';
  readonly id: number;
  readonly element: number;
  readonly index: number;
  readonly count: number;
};

export type BtfEnum = {
  readonly kind: 'enum';
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly BtfEnumerator<number>[];
};

export type BtfEnum64 = {
  readonly kind: 'enum64';
  readonly id: number;
  readonly name: string;
  readonly size: number;
  readonly signed: boolean;
  readonly values: readonly BtfEnumerator<bigint>[];
};

export type BtfFunc = {
  readonly kind: 'func';
  readonly id: number;
  readonly name: string;
  /** The func_proto. */
  readonly type: number;
  readonly linkage: BtfLinkage;
};

export type BtfVar = {
  readonly kind: 'var';
  readonly id: number;
  readonly name: string;
  readonly type: number;
  readonly linkage: BtfLinkage;
};

export type BtfDatasec = {
  readonly kind: 'datasec';
  readonly id: number;
  /** The name of an ELF section, e.g. `.maps`. */
  readonly name: string;
  /** 0 in an object file: the loader fills it in. */
  readonly size: number;
  readonly variables: readonly { readonly type: number; readonly offset: number; readonly size: number }[];
};

export type BtfLinkage = 'static' | 'global' | 'extern' | 'unknown';

export type BtfModifier = {
  readonly kind: 'typedef' | 'volatile' | 'const' | 'restrict' | 'type_tag';
  readonly id: number;
  /** Of a typedef or a type tag; else empty. */
  readonly name: string;
  readonly type: number;
};

/** One type. References (`type`, `element` …) are ids, checked to exist; 0 is `void`. */
export type BtfType =
  | { readonly kind: 'void'; readonly id: 0 }
  | BtfInt
  | { readonly kind: 'ptr'; readonly id: number; readonly type: number }
  | BtfArray
  | BtfStruct
  | BtfEnum
  | { readonly kind: 'fwd'; readonly id: number; readonly name: string; readonly union: boolean }
  | BtfModifier
  | BtfFunc
  | {
      readonly kind: 'func_proto';
      readonly id: number;
      readonly returns: number;
      readonly parameters: readonly { readonly name: string; readonly type: number }[];
    }
  | BtfVar
  | BtfDatasec
  | { readonly kind: 'float'; readonly id: number; readonly name: string; readonly size: number }
  | {
      readonly kind: 'decl_tag';
      readonly id: number;
      /** The text of the tag. */
      readonly name: string;
      readonly type: number;
      /** Index of the member or parameter that is tagged; -1: the whole declaration. */
      readonly component: number;
    }
  | BtfEnum64;

export type BtfKind = BtfType['kind'];

export interface Btf {
  /** By id; element 0 is `void`. */
  readonly types: readonly BtfType[];
}

const LINKAGES: readonly BtfLinkage[] = ['static', 'global', 'extern'];

/**
 * Reads raw BTF: the `.BTF` section of an object, or what BPF_OBJ_GET_INFO_BY_FD gives for a BTF id. All kinds up to
 * ENUM64 (Linux 6.0) are known; little-endian only; no split BTF.
 *
 * Throws ERR_MW_BTF for a damaged header, an unknown kind, and for any type id, string or length outside the data.
 */
export function readBtf(bytes: Uint8Array): Btf {
  const file = new ByteReader(bytes, 'ERR_MW_BTF', 'BTF');
  if (file.length < HEADER_SIZE) throw file.fail('shorter than its header');
  const magic = file.u16(0);
  if (magic === 0x9feb) throw file.fail('it is big-endian');
  if (magic !== BTF_MAGIC) throw file.fail('it does not begin with the BTF magic');
  if (file.u8(2) !== 1) throw file.fail(`version ${file.u8(2)} is not 1`);
  const headerLength = file.u32(4);
  if (headerLength < HEADER_SIZE) throw file.fail(`a header of ${headerLength} bytes is too short`);
  const typeBytes = file.slice(headerLength + file.u32(8), file.u32(12));
  const stringBytes = file.slice(headerLength + file.u32(16), file.u32(20));
  if (stringBytes.length === 0 || stringBytes[0] !== 0 || stringBytes.at(-1) !== 0) {
    throw file.fail('its strings neither begin nor end with NUL as they must');
  }
  const types = readTypes(typeBytes, stringBytes);
  checkReferences(types, file);
  return { types };
}

function readTypes(bytes: Uint8Array, stringBytes: Uint8Array): BtfType[] {
  const reader = new ByteReader(bytes, 'ERR_MW_BTF', 'BTF types');
  const strings = new ByteReader(stringBytes, 'ERR_MW_BTF', 'BTF strings');
  const cache = new Map<number, string>([[0, '']]);
  const text = (offset: number): string => {
    let found = cache.get(offset);
    if (found === undefined) {
      found = strings.string(offset);
      cache.set(offset, found);
    }
    return found;
  };
  const types: BtfType[] = [{ kind: 'void', id: 0 }];
  let at = 0;
  while (at < reader.length) {
    const id = types.length;
    const name = text(reader.u32(at));
    const info = reader.u32(at + 4);
    const sizeOrType = reader.u32(at + 8);
    const count = info & 0xffff;
    const kind = (info >>> 24) & 0x1f;
    const flag = info >>> 31 === 1;
    at += 12;
    switch (kind) {
      case 1: {
        const data = reader.u32(at);
        const encoding = (data >>> 24) & 15;
        types.push({
          kind: 'int',
          id,
          name,
          size: sizeOrType,
          bits: data & 0xff,
          bitOffset: (data >>> 16) & 0xff,
          signed: (encoding & 1) !== 0,
          char: (encoding & 2) !== 0,
          bool: (encoding & 4) !== 0,
        });
        at += 4;
        break;
      }
      case 2:
        types.push({ kind: 'ptr', id, type: sizeOrType });
        break;
      case 3:
        types.push({
          kind: 'array',
          id,
          element: reader.u32(at),
          index: reader.u32(at + 4),
          count: reader.u32(at + 8),
        });
        at += 12;
        break;
      case 4:
      case 5: {
        const members: BtfMember[] = [];
        for (let n = 0; n < count; n++, at += 12) {
          const offset = reader.u32(at + 8);
          members.push({
            name: text(reader.u32(at)),
            type: reader.u32(at + 4),
            bitOffset: flag ? offset & 0xffffff : offset,
            bitSize: flag ? offset >>> 24 : 0,
          });
        }
        types.push({ kind: kind === 4 ? 'struct' : 'union', id, name, size: sizeOrType, members });
        break;
      }
      case 6: {
        const values: BtfEnumerator<number>[] = [];
        for (let n = 0; n < count; n++, at += 8) {
          values.push({ name: text(reader.u32(at)), value: flag ? reader.i32(at + 4) : reader.u32(at + 4) });
        }
        types.push({ kind: 'enum', id, name, size: sizeOrType, signed: flag, values });
        break;
      }
      case 7:
        types.push({ kind: 'fwd', id, name, union: flag });
        break;
      case 8:
        types.push({ kind: 'typedef', id, name, type: sizeOrType });
        break;
      case 9:
        types.push({ kind: 'volatile', id, name: '', type: sizeOrType });
        break;
      case 10:
        types.push({ kind: 'const', id, name: '', type: sizeOrType });
        break;
      case 11:
        types.push({ kind: 'restrict', id, name: '', type: sizeOrType });
        break;
      case 12:
        types.push({ kind: 'func', id, name, type: sizeOrType, linkage: LINKAGES[count] ?? 'unknown' });
        break;
      case 13: {
        const parameters: { name: string; type: number }[] = [];
        for (let n = 0; n < count; n++, at += 8) {
          parameters.push({ name: text(reader.u32(at)), type: reader.u32(at + 4) });
        }
        types.push({ kind: 'func_proto', id, returns: sizeOrType, parameters });
        break;
      }
      case 14:
        types.push({ kind: 'var', id, name, type: sizeOrType, linkage: LINKAGES[reader.u32(at)] ?? 'unknown' });
        at += 4;
        break;
      case 15: {
        const variables: { type: number; offset: number; size: number }[] = [];
        for (let n = 0; n < count; n++, at += 12) {
          variables.push({ type: reader.u32(at), offset: reader.u32(at + 4), size: reader.u32(at + 8) });
        }
        types.push({ kind: 'datasec', id, name, size: sizeOrType, variables });
        break;
      }
      case 16:
        types.push({ kind: 'float', id, name, size: sizeOrType });
        break;
      case 17:
        types.push({ kind: 'decl_tag', id, name, type: sizeOrType, component: reader.i32(at) });
        at += 4;
        break;
      case 18:
        types.push({ kind: 'type_tag', id, name, type: sizeOrType });
        break;
      case 19: {
        const values: BtfEnumerator<bigint>[] = [];
        for (let n = 0; n < count; n++, at += 12) {
          const raw = (BigInt(reader.u32(at + 8)) << 32n) | BigInt(reader.u32(at + 4));
          values.push({ name: text(reader.u32(at)), value: flag ? BigInt.asIntN(64, raw) : raw });
        }
        types.push({ kind: 'enum64', id, name, size: sizeOrType, signed: flag, values });
        break;
      }
      default:
        throw reader.fail(`type ${id} is of kind ${kind}, which this reader does not know`);
    }
  }
  return types;
}

function checkReferences(types: readonly BtfType[], file: ByteReader): void {
  const check = (from: number, to: number): void => {
    if (to >= types.length)
      throw file.fail(`type ${from} refers to type ${to}, but there are only ${types.length - 1}`);
  };
  for (const type of types) {
    switch (type.kind) {
      case 'array':
        check(type.id, type.element);
        check(type.id, type.index);
        break;
      case 'struct':
      case 'union':
        for (const member of type.members) check(type.id, member.type);
        break;
      case 'func_proto':
        check(type.id, type.returns);
        for (const parameter of type.parameters) check(type.id, parameter.type);
        break;
      case 'datasec':
        for (const variable of type.variables) check(type.id, variable.type);
        break;
      case 'ptr':
      case 'typedef':
      case 'volatile':
      case 'const':
      case 'restrict':
      case 'type_tag':
      case 'func':
      case 'var':
      case 'decl_tag':
        check(type.id, type.type);
        break;
      default:
        break;
    }
  }
}

/** The type of an id; `void` for an id that does not exist, which no reference of a Btf that was read has. */
export function typeOf(btf: Btf, id: number): BtfType {
  return btf.types[id] ?? { kind: 'void', id: 0 };
}

/**
 * The type behind typedefs, qualifiers and type tags. `onName` sees each typedef passed, outermost first. A cycle of
 * them (damaged BTF) gives `void`.
 */
export function resolve(btf: Btf, id: number, onName?: (typedef: string) => void): BtfType {
  let type = typeOf(btf, id);
  for (let steps = 0; isModifier(type); steps++) {
    // far more than any C declaration has, and the kernel's own limit is 32 (MAX_RESOLVE_DEPTH)
    if (steps === 64) return { kind: 'void', id: 0 };
    if (type.kind === 'typedef') onName?.(type.name);
    type = typeOf(btf, type.type);
  }
  return type;
}

function isModifier(type: BtfType): type is BtfModifier {
  switch (type.kind) {
    case 'typedef':
    case 'volatile':
    case 'const':
    case 'restrict':
    case 'type_tag':
      return true;
    default:
      return false;
  }
}

/** The first type of that kind and name. */
export function findType<K extends BtfKind>(
  btf: Btf,
  kind: K,
  name: string,
): (BtfType & { readonly kind: K }) | undefined {
  for (const type of btf.types) {
    if (type.kind === kind && 'name' in type && type.name === name) return type as BtfType & { readonly kind: K };
  }
  return undefined;
}
