/** Sections, symbols, programs, maps and variables against llvm-objdump, llvm-readelf's facts and what the C says. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findSection, readElf, relocationsOf } from '../../../src/bintools/elf.ts';
import { readObject, sectionWith } from '../../../src/bintools/object.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { disassemble } from '../../../src/bintools/tools/llvm.ts';
import { SOURCES, sourceBytes, withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';

const BPF = join(packageRoot(), 'bpf');

/** Instruction slots of each function, by the number of the last one shown. */
function countInstructions(disassembly: string): Map<string, number> {
  const counts = new Map<string, number>();
  let name: string | undefined;
  let first = 0;
  let fresh = false;
  for (const line of disassembly.split('\n')) {
    const heading = /^[0-9a-f]{16} <(\w+)>:$/.exec(line);
    if (heading) {
      name = heading[1];
      fresh = true;
      continue;
    }
    const instruction = /^\s+(\d+):\s+(.*)$/.exec(line);
    if (!instruction || name === undefined) continue;
    const index = Number(instruction[1]);
    if (fresh) first = index;
    fresh = false;
    // a 64-bit load fills two slots, but is one line
    counts.set(name, index - first + (/ = 0x[0-9a-f]+ ll$/.test(instruction[2] ?? '') ? 2 : 1));
  }
  return counts;
}

describe('programs', () => {
  test.each([
    ['every-kind.bpf.c', SOURCES],
    ['xdp.bpf.c', BPF],
    ['tc.bpf.c', BPF],
  ])('of %s have as many instructions as llvm-objdump shows', async (source, folder) => {
    await withCompiled(`#include "${source}"\n`, [folder], async ({ bytes, file }) => {
      const expected = countInstructions(await disassemble(file));
      const { programs } = readObject(bytes);
      const found = new Map(programs.map((program) => [program.name, program.instructions]));
      expect(Object.fromEntries(found)).toEqual(Object.fromEntries(expected));
      expect(found.size).toBeGreaterThan(1);
    });
  });

  test('know their section and what is a subprogram', async () => {
    const { programs, license } = readObject(await sourceBytes('every-kind'));
    expect(programs.map(({ name, section, subprogram }) => [name, section, subprogram])).toEqual([
      ['third_program', 'tc', false],
      ['first_program', 'xdp', false],
      ['second_program', 'xdp', false],
      ['helper', '.text', true],
      ['quiet', '.text', true],
    ]);
    expect(license).toBe('GPL');
  });
});

describe('maps', () => {
  test('are read with all their attributes', async () => {
    const { maps } = readObject(await sourceBytes('every-kind'));
    const plain = maps.map(({ keyType: _k, valueType: _v, inner, ...map }) => ({ ...map, inner: inner?.name }));
    const base = { flags: 0, pinning: 0, mapExtra: 0, inner: undefined };
    expect(plain).toEqual([
      { ...base, name: 'jumps', type: 'prog_array', typeNumber: 3, keySize: 4, valueSize: 4, maxEntries: 2 },
      {
        ...{ ...base, name: 'outer', type: 'array_of_maps', typeNumber: 12, keySize: 4, valueSize: 4, maxEntries: 2 },
        inner: 'outer.inner',
      },
      { ...base, name: 'ring', type: 'ringbuf', typeNumber: 27, keySize: 0, valueSize: 0, maxEntries: 4096 },
      { ...base, name: 'sized', type: 'lru_percpu_hash', typeNumber: 10, keySize: 12, valueSize: 40, maxEntries: 7 },
      {
        ...{ ...base, name: 'typed', type: 'hash', typeNumber: 1, keySize: 4, valueSize: 8, maxEntries: 100 },
        ...{ flags: 1, pinning: 1 },
      },
    ]);
    expect(maps[1]?.inner).toMatchObject({ type: 'array', keySize: 4, valueSize: 8, maxEntries: 3 });
  });

  test.each([
    ['__uint(type, BPF_MAP_TYPE_HASH); int unheard_of;', /attribute 'unheard_of'/],
    ['__uint(type, BPF_MAP_TYPE_HASH); int max_entries;', /'max_entries' that is no number/],
    ['__uint(type, BPF_MAP_TYPE_HASH); __type(key, __u32); __uint(key_size, 8);', /key_size 8 and a key of 4/],
    ['__uint(type, BPF_MAP_TYPE_HASH); int key;', /key that is no pointer/],
  ])('refuse { %s }', async (body, message) => {
    const text = `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nstruct { ${body} } odd SEC(".maps");\n`;
    await withCompiled(text, [], ({ bytes }) => expectRefusal(() => readObject(bytes), 'ERR_MW_BTF', message));
  });
});

