import { MapwireError } from '../../errors.ts';
import { findTool, run, type Tool } from './tool.ts';

/** bpftool; `BPFTOOL` overrides. Throws ERR_MW_TOOL. */
export function bpftool(): Promise<Tool> {
  return findTool({
    name: 'bpftool',
    variable: 'BPFTOOL',
    // not in the PATH of everybody on Debian
    candidates: ['bpftool', '/usr/sbin/bpftool'],
    minimum: 5,
    packages: 'bpftool (Ubuntu: linux-tools-generic)',
  });
}

/** Runs bpftool with `-j` and gives what it printed as JSON. Throws ERR_MW_TOOL. */
export async function bpftoolJson(args: readonly string[]): Promise<unknown> {
  const text = await run(await bpftool(), ['-j', ...args]);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new MapwireError('ERR_MW_TOOL', `bpftool ${args.join(' ')} printed no JSON`, {
      cause: error,
      details: { output: text.slice(0, 2000) },
    });
  }
}

/** `bpftool -j btf dump file`: every type as bpftool reads it. Throws ERR_MW_TOOL. */
export async function dumpBtf(file: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const dump = (await bpftoolJson(['btf', 'dump', 'file', file])) as { types: Readonly<Record<string, unknown>>[] };
  return dump.types;
}
