/** What `mapwire inspect` shows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { describeObject } from '../../../src/bintools/describe.ts';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { renderDescription } from '../../../src/bintools/render-description.ts';
import { LAYOUT_HASH, MAPS } from '../../../src/generated/layout.ts';
import { OBJECTS } from '../../../src/generated/objects.ts';
import { sourceBytes, withCompiled } from './compiled.ts';
import { expectRefusal } from './mapwire-error.ts';

describe('describeObject', () => {
  test.each(['xdp', 'tc'] as const)('of the %s object names its maps and programs', async (name) => {
    const description = await withCompiled(`#include "${name}.bpf.c"\n`, [join(packageRoot(), 'bpf')], ({ bytes }) =>
      describeObject(bytes),
    );
    expect(description.layoutHash).toBe(LAYOUT_HASH);
    expect(description.refusals).toEqual([]);
    expect(description.license).toBe('Dual BSD/GPL');
    expect(description.maps.map((map) => map.name)).toEqual(
      Object.values(MAPS)
        .map((map) => map.name)
        .sort(),
    );
    const programs = description.programs.filter((program) => !program.subprogram);
    expect(programs.map(({ name, section }) => ({ name, section }))).toEqual(OBJECTS[name].programs);
    expect(description.structs.find((struct) => struct.name === 'mw_port')?.size).toBe(80);
    expect(JSON.parse(JSON.stringify(description))).toEqual(description);
  });

  test('of a foreign object shows what no codec can hold', async () => {
    const description = describeObject(await sourceBytes('every-kind'));
    expect(description.layoutHash).toBeNull();
    expect(description.refusals).toEqual(['typed.value: is a union']);
    expect(description.maps.find((map) => map.name === 'typed')).toEqual({
      ...{ name: 'typed', type: 'hash', flags: ['no_prealloc'], maxEntries: 100, keySize: 4, valueSize: 8 },
      ...{ key: 'point', value: 'union either', pinned: true, inner: null },
    });
    expect(description.enums.find(({ name }) => name === 'wide')?.values[1]?.value).toBe('1311768467463790320');
    const text = renderDescription(description);
    for (const line of [
      'first_program   xdp      36',
      '\tpoint corners[2][3];  /* 92, 24 bytes */',
      '\t__u32 middle : 20;  /* bit 3, 4 bytes */',
      '\t/* 14, hole of 2 bytes */',
      'struct packed {  /* 13 bytes, aligned to 8, packed */',
      'typed.value: is a union',
    ]) {
      expect(text).toContain(line);
    }
  });

  test('refuses what is no object', () => {
    const text = readFileSync(join(packageRoot(), 'package.json'));
    const error = expectRefusal(() => describeObject(text), 'ERR_MW_ELF', /not an ELF file/);
    expect(error.hint).toContain('clang');
    expectRefusal(() => describeObject(readFileSync(process.execPath).subarray(0, 4096)), 'ERR_MW_ELF', /./);
  });
});
