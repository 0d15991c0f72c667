/**
 * What rows of a store were before an edit, in columns: an edit of a million ports makes no object a port. What does not fit
 * columns is an object, as it was read.
 */

import { equalIp, type IpNumber } from './address.ts';
import { HASH_SEED, HashIndex } from './hash-index.ts';
import { IdCells, type IdKind } from './id-cells.ts';
import { lengthened } from './lengthened.ts';
import { NameTable } from './name-table.ts';
import type { PortStore, StoredRow } from './port-store.ts';
import { DEFAULT_PRIORITY, DEFAULT_WEIGHT } from './row.ts';
import { TextHeap } from './text-heap.ts';

const FIRST = 8;
/** Rows are found by a map while they are so few, and by an array as long as the store afterwards. */
const FEW = 2_048;
const TWO_32 = 0x1_0000_0000;
const NONE: readonly never[] = Object.freeze([]);

const HAS_IP4 = 1;
const HAS_IP6 = 2;
/** Not in columns. */
const OBJECT = 4;
/** Nothing was there. */
const EMPTY = 8;
/** The port left the row during the edit; perhaps it came back. */
const LEFT = 16;
/** The row holds the same now, but for its node and where it was written. */
const MOVED = 32;
/** Of two bits: `IdKind`. */
const ID_SHIFT = 6;

type Words = Uint32Array<ArrayBuffer>;

export class FormerRows {
  #count = 0;
  #capacity = FIRST;
  #row = new Uint32Array(FIRST);
  #flags = new Uint8Array(FIRST);
  #network = new Uint32Array(FIRST);
  #macHigh = new Uint16Array(FIRST);
  #macLow = new Uint32Array(FIRST);
  #ip4 = new Uint32Array(FIRST);
  #node = new Uint32Array(FIRST);
  #file = new Uint16Array(FIRST);
  #line = new Uint32Array(FIRST);
  /** Made when the first row needs them. */
  #ip6: Words | undefined;
  #sequence: Words | undefined;
  /** Offset + 1 of the name; 0: none. */
  #interface: Words | undefined;
  #interfaces: TextHeap | undefined;
  readonly #ids = new IdCells(FIRST, HASH_SEED);
  readonly #names = new NameTable();
  readonly #objects = new Map<number, StoredRow>();
  /** Row -> place + 1, one of the two. */
  #few: Map<number, number> | undefined = new Map();
  #many = new Uint32Array(0);
  /** Places of ports that left their rows, by their ids. */
  #left: HashIndex | undefined;

  /** How many rows were changed. */
  get size(): number {
    return this.#count;
  }

  /** Rows that were changed. */
  rows(): Iterable<number> {
    return this.#row.subarray(0, this.#count);
  }

