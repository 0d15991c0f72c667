/**
 * Where tables come from. Every source first offers a complete snapshot of what it holds, then changes; a source set
 * (source-set.ts) makes one table of them all and says at once whether an offer is in force.
 */

import type { MapwireError } from '../errors.ts';
import type { CompactTable, TableChanges } from '../table/compact-table.ts';
import type { Diagnostic } from '../table/diagnostics.ts';
import type { StaleChange, TableEdit } from '../table/edit.ts';

/** What a source wants to be in the table. */
export interface Offer {
  /**
   * Puts the records into the edit. May be called again when the first try was refused, or had to wait for other
   * sources. False: what was to be read changed meanwhile; nothing is to be done, another offer follows.
   */
  feed(edit: TableEdit): boolean;
  /**
   * Keep the offer when it is refused, and try again when another source has changed something. Otherwise it is
   * forgotten, and before there is a table it is not looked at at all. The first offer, the snapshot, is always kept.
   */
  readonly keep: boolean;
  /** Told of every verdict after the offer was waiting. */
  settled?(verdict: Verdict): void;
}

export type Verdict =
  /**
   * In force: `table` is the new version, or the one before when the offer changed nothing; `changes` is absent when it
   * is the first one.
   */
  | {
      readonly state: 'accepted';
      readonly table: CompactTable;
      readonly changes?: TableChanges;
      readonly diagnostics: readonly Diagnostic[];
    }
  /** The table stays as it was. */
  | {
      readonly state: 'refused';
      readonly diagnostics: readonly Diagnostic[];
      readonly error: MapwireError;
      /** Among what was wrong: changes that told of older moves. */
      readonly stale: readonly StaleChange[];
    }
  /** Not looked at before every source has offered its snapshot and they fit; names those that have not offered. */
  | { readonly state: 'waiting'; readonly missing: readonly string[] }
  /** The content changed while it was read. */
  | { readonly state: 'unstable' };

export interface SourceSink {
  /** The verdict comes at once. */
  offer(offer: Offer): Verdict;
  /** Nothing can be offered; what is in force stays. `held` is no mistake: somebody asked to wait. */
  report(state: 'bad' | 'held', diagnostics: readonly Diagnostic[]): void;
}

export interface MappingSource {
  /** Unique among the sources of a set; the owner of its records. */
  readonly name: string;
  /** Begins to offer, at once if it can. The first offer is the complete snapshot. */
  start(sink: SourceSink): Promise<void>;
  close(): Promise<void>;
}
