/**
 * From the newest table to the kernel: plans what is wanted, applies it, and tells those who wait. One apply at a time;
 * tables that come meanwhile are taken together. What fails is tried again, from the whole.
 */

import { LISTED_PORTS, type Plan, type PlanChanges, plan, planSteps, replanSteps } from '../compiler/index.ts';
import type { ApplyReport, Dataplane } from '../dataplane/index.ts';
import { MapwireError } from '../errors.ts';
import { pacer } from '../pace.ts';
import type { CompactTable, NodeState } from '../table/index.ts';
import { diffTableSteps, inSteps } from '../table/index.ts';

export type ApplyPlane = Pick<Dataplane, 'ids' | 'apply'>;

/** What came of a table. */
export interface Applied {
  /** Of the table in force now: that of the edit, or a later one. */
  readonly revision: number;
  readonly report: ApplyReport;
}

export interface ApplierEvents {
  /** Which nodes are up, down or drained with this table: asked just before it is applied. */
  states(table: CompactTable): ReadonlyMap<string, NodeState>;
  applied(report: ApplyReport, table: CompactTable): void;
  /** Tried again in so many milliseconds; 0: only another table helps. */
  failed(error: unknown, retryMs: number): void;
}

interface Waiter {
  readonly revision: number;
  readonly resolve: (applied: Applied) => void;
  readonly reject: (error: unknown) => void;
}

const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

export class Applier {
  readonly #plane: ApplyPlane;
  readonly #node: string;
  readonly #events: ApplierEvents;
  #wanted: CompactTable | undefined;
  #plan: Plan | undefined;
  #replanning: Promise<void> | undefined;
  #applied: ApplyReport | undefined;
  #failure: unknown;
  #running: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  #retryMs = FIRST_RETRY_MS;
  #timer: NodeJS.Timeout | undefined;
  #dirty = false;
  #closed = false;
  /** The table that the kernel's maps were last written for, by an earlier process that says so. */
  #trusted: CompactTable | undefined;

  constructor(plane: ApplyPlane, node: string, events: ApplierEvents) {
    this.#plane = plane;
    this.#node = node;
    this.#events = events;
  }

  /** The plan in the kernel's place; undefined before the first one. */
  get plan(): Plan | undefined {
    return this.#plan;
  }

  /** What the last apply did. */
  get last(): ApplyReport | undefined {
    return this.#applied;
  }

  /** Why the wanted table is not in force; undefined: it is, or is on its way. */
  get failure(): unknown {
    return this.#failure;
  }

  /** While the plan before becomes the next one, and there is none: resolves when it is over. */
  get replanning(): Promise<void> | undefined {
    return this.#replanning;
  }

  get busy(): boolean {
    return this.#running !== undefined;
  }

  /**
   * The maps of ports hold this table already, by the word of an earlier process: they are not read before it is in force. Before the first
   * `want`.
   */
  trust(table: CompactTable): void {
    this.#trusted = table;
  }

  /** Does something while nothing is applied; edits wait for it. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    const result = (this.#running ?? Promise.resolve()).then(task);
    const running: Promise<void> = result.then(
      () => {},
      () => {},
    );
    this.#running = running;
    void running.then(() => {
      if (this.#running !== running) return;
      this.#running = undefined;
      if (this.#dirty && this.#timer === undefined) this.#kick();
    });
    return result;
  }

  /** Makes this the table to bring into force. */
  want(table: CompactTable): void {
    this.#wanted = table;
    this.#dirty = true;
    this.#retryMs = FIRST_RETRY_MS;
    this.#kick();
  }

