/**
 * Versions of a table over one store. The newest version reads the store; each older one knows what the next version
 * changed and reads through that. An edit thus costs what it changes, and a version that nobody holds any more costs
 * nothing. Reading an old version gets slower with the versions since; they are folded together on the way.
 */

import { equalIp, parseIp, parseMac } from './address.ts';
import type { TableFile } from './document.ts';
import type { Table, TableAddress, TableNetwork, TableNode, TablePort } from './model.ts';
import { type PortStore, portOfRow, type StoredRow } from './port-store.ts';

/** Where a node, a network or an address was written. */
export interface Origin {
  readonly file: number;
  readonly line: number;
}

/** What a later version changed: each row as it was before, null where there was none. */
export interface Undo {
  readonly rows: Map<number, StoredRow | null>;
  readonly ids: Map<string, StoredRow | null>;
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
const NOTHING_CHANGED: ReadonlyMap<number, StoredRow | null> = new Map();

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
    this.#next = next;
    this.#undo = undo;
  }

  /** What lies between this version and the newest, nearest first. */
  #later(): Undo[] {
    this.#fold();
    const undos: Undo[] = [];
    for (let at: CompactTable = this; at.#next !== undefined; at = at.#next) undos.push(at.#undo!);
    return undos;
  }

  /** Takes what the next versions changed into this one when they are many. */
  #fold(): void {
    let count = 0;
    for (let at: CompactTable = this; at.#next !== undefined; at = at.#next) count++;
    if (count <= KEEP_APART) return;
    const own = this.#undo!;
    const folded: Undo = {
      rows: new Map(own.rows),
      ids: new Map(own.ids),
      nodes: new Set(own.nodes),
      networks: new Set(own.networks),
      addresses: new Set(own.addresses),
    };
    let newest: CompactTable = this;
    for (let at: CompactTable = this.#next!; at.#next !== undefined; at = at.#next) {
      const undo = at.#undo!;
      for (const [row, was] of undo.rows) if (!folded.rows.has(row)) folded.rows.set(row, was);
      for (const [id, was] of undo.ids) if (!folded.ids.has(id)) folded.ids.set(id, was);
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
    if (this.#next !== undefined) {
      for (const undo of this.#later()) {
        const was = undo.ids.get(id);
        if (was !== undefined) return was ?? undefined;
      }
    }
    const row = this.parts.store.findId(id);
    return row < 0 ? undefined : this.parts.store.stored(row);
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
    for (let at: CompactTable = this; at.#next !== undefined; at = at.#next) {
      const was = at.#undo!.rows.get(row);
      if (was !== undefined) return was ?? undefined;
    }
    return this.parts.store.isLive(row) ? this.parts.store.stored(row) : undefined;
  }

  /** The row of a port in this version; -1: there is none. */
  rowOf(id: string): number {
    if (this.#next !== undefined) {
      for (const undo of this.#later()) {
        const was = undo.ids.get(id);
        if (was !== undefined) return was?.place ?? -1;
      }
    }
    return this.parts.store.findId(id);
  }

  /** What is in a row of this version. */
  storedAt(row: number): StoredRow | undefined {
    return row < this.#limit ? this.#storedAt(row) : undefined;
  }

  /** Rows are below this. */
  get rowLimit(): number {
    return this.#limit;
  }

  /** For how many rows the store has room. */
  get rowCapacity(): number {
    return this.parts.store.capacity;
  }

  sharesStore(other: CompactTable): boolean {
    return this.parts.store === other.parts.store;
  }

  /** Rows that a later version has changed, as they are in this one; null: empty. Whoever pauses asks again. */
  overrides(): ReadonlyMap<number, StoredRow | null> {
    if (this.#next === undefined) return NOTHING_CHANGED;
    const undos = this.#later();
    if (undos.length === 1) return undos[0]!.rows;
    const merged = new Map(undos[0]!.rows);
    for (const undo of undos) for (const [row, was] of undo.rows) if (!merged.has(row)) merged.set(row, was);
    return merged;
  }

  /** The port of a network that has the MAC. */
  portByMac(network: string, mac: string): TablePort | undefined {
    const number = parseMac(mac);
    if (number === undefined) return undefined;
    return this.#find(
      (stored) => stored.row.network === network && stored.row.mac === number,
      () => this.parts.store.findMac(network, number),
    );
  }

  /** The port of a network that has the address among its `ips`. */
  portByIp(network: string, ip: string): TablePort | undefined {
    const number = parseIp(ip);
    if (number === undefined) return undefined;
    return this.#find(
      (stored) => stored.row.network === network && stored.row.ips.some((own) => equalIp(own, number)),
      () => this.parts.store.findIp(network, number),
    );
  }

  #find(matches: (stored: StoredRow) => boolean, rows: () => readonly number[]): TablePort | undefined {
    const seen = new Set<number>();
    if (this.#next !== undefined) {
      for (const undo of this.#later()) {
        for (const [row, was] of undo.rows) {
          if (seen.has(row)) continue;
          seen.add(row);
          if (was !== null && matches(was)) return portOfRow(was.row);
        }
      }
    }
    for (const row of rows()) if (!seen.has(row)) return this.parts.store.port(row);
    return undefined;
  }

  /** What changed from this version to a later one of the same store; undefined when that is none. */
  changesTo(later: CompactTable): TableChanges | undefined {
    const nodes = new Set<string>();
    const networks = new Set<string>();
    const ports = new Set<string>();
    const addresses = new Set<string>();
    let at: CompactTable = this;
    while (at !== later) {
      if (at.#next === undefined) return undefined;
      for (const id of at.#undo!.ids.keys()) ports.add(id);
      for (const id of at.#undo!.nodes) nodes.add(id);
      for (const id of at.#undo!.networks) networks.add(id);
      for (const id of at.#undo!.addresses) addresses.add(id);
      at = at.#next;
    }
    return { nodes, networks, ports, addresses };
  }
}
