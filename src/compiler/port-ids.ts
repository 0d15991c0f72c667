import { atOnce, type CompactTable, type Steps } from '../table/index.ts';
import { NumberColumn } from '../table/number-column.ts';
import type { StoredRow } from '../table/port-store.ts';
import { OwnerlessIds } from './ownerless-ids.ts';

/** Ids from here on are told apart one by one: whoever wrote them, they are not dense. */
const DENSE = 1 << 26;
const SMALLEST = 64;
/** Rows between two pauses. */
const STEP = 2_048;
const MAX_ID = 0xffff_ffff;

/** Ids that were found in the kernel: a bit each, while they are dense. */
class FoundIds {
  #bits = new Uint8Array(0);
  readonly #rest = new Set<number>();

  /** Returns false when it was there. */
  add(id: number): boolean {
    if (this.has(id)) return false;
    if (id >= DENSE) {
      this.#rest.add(id);
      return true;
    }
    const at = id >>> 3;
    if (at >= this.#bits.length) {
      const bigger = new Uint8Array(Math.max(at + 1, this.#bits.length * 2, SMALLEST));
      bigger.set(this.#bits);
      this.#bits = bigger;
    }
    this.#bits[at]! |= 1 << (id & 7);
    return true;
  }

  has(id: number): boolean {
    if (id >= DENSE) return this.#rest.has(id);
    return ((this.#bits[id >>> 3] ?? 0) & (1 << (id & 7))) !== 0;
  }
}

/**
 * Kernel ids of ports: what `IdSpace` is for other things, without an object a port. The owner of an id is a row of a table's
 * store; the natural key is the port's network (its kernel id) and MAC.
 */
export class PortIds {
  readonly #now: () => number;
  readonly #restMs: number;
  /** The version of the table whose rows these are. */
  #table: CompactTable | undefined;
  /** By row; 0: none. */
  #byRow = new NumberColumn();
  #size = 0;
  /** The row of an id, while nothing has changed. */
  #rows: ((id: number) => number) | undefined;
  /** Seen in the kernel, not asked for yet. */
  readonly #adopted = new OwnerlessIds();
  /** Found in the kernel without a natural key: kept apart until one is found that has it. */
  readonly #unnamed = new Set<number>();
  readonly #resting = new OwnerlessIds();
  readonly #found = new FoundIds();
  /** Everything below was given out or found in the kernel. */
  #next = 1;

  constructor(now: () => number, restMs: number) {
    this.#now = now;
    this.#restMs = restMs;
  }

  /** How many ids have an owner. */
  get size(): number {
    return this.#size;
  }

  /** Everything below was given out or found in the kernel. */
  get next(): number {
    return this.#next;
  }

  /** The ids by row, for reading: 0 is none. Another column after `bind`. */
  get byRow(): NumberColumn {
    return this.#byRow;
  }

  /** The id of a port by its name in the table; undefined: it has none. */
  idOf(port: string): number | undefined {
    const row = this.#table?.rowOf(port) ?? -1;
    return row < 0 ? undefined : this.#byRow.get(row) || undefined;
  }

  /** The name of the port that has the id. The first time after a change costs a walk over all ids. */
  nameOf(id: number): string | undefined {
    this.#rows ??= this.#makeRows();
    const row = this.#rows(id);
    return row < 0 ? undefined : this.#table?.storedAt(row)?.row.id;
  }

  #makeRows(): (id: number) => number {
    const dense = new Uint32Array(Math.min(this.#next, 4 * this.#size + 1024));
    const others = new Map<number, number>();
    this.#byRow.each((row, id) => {
      if (id < dense.length) dense[id] = row + 1;
      else others.set(id, row + 1);
    });
    return (id) => (dense[id] || others.get(id) || 0) - 1;
  }

  // adoption

  reserve(count: number): void {
    this.#adopted.reserve(count);
  }

  /** An id found in the kernel, and whose it is there. @param network kernel id @param mac as a number */
  adopt(id: number, network: number, mac: number): void {
    if (id === 0) return;
    if (!this.#found.add(id)) {
      if (this.#unnamed.delete(id)) this.#adopted.addKeyed(id, network, mac, Number.POSITIVE_INFINITY);
      return;
    }
    this.#adopted.addKeyed(id, network, mac, Number.POSITIVE_INFINITY);
  }

  /** An id in use in the kernel, and nothing says by what. */
  reserveId(id: number): void {
    if (id !== 0 && this.#found.add(id)) this.#unnamed.add(id);
  }

  /** Everything below may be in use: of an earlier process that cannot be asked. */
  skipTo(next: number): void {
    this.#next = Math.max(this.#next, next);
  }

  /** Takes over what an earlier process had given out, row by row. */
  restore(table: CompactTable, byRow: NumberColumn, next: number): void {
    this.#rows = undefined;
    this.#table = table;
    this.#byRow = byRow;
    this.#size = 0;
    byRow.each(() => this.#size++);
    this.skipTo(next);
  }

  // owners

  /**
   * From now on rows are those of `table`. Ids stay with their ports, which are found by their names where rows do not tell. Those of
   * ports that it does not hold are taken away and returned.
   *
   * `bindSteps`: with pauses, and, if `apart`, in a column of its own, so that plans of the table before can still be read.
   */
  bind(table: CompactTable): { readonly id: number; readonly stored: StoredRow }[] {
    return atOnce(this.bindSteps(table, false));
  }

  *bindSteps(table: CompactTable, apart: boolean): Steps<{ readonly id: number; readonly stored: StoredRow }[]> {
    const before = this.#table;
    this.#rows = undefined;
    this.#table = table;
    if (before === undefined || before.sharesStore(table)) {
      if (apart) this.#byRow = this.#byRow.copy();
      return before === undefined || before === table ? [] : yield* this.#follow(before, table);
    }
    const old = this.#byRow;
    this.#byRow = new NumberColumn();
    const lost: { id: number; stored: StoredRow }[] = [];
    old.each((row, id) => {
      const stored = before.storedAt(row) as StoredRow;
      this.#size--;
      const now = table.rowOf(stored.row.id);
      if (now >= 0) this.attach(now, id);
      else lost.push({ id, stored });
    });
    return lost;
  }

  /** Rows of another version that hold another port. */
  *#follow(before: CompactTable, table: CompactTable): Steps<{ id: number; stored: StoredRow }[]> {
    const moved: { id: number; stored: StoredRow }[] = [];
    // One of the two is the later one: what changed between them is among what changed since the other.
    for (const rows of [...before.overrides(), ...table.overrides()]) {
      let count = 0;
      for (const row of rows.changedOwners()) {
        if (++count % STEP === 0) yield;
        if (this.#byRow.get(row) === 0) continue;
        const stored = before.storedAt(row);
        if (stored === undefined || stored.row.id === table.storedAt(row)?.row.id) continue;
        moved.push({ id: this.detach(row), stored });
      }
    }
    return moved.filter(({ id, stored }) => {
      const now = table.rowOf(stored.row.id);
      if (now < 0 || this.#byRow.get(now) !== 0) return true;
      this.attach(now, id);
      return false;
    });
  }

  /** Gives a row without an id one: that of its natural key, else a free one. */
  acquire(row: number, network: number, mac: number): number {
    const known = this.#byRow.get(row);
    if (known !== 0) return known;
    const id = this.#adopted.take(network, mac) || this.#resting.take(network, mac) || this.#takeFree();
    this.attach(row, id);
    return id;
  }

  #takeFree(): number {
    const rested = this.#resting.takeFirst(this.#now());
    if (rested !== 0) return rested;
    while (this.#found.has(this.#next) || this.#next >= MAX_ID) this.#next++;
    return this.#next++;
  }

  /** Takes a row's id out of it; 0: it had none. Either `attach` or `rest` follows. */
  detach(row: number): number {
    const id = this.#byRow.get(row);
    if (id === 0) return 0;
    this.#byRow.set(row, 0);
    this.#rows = undefined;
    this.#size--;
    return id;
  }

  attach(row: number, id: number): void {
    this.#byRow.set(row, id);
    this.#rows = undefined;
    this.#size++;
  }

  /** The id rests: its natural key gets it back at once, others after a while. */
  rest(id: number, network: number, mac: number): void {
    this.#resting.addKeyed(id, network, mac, this.#now() + this.#restMs);
  }

  /** What the kernel holds and nobody claimed is about to be removed there. */
  restUnclaimed(): void {
    const until = this.#now() + this.#restMs;
    if (this.#adopted.size > 0) this.#adopted.moveTo(this.#resting, until);
    for (const id of this.#unnamed) this.#resting.add(id, until);
    this.#unnamed.clear();
  }
}
