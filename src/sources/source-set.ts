/** One table from several sources: complete only when all are, changed by each of them, checked as a whole. */

import { MapwireError } from '../errors.ts';
import { pacer } from '../pace.ts';
import type { CompactTable, TableChanges } from '../table/compact-table.ts';
import { type Diagnostic, hasErrors } from '../table/diagnostics.ts';
import { type EditOptions, type EditResult, TableEdit } from '../table/edit.ts';
import { tableError } from '../table/read-table.ts';
import { inSteps, type Steps } from '../table/steps.ts';
import type { MappingSource, Offer, SourceSink, Verdict } from './source.ts';

/** What a source is doing, for `status`. */
export interface SourceStatus {
  readonly name: string;
  /** `starting`: no snapshot yet; `good`: what it holds is in force; `bad`: it is not; `held`: it was asked to wait. */
  readonly state: 'starting' | 'good' | 'bad' | 'held';
  /** Of the last offer. */
  readonly diagnostics: readonly Diagnostic[];
}

export type SourceSetEvent =
  /** A new version is there. `previous` and `changes` are absent the first time. */
  | {
      readonly type: 'table';
      readonly source: string;
      readonly table: CompactTable;
      readonly previous?: CompactTable;
      readonly changes?: TableChanges;
      readonly diagnostics: readonly Diagnostic[];
    }
  /** Something of a source is not in force; the table is as before. */
  | {
      readonly type: 'refused';
      readonly source: string;
      readonly diagnostics: readonly Diagnostic[];
      readonly error: MapwireError;
    }
  | { readonly type: 'held'; readonly source: string };

export interface SourceSetOptions {
  /** Gives the revision of the next version; called once for each that there is. By default they count from 1. */
  readonly revision?: () => number;
  /** Gives what says of ports that the table does not have the newest move that was heard of; undefined: of none. */
  readonly newest?: () => EditOptions['newest'];
}

interface Member {
  readonly source: MappingSource;
  state: SourceStatus['state'];
  diagnostics: readonly Diagnostic[];
  /** What it offered and is not in force yet. */
  pending: Offer | undefined;
}

export class SourceSet {
  readonly #members: Member[] = [];
  readonly #listeners = new Set<(event: SourceSetEvent) => void>();
  readonly #revision: () => number;
  readonly #newest: SourceSetOptions['newest'];
  #table: CompactTable | undefined;
  #count = 0;
  #started = false;
  #editing = false;
  #slow: Promise<void> | undefined;
  #closed = false;

  constructor(options: SourceSetOptions = {}) {
    this.#revision = options.revision ?? (() => ++this.#count);
    this.#newest = options.newest;
  }

  /** The table in force; undefined before every source has offered a snapshot and they fit together. */
  get table(): CompactTable | undefined {
    return this.#table;
  }

  status(): SourceStatus[] {
    return this.#members.map(({ source, state, diagnostics }) => ({ name: source.name, state, diagnostics }));
  }

