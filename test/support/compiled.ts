/** Programs in C that tests run in namespaces: compiled once a process, gone at its end. */
import { unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { support } from './hosts.ts';
import { run } from './process.ts';

const tools = new Map<string, Promise<string>>();

/** The program that test/support/`name`.c becomes. */
export function compiled(name: string): Promise<string> {
  const known = tools.get(name);
  if (known !== undefined) return known;
  const tool = compile(name);
  tools.set(name, tool);
  return tool;
}

async function compile(name: string): Promise<string> {
  const file = join(tmpdir(), `mw${process.pid}x-${name}`);
  await run(['cc', '-O2', '-Wall', '-Werror', '-o', file, join(support, `${name}.c`)]);
  process.once('exit', () => {
    try {
      unlinkSync(file);
    } catch {}
  });
  return file;
}
