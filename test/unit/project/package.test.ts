/** What package.json promises is there, and what must not be in the repository is not. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';

const root = packageRoot();
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, { types: string; default: string }>;
  scripts: Record<string, string>;
  bin: Record<string, string>;
};

function git(...args: string[]): string {
  const result = spawnSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (result.status !== 0 && result.status !== 1) throw new Error(`git ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}

describe('package.json', () => {
  test('exports the four public entries and nothing else', () => {
    expect(Object.keys(manifest.exports)).toEqual(['.', './dataplane', './libbpf', './bintools']);
  });

  test.each(Object.entries(manifest.exports))('%s has its source, and importing it does nothing', async (_, entry) => {
    const source = entry.default.replace(/^\.\/dist\//, './').replace(/\.js$/, '.ts');
    expect(existsSync(join(root, source))).toBe(true);
    expect(entry.types).toBe(entry.default.replace(/\.js$/, '.d.ts'));
    const exported = (await import(join(root, source))) as Record<string, unknown>;
    expect(Object.keys(exported).length).toBeGreaterThan(0);
  });

  test('every script it names is there', () => {
    const scripts = Object.values(manifest.scripts).flatMap((command) =>
      [...command.matchAll(/\bscripts\/[\w.-]+/g)].map((match) => match[0]),
    );
    expect(scripts.length).toBeGreaterThan(5);
    expect(scripts.filter((script) => !existsSync(join(root, script)))).toEqual([]);
  });

  test.each([...Object.values(manifest.bin), '.ci/run'])('%s can be run', (file) => {
    expect(statSync(join(root, file)).mode & 0o111).toBe(0o111);
  });

  test('package-lock.json was made from it and names no registry', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Record<string, unknown>>;
    };
    const { dependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect({
      dependencies: lock.packages['']?.dependencies,
      devDependencies: lock.packages['']?.devDependencies,
    }).toEqual({ dependencies, devDependencies });
    expect(Object.entries(lock.packages).filter(([, entry]) => 'resolved' in entry)).toEqual([]);
  });
});

describe.skipIf(!existsSync(join(root, '.git')))('the repository', () => {
  test('holds no path of the machine on which it was written', () => {
    // written in two parts, so that this file is not found itself
    const leaks = ['/work' + '/', '/home' + '/', '/Users' + '/', '\\.libr' + 'ary'].join('|');
    expect(git('grep', '-nIE', leaks, '--', '.', ':!package-lock.json')).toBe('');
  });

  test('holds no file that is made', () => {
    expect(git('ls-files', 'dist', 'build', 'node_modules', '*.o', '*.node')).toBe('');
  });
});