  /** Before `start` only. */
  add(source: MappingSource): void {
    if (this.#started) throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'sources are added before the start');
    if (this.#members.some((member) => member.source.name === source.name)) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `there are two sources named '${source.name}'`);
    }
    this.#members.push({ source, state: 'starting', diagnostics: [], pending: undefined });
  }

  /** Listeners are called before the source that offered gets its verdict. */
  onEvent(listener: (event: SourceSetEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Begins with a table that the sources, as they were then, had made: they offer what is other than that. Before `start`. */
  restore(table: CompactTable): void {
    this.#table = table;
    for (const member of this.#members) member.state = 'good';
    this.#emit({ type: 'table', source: 'snapshot', table, diagnostics: [] });
  }

  async start(): Promise<void> {
    this.#started = true;
    for (const member of this.#members) await member.source.start(this.#sinkOf(member));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.idle();
    for (const member of this.#members) await member.source.close();
  }

  #emit(event: SourceSetEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  #sinkOf(member: Member): SourceSink {
    return {
      offer: (offer) => this.#offer(member, offer),
      offerSlowly: (offer) => this.#offerSlowly(member, offer),
      report: (state, diagnostics) => {
        member.state = state;
        member.diagnostics = diagnostics;
        const source = member.source.name;
        if (state === 'held') this.#emit({ type: 'held', source });
        else this.#emit({ type: 'refused', source, diagnostics, error: errorOf(diagnostics) });
      },
    };
  }

  #offer(member: Member, offer: Offer): Verdict {
    if (this.#closed) throw new MapwireError('ERR_MW_CLOSED', 'the sources are closed');
    if (this.#editing) throw new MapwireError('ERR_MW_INVALID_ARGUMENT', 'an offer during an offer');
    if (this.#table === undefined) return this.#first(member, offer);
    const verdict = this.#try(member, offer, this.#table);
    if (verdict.state === 'accepted') this.#retry(member);
    return verdict;
  }

  /** Is an offer being read in steps? Nothing can be offered then. */
  get busy(): boolean {
    return this.#slow !== undefined;
  }

  /** Resolves when nothing is read in steps. */
  async idle(): Promise<void> {
    while (this.#slow !== undefined) await this.#slow;
  }

  async #offerSlowly(member: Member, offer: Offer): Promise<Verdict> {
    await this.idle();
    if (this.#closed) throw new MapwireError('ERR_MW_CLOSED', 'the sources are closed');
    const base = this.#table;
    if (base === undefined || offer.steps === undefined) return this.#offer(member, offer);
    const trying = this.#trySlowly(member, offer, offer.steps.bind(offer), base);
    const slow: Promise<void> = trying.then(
      () => {},
      () => {},
    );
    this.#slow = slow;
    try {
      const verdict = await trying;
      if (verdict.state === 'accepted') this.#retry(member);
      return verdict;
    } finally {
      if (this.#slow === slow) this.#slow = undefined;
    }
  }

  async #trySlowly(
    member: Member,
    offer: Offer,
    steps: (edit: TableEdit) => Steps<boolean>,
    base: CompactTable,
  ): Promise<Verdict> {
    const pause = pacer();
    const edit = new TableEdit(base, { revision: this.#revision, newest: this.#newest?.() });
    this.#editing = true;
    try {
      if (!(await inSteps(steps(edit), pause)) || this.#closed) return { state: 'unstable' };
      const result = await inSteps(edit.finishSteps(), pause);
      this.#editing = false;
      return this.#judge(member, offer, base, edit, result);
    } finally {
      await inSteps(edit.abandonSteps(), pause);
      this.#editing = false;
    }
  }

  /** Before there is a table: collects snapshots, and makes the table of all of them. */
  #first(member: Member, offer: Offer): Verdict {
    if (member.pending === undefined || offer.keep) member.pending = offer;
    const missing = this.#members.filter(({ pending }) => pending === undefined).map(({ source }) => source.name);
    if (missing.length > 0 || member.pending !== offer) return { state: 'waiting', missing };
    const edit = new TableEdit(undefined, { revision: this.#revision, newest: this.#newest?.() });
    const fed = this.#fill(edit, () => this.#members.every(({ pending }) => pending!.feed(edit)));
    if (!fed) {
      edit.abandon();
      return { state: 'unstable' };
    }
    const { table, diagnostics } = edit.finish();
    const offers = this.#members.map(({ pending }) => pending!);
    const verdict: Verdict =
      table === undefined
        ? { state: 'refused', diagnostics, error: errorOf(diagnostics), stale: edit.staleChanges }
        : { state: 'accepted', table, diagnostics };
    for (const each of this.#members) {
      each.state = table === undefined ? 'bad' : 'good';
      each.diagnostics = diagnostics;
      if (table !== undefined) each.pending = undefined;
    }
    this.#table = table;
    this.#tell(member, verdict, undefined);
    for (const each of offers) if (each !== offer) each.settled?.(verdict);
    return verdict;
  }

  #try(member: Member, offer: Offer, base: CompactTable): Verdict {
    const edit = new TableEdit(base, { revision: this.#revision, newest: this.#newest?.() });
    if (!this.#fill(edit, () => offer.feed(edit))) {
      edit.abandon();
      return { state: 'unstable' };
    }
    return this.#judge(member, offer, base, edit, edit.finish());
  }

  #judge(member: Member, offer: Offer, base: CompactTable, edit: TableEdit, result: EditResult): Verdict {
    const { table, changes, diagnostics } = result;
    if (table === undefined) {
      if (offer.keep) {
        member.pending = offer;
        member.state = 'bad';
        member.diagnostics = diagnostics;
      }
      const error = errorOf(diagnostics);
      const verdict: Verdict = { state: 'refused', diagnostics, error, stale: edit.staleChanges };
      this.#tell(member, verdict, base);
      return verdict;
    }
    member.pending = undefined;
    member.state = 'good';
    member.diagnostics = diagnostics;
    this.#table = table;
    const verdict: Verdict = { state: 'accepted', table, ...(changes !== undefined && { changes }), diagnostics };
    this.#tell(member, verdict, base);
    return verdict;
  }

  #fill(edit: TableEdit, feed: () => boolean): boolean {
    this.#editing = true;
    try {
      return edit.fill(feed);
    } finally {
      this.#editing = false;
    }
  }

  /** What other sources offered in vain may fit now. */
  #retry(changed: Member): void {
    for (const member of this.#members) {
      const offer = member.pending;
      if (member === changed || offer === undefined) continue;
      const verdict = this.#try(member, offer, this.#table!);
      if (verdict.state !== 'refused') offer.settled?.(verdict);
    }
  }

  #tell(member: Member, verdict: Verdict, previous: CompactTable | undefined): void {
    const source = member.source.name;
    if (verdict.state === 'accepted') {
      const { table, changes, diagnostics } = verdict;
      if (table === previous) return;
      const both = previous !== undefined && changes !== undefined ? { previous, changes } : {};
      this.#emit({ type: 'table', source, table, ...both, diagnostics });
    } else if (verdict.state === 'refused') {
      this.#emit({ type: 'refused', source, diagnostics: verdict.diagnostics, error: verdict.error });
    }
  }
}

/** The error of a refusal: an unsafe file has a code of its own. */
function errorOf(diagnostics: readonly Diagnostic[]): MapwireError {
  const unsafe = diagnostics.find((diagnostic) => diagnostic.code === 'MW179');
  if (unsafe !== undefined) {
    return new MapwireError('ERR_MW_UNSAFE_FILE', unsafe.message, {
      ...(unsafe.hint !== undefined && { hint: unsafe.hint }),
      details: { diagnostics },
    });
  }
  if (hasErrors(diagnostics)) return tableError(diagnostics);
  return new MapwireError('ERR_MW_TABLE', 'the source has nothing to offer', { details: { diagnostics } });
}
