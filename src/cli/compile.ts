import type { Command } from 'commander';
import { formatPlan, IdBook, plan, renderPlan } from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import { nearest } from '../table/index.ts';
import { print, printJson } from './output.ts';
import { readTableOrThrow } from './read-table.ts';

/** `mapwire compile TABLE --node N`: the plan of a node, every map entry. No root. */
export function compileCommand(program: Command): void {
  program
    .command('compile')
    .description("print a node's plan: every map entry, ids joined to names")
    .argument('<table>', 'file or directory')
    .requiredOption('--node <id>', 'the node to compile for')
    .option('--json', 'print JSON')
    .action(async (path: string, options: { node: string; json?: boolean }) => {
      const table = readTableOrThrow(path);
      if (!table.nodes.has(options.node)) {
        const meant = nearest(options.node, [...table.nodes.keys()]);
        throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `the table has no node '${options.node}'`, {
          hint:
            meant === undefined
              ? `the nodes are: ${[...table.nodes.keys()].slice(0, 8).join(', ')}`
              : `did you mean '${meant}'?`,
        });
      }
      const rendered = renderPlan(plan(table, options.node, new IdBook()));
      await (options.json ? printJson(rendered) : print(formatPlan(rendered)));
    });
}
