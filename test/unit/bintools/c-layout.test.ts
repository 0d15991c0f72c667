/** Sizes, alignments and offsets: the compiler itself is asked whether it agrees. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Btf, BtfStruct } from '../../../src/bintools/btf.ts';
import { findType } from '../../../src/bintools/btf.ts';
import { alignOf, sizeOf, structLayout, typeName } from '../../../src/bintools/c-layout.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { SOURCES, sourceBytes, withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';

const BPF = join(packageRoot(), 'bpf');

function namedStructs(btf: Btf): BtfStruct[] {
  return btf.types.filter(
    (type) => (type.kind === 'struct' || type.kind === 'union') && type.name !== '',
  ) as BtfStruct[];
}

/** One assertion in C for each fact; what BTF cannot tell (attributes) is left out. */
function assertions(btf: Btf): string[] {
  return namedStructs(btf).flatMap((struct) => {
    const layout = structLayout(btf, struct);
    const type = `${struct.kind} ${struct.name}`;
    return [
      `_Static_assert(sizeof(${type}) == ${layout.size}, "size of ${type}");`,
      ...(layout.packed ? [] : [`_Static_assert(_Alignof(${type}) == ${layout.align}, "alignment of ${type}");`]),
      ...layout.members
        .filter((member) => member.name !== '' && member.bits === undefined)
        .map(
          (member) =>
            `_Static_assert(__builtin_offsetof(${type}, ${member.name}) == ${member.offset}, "${member.name}");`,
        ),
    ];
  });
}

describe('the compiler agrees with every layout of', () => {
  test.each([
    ['every-kind.bpf.c', SOURCES, 40],
    ['xdp.bpf.c', BPF, 150],
    ['tc.bpf.c', BPF, 150],
  ])('%s', async (source, folder, least) => {
    const include = `#include "${source}"\n`;
    const facts = await withCompiled(include, [folder], ({ bytes }) => assertions(readObject(bytes).btf));
    expect(facts.length).toBeGreaterThan(least);
    await withCompiled(include + facts.join('\n'), [folder], () => {});
  });

  test('and would say so if it did not', async () => {
    const wrong = '#include "every-kind.bpf.c"\n_Static_assert(sizeof(struct bits) == 17, "size of struct bits");';
    await expect(withCompiled(wrong, [SOURCES], () => {})).rejects.toMatchObject({ code: 'ERR_MW_TOOL' });
  });
});

describe('layouts', () => {
  test('show bitfields, holes and packing', async () => {
    const { btf } = readObject(await sourceBytes('every-kind'));
    const bits = findType(btf, 'struct', 'bits');
    const packed = findType(btf, 'struct', 'packed');
    if (!bits || !packed) return expect.fail('structs are missing');
    const layout = structLayout(btf, bits);
    expect(layout.members.map(({ name, bits: place }) => [name, place?.offset, place?.width])).toEqual([
      ['low', 0, 3],
      ['middle', 3, 20],
      ['high', 23, 9],
      ['across', 64, 33],
      ['flag', 97, 1],
      ['last', undefined, undefined],
    ]);
    expect(layout.holes).toEqual([
      { offset: 4, size: 4 },
      { offset: 14, size: 2 },
    ]);
    expect(layout.packed).toBe(false);
    expect(structLayout(btf, packed)).toMatchObject({ packed: true, size: 13, holes: [] });
  });

  test('name types as C does', async () => {
    const { btf } = readObject(await sourceBytes('every-kind'));
    const everything = findType(btf, 'struct', 'everything');
    const names = new Map(everything?.members.map((member) => [member.name, typeName(btf, member.type)]));
    expect(names.get('corners')).toBe('point[2][3]');
    expect(names.get('watched')).toBe('const volatile int *');
    expect(names.get('next')).toBe('struct everything *');
    expect(names.get('opaque_union')).toBe('union forward_union *');
    expect(names.get('wide_enum')).toBe('enum wide');
    expect(names.get('call')).toBe('callback');
  });

  test('of a struct that contains itself are refused', () => {
    const btf: Btf = {
      types: [
        { kind: 'void', id: 0 },
        { kind: 'struct', id: 1, name: 'loop', size: 4, members: [{ name: 'a', type: 1, bitOffset: 0, bitSize: 0 }] },
        { kind: 'array', id: 2, element: 2, index: 0, count: 3 },
      ],
    };
    expectRefusal(() => alignOf(btf, 1), 'ERR_MW_BTF', /contains itself/);
    expectRefusal(() => sizeOf(btf, 2), 'ERR_MW_BTF', /contains itself/);
    expect(typeName(btf, 2)).toContain('…');
  });
});
