import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MapwireError } from '../../../src/errors.ts';
import { addonError, addonPath, loadAddon } from '../../../src/libbpf/addon.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mwlib-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function loadError(path: string): MapwireError {
  try {
    loadAddon(path);
  } catch (error) {
    if (error instanceof MapwireError) return error;
    throw error;
  }
  throw new Error('it loaded');
}

describe('an addon that cannot be loaded names the remedy', () => {
  test('not built', () => {
    const error = loadError(join(folder, 'none.node'));
    expect(error).toMatchObject({ code: 'ERR_MW_ADDON', hint: expect.stringContaining('npm run build') });
  });

  test('damaged', () => {
    const path = join(folder, 'damaged.node');
    writeFileSync(path, 'no ELF', { mode: 0o644 });
    expect(loadError(path)).toMatchObject({ code: 'ERR_MW_ADDON', details: { path } });
  });

  test.each([
    [
      'libbpf.so.1: cannot open shared object file: No such file or directory',
      /apt install libbpf1.*dnf install libbpf/,
      'libbpf.so.1',
    ],
    ['libelf.so.1: cannot open shared object file: No such file or directory', /libelf\.so\.1/, 'libelf.so.1'],
    ['/x/mapwire.node: undefined symbol: bpf_map_create, version LIBBPF_0.7.0', /older than 1\.1/, undefined],
    ["/lib/libc.so.6: version `GLIBC_2.99' not found (required by x)", /npm run build/, undefined],
    ['/x/mapwire.node: invalid ELF header', /another architecture/, undefined],
  ])('%s', (text, hint, missing) => {
    const error = addonError('/x/mapwire.node', new Error(text));
    expect(error.code).toBe('ERR_MW_ADDON');
    expect(error.hint).toMatch(hint);
    expect(error.details.missing).toBe(missing);
    expect(error.message).toContain(text);
  });
});

test('the path is that of the package, unless said otherwise', () => {
  const before = process.env.MAPWIRE_ADDON;
  delete process.env.MAPWIRE_ADDON;
  try {
    expect(addonPath()).toMatch(/build\/Release\/mapwire\.node$/);
    process.env.MAPWIRE_ADDON = '/elsewhere/mapwire.node';
    expect(addonPath()).toBe('/elsewhere/mapwire.node');
  } finally {
    if (before === undefined) delete process.env.MAPWIRE_ADDON;
    else process.env.MAPWIRE_ADDON = before;
  }
});

test('what needs no kernel does not load it', async () => {
  // a path that would fail: importing and pure parts must not look at it
  process.env.MAPWIRE_ADDON = join(folder, 'none.node');
  try {
    const { kernelVersion, mapTypeName, possibleCpus, RawMap } = await import('../../../src/libbpf/index.ts');
    expect(mapTypeName(1)).toBe('hash');
    expect(possibleCpus()).toBeGreaterThan(0);
    expect(kernelVersion().major).toBeGreaterThan(3);
    expect(() => RawMap.fromId(1)).toThrow(/not built/);
  } finally {
    delete process.env.MAPWIRE_ADDON;
  }
});
