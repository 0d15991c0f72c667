/** `mapwire node up|down|drain|clear ID`: an operator's word about a node, to the daemon of this host. */
import { Argument, type Command } from 'commander';
import type { NodeCommand } from '../daemon/liveness.ts';
import { type NodeStateView, standingText } from '../daemon/views.ts';
import { call } from './client.ts';
import { PLACE_KEYS, placeOf, withConfig } from './options.ts';
import { print, printJson } from './output.ts';

/** What `POST /v1/node-state` answers. */
interface Answer extends NodeStateView {
  /** Map elements written. */
  readonly writes: number;
}

const COMMANDS: readonly NodeCommand[] = ['up', 'down', 'drain', 'clear'];

export function nodeCommand(program: Command): void {
  withConfig(
    program
      .command('node')
      .description('says whether a node is used, over what the table says; `clear` takes it back')
      .addArgument(new Argument('<state>', 'what it is to be').choices(COMMANDS))
      .argument('<id>', "the node's id in the table"),
    PLACE_KEYS,
  )
    .option('--json', 'print JSON')
    .action(async (state: NodeCommand, node: string, options: Record<string, unknown>) => {
      const answer = await call<Answer>(placeOf(options).socket, 'POST', '/v1/node-state', { node, state });
      await (options.json ? printJson(answer) : print(`node ${node}: state: ${standingText(answer)}`));
    });
}
