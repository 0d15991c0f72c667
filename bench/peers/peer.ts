/** What is measured side by side. */
import { Program } from '../../src/libbpf/index.ts';
import type { Lab } from '../../test/support/hosts.ts';
import type { Direction, Encap } from '../frames.ts';
import type { Site } from '../site.ts';

export interface Scene {
  readonly lab: Lab;
  readonly site: Site;
  readonly encap: Encap;
  readonly endpoints: number;
  /** The table with these endpoints, as NDJSON: made on the first call. */
  readonly table: () => Promise<string>;
}

/** Runs of a BPF program and the time in them, as kernel.bpf_stats_enabled counts. */
export interface ProgramTime {
  readonly runs: number;
  readonly ns: number;
}

/** A host that is set up. */
export interface Host {
  /** Makes it the named one of the peers that share it. */
  activate?(peer: string): Promise<void>;
  /** The program that a direction's frames meet. */
  programTime?(direction: Direction): ProgramTime;
  /** Frames end here: what was sent is what is counted. */
  readonly countsSent?: boolean;
  /** Frames leave as they came. */
  readonly unchanged?: boolean;
  /** Seconds from the table to forwarding. */
  readonly loadSeconds?: number;
  stop(): Promise<void>;
}

export interface Peer {
  /** Peers that one host can be in turn, so that a million entries are loaded once. */
  readonly names: readonly string[];
  /** Why it cannot do this; undefined: it can. */
  refuses?(encap: Encap, endpoints: number): string | undefined;
  start(scene: Scene): Promise<Host>;
}

export function timeOf(programId: number): ProgramTime {
  using program = Program.fromId(programId);
  const { runCount, runTimeNs } = program.info();
  return { runs: Number(runCount), ns: Number(runTimeNs) };
}