describe('variables', () => {
  test('have their place and their initial content', async () => {
    const object = readObject(await sourceBytes('every-kind'));
    const places = object.variables.map(({ name, section, size }) => [section, name, size]);
    expect(places).toEqual([
      ['.bss', 'everything', 256],
      ['.bss', 'hidden', 4],
      ['.data', 'counter', 4],
      ['.rodata', 'limit', 4],
      ['.rodata', 'origin', 4],
    ]);
    expect([...sectionWith(object, '.rodata', {})]).toEqual([42, 0, 0, 0, 1, 0, 2, 0]);
    expect(sectionWith(object, '.bss', {})).toEqual(new Uint8Array(260));
  });

  test('are replaced in a copy', async () => {
    const object = readObject(await sourceBytes('every-kind'));
    const changed = sectionWith(object, '.rodata', { origin: new Uint8Array([9, 8, 7, 6]) });
    expect([...changed]).toEqual([42, 0, 0, 0, 9, 8, 7, 6]);
    expect([...sectionWith(object, '.rodata', {})]).toEqual([42, 0, 0, 0, 1, 0, 2, 0]);
    const replace = (section: string, name: string, size: number) => () =>
      sectionWith(object, section, { [name]: new Uint8Array(size) });
    expectRefusal(replace('.rodata', 'origin', 5), 'ERR_MW_INVALID_ARGUMENT', /'origin' has 4 bytes, not 5/);
    expectRefusal(replace('.rodata', 'nothing', 4), 'ERR_MW_NOT_FOUND', /no variable 'nothing'/);
    expectRefusal(replace('.nowhere', 'origin', 4), 'ERR_MW_NOT_FOUND', /no section '.nowhere'/);
  });
});

describe('ELF', () => {
  test('relocations name the maps a program uses', async () => {
    const elf = readElf(await sourceBytes('every-kind'));
    const section = findSection(elf, 'xdp');
    const names = section ? relocationsOf(elf, section).map(({ symbol, type }) => [symbol.name, type]) : [];
    expect(names).toContainEqual(['typed', 1]);
    expect(names).toContainEqual(['limit', 1]);
    expect(names).toContainEqual(['helper', 10]);
  });

  test.each<[string, (bytes: Uint8Array, view: DataView) => Uint8Array, RegExp]>([
    ['nothing', () => new Uint8Array(0), /not an ELF file/],
    ['text', () => new TextEncoder().encode('#!/bin/sh\necho this is no object\n'), /not an ELF file/],
    ['a 32-bit file', (bytes) => patched(bytes, 4, 1), /not a 64-bit/],
    ['a big-endian file', (bytes) => patched(bytes, 5, 2), /not a 64-bit little-endian/],
    ['half a header', (bytes) => bytes.slice(0, 40), /shorter than its header/],
    ['a header alone', (bytes) => bytes.slice(0, 64), /outside its 64 bytes/],
    ['half a file', (bytes) => bytes.slice(0, bytes.length >> 1), /outside its/],
    ['no sections', (bytes) => patched(patched(bytes, 60, 0), 61, 0), /no section headers/],
    ['another machine', (bytes) => patched(bytes, 18, 62), /not for eBPF/],
    ['an impossible offset', (bytes) => patched(bytes, 47, 0xff), /impossibly large/],
    ['a missing section of names', (bytes) => patched(bytes, 62, 200), /section 200 of names/],
  ])('refuses %s', async (_title, damage, message) => {
    const bytes = (await sourceBytes('every-kind')).slice();
    const damaged = damage(bytes, new DataView(bytes.buffer));
    expectRefusal(() => readObject(damaged), 'ERR_MW_ELF', message);
  });

  test('an object without BTF is told from a damaged one', async () => {
    const bytes = (await sourceBytes('every-kind')).slice();
    const text = new TextDecoder('latin1').decode(bytes);
    const at = text.indexOf('.rel.BTF\0');
    expect(at).toBeGreaterThan(0);
    // `.BTF` is the tail of `.rel.BTF` in the string table
    bytes[at + 7] = 0x58;
    expectRefusal(() => readObject(bytes), 'ERR_MW_BTF', /has no BTF/);
  });
});

function patched(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = value;
  return copy;
}
