/**
 * The build's entry: `node dist/src/bintools/main.js compile|generate|verify`.
 * compile: dist/bpf/*.bpf.o. generate: also writes src/generated/. verify: instead compares it; status 1 if it differs.
 */
import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MapwireError } from '../errors.ts';
import { buildObjects } from './build-objects.ts';
import { generate } from './generate.ts';
import { packageRoot } from './package-root.ts';

async function main(command: string | undefined): Promise<number> {
  const root = packageRoot();
  const folder = join(root, 'src', 'generated');
  switch (command) {
    case 'compile':
      await buildObjects(root);
      return 0;
    case 'generate': {
      const files = generate(await buildObjects(root));
      await mkdir(folder, { recursive: true });
      for (const [name, text] of files) {
        if ((await contentOf(join(folder, name))) === text) continue;
        const temporary = join(folder, `.${name}.new`);
        await writeFile(temporary, text);
        await rename(temporary, join(folder, name));
        console.log(`wrote src/generated/${name}`);
      }
      return 0;
    }
    case 'verify': {
      const files = generate(await buildObjects(root));
      const differing: string[] = [];
      for (const [name, text] of files) if ((await contentOf(join(folder, name))) !== text) differing.push(name);
      const strangers = (await readdir(folder)).filter((name) => !files.has(name));
      for (const name of differing) console.error(`src/generated/${name} is not what bpf/ gives: run npm run gen`);
      for (const name of strangers) console.error(`src/generated/${name} is not generated: remove it`);
      return differing.length + strangers.length === 0 ? 0 : 1;
    }
    default:
      console.error('usage: main.js compile|generate|verify');
      return 2;
  }
}

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

try {
  process.exitCode = await main(process.argv[2]);
} catch (error) {
  if (!(error instanceof MapwireError)) throw error;
  console.error(`${error.code}: ${error.message}${error.hint === undefined ? '' : `\nhint: ${error.hint}`}`);
  process.exitCode = 1;
}
