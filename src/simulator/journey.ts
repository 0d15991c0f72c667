/** A packet from a port to wherever it ends, over as many nodes as it takes: what `mapwire simulate` prints. */
import { MapwireError } from '../errors.ts';
import type { Table } from '../table/model.ts';
import { defaultEnvironment, UNDERLAY_DEVICE } from './default-environment.ts';
import { type Question, questionFrame } from './question.ts';
import { simulate } from './simulate.ts';
import type { Environment, Program, Simulation } from './types.ts';
import { World } from './world.ts';

export interface Hop {
  readonly node: string;
  readonly program: Program;
  readonly device: string;
  readonly frame: Uint8Array;
  readonly simulation: Simulation;
}

/**
 * The first hop is the node of the sender's first locator, or `from.node`; each frame that is sent to another node makes
 * one hop more there. The model is of the TC program: what it does is the whole of the rules.
 *
 * @throws ERR_MW_INVALID_ARGUMENT see {@link questionFrame}; or the port has no place on that node
 */
export function journey(table: Table, question: Question & { readonly node?: string }): Hop[] {
  const frame = questionFrame(table, question);
  const node = question.node ?? table.port(question.from)!.at[0]?.node;
  const environment = node === undefined ? undefined : defaultEnvironment(table, node);
  const device = environment?.interfaces.get(question.from);
  if (node === undefined || environment === undefined || device === undefined) {
    throw new MapwireError(
      'ERR_MW_INVALID_ARGUMENT',
      `port '${question.from}' has no place${node ? ` on node '${node}'` : ''}`,
      {
        hint: "give it one with 'at' in the table",
      },
    );
  }
  const first = hop(table, environment, 'port', device, frame);
  const further: Hop[] = [];
  for (const output of first.simulation.outputs) {
    if (output.device !== UNDERLAY_DEVICE) continue;
    const next = nodeOf(table, environment, output.frame);
    if (next !== undefined)
      further.push(hop(table, defaultEnvironment(table, next), 'underlay', UNDERLAY_DEVICE, output.frame));
  }
  return [first, ...further];
}

function hop(table: Table, environment: Environment, program: Program, device: string, frame: Uint8Array): Hop {
  const world = new World(table, environment);
  return {
    node: environment.node,
    program,
    device,
    frame,
    simulation: simulate({ world, hook: 'tc', program, device, frame }),
  };
}

/** The node whose underlay device this frame goes to: by the outer destination address. */
function nodeOf(table: Table, environment: Environment, frame: Uint8Array): string | undefined {
  const address = frame.subarray(30, 34).join('.');
  for (const node of table.nodes.values()) {
    if (node.id !== environment.node && node.underlay.includes(address)) return node.id;
  }
  return undefined;
}
