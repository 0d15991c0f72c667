import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { NamedObject } from './exported-types.ts';
import { readObject } from './object.ts';
import { compileBpf, stripDebug } from './tools/llvm.ts';

/** The objects of the data plane: one source, two contexts, and XDP once more for devices that are asked for tags. */
export const OBJECT_NAMES = ['xdp', 'xdp_bound', 'tc'] as const;

/**
 * Compiles bpf/<name>.bpf.c of the package at `root` to dist/bpf/<name>.bpf.o and reads them back. The files appear
 * complete or not at all. Throws ERR_MW_TOOL with the compiler's messages.
 */
export async function buildObjects(root: string): Promise<NamedObject[]> {
  const folder = join(root, 'dist', 'bpf');
  await mkdir(folder, { recursive: true });
  const scratch = await mkdtemp(join(folder, '.build-'));
  try {
    const built = await Promise.all(
      OBJECT_NAMES.map(async (name) => {
        const file = `${name}.bpf.o`;
        const output = join(scratch, file);
        await compileBpf({ root, source: `bpf/${name}.bpf.c`, output, includes: ['bpf'] });
        await stripDebug(output);
        return { name, file, output, object: readObject(await readFile(output)) };
      }),
    );
    for (const { file, output } of built) await rename(output, join(folder, file));
    return built.map(({ name, file, object }) => ({ name, file, object }));
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