  /** Resolves when a table of at least this revision is in force; rejects when it cannot be applied. */
  waitFor(revision: number): Promise<Applied> {
    if (
      this.#applied !== undefined &&
      !this.#dirty &&
      this.#applied.revision >= revision &&
      this.#failure === undefined
    )
      return Promise.resolve({ revision: this.#applied.revision, report: this.#applied });
    return new Promise((resolve, reject) => this.#waiters.push({ revision, resolve, reject }));
  }

  #kick(): void {
    if (this.#closed || this.#running !== undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    // A turn later, so that edits that came together are applied together.
    this.#running = new Promise<void>((resolve) => setImmediate(resolve))
      .then(() => this.#run())
      .finally(() => {
        this.#running = undefined;
        if (this.#dirty && this.#timer === undefined) this.#kick();
      });
  }

  async #run(): Promise<void> {
    const table = this.#wanted;
    if (table === undefined || this.#closed) return;
    this.#dirty = false;
    try {
      const report = await this.#bring(table);
      this.#applied = report;
      this.#failure = undefined;
      this.#retryMs = FIRST_RETRY_MS;
      this.#events.applied(report, table);
      this.#settle(table.revision, (waiter) => waiter.resolve({ revision: table.revision, report }));
    } catch (error) {
      this.#failure = error;
      const hopeless = error instanceof MapwireError && error.code === 'ERR_MW_TABLE';
      const delay = hopeless ? 0 : this.#retryMs;
      this.#events.failed(error, delay);
      this.#settle(table.revision, (waiter) => waiter.reject(error));
      if (delay === 0 || this.#closed) return;
      this.#retryMs = Math.min(this.#retryMs * 2, LAST_RETRY_MS);
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#dirty = true;
        this.#kick();
      }, delay);
    }
  }

  async #bring(table: CompactTable): Promise<ApplyReport> {
    if (!table.nodes.has(this.#node)) {
      throw new MapwireError('ERR_MW_TABLE', `the table has no node '${this.#node}'`, {
        hint: `add this host to 'nodes', or change 'node' in the configuration; the nodes are: ${[...table.nodes.keys()].slice(0, 8).join(', ')}`,
      });
    }
    const trusted = this.#trusted;
    this.#trusted = undefined;
    if (this.#plan === undefined && trusted?.nodes.has(this.#node)) {
      this.#plan = plan(trusted, this.#node, this.#plane.ids);
      const report = await this.#plane.apply(this.#plan, undefined, this.#events.states(trusted), true);
      if (table === trusted) return report;
    }
    const before = this.#plan;
    if (before === undefined) {
      this.#plan = plan(table, this.#node, this.#plane.ids);
      return this.#plane.apply(this.#plan, undefined, this.#events.states(table));
    }
    const failed = this.#failure !== undefined;
    if ((before.table.portChangesTo?.(table) ?? 0) > LISTED_PORTS) {
      // So much is not told entry by entry, and not planned in one go: the plan before stays to be seen until the new one is there.
      try {
        this.#plan = await inSteps(planSteps(table, this.#node, this.#plane.ids), pacer());
      } catch (error) {
        this.#plan = undefined;
        throw error;
      }
      return this.#plane.apply(this.#plan, undefined, this.#events.states(table));
    }
    const { plan: next, changes } = await this.#replan(before, table);
    return this.#plane.apply(next, failed ? undefined : changes, this.#events.states(table));
  }

  /** In steps, as an edit may be of thousands of ports. There is no plan to be seen while the one before becomes the next. */
  async #replan(before: Plan, table: CompactTable): Promise<{ plan: Plan; changes: PlanChanges }> {
    const pause = pacer();
    const edits = await inSteps(diffTableSteps(before.table, table), pause);
    this.#plan = undefined;
    const replanned = inSteps(replanSteps(before, table, edits), pause);
    const over = (made: Plan | undefined): void => {
      this.#plan = made;
      this.#replanning = undefined;
    };
    this.#replanning = replanned.then(
      ({ plan: made }) => over(made),
      () => over(undefined),
    );
    return replanned;
  }

  #settle(revision: number, tell: (waiter: Waiter) => void): void {
    const due = this.#waiters.filter((waiter) => waiter.revision <= revision);
    this.#waiters = this.#waiters.filter((waiter) => waiter.revision > revision);
    for (const waiter of due) tell(waiter);
  }

  /** Lets what is under way end and begins nothing more. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#running;
    const error = new MapwireError('ERR_MW_CLOSED', 'the daemon is stopping');
    for (const waiter of this.#waiters) waiter.reject(error);
    this.#waiters = [];
  }
}
