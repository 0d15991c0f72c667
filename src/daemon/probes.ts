/** The daemon's probes: sessions by the plan, states of nodes by the sessions. */
import type { ProbeKind, SessionStatus } from '../bfd/index.ts';
import type { Plan } from '../compiler/index.ts';
import { MapwireError } from '../errors.ts';
import type { CompactTable, TableNode } from '../table/index.ts';
import type { Config } from './config-schema.ts';
import type { Logger } from './log.ts';
import type { ProbeSpec, ProbeTotals } from './probe-runner.ts';
import { Prober } from './prober.ts';
import { type ProbeDefaults, Probing, probedNodes, sessionsOf } from './probing.ts';

/** All sessions, as they are now. */
export interface ProbesLook {
  readonly sessions: ReadonlyMap<string, { readonly kind: ProbeKind; readonly status: SessionStatus }>;
  readonly totals: ProbeTotals;
}

export interface ProbesOptions {
  readonly config: Config;
  readonly log: Logger;
  /** What probes say now of nodes, all that changed in one turn of the event loop together. */
  readonly say: (states: ReadonlyMap<string, 'up' | 'down'>) => void;
}

const NOTHING: ProbesLook = {
  sessions: new Map(),
  totals: { sessions: 0, discardedTtl: 0, discardedMalformed: 0, discardedUnknown: 0, unsent: 0 },
};

export class Probes {
  readonly #options: ProbesOptions;
  readonly #defaults: ProbeDefaults;
  readonly #probing: Probing;
  #prober: Prober | undefined;
  #specs: readonly ProbeSpec[] = [];
  #nodes: ReadonlyMap<string, TableNode> | undefined;
  #expectedOf: CompactTable['nodes'] | undefined;
  #expected: ReadonlySet<string> = new Set();
  #said = new Map<string, 'up' | 'down'>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: ProbesOptions) {
    const { probe, probeIntervalMs, probeMultiplier, restartHoldMs } = options.config;
    this.#options = options;
    this.#defaults = { kind: probe, intervalMs: probeIntervalMs, multiplier: probeMultiplier };
    this.#probing = new Probing({
      restartHoldMs,
      now: () => performance.now(),
      say: (node, state) => this.#say(node, state),
    });
  }

  /** Nodes of the table whose state a probe is to tell. */
  expected(table: CompactTable): ReadonlySet<string> {
    if (table.nodes !== this.#expectedOf) {
      this.#expectedOf = table.nodes;
      this.#expected = probedNodes(table.nodes.values(), this.#options.config.node, this.#defaults);
    }
    return this.#expected;
  }

  /** Sessions for the nodes of this plan. @param changed entries of nodes were written */
  follow(plan: Plan, changed: boolean): void {
    if (this.#closed || (!changed && plan.table.nodes === this.#nodes)) return;
    this.#nodes = plan.table.nodes;
    this.#specs = sessionsOf(plan.peers(), plan.table.nodes, this.#defaults);
    this.#probing.set(this.#specs);
    this.#arm();
    if (this.#prober === undefined && this.#specs.length === 0) return;
    this.#prober ??= this.#start();
    this.#prober.set(this.#specs);
  }

  async look(): Promise<ProbesLook> {
    if (this.#prober === undefined || this.#closed) return NOTHING;
    try {
      const { statuses, totals } = await this.#prober.look();
      const kinds = new Map(this.#specs.map(({ id, kind }) => [id, kind]));
      const sessions = [...statuses].map(([id, status]) => [id, { kind: kinds.get(id) ?? 'bfd', status }] as const);
      return { sessions: new Map(sessions), totals };
    } catch (error) {
      if (error instanceof MapwireError && error.code === 'ERR_MW_CLOSED') return NOTHING;
      throw error;
    }
  }

  /** Tells the peers of BFD sessions that this daemon ends on purpose. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#prober?.close();
  }

  #start(): Prober {
    const { log, config } = this.#options;
    return new Prober({
      hops: config.probeHops,
      changed: (id, status) => {
        this.#probing.report(id, status);
        this.#arm();
      },
      problem: ({ code, message, hint }) => log.error({ code, hint }, message),
      failed: (error) => {
        log.error({ err: error }, `the probes ended: ${error.message}; nodes keep their states, and they begin again`);
        this.#prober = undefined;
        if (this.#closed) return;
        setTimeout(() => this.#again(), 1_000).unref();
      },
    });
  }

  #again(): void {
    if (this.#closed || this.#prober !== undefined || this.#specs.length === 0) return;
    this.#prober = this.#start();
    this.#prober.set(this.#specs);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const { due } = this.#probing;
    if (this.#closed || !Number.isFinite(due)) return;
    this.#timer = setTimeout(() => this.#tick(), Math.max(0, due - performance.now()));
  }

  #tick(): void {
    this.#probing.tick();
    this.#arm();
  }

  #say(node: string, state: 'up' | 'down'): void {
    if (this.#said.size === 0) setImmediate(() => this.#tell());
    this.#said.set(node, state);
  }

  #tell(): void {
    const said = this.#said;
    this.#said = new Map();
    if (!this.#closed) this.#options.say(said);
  }
}
