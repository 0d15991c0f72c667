/**
 * The newest move of each port that has a sequence, over restarts: a file that was put back, or a source that lags, must not
 * undo what is newer. While a table is in force it holds the sequences itself; kept beside it are those of ports that a move
 * removed.
 */

import { MapwireError } from '../errors.ts';
import type { CompactTable, TableChanges } from '../table/compact-table.ts';
import { portRecord } from '../table/delta.ts';
import type { NewestMove } from '../table/edit.ts';
import { EditLog, type LogContent } from './api-log.ts';

/** Bytes of log after which a snapshot is written. */
const COMPACT_AFTER = 4 << 20;
const COMPACT_SEGMENTS = 16;
/** Removed ports that are remembered; the oldest are forgotten first. */
const MOST_BURIED = 10_000;

type Line =
  | ({ readonly port: string; readonly sequence: number } & Readonly<Record<string, unknown>>)
  | { readonly gone: string; readonly sequence?: number; readonly port?: never };

function isRemoval(line: Line): line is Extract<Line, { readonly gone: string }> {
  return 'gone' in line;
}

export class SequenceBook {
  readonly #log: EditLog;
  /** As it was read, until there is a table. */
  #initial: Map<string, NewestMove> | undefined;
  /** Ports that a move removed. */
  readonly #buried = new Map<string, number>();
  readonly #onFailure: (error: unknown) => void;
  #last: number;
  #table: CompactTable | undefined;

  private constructor(log: EditLog, content: LogContent, onFailure: (error: unknown) => void) {
    this.#log = log;
    this.#onFailure = onFailure;
    this.#last = content.records.at(-1)?.revision ?? content.snapshotRevision;
    this.#initial = new Map();
    const lines = [...content.rows, ...content.records.flatMap(({ edits }) => edits)] as Line[];
    for (const line of lines) {
      if (isRemoval(line)) {
        this.#initial.delete(line.gone);
        if (line.sequence !== undefined) this.#bury(line.gone, line.sequence);
        continue;
      }
      const { port, ...record } = line;
      this.#initial.set(port, { sequence: line.sequence, record });
      this.#buried.delete(port);
    }
  }

  /**
   * @param onFailure told when something cannot be kept over a restart; it counts until then
   * @throws ERR_MW_STATE when what is there is damaged
   */
  static async open(folder: string, onFailure: (error: unknown) => void): Promise<SequenceBook> {
    const { log, content } = await EditLog.open(folder, { onFailure });
    return new SequenceBook(log, content, onFailure);
  }

  /** What knows moves of ports that the table does not have; undefined: there are none. */
  get lookup(): ((port: string) => NewestMove | undefined) | undefined {
    const empty = this.#buried.size + (this.#initial?.size ?? 0) === 0;
    return empty ? undefined : (port) => this.newest(port);
  }

  /** Of a port that the table does not have. */
  newest(port: string): NewestMove | undefined {
    const buried = this.#buried.get(port);
    return buried === undefined ? this.#initial?.get(port) : { sequence: buried };
  }

  /**
   * Does a table of an earlier run hold every move that was heard of? If not, it must not be the first one: what it tells of a port is
   * older. Before the first `note`.
   */
  isHeldBy(table: CompactTable): boolean {
    const holds = (port: string, sequence: number) => (table.port(port)?.sequence ?? 0) >= sequence;
    for (const [port, { sequence }] of this.#initial ?? []) if (!holds(port, sequence)) return false;
    for (const [port, sequence] of this.#buried) {
      if (table.port(port) !== undefined && !holds(port, sequence)) return false;
    }
    return true;
  }

  /** A new table is in force; without `changes` the first one. */
  note(table: CompactTable, previous: CompactTable | undefined, changes: TableChanges | undefined): void {
    const lines: Line[] = [];
    this.#table = table;
    if (changes === undefined) {
      const before = this.#initial ?? new Map<string, NewestMove>();
      this.#initial = undefined;
      for (const port of table.sequencedPorts()) {
        const line = { port: port.id, ...portRecord(port) } as Line;
        const known = before.get(port.id);
        before.delete(port.id);
        if (JSON.stringify({ port: port.id, ...known?.record }) !== JSON.stringify(line)) lines.push(line);
      }
      for (const gone of before.keys()) lines.push({ gone });
    } else if (table.parts.store.hasSequences || previous?.parts.store.hasSequences === true) {
      for (const id of changes.ports) {
        const port = table.port(id);
        if (port?.sequence !== undefined) {
          this.#buried.delete(id);
          lines.push({ port: id, ...portRecord(port) } as Line);
        } else if (previous?.port(id)?.sequence !== undefined) lines.push({ gone: id });
      }
    }
    this.#append(lines);
  }

  /** A port was removed by a move of this sequence. */
  bury(port: string, sequence: number): void {
    this.#bury(port, sequence);
    this.#append([{ gone: port, sequence }]);
  }

  #bury(port: string, sequence: number): void {
    this.#buried.delete(port);
    this.#buried.set(port, sequence);
    if (this.#buried.size <= MOST_BURIED) return;
    for (const oldest of this.#buried.keys()) {
      this.#buried.delete(oldest);
      break;
    }
  }

  #append(lines: readonly Line[]): void {
    if (lines.length === 0) return;
    this.#log.append({ revision: ++this.#last, edits: lines }).then(
      () => this.#compactWhenLong(),
      (error: unknown) => {
        if (!(error instanceof MapwireError && error.code === 'ERR_MW_CLOSED')) this.#onFailure(error);
      },
    );
  }

  #compactWhenLong(): void {
    const { pendingBytes, pendingSegments } = this.#log;
    if (this.#table === undefined || (pendingBytes < COMPACT_AFTER && pendingSegments < COMPACT_SEGMENTS)) return;
    this.#log.compact(this.#last, this.#rows(this.#table)).catch((error: unknown) => this.#onFailure(error));
  }

  *#rows(table: CompactTable): Generator<Line> {
    for (const port of table.sequencedPorts()) yield { port: port.id, ...portRecord(port) } as Line;
    for (const [gone, sequence] of this.#buried) yield { gone, sequence };
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}
