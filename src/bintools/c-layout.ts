import { MapwireError } from '../errors.ts';
import { type Btf, type BtfStruct, resolve, typeOf } from './btf.ts';

/** Layout of any C type in memory, representable by a codec or not: what `pahole` tells. Sizes are in bytes. */
export interface CStructLayout {
  readonly kind: 'struct' | 'union';
  /** Empty when anonymous. */
  readonly name: string;
  readonly size: number;
  /** Natural alignment of its members, as the ABI would have it without attributes. */
  readonly align: number;
  /** A member or the size is not where natural alignment puts it. */
  readonly packed: boolean;
  readonly members: readonly CMemberLayout[];
  /** Bytes no member covers; the last may be the tail. Empty for a union. */
  readonly holes: readonly { readonly offset: number; readonly size: number }[];
}

export interface CMemberLayout {
  readonly name: string;
  /** As C writes it, the name left out: `__u8[16]`, `struct mw_locator[4]`, `void *`. */
  readonly type: string;
  readonly typeId: number;
  readonly offset: number;
  readonly size: number;
  /** For a bitfield: its place in bits from the start of the struct, and its width. */
  readonly bits?: { readonly offset: number; readonly width: number };
}

/** BPF pointers are 64 bits wide. */
const POINTER_SIZE = 8;

/** Types inside types; C code never comes near, damaged BTF may go round in circles. */
const MAX_DEPTH = 32;

/** sizeof; 0 for functions, `void` and forward declarations. Throws ERR_MW_BTF when the type contains itself. */
export function sizeOf(btf: Btf, id: number): number {
  return measure(btf, id, 'size', 0);
}

/** _Alignof by the rules of the ABI (each scalar aligned to its size); at least 1. Throws ERR_MW_BTF as sizeOf. */
export function alignOf(btf: Btf, id: number): number {
  return measure(btf, id, 'align', 0);
}

const alignments = new WeakMap<Btf, Map<number, number>>();

function measure(btf: Btf, id: number, what: 'size' | 'align', depth: number): number {
  if (depth > MAX_DEPTH) {
    throw new MapwireError('ERR_MW_BTF', `BTF: type ${id} is nested too deep or contains itself`, {
      hint: 'the file may be damaged',
    });
  }
  const type = resolve(btf, id);
  switch (type.kind) {
    case 'int':
    case 'enum':
    case 'enum64':
    case 'float':
      return what === 'size' ? type.size : Math.max(1, type.size);
    case 'ptr':
      return POINTER_SIZE;
    case 'array': {
      const element = measure(btf, type.element, what, depth + 1);
      return what === 'size' ? element * type.count : element;
    }
    case 'struct':
    case 'union': {
      if (what === 'size') return type.size;
      // remembered: types inside types inside types would else be walked once for each path to them
      let known = alignments.get(btf);
      if (!known) {
        known = new Map();
        alignments.set(btf, known);
      }
      let align = known.get(type.id);
      if (align === undefined) {
        align = 1;
        for (const member of type.members) align = Math.max(align, measure(btf, member.type, 'align', depth + 1));
        known.set(type.id, align);
      }
      return align;
    }
    case 'var':
      return measure(btf, type.type, what, depth + 1);
    case 'datasec':
      return what === 'size' ? type.size : 1;
    default:
      return what === 'size' ? 0 : 1;
  }
}

/** Where the members of a struct or union are. Throws ERR_MW_BTF when it contains itself. */
export function structLayout(btf: Btf, struct: BtfStruct): CStructLayout {
  const align = alignOf(btf, struct.id);
  let packed = struct.size % align !== 0;
  const members: CMemberLayout[] = [];
  const covered: { from: number; to: number }[] = [];
  for (const member of struct.members) {
    const size = sizeOf(btf, member.type);
    const offset = Math.floor(member.bitOffset / 8);
    const bits = bitsOf(btf, member.type, member.bitOffset, member.bitSize);
    if (bits) {
      covered.push({ from: offset, to: Math.ceil((bits.offset + bits.width) / 8) });
    } else {
      if (offset % alignOf(btf, member.type) !== 0) packed = true;
      covered.push({ from: offset, to: offset + size });
    }
    members.push({
      name: member.name,
      type: typeName(btf, member.type),
      typeId: member.type,
      offset,
      size,
      ...(bits ? { bits } : {}),
    });
  }
  const holes = struct.kind === 'union' ? [] : gaps(covered, struct.size);
  return { kind: struct.kind, name: struct.name, size: struct.size, align, packed, members, holes };
}

/** A bitfield is said either by the member (kind flag set) or by an int narrower than its size (old compilers). */
function bitsOf(btf: Btf, typeId: number, bitOffset: number, bitSize: number): CMemberLayout['bits'] {
  if (bitSize > 0) return { offset: bitOffset, width: bitSize };
  const type = resolve(btf, typeId);
  if (type.kind === 'int' && (type.bits !== type.size * 8 || type.bitOffset !== 0)) {
    return { offset: bitOffset + type.bitOffset, width: type.bits };
  }
  return bitOffset % 8 === 0 ? undefined : { offset: bitOffset, width: sizeOf(btf, typeId) * 8 };
}

function gaps(covered: { from: number; to: number }[], size: number): { offset: number; size: number }[] {
  const holes: { offset: number; size: number }[] = [];
  let end = 0;
  for (const { from, to } of [...covered].sort((a, b) => a.from - b.from)) {
    if (from > end) holes.push({ offset: end, size: from - end });
    end = Math.max(end, to);
  }
  if (size > end) holes.push({ offset: end, size: size - end });
  return holes;
}

/** A type as C writes it, without a declared name. Functions are shown as `(*)()` behind a pointer. */
export function typeName(btf: Btf, id: number, depth = 0): string {
  const type = typeOf(btf, id);
  if (depth > MAX_DEPTH) return '…';
  switch (type.kind) {
    case 'void':
      return 'void';
    case 'int':
    case 'float':
    case 'typedef':
      return type.name;
    case 'struct':
    case 'union':
    case 'enum':
      return `${type.kind} ${type.name || '{…}'}`;
    case 'enum64':
      return `enum ${type.name || '{…}'}`;
    case 'fwd':
      return `${type.union ? 'union' : 'struct'} ${type.name}`;
    case 'ptr': {
      const target = resolve(btf, type.type);
      const named = typeName(btf, type.type, depth + 1);
      if (target.kind === 'func_proto' && named === '()') return `${typeName(btf, target.returns, depth + 1)} (*)()`;
      return named.endsWith('*') ? `${named}*` : `${named} *`;
    }
    case 'array': {
      // the outermost bound comes first: element of [2][3] is [3]
      const element = typeName(btf, type.element, depth + 1);
      const at = element.indexOf('[');
      const bound = `[${type.count}]`;
      return at < 0 ? `${element}${bound}` : `${element.slice(0, at)}${bound}${element.slice(at)}`;
    }
    case 'const':
    case 'volatile':
    case 'restrict': {
      const named = typeName(btf, type.type, depth + 1);
      return named.endsWith('*') ? `${named} ${type.kind}` : `${type.kind} ${named}`;
    }
    case 'type_tag':
      return typeName(btf, type.type, depth + 1);
    case 'func_proto':
      return '()';
    case 'func':
    case 'var':
    case 'datasec':
    case 'decl_tag':
      return type.name;
  }
}
