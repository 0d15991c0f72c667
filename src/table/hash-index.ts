/**
 * A hash index of row numbers in typed arrays: open addressing, linear probing. It holds no keys: whoever looks up
 * compares the rows that `first` and `next` offer. The same hash may stand for several rows.
 *
 * A cell is three bytes while rows are below 2^20. One of them, the mark, has a few bits of the hash: it alone is looked at on the way, and
 * hardly any other row is offered, which would be a cache miss each.
 */

import { randomBytes } from 'node:crypto';

/** Start of every hash: nobody outside can make keys that all fall into one place. */
export const HASH_SEED = randomBytes(4).readInt32LE();

// Marks: the upper four bits are 1–15 by the hash, the lower ones those of the row that its number has no room for. Others:
const EMPTY = 0;
const REMOVED = 1;
const SMALLEST = 64;

/** Mixes a word into a hash (murmur3's step). */
export function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  let h = hash ^ Math.imul(k, 0x1b873593);
  h = (h << 13) | (h >>> 19);
  return (Math.imul(h, 5) + 0xe6546b64) | 0;
}

/** Spreads the last word over all bits. */
export function finish(hash: number): number {
  let h = hash ^ (hash >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Of all cells so many may be in use before the arrays are replaced by larger ones. */
const MOST = 0.88;
/** And so many are in use in new ones. */
const FRESH = 0.8;
/** The same when it was told how many are to come. */
const PACKED = 0.84;
/** Rows that are to come one by one, of those that are there. */
const MORE = 1.25;
/** Rows below this need no more than two bytes and half of the mark. */
const MOST_NARROW = 0x10_0000;

type Rows = Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** An index as a snapshot keeps it. */
export interface IndexDump {
  readonly marks: Uint8Array<ArrayBuffer>;
  readonly rows: Rows;
  readonly used: number;
  readonly live: number;
}

export class HashIndex {
  /** Any number of them: a power of two would waste up to half. */
  #marks = new Uint8Array(SMALLEST);
  /** Of 16 bits while rows are narrow. */
  #rows: Rows = new Uint16Array(SMALLEST);
  #isNarrow = true;
  /** Cells that are not empty, removed ones included. */
  #used = 0;
  #live = 0;
  #at = 0;
  /** The upper bits of the mark that is looked for. */
  #mark = 0;
  /** Gives every (hash, row) again: called when the arrays are replaced by ones of another size. */
  readonly #rehash: (add: (hash: number, row: number) => void) => void;

  constructor(rehash: (add: (hash: number, row: number) => void) => void) {
    this.#rehash = rehash;
  }

  get size(): number {
    return this.#live;
  }

  #home(hash: number): number {
    return Math.floor((hash / 0x1_0000_0000) * this.#marks.length);
  }

  /** What stands for a row beside its number. */
  #markOf(hash: number, row: number): number {
    return this.#isNarrow ? upper(hash) | (row >>> 16) : upper(hash);
  }

  #rowAt(at: number): number {
    const row = this.#rows[at]!;
    return this.#isNarrow ? ((this.#marks[at]! & 0xf) << 16) | row : row;
  }

  /** The first row that may have this hash, or -1. */
  first(hash: number): number {
    this.#at = this.#home(hash);
    this.#mark = upper(hash);
    return this.#scan();
  }

  /** The row after the last one given, or -1. No change of the index may come between. */
  next(): number {
    this.#at++;
    return this.#scan();
  }

  #scan(): number {
    const marks = this.#marks;
    const { length } = marks;
    const wanted = this.#mark;
    for (let at = this.#at; ; at++) {
      if (at >= length) at = 0;
      const mark = marks[at]!;
      if (mark === EMPTY) return -1;
      if ((mark & 0xf0) !== wanted) continue;
      this.#at = at;
      return this.#rowAt(at);
    }
  }

  /** Makes room for some more cells. The rows must be whole: they are read again if the arrays have to grow. */
  reserve(more: number): void {
    if (this.#used + more <= this.#marks.length * MOST) return;
    // What is asked for at once is all that comes soon; one by one there will be more.
    const wanted = more <= 2 ? (this.#live * MORE + more) / FRESH : (this.#live + more) / PACKED;
    this.#resize(wanted);
  }

  /** Gives room back that was made for more than came. The rows must be whole. */
  fit(): void {
    const wanted = this.#live / PACKED;
    if (this.#marks.length > SMALLEST && this.#marks.length > wanted * 1.05) this.#resize(wanted);
  }

  #resize(wanted: number): void {
    const length = Math.max(SMALLEST, Math.ceil(wanted));
    this.#marks = new Uint8Array(length);
    this.#rows = this.#isNarrow ? new Uint16Array(length) : new Uint32Array(length);
    this.#used = 0;
    this.#live = 0;
    this.#rehash((hash, row) => this.add(hash, row));
  }

  /** Rows get 32 bits. */
  #widen(): void {
    const wide = new Uint32Array(this.#rows.length);
    const marks = this.#marks;
    for (let at = 0; at < wide.length; at++) {
      if (marks[at]! <= REMOVED) continue;
      wide[at] = this.#rowAt(at);
      marks[at]! &= 0xf0;
    }
    this.#rows = wide;
    this.#isNarrow = false;
  }

  /** Only after `reserve`. */
  add(hash: number, row: number): void {
    if (row >= MOST_NARROW && this.#isNarrow) this.#widen();
    const marks = this.#marks;
    let at = this.#home(hash);
    while (marks[at] !== EMPTY) if (++at === marks.length) at = 0;
    this.#set(at, hash, row);
    this.#used++;
    this.#live++;
  }

  #set(at: number, hash: number, row: number): void {
    this.#marks[at] = this.#markOf(hash, row);
    this.#rows[at] = row;
  }

  /** The cell with this row on the way of this hash; -1: there is none. */
  #find(hash: number, row: number): number {
    const marks = this.#marks;
    const own = this.#markOf(hash, row);
    for (let at = this.#home(hash); marks[at] !== EMPTY; ) {
      if (marks[at] === own && this.#rowAt(at) === row) return at;
      if (++at === marks.length) at = 0;
    }
    return -1;
  }

  /** Puts another row, of the same hash, in the place of one. */
  replace(hash: number, row: number, other: number): void {
    const at = this.#find(hash, row);
    if (at >= 0) this.#set(at, hash, other);
  }

  /** Removes one cell with this row on the way of this hash. True when there was one. */
  remove(hash: number, row: number): boolean {
    const at = this.#find(hash, row);
    if (at < 0) return false;
    const next = at + 1 === this.#marks.length ? 0 : at + 1;
    if (this.#marks[next] === EMPTY) {
      this.#marks[at] = EMPTY;
      this.#used--;
    } else {
      this.#marks[at] = REMOVED;
    }
    this.#live--;
    return true;
  }

  /** For a snapshot. */
  dump(): IndexDump {
    return { marks: this.#marks, rows: this.#rows, used: this.#used, live: this.#live };
  }

  /** Only of rows and hashes that are the same. */
  restore({ marks, rows, used, live }: IndexDump): void {
    this.#marks = marks;
    this.#rows = rows;
    this.#isNarrow = rows instanceof Uint16Array;
    this.#used = used;
    this.#live = live;
  }
}

function upper(hash: number): number {
  return ((hash % 15) + 1) << 4;
}
