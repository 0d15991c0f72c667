/**
 * The API as a source of the table: edits come as NDJSON deltas, are checked like any other change, and are written to a
 * log before they are acknowledged. What was acknowledged is the source's snapshot at the next start.
 */

import { MapwireError } from '../errors.ts';
import type { CompactTable, TableChanges } from '../table/compact-table.ts';
import { addressRecord, type DeltaRecord, networkRecord, nodeRecord, portRecord, readDeltas } from '../table/delta.ts';
import type { Diagnostic } from '../table/diagnostics.ts';
import { RECORD_KINDS, type RecordKind } from '../table/document.ts';
import type { Table } from '../table/model.ts';
import { isSequence } from '../table/row.ts';
import { EditLog, type EditLogOptions, type LogContent } from './api-log.ts';
import type { MappingSource, SourceSink, Verdict } from './source.ts';

/** One acknowledged edit. */
export interface AcceptedEdit {
  /** The table with the edit in it. */
  readonly table: CompactTable;
  readonly changes: TableChanges | undefined;
  /** Records in the edit. */
  readonly records: number;
  /** Warnings. */
  readonly diagnostics: readonly Diagnostic[];
  /** Resolves when the edit is on the disk; rejects with ERR_MW_STATE when it could not be written and was taken back. */
  readonly durable: Promise<void>;
}

export interface ApiSourceOptions extends EditLogOptions {
  /** The table in force. */
  readonly table: () => CompactTable | undefined;
  /** A port was removed by a move of this sequence: what tells of an older one counts no more. */
  readonly buried?: (port: string, sequence: number) => void;
  /** Bytes of log after which a snapshot is written. Default 4 MiB. */
  readonly compactAfter?: number;
}

interface Key {
  readonly kind: RecordKind;
  readonly id: string;
}

const COMPACT_AFTER = 4 << 20;
/** Segments of the log after which a snapshot is written: each start of the daemon begins one. */
const COMPACT_SEGMENTS = 16;
const SOURCE = 'api';
/** Records that a conflict shows. */
const MOST_IN_FORCE = 16;

const nameOf = ({ kind, id }: Key): string => `${kind} ${id}`;

/** What a delta is about, and whether it removes it. Only for records that were checked. */
function keyOf(record: DeltaRecord): (Key & { readonly removes: boolean }) | undefined {
  const word = RECORD_KINDS.find((kind) => kind === record.delete);
  if (word !== undefined) return { kind: word, id: String(record.id), removes: true };
  // `network` is a network's own key, and a property of ports and addresses.
  const named = record.port !== undefined || record.address !== undefined;
  const kind = RECORD_KINDS.find((one) => typeof record[one] === 'string' && !(one === 'network' && named));
  return kind === undefined ? undefined : { kind, id: String(record[kind]), removes: record.delete === true };
}

/** The record of the table that has this key, as a delta. */
function recordOf(table: Table, { kind, id }: Key): DeltaRecord | undefined {
  if (kind === 'port') {
    const port = table.port(id);
    return port === undefined ? undefined : { port: id, ...portRecord(port) };
  }
  if (kind === 'node') {
    const node = table.nodes.get(id);
    return node === undefined ? undefined : { node: id, ...nodeRecord(node) };
  }
  if (kind === 'address') {
    const address = table.addresses.get(id);
    return address === undefined ? undefined : { address: id, ...addressRecord(address) };
  }
  const network = table.networks.get(id);
  // `network` is the record's own key here and a port's property there.
  return network === undefined ? undefined : { network: id, ...networkRecord(network) };
}

/** What a log holds, later records over earlier ones. Exported for its test. */
export function foldLog(content: Pick<LogContent, 'rows' | 'records'>): Map<string, DeltaRecord> {
  const state = new Map<string, DeltaRecord>();
  const take = (record: DeltaRecord): void => {
    const key = keyOf(record);
    if (key === undefined) return;
    if (key.removes) state.delete(nameOf(key));
    else state.set(nameOf(key), record);
  };
  for (const row of content.rows) take(row as DeltaRecord);
  for (const { edits } of content.records) for (const edit of edits) take(edit as DeltaRecord);
  return state;
}

/** The records of an NDJSON text that was checked: without the header and empty lines. */
function recordsOf(text: string): DeltaRecord[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as DeltaRecord)
    .filter((record) => keyOf(record) !== undefined);
}

/** Changes that came too late have an error of their own: who sent them may want to know what counts instead. */
function refusal({ error, diagnostics, stale }: Extract<Verdict, { state: 'refused' }>, before: Table): MapwireError {
  const [first] = stale;
  if (first === undefined || diagnostics.some(({ code, severity }) => severity === 'error' && code !== 'MW194'))
    return error;
  const more = stale.length > 1 ? ` (and ${stale.length - 1} more)` : '';
  const message = `port '${first.port}' is at sequence ${first.inForce}, and the change tells of ${first.sequence}${more}`;
  const inForce = stale
    .slice(0, MOST_IN_FORCE)
    .map(({ port }) => recordOf(before, { kind: 'port', id: port }) ?? { port });
  return new MapwireError('ERR_MW_SEQUENCE', message, {
    hint: 'nothing was changed; to move a port again, send a sequence above the one in force',
    details: { diagnostics, inForce },
  });
}

export class ApiSource implements MappingSource {
  readonly name = SOURCE;
  readonly #log: EditLog;
  readonly #options: ApiSourceOptions;
  /** What this source has given, by `nameOf`. */
  readonly #own = new Map<string, Key>();
  #initial: Map<string, DeltaRecord> | undefined;
  /** Of the last edit that is on the disk. */
  #durable: CompactTable | undefined;
  #sink: SourceSink | undefined;
  #compaction: Promise<void> | undefined;
  #onCompactError: (error: unknown) => void = () => {};

