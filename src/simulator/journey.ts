/** A packet from a port to wherever it ends, over as many nodes as it takes: what `mapwire simulate` prints. */
import { MapwireError } from '../errors.ts';
import { ipFromBytes } from '../table/address.ts';
import type { Table } from '../table/model.ts';
import { read16 } from './bytes.ts';
import { defaultEnvironment, UNDERLAY_DEVICE } from './default-environment.ts';
import { ETHERTYPE_IPV6 } from './parse.ts';
import { type Question, questionFrame } from './question.ts';
import { simulate } from './simulate.ts';
import type { Environment, OutputFrame, Program, Simulation } from './types.ts';
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
    for (const next of nodesOf(table, environment, first.simulation, output)) {
      further.push(hop(table, defaultEnvironment(table, next), 'underlay', UNDERLAY_DEVICE, output.frame, output.tag));
    }
  }
  return [first, ...further];
}

function hop(
  table: Table,
  environment: Environment,
  program: Program,
  device: string,
  frame: Uint8Array,
  tag?: number,
): Hop {
  const world = new World(table, environment);
  const metadataTag = tag === undefined ? {} : { metadataTag: tag };
  return {
    node: environment.node,
    program,
    device,
    frame,
    simulation: simulate({ world, hook: 'tc', program, device, frame, ...metadataTag }),
  };
}

/** The nodes that a frame on the underlay gets to: one, or those of the network that hear a group or the wire. */
function nodesOf(table: Table, environment: Environment, { record }: Simulation, { frame }: OutputFrame): string[] {
  const network = table.networks.get(record.network ?? '');
  if (network === undefined) return [];
  if (network.encap === 'flat' && record.node !== undefined) return [record.node];
  const destination = outerDestination(frame);
  if (network.encap === 'flat' || destination === network.group) return othersIn(table, network.id, environment.node);
  for (const node of table.nodes.values()) {
    if (node.id !== environment.node && node.underlay.includes(destination)) return [node.id];
  }
  return [];
}

function outerDestination(frame: Uint8Array): string {
  const ipv6 = read16(frame, 12) === ETHERTYPE_IPV6;
  return ipFromBytes(ipv6 ? frame.subarray(38, 54) : frame.subarray(30, 34));
}

/** Nodes with a port in the network, but this one. */
function othersIn(table: Table, network: string, self: string): string[] {
  const nodes = new Set<string>();
  for (const port of table.ports()) {
    if (port.network === network) for (const { node } of port.at) nodes.add(node);
  }
  nodes.delete(self);
  return [...nodes];
}
