/**
 * One change of a table, from the first record to the verdict: the records of whole files, or deltas, go into the store;
 * then what changed is checked against the rest (checks.ts); then there is a new version, or the store is as it was
 * before. Reading a table for the first time is an edit of an empty one: there is one path, so that both ways find the
 * same mistakes.
 */

import { addressOfValue } from './address-row.ts';
import { checkSteps } from './checks.ts';
import {
  CompactTable,
  changesBetween,
  type FileList,
  idsChangedBy,
  type Origin,
  type TableChanges,
  type Undo,
} from './compact-table.ts';
import { type Diagnostic, type DiagnosticCode, quote } from './diagnostics.ts';
import type { Document, RecordKind, RecordSink, TableFile } from './document.ts';
import { FormerRows } from './former-rows.ts';
import { compareText, type FoundMistake, Mistakes, placeIn } from './mistakes.ts';
import type { TableAddress, TableNetwork, TableNode } from './model.ts';
import { type PlainPort, PortStore } from './port-store.ts';
import {
  isMapping,
  type MistakeExtra,
  networkOfValue,
  nodeOf,
  type Path,
  type PortRow,
  portOf,
  type RowReport,
} from './row.ts';
import { RowSet } from './row-set.ts';
import { atOnce, type Steps } from './steps.ts';
import { nearest } from './suggest.ts';
import type { Position } from './text-position.ts';

export interface EditOptions {
  /** Revision of the new version, asked for when there is one; otherwise one more than that of the base. */
  readonly revision?: number | (() => number) | undefined;
  /** Errors shown of one file. */
  readonly limit?: number | undefined;
  /** Of ports that the table does not have: the newest move that was heard of. */
  readonly newest?: ((port: string) => NewestMove | undefined) | undefined;
}

/** What was in force of a port before. */
export interface NewestMove {
  readonly sequence: number;
  /** Its record; undefined: that move removed the port. */
  readonly record?: Readonly<Record<string, unknown>>;
}

/** A change that came too late. */
export interface StaleChange {
  readonly port: string;
  readonly sequence: number;
  /** The sequence that counts. */
  readonly inForce: number;
}

export interface EditResult {
  /** The new version, or the base itself when nothing changed; absent when there are errors. */
  readonly table?: CompactTable;
  /** What differs from the base (some ids may differ in nothing); absent without a base, or when there are errors. */
  readonly changes?: TableChanges;
  readonly diagnostics: readonly Diagnostic[];
}

/** The node where the guest of a port that moves by announcement is to be heard. */
function announcedPlace({ move, at }: Pick<PortRow, 'move' | 'at'>): string | undefined {
  return move?.activate === 'announcement' ? at.find(({ pending }) => pending)?.node : undefined;
}

const MAX_FILES = 0xffff;
/** Files of an edit that are looked for one by one. */
const FEW_FILES = 8;
/** Ports between two pauses. */
const STEP = 1_024;
/** The path of a record itself. */
const RECORD = (): Path => [];
const NO_FILES: FileList = { byNumber: [] };

/** What tells files apart. */
function nameOfFile(file: TableFile | undefined): string {
  return file === undefined ? '' : `${file.source}\0${file.name}`;
}

/** What `report` may add to a mistake. */
export interface ReportExtra extends Pick<FoundMistake, 'hint' | 'related'> {
  /** The mistake is the key at the end of the path, not its value. */
  readonly key?: boolean;
}

/** Nodes, networks or addresses during an edit: copied from the base when the first of them changes. */
export class Definitions<T extends { readonly id: string }> {
  values: ReadonlyMap<string, T>;
  origins: ReadonlyMap<string, Origin>;
  /** As they were before the edit. */
  readonly before: ReadonlyMap<string, T>;
  /** Ids that were added, changed or removed. */
  readonly changed = new Set<string>();
  /** Ids given by the files of this edit. */
  readonly seen = new Set<string>();
  /** Ids whose definition is there but has mistakes. */
  readonly broken = new Map<string, Origin>();
  #ownValues: Map<string, T> | undefined;
  #ownOrigins: Map<string, Origin> | undefined;