  private constructor(log: EditLog, initial: Map<string, DeltaRecord>, options: ApiSourceOptions) {
    this.#log = log;
    this.#options = options;
    this.#initial = initial;
    for (const record of initial.values()) {
      const key = keyOf(record) as Key;
      this.#own.set(nameOf(key), { kind: key.kind, id: key.id });
    }
  }

  /**
   * Opens the log in `folder`.
   *
   * @returns the source, the highest revision it knows of, and what was found wrong with the log and mended
   * @throws ERR_MW_STATE when the log's snapshot is damaged
   */
  static async open(
    folder: string,
    options: ApiSourceOptions,
  ): Promise<{ source: ApiSource; revision: number; content: LogContent }> {
    const { log, content } = await EditLog.open(folder, options);
    const revision = content.records.at(-1)?.revision ?? content.snapshotRevision;
    return { source: new ApiSource(log, foldLog(content), options), revision, content };
  }

  /** Called when a snapshot could not be written; the log goes on growing. */
  set onCompactError(listener: (error: unknown) => void) {
    this.#onCompactError = listener;
  }

  /** How many records this source has given. */
  get size(): number {
    return this.#own.size;
  }

  async start(sink: SourceSink): Promise<void> {
    this.#sink = sink;
    const records = [...(this.#initial ?? new Map<string, DeltaRecord>()).values()];
    sink.offer({
      keep: true,
      feed: (edit) => {
        readDeltas(edit, records, { name: SOURCE, source: SOURCE });
        return true;
      },
    });
    this.#initial = undefined;
  }

  /**
   * Takes an edit: all of its deltas or none. It is in the table when this returns, and acknowledged when `durable`
   * resolves.
   *
   * @param expected the revision that the edit is made for; undefined: whatever it is
   * @throws ERR_MW_TABLE with `details.diagnostics`; ERR_MW_REVISION; ERR_MW_API before there is a table
   */
  edit(deltas: Uint8Array, expected?: number): AcceptedEdit {
    const before = this.#options.table();
    if (this.#sink === undefined || before === undefined) {
      throw new MapwireError('ERR_MW_API', 'there is no table yet', {
        hint: "see 'mapwire status': the first table must be read before it can be edited",
      });
    }
    if (expected !== undefined && expected !== before.revision) {
      throw new MapwireError('ERR_MW_REVISION', `the table is at revision ${before.revision}, not ${expected}`, {
        hint: 'read the table again and repeat the edit',
        details: { expected, present: before.revision },
      });
    }
    const verdict = this.#sink.offer({
      keep: false,
      feed: (edit) => {
        readDeltas(edit, deltas, { name: SOURCE, source: SOURCE });
        return true;
      },
    });
    if (verdict.state === 'refused') throw refusal(verdict, before);
    if (verdict.state !== 'accepted') throw new MapwireError('ERR_MW_API', 'the table changed meanwhile; try again');
    const records = recordsOf(Buffer.from(deltas).toString('utf8'));
    this.#remember(records);
    for (const record of records) {
      const key = keyOf(record);
      if (key?.removes && isSequence(record.sequence)) this.#options.buried?.(key.id, record.sequence);
    }
    const { table, changes, diagnostics } = verdict;
    const durable = this.#log.append({ revision: table.revision, edits: records }).then(
      () => {
        this.#durable = table;
        this.#compactWhenLong();
      },
      (error: unknown) => {
        this.#takeBack(before, records);
        throw error;
      },
    );
    // Whoever waits for it sees the failure; nobody waiting is no crash.
    durable.catch(() => {});
    return { table, changes, records: records.length, diagnostics, durable };
  }

  #remember(records: readonly DeltaRecord[]): void {
    for (const record of records) {
      const key = keyOf(record);
      if (key === undefined) continue;
      if (key.removes) this.#own.delete(nameOf(key));
      else this.#own.set(nameOf(key), { kind: key.kind, id: key.id });
    }
  }

  /** Undoes an edit that could not be written. */
  #takeBack(before: Table, records: readonly DeltaRecord[]): void {
    const inverse = new Map<string, DeltaRecord>();
    for (const record of records) {
      const key = keyOf(record);
      if (key === undefined) continue;
      const was = recordOf(before, key);
      if (was === undefined && key.removes) continue;
      inverse.set(nameOf(key), was ?? { delete: key.kind, id: key.id });
    }
    const list = [...inverse.values()].reverse();
    const verdict = this.#sink?.offer({
      keep: false,
      feed: (edit) => {
        readDeltas(edit, list, { name: SOURCE, source: SOURCE, restoring: true });
        return true;
      },
    });
    if (verdict?.state === 'accepted') this.#remember(list);
  }

  #compactWhenLong(): void {
    const { pendingBytes, pendingSegments } = this.#log;
    if (pendingBytes < (this.#options.compactAfter ?? COMPACT_AFTER) && pendingSegments < COMPACT_SEGMENTS) return;
    this.compact().catch((error: unknown) => this.#onCompactError(error));
  }

  /** Writes a snapshot now. @throws ERR_MW_STATE */
  async compact(): Promise<void> {
    const table = this.#durable;
    if (table === undefined || this.#compaction !== undefined) return this.#compaction;
    this.#compaction = this.#log.compact(table.revision, this.#rows(table)).finally(() => {
      this.#compaction = undefined;
    });
    return this.#compaction;
  }

  *#rows(table: Table): Generator<DeltaRecord> {
    for (const key of this.#own.values()) {
      const record = recordOf(table, key);
      if (record !== undefined) yield record;
    }
  }

  async close(): Promise<void> {
    await this.#compaction?.catch(() => {});
    await this.#log.close();
  }
}
