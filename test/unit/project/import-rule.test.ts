/**
 * The rule of docs/architecture.md: imports run one way. Read from the sources as text, so that it also holds for a file
 * that nothing loads.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';

const source = join(packageRoot(), 'src');

/** What each part may import of the others, directly. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  bintools: [],
  table: [],
  bfd: [],
  generated: ['bintools'],
  libbpf: ['bintools'],
  simulator: ['table', 'generated'],
  compiler: ['table', 'generated', 'bintools'],
  sources: ['table', 'compiler'],
  dataplane: ['bfd', 'table', 'compiler', 'libbpf', 'generated', 'bintools'],
  daemon: ['bfd', 'table', 'compiler', 'sources', 'dataplane', 'libbpf', 'generated', 'simulator'],
  cli: ['table', 'compiler', 'sources', 'dataplane', 'daemon', 'libbpf', 'bintools', 'generated', 'simulator'],
};

/** Parts that run on any system, without root and without the addon. */
const PURE = ['bfd', 'bintools', 'table', 'generated', 'simulator', 'compiler'];

/** Packages that a part may use; Node's own modules are free. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  table: ['yaml', 'zod'],
  sources: ['zod', 'hono', '@hono/node-server'],
  daemon: ['zod', 'yaml', 'hono', '@hono/node-server', 'pino'],
  cli: ['commander', 'zod', 'yaml'],
};

/** Specifiers of static and dynamic imports and of re-exports. */
function specifiers(text: string): string[] {
  const found = text.matchAll(
    /(?:^|[\s;}])(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g,
  );
  return [...found].map((match) => (match[1] ?? match[2]) as string);
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

interface Import {
  readonly file: string;
  readonly from: string;
  readonly specifier: string;
  /** The part imported; '' for a file directly in src/; undefined for a package. */
  readonly to: string | undefined;
}

const imports: Import[] = files.flatMap((file) => {
  const from = file.includes('/') ? (file.split('/')[0] as string) : '';
  return specifiers(readFileSync(join(source, file), 'utf8')).map((specifier) => {
    if (!specifier.startsWith('.')) return { file, from, specifier, to: undefined };
    const target = relative(source, resolve(source, dirname(file), specifier));
    return { file, from, specifier, to: target.includes('/') ? (target.split('/')[0] as string) : '' };
  });
});

const words = (one: Import) => `src/${one.file} imports '${one.specifier}'`;

describe('imports', () => {
  test('are found', () => {
    expect(imports.length).toBeGreaterThan(50);
    expect(specifiers("import { a,\n b } from './x.ts'; export * from './y.ts'; await import('./z.ts')")).toEqual([
      './x.ts',
      './y.ts',
      './z.ts',
    ]);
  });

  test('of another part follow the layers', () => {
    const parts = new Set(files.filter((file) => file.includes('/')).map((file) => file.split('/')[0] as string));
    expect([...parts].filter((part) => !(part in ALLOWED))).toEqual([]);
    const wrong = imports.filter(
      ({ from, to }) => from !== '' && to !== undefined && to !== '' && to !== from && !ALLOWED[from]?.includes(to),
    );
    expect(wrong.map(words)).toEqual([]);
  });

  test('stay inside src/', () => {
    expect(imports.filter(({ to }) => to?.startsWith('..')).map(words)).toEqual([]);
  });

  test('of packages are those that the part may use', () => {
    const wrong = imports.filter(({ from, to, specifier }) => {
      if (to !== undefined || specifier.startsWith('node:')) return false;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      return !(PACKAGES[from] ?? []).includes(name);
    });
    // the wrappers of build tools use zx, which is there in a checkout only
    expect(
      wrong.filter(({ file, specifier }) => !(file.startsWith('bintools/tools/') && specifier === 'zx')).map(words),
    ).toEqual([]);
  });

  test('of pure parts never reach the kernel', () => {
    const kernel = /^node:(child_process|net|dgram|worker_threads)$/;
    const wrong = imports.filter(
      ({ from, file, specifier }) =>
        PURE.includes(from) && !file.startsWith('bintools/tools/') && kernel.test(specifier),
    );
    expect(wrong.map(words)).toEqual([]);
  });

  test('of the addon are in libbpf alone', () => {
    const users = files.filter((file) =>
      /createRequire|mapwire\.node|process\.dlopen/.test(readFileSync(join(source, file), 'utf8')),
    );
    expect(users.filter((file) => !file.startsWith('libbpf/'))).toEqual([]);
  });
});
