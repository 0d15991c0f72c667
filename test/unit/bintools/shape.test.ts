/** What has no codec is refused, with the path of the field and a remedy. */
import { describe, expect, test } from 'vitest';
import { findType } from '../../../src/bintools/btf.ts';
import { generate } from '../../../src/bintools/generate.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { type Shape, shapeOf } from '../../../src/bintools/shape.ts';
import { sourceBytes, withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';

async function shapeNamed(name: string): Promise<Shape> {
  const { btf } = readObject(await sourceBytes('refused'));
  const struct = findType(btf, 'struct', name);
  if (!struct) return expect.fail(`struct ${name} is not in the object`);
  return shapeOf(btf, struct.id);
}

describe('refused', () => {
  test.each([
    ['mw_pointer', 'mw_pointer.bad', /is a pointer/],
    ['mw_bitfield', 'mw_bitfield.bad', /is a bitfield/],
    ['mw_union', 'mw_union.bad', /is a union/],
    ['mw_float', 'mw_float.bad', /floating-point/],
    ['mw_double_array', 'mw_double_array.bad[]', /floating-point/],
    ['mw_int128', 'mw_int128.bad', /128 bits/],
    ['mw_flexible', 'mw_flexible.bad', /flexible or empty array/],
    ['mw_empty_array', 'mw_empty_array.bad', /flexible or empty array/],
    ['mw_packed', 'mw_packed.bad', /packed: at byte 1, aligned to 4/],
    ['mw_packed_end', 'mw_packed_end', /packed: 6 bytes, aligned to 4/],
    ['mw_hole', 'mw_hole.bad', /3 bytes of implicit padding at byte 1/],
    ['mw_tail', 'mw_tail (at its end)', /2 bytes of implicit padding at byte 6/],
    ['mw_deep', 'mw_deep.inside[].holes[].bad', /3 bytes of implicit padding at byte 1/],
    ['mw_anonymous', 'mw_anonymous.(anonymous)', /has no name/],
    ['mw_function', 'mw_function.bad', /is a pointer/],
    ['mw_empty', 'mw_empty', /empty struct/],
    ['mw_has_empty', 'mw_has_empty.bad', /empty struct/],
    ['mw_pad_struct', 'mw_pad_struct.pad', /named as padding/],
    ['mw_big', 'mw_big.bytes', /more than 1048576/],
    ['mw_union_wrong_tag', 'mw_union_wrong_tag.bad', /'letter', which is no member/],
    ['mw_union_small_tag', 'mw_union_small_tag.bad', /'small', which is smaller/],
  ])('struct %s at %s', async (name, path, message) => {
    const { btf } = readObject(await sourceBytes('refused'));
    const struct = findType(btf, 'struct', name);
    const error = expectRefusal(() => shapeOf(btf, struct?.id ?? 0), 'ERR_MW_LAYOUT', message);
    expect(error.details.path).toBe(name === 'mw_big' ? 'mw_big' : path);
    expect(error.message.startsWith(name)).toBe(true);
    expect(error.hint).toBeTruthy();
  });
});

describe('represented', () => {
  test('a union with a tag is the member it names', async () => {
    expect(await shapeNamed('mw_union_tagged')).toMatchObject({
      size: 8,
      fields: [{ name: 'fine' }, { name: 'either', offset: 4, shape: { kind: 'int', type: 'u32' } }],
    });
  });

  test('declared padding is marked', async () => {
    const shape = await shapeNamed('mw_padded');
    if (shape.kind !== 'struct') return expect.fail('no struct');
    expect(shape.fields.map(({ name, padding }) => [name, padding ?? false])).toEqual([
      ['fine', false],
      ['pad', true],
      ['number', false],
      ['last', false],
      ['pad_end', true],
    ]);
  });

  test('a devmap value is known although it holds a union', async () => {
    const text = `#include <linux/bpf.h>\nstruct bpf_devmap_val value;`;
    await withCompiled(text, [], ({ bytes }) => {
      const { btf } = readObject(bytes);
      const id = findType(btf, 'struct', 'bpf_devmap_val')?.id ?? 0;
      expect(shapeOf(btf, id)).toMatchObject({ size: 8, fields: [{ name: 'ifindex' }, { name: 'bpf_prog' }] });
    });
  });
});

describe('the generator', () => {
  const compileWith = (struct: string) =>
    withCompiled(
      `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n${struct}\n` +
        `struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1); __type(key, __u32); __type(value, struct mw_x); } ` +
        `mw2_x SEC(".maps");\n`,
      [],
      ({ bytes }) => ({ name: 'x', file: 'x.bpf.o', object: readObject(bytes) }),
    );

  test.each([
    ['struct mw_x { __be32 address; };', /mw_x.address: is in network order but not named/],
    ['struct mw_x { __u32 address_be; };', /mw_x.address_be: is named …_be but is not/],
    ['struct mw_x { __be32 address_be; __u32 address; };', /mw_x.address: is named|mw_x.address: a second field/],
    ['struct mw_x { __u32 a; struct { __u32 b; } c; };', /anonymous struct/],
    ['struct mw_x { void *p; };', /mw_x.p: is a pointer/],
  ])('refuses %s', async (struct, message) => {
    const object = await compileWith(struct);
    expectRefusal(() => generate([object]), 'ERR_MW_LAYOUT', message);
  });

  test('refuses two objects that do not agree', async () => {
    const one = await compileWith('struct mw_x { __u32 a; __u32 b; };');
    const other = { ...(await compileWith('struct mw_x { __u32 b; __u32 a; };')), name: 'y', file: 'y.bpf.o' };
    expectRefusal(() => generate([one, other]), 'ERR_MW_LAYOUT', /struct mw_x is not the same in x.bpf.o and y.bpf.o/);
  });

  test('writes what the struct says', async () => {
    const struct = 'struct mw_x { __be32 some_address_be; __u32 at[2]; __u8 mac[6]; __u16 pad; };';
    const files = generate([await compileWith(struct)]);
    const layout = files.get('layout.ts') ?? '';
    expect(layout).toContain('readonly someAddress: number;');
    expect(layout).toContain('readonly at: readonly number[];');
    expect(layout).toContain('readonly mac: Uint8Array;');
    expect(layout).not.toContain('readonly pad');
    expect(layout).toContain("putBe32(view, at, value.someAddress, 'mw_x.some_address_be');");
    expect(layout).toContain("putArray(view, at + 4, 2, 4, value.at, 'mw_x.at', putU32);");
    expect(layout).toContain('putZero(view, at + 18, 2);');
    expect(files.get('objects.ts')).toContain("'mw2_x',");
  });
});