  constructor(values: ReadonlyMap<string, T>, origins: ReadonlyMap<string, Origin>) {
    this.values = values;
    this.before = values;
    this.origins = origins;
  }

  #writableValues(): Map<string, T> {
    this.#ownValues ??= new Map(this.values);
    this.values = this.#ownValues;
    return this.#ownValues;
  }

  #writableOrigins(): Map<string, Origin> {
    this.#ownOrigins ??= new Map(this.origins);
    this.origins = this.#ownOrigins;
    return this.#ownOrigins;
  }

  set(value: T, origin: Origin): void {
    const before = this.origins.get(value.id);
    if (before?.file !== origin.file || before.line !== origin.line) this.#writableOrigins().set(value.id, origin);
    const old = this.values.get(value.id);
    if (old !== undefined && JSON.stringify(old) === JSON.stringify(value)) return;
    this.#writableValues().set(value.id, value);
    this.changed.add(value.id);
  }

  /** The definitions that this edit took from a file are of no line of it any more. */
  forgetLines(file: number): void {
    for (const id of this.seen) {
      const origin = this.origins.get(id);
      if (origin?.file === file && origin.line !== 0) this.#writableOrigins().set(id, { file, line: 0 });
    }
  }

  delete(id: string): void {
    if (!this.values.has(id)) return;
    this.#writableValues().delete(id);
    this.#writableOrigins().delete(id);
    this.changed.add(id);
  }

  /** True when something of this id is written, right or wrong. */
  isKnown(id: string): boolean {
    return this.values.has(id) || this.broken.has(id);
  }
}

