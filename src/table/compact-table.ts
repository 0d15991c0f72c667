/**
 * Versions of a table over one store. The newest version reads the store; each older one knows what the next version
 * changed and reads through that. An edit thus costs what it changes, and a version that nobody holds any more costs
 * nothing. Reading an old version gets slower with the versions since; they are folded together on the way.
 */

import { parseIp, parseMac } from './address.ts';
import type { TableFile } from './document.ts';
import { FormerRows } from './former-rows.ts';
import type { Table, TableAddress, TableNetwork, TableNode, TablePort } from './model.ts';
import { type PortStore, portOfRow, type StoredRow } from './port-store.ts';
import { atOnce, type Steps } from './steps.ts';

/** Where a node, a network or an address was written. */
export interface Origin {
  readonly file: number;
  readonly line: number;
}

/** What a later version changed. */
export interface Undo {
  readonly rows: FormerRows;
  /** Nodes, networks and addresses that differ. */
  readonly nodes: Set<string>;
  readonly networks: Set<string>;
  readonly addresses: Set<string>;
}

/** The ids that differ between two tables: added, removed or changed. */
export interface TableChanges {
  readonly nodes: ReadonlySet<string>;
  readonly networks: ReadonlySet<string>;
  readonly ports: ReadonlySet<string>;
  readonly addresses: ReadonlySet<string>;
}

export interface TableParts {
  readonly revision: number;
  readonly nodes: ReadonlyMap<string, TableNode>;
  readonly networks: ReadonlyMap<string, TableNetwork>;
  readonly addresses: ReadonlyMap<string, TableAddress>;
  readonly nodeOrigins: ReadonlyMap<string, Origin>;
  readonly networkOrigins: ReadonlyMap<string, Origin>;
  readonly addressOrigins: ReadonlyMap<string, Origin>;
  readonly store: PortStore;
  readonly files: FileList;
}

/** The files of a table by number; shared by the versions of a store. */
export interface FileList {
  readonly byNumber: (TableFile | undefined)[];
}

const KEEP_APART = 16;
/** Ids of ports between two pauses. */
const STEP = 256;
const NONE_LATER: readonly Undo[] = [];

/** Rows as they were before later versions changed them, nearest first. Whoever pauses asks again. */
export type Overrides = readonly FormerRows[];

/** What was in a row that a later version has changed; null: nothing; undefined: it is as the store has it. */
export function overridden(overrides: Overrides, row: number): StoredRow | null | undefined {
  for (const rows of overrides) {
    const was = rows.get(row);
    if (was !== undefined) return was;
  }
  return undefined;
}

/** Ids of ports that an edit put in, changed or took out; `after`: what is in its rows afterwards. */
export function* idsChangedBy(
  { rows }: Undo,
  after: { isLive(row: number): boolean; id(row: number): string },
): Generator<string> {
  for (const row of rows.rows()) {
    const was = rows.idOf(row);
    if (was !== undefined) yield was;
    const now = after.isLive(row) ? after.id(row) : undefined;
    if (now !== undefined && now !== was) yield now;
  }
}

/** What an edit changed. The ports are listed when somebody asks: there may be a million. */
export function changesBetween(changed: Omit<TableChanges, 'ports'>, undo: Undo, after: CompactTable): TableChanges {
  let ports: Set<string> | undefined;
  return {
    ...changed,
    get ports() {
      ports ??= new Set(idsChangedBy(undo, after.idsByRow));
      return ports;
    },
  };
}

export class CompactTable implements Table {
  readonly revision: number;
  readonly nodes: ReadonlyMap<string, TableNode>;
  readonly networks: ReadonlyMap<string, TableNetwork>;
  readonly addresses: ReadonlyMap<string, TableAddress>;
  readonly portCount: number;
  /** For the code of this folder only. */
  parts: TableParts;
  readonly #limit: number;
  #next: CompactTable | undefined;
  #undo: Undo | undefined;
  /** Of the newest version while an edit of it is under way: what that has changed in the store so far. */
  #live: Undo | undefined;

  constructor(parts: TableParts) {
    this.parts = parts;
    this.revision = parts.revision;
    this.nodes = parts.nodes;
    this.networks = parts.networks;
    this.addresses = parts.addresses;
    this.portCount = parts.store.size;
    this.#limit = parts.store.limit;
  }

  /** True for the version that the store holds. */
  get isNewest(): boolean {
    return this.#next === undefined;
  }

  /** Makes `next` the newest version. */
  succeed(next: CompactTable, undo: Undo): void {
    this.#live = undefined;
    this.#next = next;
    this.#undo = undo;
  }

  /** An edit of this version begins to change the store: until it ends, this version is read through what the edit tells in `undo`. */
  beginEdit(undo: Undo): void {
    this.#live = undo;
  }

  /** The edit is over, and the store as it was. */
  endEdit(): void {
    this.#live = undefined;
  }

  /** What lies between this version and the store, nearest first. */
  #later(): readonly Undo[] {
    if (this.#next === undefined && this.#live === undefined) return NONE_LATER;
    this.#fold();
    const undos: Undo[] = [];
    for (let at: CompactTable | undefined = this; at !== undefined; at = at.#next) {
      const undo: Undo | undefined = at.#undo ?? at.#live;
      if (undo !== undefined) undos.push(undo);
    }
    return undos;
  }

