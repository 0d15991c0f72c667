/** The addon's file as it may be found: changeable by others, or without the libbpf it needs. */
import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addonPath, loadAddon } from '../../../src/libbpf/addon.ts';
import { caught, mapwireError } from './support.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mwlib-'));
  file = join(folder, 'mapwire.node');
  writeFileSync(file, readFileSync(addonPath()), { mode: 0o755 });
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('root refuses an addon that others can change', () => {
  test.each([
    ['anybody may write it', () => chmodSync(file, 0o757)],
    ['somebody else owns it', () => chownSync(file, 65534, 0)],
    [
      'a group may write it',
      () => {
        chownSync(file, 0, 65534);
        chmodSync(file, 0o775);
      },
    ],
    ['its folder is open', () => chmodSync(folder, 0o777)],
  ])('%s', async (_, weaken) => {
    weaken();
    expect(await caught(() => loadAddon(file))).toEqual(mapwireError('ERR_MW_UNSAFE_FILE'));
  });

  test('a safe copy loads', () => {
    expect(loadAddon(file).libbpfVersion()).toMatch(/^1\./);
  });
});

test('without libbpf the error says what to install', async () => {
  const bytes = readFileSync(file);
  const at = bytes.indexOf('libbpf.so.1\0');
  expect(at).toBeGreaterThan(0);
  bytes.write('libbpf.so.9', at);
  writeFileSync(file, bytes);
  const error = await caught(() => loadAddon(file));
  expect(error).toEqual(mapwireError('ERR_MW_ADDON', { missing: 'libbpf.so.9', path: file }));
  expect(error).toMatchObject({ hint: expect.stringContaining('apt install libbpf1') });
});
