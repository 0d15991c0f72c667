import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { assertTrustedFile, readTrustedFile } from '../../../src/safe-file.ts';

let folder: string;
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'mw-safe-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const root = process.geteuid?.() === 0;

describe.runIf(root)('as root', () => {
  it('reads a file that only root can write', () => {
    const file = join(folder, 'table.yaml');
    writeFileSync(file, 'mapwire: 1\n', { mode: 0o644 });
    expect(readTrustedFile(file).toString()).toBe('mapwire: 1\n');
  });

  it.each([
    ['everybody may write', (file: string) => chmodSync(file, 0o666)],
    [
      'a foreign group may write',
      (file: string) => {
        chownSync(file, 0, 12345);
        chmodSync(file, 0o664);
      },
    ],
    ['another user owns', (file: string) => chownSync(file, 12345, 0)],
  ])('refuses a file that %s', (_, spoil) => {
    const file = join(folder, 'table.yaml');
    writeFileSync(file, '');
    spoil(file);
    expect(() => readTrustedFile(file)).toThrow(expect.objectContaining({ code: 'ERR_MW_UNSAFE_FILE' }));
    expect(() => assertTrustedFile(file)).toThrow(expect.objectContaining({ code: 'ERR_MW_UNSAFE_FILE' }));
  });

  it('refuses a safe file in a folder that others can write, and names the folder', () => {
    const inner = join(folder, 'open');
    mkdirSync(inner);
    chmodSync(inner, 0o777);
    const file = join(inner, 'table.yaml');
    writeFileSync(file, '');
    expect(() => readTrustedFile(file)).toThrow(
      expect.objectContaining({
        details: expect.objectContaining({ path: inner }),
        hint: expect.stringContaining('chmod'),
      }),
    );
  });

  it('looks behind a symbolic link', () => {
    const file = join(folder, 'real.yaml');
    writeFileSync(file, '');
    chmodSync(file, 0o666);
    symlinkSync(file, join(folder, 'link.yaml'));
    expect(() => assertTrustedFile(join(folder, 'link.yaml'))).toThrow(
      expect.objectContaining({ code: 'ERR_MW_UNSAFE_FILE' }),
    );
  });

  it("accepts root's file in a sticky folder that all may write", () => {
    const inner = join(folder, 'sticky');
    mkdirSync(inner);
    chmodSync(inner, 0o1777);
    const file = join(inner, 'table.yaml');
    writeFileSync(file, 'x');
    expect(readTrustedFile(file).toString()).toBe('x');
  });
});

it('reports an absent file as what it is', () => {
  expect(() => readTrustedFile(join(folder, 'none'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});
