/** A map of the kernel against what this build expects, the BTF of changed sources standing for the kernel's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compareMap, type KernelMap } from '../../../src/bintools/compare-map.ts';
import type { MapDefinition } from '../../../src/bintools/map-definitions.ts';
import type { ObjectFile } from '../../../src/bintools/object.ts';
import { readObject } from '../../../src/bintools/object.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { LAYOUT_VERSION, MAPS } from '../../../src/generated/layout.ts';
import { withCompiled } from './compiled.ts';

const BPF = join(packageRoot(), 'bpf');

/** An object with the maps of bpf/, types.h changed. */
function mapsWith(change: (types: string) => string): Promise<ObjectFile> {
  const types = change(readFileSync(join(BPF, 'types.h'), 'utf8'));
  const text = `#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\n${types}\n#include "maps.h"\n#include "btf_anchor.h"\n`;
  return withCompiled(text, [BPF], ({ bytes }) => readObject(bytes));
}

function replaceOnce(text: string, from: string, to: string): string {
  expect(text.split(from).length, from).toBe(2);
  return text.replace(from, to);
}

function asKernelMap(object: ObjectFile, definition: MapDefinition | undefined): KernelMap {
  if (!definition) return expect.fail('no such map');
  return {
    type: definition.type,
    keySize: definition.keySize,
    valueSize: definition.valueSize,
    flags: definition.flags,
    btf: object.btf,
    keyTypeId: definition.keyType ?? 0,
    valueTypeId: definition.valueType ?? 0,
  };
}

function kernelMap(object: ObjectFile, name: string): KernelMap {
  return asKernelMap(
    object,
    object.maps.find((map) => map.name === name),
  );
}

describe('a map in the kernel', () => {
  test('of the same source does not differ, whatever the map', async () => {
    const object = await mapsWith((types) => types);
    for (const map of Object.values(MAPS)) expect(compareMap(kernelMap(object, map.name), map), map.name).toEqual([]);
    const flood = object.maps.find((map) => map.name === MAPS.flood.name);
    expect(compareMap(asKernelMap(object, flood?.inner), MAPS.flood.inner)).toEqual([]);
  });

  test('with other fields differs in each of them', async () => {
    const object = await mapsWith((types) =>
      replaceOnce(
        replaceOnce(
          types,
          '__u32 port;\t\t/* identity */\n\t__u32 network;\n\t__u8 mac',
          '__u32 port;\n\t__be32 network;\n\t__u8 mac',
        ),
        '__u8 weight;\n\t__u16 flags;',
        '__u8 share;\n\t__u16 flags;',
      ),
    );
    expect(compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_port`), MAPS.port)).toEqual([
      { field: 'type of value.network', kernel: 'be32', expected: 'u32' },
      { field: 'value.at[].weight', kernel: 'absent', expected: 'u8' },
      { field: 'value.at[].share', kernel: 'u8', expected: 'absent' },
    ]);
    expect(compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_ip4`), MAPS.ip4)).toEqual([]);
  });

  test('with fields in another order differs in their offsets', async () => {
    const object = await mapsWith((types) =>
      replaceOnce(
        types,
        'struct mw_segment_key {\n\t__u32 encap;\t\t/* enum mw_encap */\n\t__u32 segment;',
        'struct mw_segment_key {\n\t__u32 segment;\n\t__u32 encap;',
      ),
    );
    expect(compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_segment`), MAPS.segment)).toEqual([
      { field: 'offset of key.encap', kernel: 4, expected: 0 },
      { field: 'offset of key.segment', kernel: 0, expected: 4 },
    ]);
  });

  test('with another size, kind or length differs', async () => {
    const object = await mapsWith((types) =>
      types
        .replace('#define MW_MAX_LOCATORS 4', '#define MW_MAX_LOCATORS 3')
        .replace('struct mw_vtep_key {\n\t__u8 addr[16];', 'struct mw_vtep_key {\n\t__u32 addr[4];'),
    );
    expect(compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_vtep`), MAPS.vtep)).toEqual([
      { field: 'key.addr', kernel: 'u32[4]', expected: 'u8[16]' },
    ]);
    const differences = compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_port`), MAPS.port);
    expect(differences).toContainEqual({ field: 'value size', kernel: 72, expected: 80 });
  });

  test('with a value that has no representation differs instead of failing', async () => {
    const object = await mapsWith((types) =>
      replaceOnce(types, '\t__u32 former;', '\tvoid *former_pointer;\n\t__u32 former;'),
    );
    const differences = compareMap(kernelMap(object, `mw${LAYOUT_VERSION}_port`), MAPS.port);
    expect(differences.find(({ field }) => field === 'value')).toMatchObject({
      kernel: expect.stringContaining('value.former_pointer: is a pointer'),
      expected: 'struct mw_port',
    });
  });

  test('of another type, with other flags, without BTF', () => {
    const { ip4, dev, allow4 } = MAPS;
    const bare = { type: 'hash', keySize: 8, valueSize: 16, flags: 0 };
    expect(compareMap(bare, ip4)).toEqual([]);
    expect(compareMap({ ...bare, type: 'lru_hash', flags: 1 }, ip4)).toEqual([
      { field: 'type', kernel: 'lru_hash', expected: 'hash' },
      { field: 'flags', kernel: 1, expected: 0 },
    ]);
    expect(compareMap({ ...bare, type: 'lpm_trie', keySize: 12, valueSize: 8 }, allow4)).toEqual([
      { field: 'flags', kernel: 0, expected: 1 },
    ]);
    // the kernel makes devmaps read-only to programs
    expect(compareMap({ type: 'devmap_hash', keySize: 4, valueSize: 8, flags: 128 }, dev)).toEqual([]);
  });
});