export class TableEdit implements RecordSink {
  readonly store: PortStore;
  readonly nodes: Definitions<TableNode>;
  readonly networks: Definitions<TableNetwork>;
  readonly addresses: Definitions<TableAddress>;
  readonly mistakes: Mistakes;
  /** Changes of ports that told of older moves than those in force. */
  readonly staleChanges: StaleChange[] = [];
  /** The base that the new version will share its store with. */
  readonly #base: CompactTable | undefined;
  readonly #options: EditOptions;
  readonly #files: (TableFile | undefined)[];
  /** Of files, by `nameOfFile`. */
  #numbers: Map<string, number> | undefined;
  #registered = 0;
  readonly #undo: Undo = {
    rows: new FormerRows(),
    nodes: new Set(),
    networks: new Set(),
    addresses: new Set(),
  };
  /** Row, file and line of ports that only moved inside their files. */
  readonly #relocated: number[] = [];
  readonly #replaced = new Set<number>();
  readonly #tasks: (() => void)[] = [];
  readonly #deltaFiles = new Set<number>();
  readonly #brokenPorts = new Map<string, Origin>();
  readonly #documents = new Map<number, Document | undefined>();
  /** Rows that the files of this edit give. */
  readonly #seen = new RowSet();
  #file = -1;
  #deltas = false;
  #restoring = false;
  #incomplete = false;
  #finished = false;

  constructor(base: CompactTable | undefined, options: EditOptions = {}) {
    this.#options = options;
    this.mistakes = new Mistakes(options.limit);
    this.#base = base === undefined || base.isNewest ? base : fork(base);
    const parts = this.#base?.parts;
    this.store = parts?.store ?? new PortStore();
    this.store.settle();
    this.#files = [...(parts?.files ?? NO_FILES).byNumber];
    this.nodes = new Definitions(parts?.nodes ?? new Map(), parts?.nodeOrigins ?? new Map());
    this.networks = new Definitions(parts?.networks ?? new Map(), parts?.networkOrigins ?? new Map());
    this.addresses = new Definitions(parts?.addresses ?? new Map(), parts?.addressOrigins ?? new Map());
    // Until it is over, whoever holds the base must not see what this puts into the store.
    this.#base?.beginEdit(this.#undo);
  }

  get #definitions() {
    return [this.nodes, this.networks, this.addresses] as const;
  }

  /** Rows that this edit put in or took out; undefined: all. */
  get touchedRows(): Iterable<number> | undefined {
    return this.#base === undefined ? undefined : this.#undo.rows.rows();
  }

  /** Ids of ports that this edit put in or took out; undefined: all. */
  get touchedPorts(): Iterable<string> | undefined {
    return this.#base === undefined ? undefined : idsChangedBy(this.#undo, this.store);
  }

  /** Is something of this id written, right or wrong? */
  isKnownPort(id: string): boolean {
    return this.store.findId(id) >= 0 || this.#brokenPorts.has(id);
  }

  /** True when part of the files was not read, so that definitions may be missing for that reason. */
  get isIncomplete(): boolean {
    return this.#incomplete;
  }

  // where records come from

  /** From now on the whole content of a file follows: what it had and has no more goes. */
  replaceFile(file: TableFile): void {
    this.#file = this.#register(file);
    this.#replaced.add(this.#file);
    this.#deltas = false;
  }

  /** The file is gone, with all that was in it. */
  removeFile(file: TableFile): void {
    this.#replaced.add(this.#register(file));
  }

  /**
   * From now on records are changes: each replaces what has its id, in the order in which they come. `restoring`: they are
   * what was before, whatever sequences they have.
   */
  applyDeltas(file: TableFile, restoring = false): void {
    this.#restoring = restoring;
    this.#file = this.#register(file);
    this.#deltaFiles.add(this.#file);
    this.#deltas = true;
  }

  /** The document by which the present file's mistakes are shown. */
  readonly show = (document: Document): void => {
    this.#documents.set(this.#file, document);
  };

  #register(file: TableFile): number {
    const files = this.#files;
    const name = nameOfFile(file);
    // A small edit has one file or two: an index of all would cost more than it saves.
    if (++this.#registered > FEW_FILES) {
      this.#numbers ??= new Map(files.map((one, number) => [nameOfFile(one), number]));
    }
    let number =
      this.#numbers?.get(name) ??
      (this.#numbers === undefined
        ? files.findIndex((one) => one?.name === file.name && one.source === file.source)
        : -1);
    if (number < 0) {
      number = files.length < MAX_FILES ? files.length : this.#unusedFile();
      this.#numbers?.delete(nameOfFile(files[number]));
      this.#numbers?.set(name, number);
    }
    files[number] = file;
    return number;
  }

  #unusedFile(): number {
    const used = new Set<number>(this.#replaced);
    for (let row = 0; row < this.store.limit; row++) if (this.store.isLive(row)) used.add(this.store.file(row));
    for (const definitions of this.#definitions) {
      for (const origin of definitions.origins.values()) used.add(origin.file);
    }
    for (let number = 0; number < MAX_FILES; number++) if (!used.has(number)) return number;
    throw new RangeError(`a table has at most ${MAX_FILES} files`);
  }

  file(number: number): TableFile {
    return this.#files[number]!;
  }

  // records

  record(kind: RecordKind, id: string, value: unknown, line: number): void {
    if (kind === 'port') this.#port(id, value, line);
    else if (kind === 'node')
      this.#define('node', this.nodes, id, nodeOf(id, value, this.#reporter(kind, id, line)), line);
    else if (kind === 'address') {
      const address = addressOfValue(id, value, this.#reporter(kind, id, line));
      this.#define('address', this.addresses, id, address, line);
    } else {
      const network = networkOfValue(id, value, this.#reporter(kind, id, line));
      this.#define('network', this.networks, id, network, line);
    }
  }

  #reporter(kind: RecordKind, id: string, line: number): RowReport {
    return (code, path, message, extra) => {
      const file = this.file(this.#file);
      const document = this.#documents.get(this.#file);
      const position = () => document?.locate([...document.recordPath(kind, id, line), ...path], extra?.key ?? false);
      this.mistakes.add(file, { code, message, hint: extra?.hint }, position, line);
    };
  }

  #define<T extends { readonly id: string }>(
    kind: RecordKind,
    definitions: Definitions<T>,
    id: string,
    value: T | undefined,
    line: number,
  ): void {
    const origin = { file: this.#file, line };
    const existing = definitions.origins.get(id);
    const taken = definitions.seen.has(id) || definitions.broken.has(id);
    const before = existing ?? definitions.broken.get(id);
    if (before !== undefined && this.#isDuplicate(kind, id, before, origin, taken)) return;
    definitions.seen.add(id);
    if (value === undefined) {
      definitions.delete(id);
      definitions.broken.set(id, origin);
      return;
    }
    definitions.broken.delete(id);
    definitions.set(value, origin);
  }

  #port(id: string, value: unknown, line: number): void {
    const port = portOf(id, value, this.#reporter('port', id, line));
    const row = this.store.findId(id);
    const origin = { file: this.#file, line };
    const broken = this.#brokenPorts.get(id);
    const before = row >= 0 ? { file: this.store.file(row), line: this.store.line(row) } : broken;
    const taken = broken !== undefined || (row >= 0 && this.#seen.has(row));
    if (before !== undefined && this.#isDuplicate('port', id, before, origin, taken)) return;
    if (port === undefined) {
      if (row >= 0) this.#take(row);
      this.#brokenPorts.set(id, origin);
      return;
    }
    if (this.#isStale(row, port, origin)) return;
    this.#brokenPorts.delete(id);
    this.#put(row, port, line);
  }

  /**
   * News of an older move than the one in force: a change is refused, a file's is told of and the newer kept. `false`: it is
   * none.
   */
  #isStale(row: number, port: PortRow, origin: Origin): boolean {
    const kept = row < 0 ? this.#options.newest?.(port.id) : undefined;
    const newest = row < 0 ? (kept?.sequence ?? 0) : this.store.sequence(row);
    if (port.sequence > newest || this.#restoring) return false;
    if (port.sequence === newest) return this.#isOtherMove(row, port, kept?.record, origin);
    const { id } = port;
    const given = port.sequence === 0 ? 'no sequence' : `sequence ${port.sequence}`;
    const message = `port ${quote(id)} has ${given}, and what is in force has ${newest}`;
    const find = (value: unknown): Path => (isMapping(value) && value.sequence !== undefined ? ['sequence'] : []);
    if (this.#deltas) {
      this.#stale(origin, { port: id, sequence: port.sequence, inForce: newest }, message, find);
      return true;
    }
    const record = row < 0 ? kept?.record : undefined;
    const gone = row < 0 && record === undefined;
    this.report('MW208', origin, 'port', id, find, gone ? `${message}, which removed it` : `${message}: that is kept`, {
      key: port.sequence === 0,
      hint: `remove the older one from the file, or write a sequence above ${newest}`,
    });
    if (gone) return true;
    if (row >= 0) {
      this.store.relocate(row, origin.file, origin.line);
      this.#mark(row);
      return true;
    }
    const before = portOf(id, record, this.#reporter('port', id, origin.line));
    if (before !== undefined) this.#put(row, before, origin.line);
    return true;
  }

  /**
   * The same sequence and another place to be heard from: what was heard of the first would count for the other, so it is
   * refused. `record`: what was in force of a port that the table does not have. `false`: it is none.
   */
  #isOtherMove(row: number, port: PortRow, record: unknown, origin: Origin): boolean {
    const to = announcedPlace(port);
    if (to === undefined) return false;
    const { id, sequence } = port;
    const before =
      row >= 0 ? this.store.stored(row).row : record === undefined ? undefined : portOf(id, record, () => {});
    const known = before && announcedPlace(before);
    if (known === undefined || known === to) return false;
    const message = `port ${quote(id)} moves to node ${quote(known)} with sequence ${sequence}, and here to node ${quote(to)} with the same`;
    this.report('MW195', origin, 'port', id, () => ['move', 'to', 'node'], message, {
      hint: `write a sequence above ${sequence}: it is another move`,
    });
    return true;
  }

  #stale(origin: Origin, change: StaleChange, message: string, find: (value: unknown) => Path): void {
    this.report('MW194', origin, 'port', change.port, find, `${message}: it tells of an older move`, {
      hint: `if it is meant so, send it with a sequence of at least ${change.inForce}`,
    });
    this.staleChanges.push(change);
  }

  plainPort(port: PlainPort, line: number): boolean {
    const { store } = this;
    if (this.#brokenPorts.size > 0) return false;
    const row = store.findIdBytes(port.bytes, port.idStart, port.idEnd);
    if (row < 0 && this.#isRemembered(port)) return false;
    if (row < 0) {
      const place = store.putPlain(port, this.#file, line);
      this.#keepEmpty(place);
      this.#mark(place);
      return true;
    }
    if (store.sequence(row) > 0 || !this.#mayReplace(row)) return false;
    if (!store.equalsButNode(row, port)) {
      this.#replace(row);
      store.putPlain(port, this.#file, line, row);
    } else if (store.node(row) === port.node) {
      this.#relocate(row, line);
    } else {
      this.#keep(row, true);
      store.moveTo(row, port.node, this.#file, line);
    }
    this.#mark(row);
    return true;
  }

  /** Was a move heard of a port that the table does not have? */
  #isRemembered({ bytes, idStart, idEnd }: PlainPort): boolean {
    const { newest } = this.#options;
    return newest !== undefined && newest(Buffer.from(bytes.subarray(idStart, idEnd)).toString()) !== undefined;
  }

  expect(ports: number): void {
    const more = ports - this.store.size;
    if (more > 0) this.store.reserve(more);
    if (this.#base !== undefined) this.#undo.rows.reserve(ports);
  }

  /** Is there no question whether a port of this file may stand in the place of the one in the row? */
  #mayReplace(row: number): boolean {
    if (this.#deltas) return this.file(this.store.file(row)).source === this.file(this.#file).source;
    return !this.#seen.has(row) && this.#replaced.has(this.store.file(row));
  }

  #relocate(row: number, line: number): void {
    const { store } = this;
    if (store.file(row) === this.#file && store.line(row) === line) return;
    this.#relocated.push(row, store.file(row), store.line(row));
    store.relocate(row, this.#file, line);
  }

  #put(row: number, port: PortRow, line: number): void {
    const { store } = this;
    if (row >= 0 && store.equals(row, port)) {
      this.#relocate(row, line);
      this.#mark(row);
      return;
    }
    if (row >= 0) this.#replace(row);
    const place = store.put(port, this.#file, line, row);
    this.#keepEmpty(place);
    this.#mark(place);
  }

  /** Takes a port out of its row. */
  #take(row: number): void {
    this.#replace(row);
    if (this.#base !== undefined) this.#undo.rows.leave(row);
    this.#seen.delete(row);
  }

  /** The same, when it is put back there at once. */
  #replace(row: number): void {
    this.#keep(row, false);
    this.store.remove(row);
  }

  /** Remembers what was in a row before the edit. */
  #keep(row: number, moved: boolean): void {
    if (this.#base !== undefined) this.#undo.rows.keep(row, this.store, moved);
  }

  #keepEmpty(row: number): void {
    if (this.#base !== undefined) this.#undo.rows.keepEmpty(row, this.store);
  }

  #mark(row: number): void {
    this.#seen.add(row);
  }

  /** Reports a second definition; true when the new one must be passed over. */
  #isDuplicate(kind: RecordKind, id: string, before: Origin, now: Origin, taken: boolean): boolean {
    if (this.#deltas) {
      const owner = this.file(before.file).source;
      if (owner === this.file(now.file).source || owner === '' || this.file(now.file).source === '') return false;
      this.#duplicate(kind, id, now, before, `${kind} ${quote(id)} belongs to another source, ${owner}`);
      return true;
    }
    if (!taken && this.#replaced.has(before.file)) return false;
    const message = `${kind} ${quote(id)} is defined twice`;
    if (this.compareOrigins(before, now) <= 0) {
      this.#duplicate(kind, id, now, before, message);
      return true;
    }
    this.#duplicate(kind, id, before, now, message);
    return false;
  }

  #duplicate(kind: RecordKind, id: string, at: Origin, first: Origin, message: string): void {
    const related = () => [{ ...this.place(first, kind, id), message: 'first defined here' }];
    this.report('MW106', at, kind, id, () => [], message, { key: true, related });
  }

  remove(kind: RecordKind, id: string, line: number, sequence?: number): void {
    const definitions = kind === 'node' ? this.nodes : kind === 'address' ? this.addresses : this.networks;
    const row = kind === 'port' ? this.store.findId(id) : -1;
    const origin =
      row >= 0 ? { file: this.store.file(row), line: this.store.line(row) } : this.#definedAt(kind, definitions, id);
    const now = { file: this.#file, line };
    if (origin === undefined) {
      const ids = kind === 'port' ? [] : definitions.values.keys();
      const meant = nearest(id, ids);
      const message = `${kind} ${quote(id)} cannot be removed: it is not in the table`;
      const hint = meant === undefined ? undefined : `did you mean '${meant}'?`;
      this.report('MW178', now, kind, id, () => [], message, { hint });
      return;
    }
    if (this.#isDuplicate(kind, id, origin, now, false)) return;
    const inForce = row >= 0 ? this.store.sequence(row) : 0;
    if (sequence !== undefined && sequence < inForce) {
      const message = `port ${quote(id)} is to be removed by sequence ${sequence}, and what is in force has ${inForce}`;
      this.#stale(now, { port: id, sequence, inForce }, message, () => ['sequence']);
      return;
    }
    if (row >= 0) this.#take(row);
    if (kind === 'port') this.#brokenPorts.delete(id);
    else {
      definitions.delete(id);
      definitions.broken.delete(id);
    }
  }

  #definedAt(
    kind: RecordKind,
    definitions: Definitions<TableNode> | Definitions<TableNetwork> | Definitions<TableAddress>,
    id: string,
  ): Origin | undefined {
    if (kind === 'port') return this.#brokenPorts.get(id);
    return definitions.origins.get(id) ?? definitions.broken.get(id);
  }

  // mistakes of the readers

  mistake(code: DiagnosticCode, path: Path, message: string, extra?: MistakeExtra): void {
    const document = this.#documents.get(this.#file);
    const position = () => document?.locate(path, extra?.key ?? false);
    this.mistakes.add(this.file(this.#file), { code, message, hint: extra?.hint }, position);
  }

  mistakeAt(
    code: DiagnosticCode,
    position: Position | undefined,
    message: string,
    extra?: { hint?: string | undefined; first?: Position; firstMessage?: string },
  ): void {
    const file = this.file(this.#file);
    const first = extra?.first;
    const related =
      first === undefined ? undefined : () => [{ ...placeIn(file, first), message: extra?.firstMessage ?? 'here' }];
    this.mistakes.add(file, { code, message, hint: extra?.hint, related }, () => position);
  }

  incomplete(): void {
    this.#incomplete = true;
  }

  // places of records, for the checks

  compareOrigins(a: Origin, b: Origin): number {
    const fileA = this.file(a.file);
    const fileB = this.file(b.file);
    return fileA.rank - fileB.rank || compareText(fileA.name, fileB.name) || a.line - b.line;
  }

  #document(number: number): Document | undefined {
    if (!this.#documents.has(number)) this.#documents.set(number, this.file(number).reopen?.());
    return this.#documents.get(number);
  }

  #locate(
    origin: Origin,
    kind: RecordKind,
    id: string,
    find: (value: unknown) => Path,
    key: boolean,
  ): Position | undefined {
    const document = origin.line === 0 ? undefined : this.#document(origin.file);
    if (document === undefined) return undefined;
    const path = find(document.recordValue(kind, id, origin.line));
    return document.locate([...document.recordPath(kind, id, origin.line), ...path], key);
  }

  /** Where a record begins. */
  place(
    origin: Origin,
    kind: RecordKind,
    id: string,
    find: (value: unknown) => Path = RECORD,
  ): ReturnType<typeof placeIn> {
    // A record is named by its key, a value inside it by itself.
    const inside = find !== RECORD;
    const position = this.#locate(origin, kind, id, find, !inside);
    return placeIn(this.file(origin.file), position, origin.line);
  }

  /** A mistake of a record that was read before; `find` gives the path of the value at fault. */
  report(
    code: DiagnosticCode,
    origin: Origin,
    kind: RecordKind,
    id: string,
    find: (value: unknown) => Path,
    message: string,
    extra: ReportExtra = {},
  ): void {
    const position = () => this.#locate(origin, kind, id, find, extra.key ?? false);
    const { hint, related } = extra;
    this.mistakes.add(this.file(origin.file), { code, message, hint, related }, position, origin.line);
  }

  // the end

  /** Something to be done when the edit is over, whatever becomes of it: files must be open until then. */
  whenOver(task: () => void): void {
    this.#tasks.push(task);
  }

  #over(): void {
    for (const task of this.#tasks.splice(0)) task();
  }

  /** Checks what changed and makes the new version; without errors only. The edit is over then. */
  finish(): EditResult {
    return atOnce(this.finishSteps());
  }

  /** `finish` with pauses. Nothing else may change the store in them. */
  *finishSteps(): Steps<EditResult> {
    if (this.#finished) throw new Error('the edit is over');
    this.#finished = true;
    try {
      yield* this.#sweep();
      yield* checkSteps(this);
      if (this.mistakes.errors === 0) {
        if (this.#base === undefined) yield* this.store.fitSteps();
        return this.#conclude();
      }
      const diagnostics = this.mistakes.list();
      yield* this.#rollBack();
      return { diagnostics };
    } catch (error) {
      atOnce(this.#rollBack());
      throw error;
    } finally {
      this.#over();
    }
  }

  /** Lets `feed` put records in; when it throws, the edit is given up. */
  fill<T>(feed: (edit: TableEdit) => T): T {
    try {
      return feed(this);
    } catch (error) {
      this.abandon();
      throw error;
    }
  }

  #conclude(): EditResult {
    const diagnostics = this.mistakes.list();
    this.#forgetLines();
    const base = this.#base;
    const changed = {
      nodes: this.nodes.changed,
      networks: this.networks.changed,
      addresses: this.addresses.changed,
    };
    const unchanged = changed.nodes.size + changed.networks.size + changed.addresses.size + this.#undo.rows.size === 0;
    const { revision } = this.#options;
    const keep = base !== undefined && unchanged && (typeof revision !== 'number' || revision === base.revision);
    const parts = {
      revision: keep ? base.revision : nextRevision(revision, base),
      nodes: this.nodes.values,
      networks: this.networks.values,
      addresses: this.addresses.values,
      nodeOrigins: this.nodes.origins,
      networkOrigins: this.networks.origins,
      addressOrigins: this.addresses.origins,
      store: this.store,
      files: { byNumber: this.#files },
    };
    if (keep) {
      // Only lines moved: the next edit must find them, and whoever holds the base need not know.
      base.parts = parts;
      base.endEdit();
      this.store.settle();
      return { table: base, changes: { ...changed, ports: new Set() }, diagnostics };
    }
    const table = new CompactTable(parts);
    for (const id of changed.nodes) this.#undo.nodes.add(id);
    for (const id of changed.networks) this.#undo.networks.add(id);
    for (const id of changed.addresses) this.#undo.addresses.add(id);
    base?.succeed(table, this.#undo);
    this.store.settle();
    if (base === undefined) return { table, diagnostics };
    return { table, changes: changesBetween(changed, this.#undo, table), diagnostics };
  }

  /** What deltas were written in is gone after the edit: their records are of no line then. */
  #forgetLines(): void {
    const { store } = this;
    const deltas = this.#deltaFiles;
    if (deltas.size === 0) return;
    const rows = this.touchedRows ?? Array.from({ length: store.limit }, (_, row) => row);
    for (const row of rows) {
      if (store.isLive(row) && deltas.has(store.file(row))) store.relocate(row, store.file(row), 0);
    }
    for (let i = 0; i < this.#relocated.length; i += 3) {
      const row = this.#relocated[i]!;
      if (store.isLive(row) && deltas.has(store.file(row))) store.relocate(row, store.file(row), 0);
    }
    for (const file of deltas) {
      for (const definitions of this.#definitions) definitions.forgetLines(file);
    }
  }

  /** Gives the edit up: the store is as before. */
  abandon(): void {
    atOnce(this.abandonSteps());
  }

  /** `abandon` with pauses. Nothing else may change the store in them. */
  *abandonSteps(): Steps<void> {
    if (this.#finished) return;
    this.#finished = true;
    try {
      yield* this.#rollBack();
    } finally {
      this.#over();
    }
  }

  /** Takes out what the replaced files do not have any more. */
  *#sweep(): Steps<void> {
    if (this.#replaced.size === 0 || this.#base === undefined) return;
    const { store } = this;
    let taken = 0;
    const rows = store.rowsOfFiles(this.#replaced, this.#seen);
    if (rows.length > STEP) this.#undo.rows.reserveLeft(rows.length);
    for (const row of rows) {
      this.#take(row);
      if (++taken % STEP === 0) yield;
    }
    for (const definitions of this.#definitions) {
      for (const [id, origin] of definitions.origins) {
        if (!definitions.seen.has(id) && this.#replaced.has(origin.file)) definitions.delete(id);
      }
    }
  }

  *#rollBack(): Steps<void> {
    const { store } = this;
    if (this.#base === undefined) return;
    const { rows } = this.#undo;
    // All keys are free before the first is taken again.
    for (let at = 0; at < rows.size; at++) {
      rows.clear(at, store);
      if (at % STEP === STEP - 1) yield;
    }
    for (let at = 0; at < rows.size; at++) {
      rows.restore(at, store);
      if (at % STEP === STEP - 1) yield;
    }
    for (let i = this.#relocated.length - 3; i >= 0; i -= 3) {
      if (i % (3 * STEP) === 0) yield;
      const row = this.#relocated[i]!;
      if (store.isLive(row)) store.relocate(row, this.#relocated[i + 1]!, this.#relocated[i + 2]!);
    }
    this.#base.endEdit();
    store.settle();
  }
}

function nextRevision(wanted: EditOptions['revision'], base: CompactTable | undefined): number {
  if (typeof wanted === 'function') return wanted();
  return wanted ?? (base?.revision ?? 0) + 1;
}

/** The same table with a store of its own: for an edit of a version that is not the newest. */
function fork(table: CompactTable): CompactTable {
  const store = new PortStore();
  for (const { row, file, line } of table.storedPorts()) store.put(row, file, line);
  store.settle();
  return new CompactTable({ ...table.parts, store, files: { byNumber: [...table.parts.files.byNumber] } });
}
