/** C sources compiled for tests, in a folder of their own that is removed at once. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compileBpf, stripDebug } from '../../../src/bintools/tools/llvm.ts';

export const SOURCES = join(dirname(fileURLToPath(import.meta.url)), 'sources');

export interface Compiled {
  readonly bytes: Uint8Array;
  /** The object's path, while `inspect` runs. */
  readonly file: string;
}

/** Compiles C text and hands the object to `inspect`. */
export async function withCompiled<T>(
  text: string,
  includes: readonly string[],
  inspect: (object: Compiled) => T | Promise<T>,
): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'mwbin-'));
  try {
    await writeFile(join(folder, 'source.bpf.c'), text);
    const file = join(folder, 'object.bpf.o');
    await compileBpf({ root: folder, source: 'source.bpf.c', output: file, includes });
    await stripDebug(file);
    return await inspect({ bytes: new Uint8Array(await readFile(file)), file });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One of the sources in sources/, compiled once a process. */
export function sourceBytes(name: 'every-kind' | 'refused'): Promise<Uint8Array> {
  let bytes = once.get(name);
  if (bytes === undefined) {
    bytes = withCompiled(`#include "${name}.bpf.c"\n`, [SOURCES], (object) => object.bytes);
    once.set(name, bytes);
  }
  return bytes;
}

const once = new Map<string, Promise<Uint8Array>>();