  /** Rows that may hold another port than before, or one where none was. */
  *changedOwners(): Generator<number> {
    for (let at = 0; at < this.#count; at++) {
      if ((this.#flags[at]! & (EMPTY | LEFT)) !== 0) yield this.#row[at]!;
    }
  }

  has(row: number): boolean {
    return this.#find(row) >= 0;
  }

  #find(row: number): number {
    return (this.#few === undefined ? (this.#many[row] ?? 0) : (this.#few.get(row) ?? 0)) - 1;
  }

  // filling

  /** So many more rows will come. */
  reserve(more: number): void {
    if (this.#count + more > this.#capacity) this.#resize(this.#count + more);
  }

  #resize(capacity: number): void {
    this.#flags = lengthened(this.#flags, capacity);
    this.#row = lengthened(this.#row, capacity);
    this.#network = lengthened(this.#network, capacity);
    this.#macHigh = lengthened(this.#macHigh, capacity);
    this.#macLow = lengthened(this.#macLow, capacity);
    this.#ip4 = lengthened(this.#ip4, capacity);
    this.#node = lengthened(this.#node, capacity);
    this.#file = lengthened(this.#file, capacity);
    this.#line = lengthened(this.#line, capacity);
    if (this.#ip6 !== undefined) this.#ip6 = lengthened(this.#ip6, capacity * 4);
    if (this.#sequence !== undefined) this.#sequence = lengthened(this.#sequence, capacity);
    if (this.#interface !== undefined) this.#interface = lengthened(this.#interface, capacity);
    this.#ids.resize(capacity);
    this.#capacity = capacity;
  }

  /** A place for a row that has none. @param capacity rows are below this, for now */
  #take(row: number, capacity: number): number {
    if (this.#count === this.#capacity) this.#resize(this.#capacity * 2);
    const at = this.#count++;
    this.#row[at] = row;
    if (this.#few !== undefined && at >= FEW) {
      this.#many = new Uint32Array(Math.max(capacity, row + 1));
      for (let i = 0; i < at; i++) this.#many[this.#row[i]!] = i + 1;
      this.#few = undefined;
    }
    if (this.#few !== undefined) this.#few.set(row, at + 1);
    else {
      if (row >= this.#many.length) this.#many = lengthened(this.#many, Math.max(capacity, row + 1));
      this.#many[row] = at + 1;
    }
    return at;
  }

  /** A port is put into a row; it was empty, if nothing else is known. */
  keepEmpty(row: number, store: PortStore): void {
    if (this.#find(row) >= 0) return;
    const at = this.#take(row, store.capacity);
    this.#flags[at] = EMPTY;
  }

  /**
   * A port in the store is about to be changed: the row is kept as it is, unless it was kept before.
   *
   * @param moved only its node, and where it is written, become others
   */
  keep(row: number, store: PortStore, moved: boolean): void {
    const known = this.#find(row);
    if (known >= 0) {
      if (!moved) this.#flags[known]! &= ~MOVED;
      return;
    }
    const at = this.#take(row, store.capacity);
    store.encodeId(row, this.#ids);
    const flags = (this.#ids.store(at) << ID_SHIFT) | (moved ? MOVED : 0);
    if (!store.isInColumns(row)) {
      this.#objects.set(at, store.stored(row));
      this.#flags[at] = flags | OBJECT;
      return;
    }
    const { ip4, ip6, macHigh, macLow } = store.columns();
    this.#network[at] = this.#names.take(store.network(row));
    this.#node[at] = this.#names.take(store.node(row));
    this.#macHigh[at] = macHigh.get(row);
    this.#macLow[at] = macLow[row]!;
    this.#file[at] = store.file(row);
    this.#line[at] = store.line(row);
    if (store.hasIp4(row)) this.#ip4[at] = ip4[row]!;
    if (store.hasIp6(row)) this.#setIp6(at, ip6!, row);
    const sequence = store.sequence(row);
    if (sequence > 0) this.#setSequence(at, sequence);
    const name = store.interface(row);
    if (name !== undefined) this.#setInterface(at, name);
    this.#flags[at] = flags | (store.hasIp4(row) ? HAS_IP4 : 0) | (store.hasIp6(row) ? HAS_IP6 : 0);
  }

  #setIp6(at: number, words: Uint32Array, from: number): void {
    this.#ip6 ??= new Uint32Array(this.#capacity * 4);
    for (let i = 0; i < 4; i++) this.#ip6[at * 4 + i] = words[from * 4 + i]!;
  }

  #setSequence(at: number, sequence: number): void {
    this.#sequence ??= new Uint32Array(this.#capacity);
    this.#sequence[at] = sequence;
  }

  #setInterface(at: number, name: string): void {
    this.#interface ??= new Uint32Array(this.#capacity);
    this.#interfaces ??= new TextHeap();
    this.#interfaces.encode(name);
    this.#interface[at] = this.#interfaces.store() + 1;
  }

  /** So many more ports will leave their rows. */
  reserveLeft(more: number): void {
    this.reserve(more);
    this.#leftIndex().reserve(more);
  }

  /** The port that was in a row is taken out, and not put back at once. Its row was kept. */
  leave(row: number): void {
    const at = this.#find(row);
    if (at >= 0 && (this.#flags[at]! & (EMPTY | LEFT)) === 0) this.#leave(at);
  }

  #leave(at: number): void {
    const index = this.#leftIndex();
    index.reserve(1);
    this.#flags[at]! |= LEFT;
    index.add(this.#hash(at), at);
  }

  #leftIndex(): HashIndex {
    this.#left ??= new HashIndex((add) => {
      for (let at = 0; at < this.#count; at++) if ((this.#flags[at]! & LEFT) !== 0) add(this.#hash(at), at);
    });
    return this.#left;
  }

  #hash(at: number): number {
    return this.#ids.hashAt(at, this.#idKind(at));
  }

  #idKind(at: number): IdKind {
    return (this.#flags[at]! >>> ID_SHIFT) as IdKind;
  }

  /** Takes in what a later edit of the same store has changed. */
  absorb(later: FormerRows): void {
    for (let from = 0; from < later.#count; from++) {
      const known = this.#find(later.#row[from]!);
      if (known < 0) this.#copy(later, from);
      else if ((later.#flags[from]! & LEFT) !== 0 && (this.#flags[known]! & (EMPTY | LEFT)) === 0) this.#leave(known);
    }
  }

  #copy(other: FormerRows, from: number): void {
    const flags = other.#flags[from]!;
    const at = this.#take(other.#row[from]!, other.#many.length);
    if ((flags & EMPTY) !== 0) {
      this.#flags[at] = EMPTY;
      return;
    }
    this.#ids.encodeFrom(other.#ids, from, other.#idKind(from));
    this.#ids.store(at);
    this.#flags[at] = flags & ~(LEFT | MOVED);
    if ((flags & OBJECT) !== 0) {
      this.#objects.set(at, other.#objects.get(from)!);
    } else {
      this.#network[at] = this.#names.take(other.#names.name(other.#network[from]!));
      this.#node[at] = this.#names.take(other.#names.name(other.#node[from]!));
      this.#macHigh[at] = other.#macHigh[from]!;
      this.#macLow[at] = other.#macLow[from]!;
      this.#ip4[at] = other.#ip4[from]!;
      this.#file[at] = other.#file[from]!;
      this.#line[at] = other.#line[from]!;
      if ((flags & HAS_IP6) !== 0) this.#setIp6(at, other.#ip6!, from);
      const sequence = other.#sequence?.[from] ?? 0;
      if (sequence > 0) this.#setSequence(at, sequence);
      const name = other.#interfaceAt(from);
      if (name !== undefined) this.#setInterface(at, name);
    }
    if ((flags & LEFT) !== 0) this.#leave(at);
  }

  // reading

  #interfaceAt(at: number): string | undefined {
    const place = this.#interface?.[at] ?? 0;
    return place === 0 ? undefined : this.#interfaces!.text(place - 1);
  }

  /** What was in a row; null: nothing; undefined: it was not changed. */
  get(row: number): StoredRow | null | undefined {
    const at = this.#find(row);
    return at < 0 ? undefined : this.#stored(at);
  }

  #stored(at: number): StoredRow | null {
    const flags = this.#flags[at]!;
    if ((flags & EMPTY) !== 0) return null;
    if ((flags & OBJECT) !== 0) return this.#objects.get(at)!;
    const name = this.#interfaceAt(at);
    return {
      place: this.#row[at]!,
      row: {
        id: this.#ids.text(at, this.#idKind(at)),
        network: this.#names.name(this.#network[at]!),
        mac: this.#mac(at),
        macs: NONE,
        ips: this.#ips(at),
        allow: NONE,
        role: undefined,
        at: [
          {
            node: this.#names.name(this.#node[at]!),
            ...(name !== undefined && { interface: name }),
            priority: DEFAULT_PRIORITY,
            weight: DEFAULT_WEIGHT,
          },
        ],
        state: undefined,
        sequence: this.#sequence?.[at] ?? 0,
        move: undefined,
      },
      file: this.#file[at]!,
      line: this.#line[at]!,
    };
  }

  #mac(at: number): number {
    return this.#macHigh[at]! * TWO_32 + this.#macLow[at]!;
  }

  #ips(at: number): readonly IpNumber[] {
    const flags = this.#flags[at]!;
    const words = this.#ip6;
    const i = at * 4;
    const ip4 = (flags & HAS_IP4) !== 0 ? [this.#ip4[at]!] : NONE;
    if (words === undefined || (flags & HAS_IP6) === 0) return ip4;
    return [...ip4, [words[i]!, words[i + 1]!, words[i + 2]!, words[i + 3]!]];
  }

  /** The id of the port that was in a row; undefined: there was none, or the row was not changed. */
  idOf(row: number): string | undefined {
    const at = this.#find(row);
    if (at < 0 || (this.#flags[at]! & EMPTY) !== 0) return undefined;
    return this.#ids.text(at, this.#idKind(at));
  }

  /** The row of a port before, by the one that it has after the edit. In both -1 is: none. */
  rowBefore(id: string, row: number): number {
    const at = row < 0 ? -1 : this.#find(row);
    if (row >= 0 && (at < 0 || (this.#flags[at]! & (EMPTY | LEFT)) === 0)) return row;
    if (this.#left === undefined) return -1;
    this.#ids.encode(id);
    for (let each = this.#left.first(this.#ids.hash()); each >= 0; each = this.#left.next()) {
      if (this.#ids.equals(each, this.#idKind(each))) return this.#row[each]!;
    }
    return -1;
  }

  /** Rows that had a MAC, or an address, in a network. */
  *findMac(network: string, mac: number): Generator<number> {
    const number = this.#names.find(network) ?? -1;
    const [high, low] = [Math.floor(mac / TWO_32), mac >>> 0];
    for (let at = 0; at < this.#count; at++) {
      if (this.#macLow[at] !== low || this.#macHigh[at] !== high || this.#network[at] !== number) continue;
      if ((this.#flags[at]! & (EMPTY | OBJECT)) === 0) yield this.#row[at]!;
    }
    for (const [at, { row }] of this.#objects) if (row.network === network && row.mac === mac) yield this.#row[at]!;
  }

  *findIp(network: string, ip: IpNumber): Generator<number> {
    const number = this.#names.find(network) ?? -1;
    const family = typeof ip === 'number' ? HAS_IP4 : HAS_IP6;
    for (let at = 0; at < this.#count; at++) {
      if (this.#network[at] !== number || (this.#flags[at]! & family) === 0) continue;
      if (typeof ip === 'number' ? this.#ip4[at] === ip : this.#ips(at).some((own) => equalIp(own, ip))) {
        yield this.#row[at]!;
      }
    }
    for (const [at, { row }] of this.#objects) {
      if (row.network === network && row.ips.some((own) => equalIp(own, ip))) yield this.#row[at]!;
    }
  }

  /** Brings one of the rows back, of a store that has changed in these alone. First `clear` all of them. */
  clear(at: number, store: PortStore): void {
    const row = this.#row[at]!;
    if ((this.#flags[at]! & MOVED) === 0 && store.isLive(row)) store.remove(row);
  }

  restore(at: number, store: PortStore): void {
    const flags = this.#flags[at]!;
    if ((flags & MOVED) !== 0) {
      store.moveTo(this.#row[at]!, this.#names.name(this.#node[at]!), this.#file[at]!, this.#line[at]!);
      return;
    }
    const was = this.#stored(at);
    if (was !== null) store.put(was.row, was.file, was.line, was.place);
  }
}
