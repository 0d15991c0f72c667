/** The wrappers of build tools, and that nothing which runs in production needs them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { dumpBtf } from '../../../src/bintools/tools/bpftool.ts';
import { clang, llvmStrip } from '../../../src/bintools/tools/llvm.ts';
import { findTool, run } from '../../../src/bintools/tools/tool.ts';
import { withCompiled } from './compiled.ts';

afterEach(() => vi.unstubAllEnvs());

describe('a tool', () => {
  test('is found, and llvm-strip of the same release as clang', async () => {
    const compiler = await clang();
    expect(compiler.version).toBeGreaterThanOrEqual(14);
    expect((await llvmStrip()).version).toBeGreaterThanOrEqual(14);
  });

  test('that is missing is named with the package to install', async () => {
    vi.stubEnv('CLANG', 'no-such-compiler');
    await expect(clang()).rejects.toMatchObject({
      code: 'ERR_MW_TOOL',
      message: 'clang 14 or newer is needed: not found (tried no-such-compiler)',
      hint: 'apt install clang-19 (or clang-18), or set CLANG to the command',
    });
  });

  test('that is too old is named with its version', async () => {
    const search = { name: 'node', variable: 'MW_TEST_NODE', candidates: [process.execPath], packages: 'nodejs' };
    await expect(findTool({ ...search, minimum: 10_000 })).rejects.toMatchObject({
      code: 'ERR_MW_TOOL',
      message: expect.stringMatching(/^node 10000 or newer is needed: too old \(.* is version \d+\)$/),
      hint: expect.stringContaining('nodejs'),
    });
  });

  test('that fails says what it said', async () => {
    await expect(withCompiled('int x = y;\n', [], () => {})).rejects.toMatchObject({
      code: 'ERR_MW_TOOL',
      message: expect.stringContaining("use of undeclared identifier 'y'"),
    });
    await expect(dumpBtf('/nonexistent')).rejects.toMatchObject({ code: 'ERR_MW_TOOL' });
  });

  test('gets its arguments as they are: no shell reads them', async () => {
    const echo = { command: 'printf', version: 0 };
    const wild = ['$(false)', '`false`', '; exit 1', '* ?', "it's", '"', '\\', '', 'a\nb'];
    expect((await run(echo, ['%s|', ...wild])).split('|')).toEqual([...wild, '']);
  });

  test('puts no absolute path into the object', async () => {
    const text = '#include <linux/bpf.h>\n#include <bpf/bpf_helpers.h>\nSEC("xdp") int p(void *c) { return 0; }\n';
    await withCompiled(text, [], ({ bytes, file }) => {
      const folder = file.slice(0, file.lastIndexOf('/'));
      expect(Buffer.from(bytes).includes(folder)).toBe(false);
      expect(Buffer.from(bytes).includes('source.bpf.c')).toBe(true);
    });
  });
});

describe('at run time', () => {
  const source = join(packageRoot(), 'src');
  const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const imports = (file: string): string[] =>
    [...readFileSync(join(source, file), 'utf8').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(
      ([, name]) => name ?? '',
    );
  /** What only the build runs. */
  const build = ['bintools/main.ts', 'bintools/build-objects.ts'];

  test('nothing imports zx or the tools', () => {
    expect(files.length).toBeGreaterThan(20);
    const users = files.filter((file) => !file.startsWith('bintools/tools/') && !build.includes(file));
    for (const file of users) {
      const wrong = imports(file).filter(
        (name) => name === 'zx' || /\/tools\/|\/build-objects|bintools\/main/.test(name),
      );
      expect(wrong, file).toEqual([]);
    }
    expect(imports('bintools/tools/tool.ts')).toContain('zx');
  });
});
