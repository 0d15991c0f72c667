/**
 * The reference model: what the data plane must do with a packet, written from docs/packet-rules.md alone. The tests hold
 * the compiled programs against it, and `mapwire simulate` prints its steps.
 */
import { fromPort } from './from-port.ts';
import { fromUnderlay } from './from-underlay.ts';
import { ETHERTYPE_VLAN } from './parse.ts';
import { Trace } from './trace.ts';
import type { Hook, Program, Simulation, Tag } from './types.ts';
import type { World } from './world.ts';

export interface SimulationInput {
  readonly world: World;
  readonly hook: Hook;
  readonly program: Program;
  /** Name of the device that the frame comes from. */
  readonly device: string;
  /** Whole frame, from the Ethernet header on, without FCS. */
  readonly frame: Uint8Array;
  /** TC: segment size of a super-packet. */
  readonly gsoSize?: number;
  /** TC: a VLAN tag that travels beside the frame; a number: 0x8100 with these 16 bits; true: VLAN 1. */
  readonly metadataTag?: boolean | number | Tag;
  /** XDP: bytes in the first buffer of a multi-buffer frame; default: all. */
  readonly firstBuffer?: number;
  /** TC: the copy of a frame from a port that came back, for the place that the destination moves to. */
  readonly second?: boolean;
}

/** Applies the packet rules to one frame. Pure: the same input gives the same answer. */
export function simulate(input: SimulationInput): Simulation {
  const trace = new Trace();
  const { frame } = input;
  const buffered = input.hook === 'xdp' ? Math.min(input.firstBuffer ?? frame.length, frame.length) : frame.length;
  const run = {
    world: input.world,
    hook: input.hook,
    device: input.device,
    frame: { bytes: frame, start: 0, end: frame.length, buffered },
    multiBuffer: buffered < frame.length,
    gsoSize: input.hook === 'tc' ? (input.gsoSize ?? 0) : 0,
    tag: input.hook === 'tc' ? tagOf(input.metadataTag) : undefined,
    second: input.hook === 'tc' && input.second === true,
    trace,
  };
  const decision = input.program === 'port' ? fromPort(run) : fromUnderlay(run);
  return { ...decision, steps: trace.steps };
}

function tagOf(tag: boolean | number | Tag | undefined): Tag | undefined {
  if (tag === undefined || tag === false) return undefined;
  if (typeof tag === 'object') return tag;
  return { etherType: ETHERTYPE_VLAN, tci: tag === true ? 1 : tag };
}