  /** Takes what the next versions changed into this one when they are many. */
  #fold(): void {
    let count = 0;
    for (let at: CompactTable = this; at.#next !== undefined; at = at.#next) count++;
    if (count <= KEEP_APART) return;
    const own = this.#undo!;
    const folded: Undo = {
      rows: new FormerRows(),
      nodes: new Set(own.nodes),
      networks: new Set(own.networks),
      addresses: new Set(own.addresses),
    };
    folded.rows.absorb(own.rows);
    let newest: CompactTable = this;
    for (let at: CompactTable = this.#next!; at.#next !== undefined; at = at.#next) {
      const undo = at.#undo!;
      folded.rows.absorb(undo.rows);
      for (const id of undo.nodes) folded.nodes.add(id);
      for (const id of undo.networks) folded.networks.add(id);
      for (const id of undo.addresses) folded.addresses.add(id);
      newest = at.#next;
    }
    this.#undo = folded;
    this.#next = newest;
  }

  port(id: string): TablePort | undefined {
    const stored = this.storedPort(id);
    return stored === undefined ? undefined : portOfRow(stored.row);
  }

  storedPort(id: string): StoredRow | undefined {
    const row = this.rowOf(id);
    return row < 0 ? undefined : this.#storedAt(row);
  }

  *ports(): IterableIterator<TablePort> {
    for (const stored of this.storedPorts()) yield portOfRow(stored.row);
  }

  /** Ports that have a sequence. Costs nothing where there never was one. */
  *sequencedPorts(): Generator<TablePort> {
    if (!this.parts.store.hasSequences) return;
    for (const { row } of this.storedPorts()) if (row.sequence > 0) yield portOfRow(row);
  }

  /** Every port once, also when the table is edited meanwhile. */
  *storedPorts(): Generator<StoredRow> {
    for (let row = 0; row < this.#limit; row++) {
      const stored = this.#storedAt(row);
      if (stored !== undefined) yield stored;
    }
  }

  #storedAt(row: number): StoredRow | undefined {
    for (let at: CompactTable | undefined = this; at !== undefined; at = at.#next) {
      const was = (at.#undo ?? at.#live)?.rows.get(row);
      if (was !== undefined) return was ?? undefined;
    }
    return this.parts.store.isLive(row) ? this.parts.store.stored(row) : undefined;
  }

  /** The row of a port in this version; -1: there is none. */
  rowOf(id: string): number {
    const later = this.#later();
    let row = this.parts.store.findId(id);
    for (let i = later.length - 1; i >= 0; i--) row = later[i]!.rows.rowBefore(id, row);
    return row;
  }

  /** Of this version, row by row. */
  readonly idsByRow = {
    isLive: (row: number): boolean => row < this.#limit && this.#storedAt(row) !== undefined,
    id: (row: number): string => this.#storedAt(row)!.row.id,
  };

  /** What is in a row of this version. */
  storedAt(row: number): StoredRow | undefined {
    return row < this.#limit ? this.#storedAt(row) : undefined;
  }

  /** Rows are below this. */
  get rowLimit(): number {
    return this.#limit;
  }

  sharesStore(other: CompactTable): boolean {
    return this.parts.store === other.parts.store;
  }

  /** Rows that later versions have changed, as they are in this one. */
  overrides(): Overrides {
    return this.#later().map(({ rows }) => rows);
  }

  /** The port of a network that has the MAC. */
  portByMac(network: string, mac: string): TablePort | undefined {
    const number = parseMac(mac);
    if (number === undefined) return undefined;
    return this.#find(
      (rows) => rows.findMac(network, number),
      () => this.parts.store.findMac(network, number),
    );
  }

  /** The port of a network that has the address among its `ips`. */
  portByIp(network: string, ip: string): TablePort | undefined {
    const number = parseIp(ip);
    if (number === undefined) return undefined;
    return this.#find(
      (rows) => rows.findIp(network, number),
      () => this.parts.store.findIp(network, number),
    );
  }

  #find(former: (rows: FormerRows) => Iterable<number>, present: () => readonly number[]): TablePort | undefined {
    const overrides = this.overrides();
    for (const [i, rows] of overrides.entries()) {
      for (const row of former(rows)) {
        if (!overrides.slice(0, i).some((nearer) => nearer.has(row))) return portOfRow(rows.get(row)!.row);
      }
    }
    for (const row of present()) {
      if (!overrides.some((rows) => rows.has(row))) return this.parts.store.port(row);
    }
    return undefined;
  }

  /** How many ports, at most, differ between this version and a later one of the same store; undefined when that is none. */
  portChangesTo(later: CompactTable): number | undefined {
    let count = 0;
    for (let at: CompactTable = this; at !== later; at = at.#next) {
      if (at.#next === undefined) return undefined;
      count += at.#undo!.rows.size;
    }
    return count;
  }

  /** What changed from this version to a later one of the same store; undefined when that is none. */
  changesTo(later: CompactTable): TableChanges | undefined {
    return atOnce(this.changeSteps(later));
  }

  /** `changesTo` with pauses. The table may be edited in them: what lies between the two versions is looked up before the first. */
  *changeSteps(later: CompactTable): Steps<TableChanges | undefined> {
    const edits: { readonly undo: Undo; readonly after: CompactTable }[] = [];
    for (let at: CompactTable = this; at !== later; at = at.#next) {
      if (at.#next === undefined) return undefined;
      edits.push({ undo: at.#undo!, after: at.#next });
    }
    const changes = {
      nodes: new Set<string>(),
      networks: new Set<string>(),
      ports: new Set<string>(),
      addresses: new Set<string>(),
    };
    let count = 0;
    for (const { undo, after } of edits) {
      for (const id of idsChangedBy(undo, after.idsByRow)) {
        changes.ports.add(id);
        if (++count % STEP === 0) yield;
      }
      for (const id of undo.nodes) changes.nodes.add(id);
      for (const id of undo.networks) changes.networks.add(id);
      for (const id of undo.addresses) changes.addresses.add(id);
    }
    return changes;
  }
}
