/**
 * A hash index of row numbers in one typed array: open addressing, linear probing. It holds no keys: whoever looks up
 * compares the rows that `first` and `next` offer. The same hash may stand for several rows. While rows are below 2^24, the upper byte of
 * a cell is one of the hash, so that hardly any other row is offered: each would be a cache miss.
 */

import { randomBytes } from 'node:crypto';

/** Start of every hash: nobody outside can make keys that all fall into one place. */
export const HASH_SEED = randomBytes(4).readInt32LE();

const EMPTY = 0;
const REMOVED = 0xffff_ffff;
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

/** Of all cells so many may be in use before the array is replaced by a larger one. */
const MOST = 0.82;
/** And so many are in use in a new one. */
const FRESH = 0.7;
/** Rows below this leave room for a byte of the hash in their cells. */
const MOST_TAGGED = 0xff_fffd;

/** An index as a snapshot keeps it. */
export interface IndexDump {
  readonly cells: Uint32Array<ArrayBuffer>;
  readonly used: number;
  readonly live: number;
  readonly tagged: boolean;
}

export class HashIndex {
  /** Any number of them: a power of two would waste up to half. */
  #cells = new Uint32Array(SMALLEST);
  /** Cells that are not empty, removed ones included. */
  #used = 0;
  #live = 0;
  #at = 0;
  /** Cells are row + 1, and, while this is so, a byte of the hash above it. */
  #tagged = true;
  /** The byte that is looked for. */
  #tag = 0;
  /** Gives every (hash, row) again: called when the array is replaced by one of another size. */
  readonly #rehash: (add: (hash: number, row: number) => void) => void;

  constructor(rehash: (add: (hash: number, row: number) => void) => void) {
    this.#rehash = rehash;
  }

  get size(): number {
    return this.#live;
  }

  #home(hash: number): number {
    return Math.floor((hash / 0x1_0000_0000) * this.#cells.length);
  }

  /** What stands for a row in the array. */
  #cell(hash: number, row: number): number {
    return this.#tagged ? (((hash & 0xff) << 24) | (row + 1)) >>> 0 : row + 1;
  }

  /** The first row that may have this hash, or -1. */
  first(hash: number): number {
    this.#at = this.#home(hash);
    this.#tag = hash & 0xff;
    return this.#scan();
  }

  /** The row after the last one given, or -1. No change of the index may come between. */
  next(): number {
    this.#at++;
    return this.#scan();
  }

  #scan(): number {
    const cells = this.#cells;
    const { length } = cells;
    const tagged = this.#tagged;
    const tag = this.#tag;
    for (let at = this.#at; ; at++) {
      if (at === length) at = 0;
      const cell = cells[at]!;
      if (cell === EMPTY) return -1;
      if (cell === REMOVED || (tagged && cell >>> 24 !== tag)) continue;
      this.#at = at;
      return (tagged ? cell & 0xff_ffff : cell) - 1;
    }
  }

  /** Makes room for some more cells. The rows must be whole: they are read again if the array has to grow. */
  reserve(more: number): void {
    if (this.#used + more <= this.#cells.length * MOST) return;
    this.#resize(Math.max(SMALLEST, Math.ceil((this.#live * (more === 1 ? 1.4 : 1) + more) / FRESH)));
  }

  #resize(length: number): void {
    this.#cells = new Uint32Array(length);
    this.#used = 0;
    this.#live = 0;
    this.#rehash((hash, row) => this.add(hash, row));
  }

  /** Only after `reserve`. */
  add(hash: number, row: number): void {
    if (this.#tagged && row >= MOST_TAGGED) {
      this.#tagged = false;
      for (let i = 0; i < this.#cells.length; i++) {
        if (this.#cells[i] !== REMOVED) this.#cells[i]! &= 0xff_ffff;
      }
    }
    const cells = this.#cells;
    let at = this.#home(hash);
    while (cells[at] !== EMPTY) if (++at === cells.length) at = 0;
    cells[at] = this.#cell(hash, row);
    this.#used++;
    this.#live++;
  }

  /** Puts another row, of the same hash, in the place of one. */
  replace(hash: number, row: number, other: number): void {
    const cells = this.#cells;
    const own = this.#cell(hash, row);
    for (let at = this.#home(hash); cells[at] !== EMPTY; ) {
      if (cells[at] === own) {
        cells[at] = this.#cell(hash, other);
        return;
      }
      if (++at === cells.length) at = 0;
    }
  }

  /** Removes one cell with this row on the way of this hash. True when there was one. */
  remove(hash: number, row: number): boolean {
    const cells = this.#cells;
    const own = this.#cell(hash, row);
    for (let at = this.#home(hash); ; ) {
      const cell = cells[at]!;
      if (cell === EMPTY) return false;
      const next = at + 1 === cells.length ? 0 : at + 1;
      if (cell === own) {
        if (cells[next] === EMPTY) {
          cells[at] = EMPTY;
          this.#used--;
        } else {
          cells[at] = REMOVED;
        }
        this.#live--;
        return true;
      }
      at = next;
    }
  }

  /** For a snapshot. */
  dump(): IndexDump {
    return { cells: this.#cells, used: this.#used, live: this.#live, tagged: this.#tagged };
  }

  /** Only of rows and hashes that are the same. */
  restore({ cells, used, live, tagged }: IndexDump): void {
    this.#cells = cells;
    this.#used = used;
    this.#live = live;
    this.#tagged = tagged;
  }
}
