/**
 * A hash index of row numbers in one typed array: open addressing, linear probing. It holds no keys: whoever looks up
 * compares the rows that `first` and `next` offer. The same hash may stand for several rows.
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

export class HashIndex {
  #cells = new Uint32Array(SMALLEST);
  /** Cells that are not empty, removed ones included. */
  #used = 0;
  #live = 0;
  #at = 0;
  /** Gives every (hash, row) again: called when the array is replaced by one of another size. */
  readonly #rehash: (add: (hash: number, row: number) => void) => void;

  constructor(rehash: (add: (hash: number, row: number) => void) => void) {
    this.#rehash = rehash;
  }

  get size(): number {
    return this.#live;
  }

  /** The first row that may have this hash, or -1. */
  first(hash: number): number {
    this.#at = hash & (this.#cells.length - 1);
    return this.#scan();
  }

  /** The row after the last one given, or -1. No change of the index may come between. */
  next(): number {
    this.#at = (this.#at + 1) & (this.#cells.length - 1);
    return this.#scan();
  }

  #scan(): number {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let at = this.#at;
    for (;;) {
      const cell = cells[at]!;
      if (cell === EMPTY) return -1;
      if (cell !== REMOVED) {
        this.#at = at;
        return cell - 1;
      }
      at = (at + 1) & mask;
    }
  }

  /** Makes room for some more cells. The rows must be whole: they are read again if the array has to grow. */
  reserve(more: number): void {
    if ((this.#used + more) * 4 <= this.#cells.length * 3) return;
    let length = this.#cells.length;
    while ((this.#live + more) * 2 > length) length *= 2;
    this.#cells = new Uint32Array(length);
    this.#used = 0;
    this.#live = 0;
    this.#rehash((hash, row) => this.add(hash, row));
  }

  /** Only after `reserve`. */
  add(hash: number, row: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let at = hash & mask;
    while (cells[at] !== EMPTY) at = (at + 1) & mask;
    cells[at] = row + 1;
    this.#used++;
    this.#live++;
  }

  /** Puts another row, of the same hash, in the place of one. */
  replace(hash: number, row: number, other: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    for (let at = hash & mask; cells[at] !== EMPTY; at = (at + 1) & mask) {
      if (cells[at] !== row + 1) continue;
      cells[at] = other + 1;
      return;
    }
  }

  /** Removes one cell with this row on the way of this hash. True when there was one. */
  remove(hash: number, row: number): boolean {
    const cells = this.#cells;
    const mask = cells.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const cell = cells[at]!;
      if (cell === EMPTY) return false;
      if (cell !== row + 1) continue;
      if (cells[(at + 1) & mask] === EMPTY) {
        cells[at] = EMPTY;
        this.#used--;
      } else {
        cells[at] = REMOVED;
      }
      this.#live--;
      return true;
    }
  }
}
