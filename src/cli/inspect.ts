import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { describeObject, renderDescription } from '../bintools/index.ts';
import { MapwireError } from '../errors.ts';
import { print, printJson } from './output.ts';

/** `mapwire inspect FILE.bpf.o`: sections, maps, layouts, programs of an object. No root. */
export function inspectCommand(program: Command): void {
  program
    .command('inspect')
    .description('sections, maps, layouts and programs of a compiled BPF object')
    .argument('<file>', 'a .bpf.o file')
    .option('--json', 'print JSON')
    .action(async (path: string, options: { json?: boolean }) => {
      const description = describeObject(read(path));
      await (options.json ? printJson({ file: path, ...description }) : print(renderDescription(description)));
    });
}

function read(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    throw new MapwireError('ERR_MW_ELF', `cannot read '${path}': ${(cause as Error).message}`, {
      cause,
      hint: 'the objects of this build are dist/bpf/xdp.bpf.o and dist/bpf/tc.bpf.o, after `npm run build`',
    });
  }
}
