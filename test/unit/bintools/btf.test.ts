/** The BTF reader against bpftool, type by type. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findType, readBtf, resolve } from '../../../src/bintools/btf.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { SOURCES, sourceBytes, withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';
import { asBpftool, bpftoolTypes, normalised } from './oracle.ts';

const BPF = join(packageRoot(), 'bpf');

describe('BTF is read as bpftool reads it', () => {
  test.each([
    ['one of every kind', 'every-kind.bpf.c', SOURCES],
    ['what is refused', 'refused.bpf.c', SOURCES],
    ['the XDP object', 'xdp.bpf.c', BPF],
    ['the TC object', 'tc.bpf.c', BPF],
  ])('%s', async (_title, source, folder) => {
    await withCompiled(`#include "${source}"\n`, [folder], async ({ bytes, file }) => {
      const ours = asBpftool(readObject(bytes).btf);
      const theirs = (await bpftoolTypes(file)).map(normalised);
      expect(ours.length).toBe(theirs.length);
      for (const [index, type] of ours.entries()) expect(type).toEqual(theirs[index]);
    });
  });

  test('the source of every kind has every kind', async () => {
    const { btf } = readObject(await sourceBytes('every-kind'));
    expect([...new Set(btf.types.map((type) => type.kind))].sort()).toEqual(
      [
        ...[
          'void',
          'int',
          'ptr',
          'array',
          'struct',
          'union',
          'enum',
          'fwd',
          'typedef',
          'volatile',
          'const',
          'restrict',
        ],
        ...['func', 'func_proto', 'var', 'datasec', 'float', 'decl_tag', 'type_tag', 'enum64'],
      ].sort(),
    );
  });
});

describe('BTF', () => {
  test('resolves typedefs and qualifiers, telling their names', async () => {
    const { btf } = readObject(await sourceBytes('every-kind'));
    const everything = findType(btf, 'struct', 'everything');
    const port = everything?.members.find((member) => member.name === 'port_be');
    const passed: string[] = [];
    expect(resolve(btf, port?.type ?? 0, (name) => passed.push(name))).toMatchObject({ kind: 'int', size: 2 });
    expect(passed).toEqual(['__be16', '__u16']);
  });

  test('keeps 64-bit enumerators exact', async () => {
    const { btf } = readObject(await sourceBytes('every-kind'));
    expect(findType(btf, 'enum64', 'wide')?.values.at(-1)).toEqual({ name: 'LARGE', value: 0x123456789abcdef0n });
    expect(findType(btf, 'enum64', 'wide_signed')?.values[0]).toEqual({ name: 'LOWEST', value: -0x7fffffffffffffffn });
    expect(findType(btf, 'enum', 'temperature')?.values[0]).toEqual({ name: 'COLD', value: -40 });
    expect(findType(btf, 'enum', 'colour')?.values[2]).toEqual({ name: 'BLUE', value: 4000000000 });
  });

  test('takes a longer header than it knows', () => {
    expect(readBtf(btfBytes({ headerLength: 32 })).types).toHaveLength(2);
  });

  test.each<[string, Uint8Array, RegExp]>([
    ['nothing', new Uint8Array(0), /shorter than its header/],
    ['another magic', btfBytes({ magic: 0x1234 }), /does not begin with the BTF magic/],
    ['big-endian', btfBytes({ magic: 0x9feb }), /big-endian/],
    ['another version', btfBytes({ version: 2 }), /version 2/],
    ['a short header', btfBytes({ headerLength: 20 }), /header of 20 bytes/],
    ['types beyond the end', btfBytes({ typeLength: 4000 }), /outside its/],
    ['strings without an end', btfBytes({ strings: '\0abc' }), /neither begin nor end with NUL/],
    ['no strings', btfBytes({ strings: '' }), /neither begin nor end with NUL/],
    ['a name outside the strings', btfBytes({ words: [99, 1 << 24, 4, 32] }), /outside its/],
    ['a kind of the future', btfBytes({ words: [1, 20 << 24, 4] }), /kind 20/],
    ['kind 0', btfBytes({ words: [1, 0, 4] }), /kind 0/],
    ['half a type', btfBytes({ words: [1, 1 << 24, 4] }), /outside its/],
    ['more members than there are', btfBytes({ words: [1, (4 << 24) | 60000, 4, 0, 0, 0] }), /outside its/],
    ['a reference to nowhere', btfBytes({ words: [0, 2 << 24, 7] }), /refers to type 7/],
  ])('refuses %s', (_title, bytes, message) => {
    expectRefusal(() => readBtf(bytes), 'ERR_MW_BTF', message);
  });

  test('a typedef of itself is void, not a hang', () => {
    const btf = readBtf(btfBytes({ words: [1, 8 << 24, 1] }));
    expect(resolve(btf, 1).kind).toBe('void');
  });
});

interface Parts {
  readonly magic?: number;
  readonly version?: number;
  readonly headerLength?: number;
  readonly typeLength?: number;
  /** The type section; default: one 32-bit int. */
  readonly words?: readonly number[];
  readonly strings?: string;
}

function btfBytes(parts: Parts): Uint8Array {
  const words = parts.words ?? [1, 1 << 24, 4, 32];
  const strings = parts.strings ?? '\0int\0';
  const header = Math.max(24, parts.headerLength ?? 24);
  const bytes = new Uint8Array(header + words.length * 4 + strings.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, parts.magic ?? 0xeb9f, true);
  view.setUint8(2, parts.version ?? 1);
  view.setUint32(4, parts.headerLength ?? 24, true);
  view.setUint32(12, parts.typeLength ?? words.length * 4, true);
  view.setUint32(16, words.length * 4, true);
  view.setUint32(20, strings.length, true);
  for (const [index, word] of words.entries()) view.setUint32(header + index * 4, word, true);
  bytes.set(new TextEncoder().encode(strings), header + words.length * 4);
  return bytes;
}
