/** What bpftool says of BTF, in our words: the second opinion the reader is compared with. */
import type { Btf, BtfType } from '../../../src/bintools/btf.ts';
import { bpftool } from '../../../src/bintools/tools/bpftool.ts';
import { run } from '../../../src/bintools/tools/tool.ts';

type Record = Readonly<{ [key: string]: unknown }>;

/** `bpftool -j btf dump file`, numbers beyond 2^53 as text. */
export async function bpftoolTypes(file: string): Promise<Record[]> {
  const text = await run(await bpftool(), ['-j', 'btf', 'dump', 'file', file]);
  const exact = text.replace(/"val":(-?\d+)/g, '"val":"$1"');
  return (JSON.parse(exact) as { types: Record[] }).types;
}

/** Our types in the form bpftool gives its. */
export function asBpftool(btf: Btf): Record[] {
  return btf.types.slice(1).map(describe);
}

/** bpftool's record without its own defects, for comparing. */
export function normalised(record: Record): Record {
  if (record.kind !== 'ENUM' || record.encoding !== 'UNSIGNED') return record;
  // bpftool 7 prints 32-bit enumerators of unsigned enums sign-extended
  const values = (record.values as { name: string; val: string }[]).map(({ name, val }) => ({
    name,
    val: String(BigInt.asUintN(32, BigInt(val))),
  }));
  return { ...record, values };
}

const named = (name: string): string => (name === '' ? '(anon)' : name);

function describe(type: BtfType): Record {
  const base = { id: type.id, kind: type.kind.toUpperCase(), name: 'name' in type ? named(type.name) : '(anon)' };
  switch (type.kind) {
    case 'int': {
      const encoding = [type.signed && 'SIGNED', type.char && 'CHAR', type.bool && 'BOOL'].find(Boolean);
      return {
        ...base,
        size: type.size,
        bits_offset: type.bitOffset,
        nr_bits: type.bits,
        encoding: encoding || '(none)',
      };
    }
    case 'array':
      return { ...base, type_id: type.element, index_type_id: type.index, nr_elems: type.count };
    case 'struct':
    case 'union':
      return {
        ...base,
        size: type.size,
        vlen: type.members.length,
        members: type.members.map((member) => ({
          name: named(member.name),
          type_id: member.type,
          bits_offset: member.bitOffset,
          ...(member.bitSize > 0 ? { bitfield_size: member.bitSize } : {}),
        })),
      };
    case 'enum':
    case 'enum64':
      return {
        ...base,
        encoding: type.signed ? 'SIGNED' : 'UNSIGNED',
        size: type.size,
        vlen: type.values.length,
        values: type.values.map(({ name, value }) => ({ name: named(name), val: String(value) })),
      };
    case 'fwd':
      return { ...base, fwd_kind: type.union ? 'union' : 'struct' };
    case 'func_proto':
      return {
        ...base,
        ret_type_id: type.returns,
        vlen: type.parameters.length,
        params: type.parameters.map((parameter) => ({ name: named(parameter.name), type_id: parameter.type })),
      };
    case 'func':
    case 'var':
      return { ...base, type_id: type.type, linkage: type.linkage };
    case 'datasec':
      return {
        ...base,
        size: type.size,
        vlen: type.variables.length,
        vars: type.variables.map((variable) => ({
          type_id: variable.type,
          offset: variable.offset,
          size: variable.size,
        })),
      };
    case 'float':
      return { ...base, size: type.size };
    case 'decl_tag':
      return { ...base, type_id: type.type, component_idx: type.component };
    case 'void':
      return base;
    default:
      return { ...base, type_id: type.type };
  }
}
