import { releaseEntries } from '../libbpf/index.ts';
import { finish, HASH_SEED, mix } from '../table/hash-index.ts';
import type { EntryStore } from './entry-store.ts';

/**
 * What a map held when it was read: keys and values as the kernel packs them, and an index to find a key. For maps of millions: no
 * object an entry.
 */
export class HeldEntries {
  readonly count: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** Values are this far apart. */
  readonly stride: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
  readonly #keyWords: Uint32Array;
  /** Position + 1; 0: empty. */
  #cells = new Uint32Array(0);
  /** Bit 0: somebody asked for it. */
  readonly #seen: Uint8Array;

  private constructor(raw: EntryStore, count: number, keys: Uint8Array, values: Uint8Array) {
    this.count = count;
    this.keySize = raw.keySize;
    this.valueSize = raw.valueSize;
    this.stride = raw.valueStride;
    this.keys = keys;
    this.values = values;
    this.#keyWords = new Uint32Array(keys.buffer, keys.byteOffset, (count * this.keySize) >>> 2);
    this.#seen = new Uint8Array(count);
  }

  /** Reads a map (keys of whole words), and indexes it in steps, waiting for `pause` between them. */
  static async read(raw: EntryStore, pause: () => Promise<void>): Promise<HeldEntries> {
    const { count, keys, values } = await raw.dump();
    const held = new HeldEntries(raw, count, keys, values);
    if (count > 0) await held.#index(pause);
    return held;
  }

  async #index(pause: () => Promise<void>): Promise<void> {
    let length = 64;
    while (length < this.count * 2) length *= 2;
    const cells = new Uint32Array(length);
    this.#cells = cells;
    const mask = length - 1;
    for (let from = 0; from < this.count; from += STEP) {
      const end = Math.min(this.count, from + STEP);
      for (let at = from; at < end; at++) {
        let cell = this.#hash(this.#keyWords, (at * this.keySize) >>> 2) & mask;
        while (cells[cell] !== 0) cell = (cell + 1) & mask;
        cells[cell] = at + 1;
      }
      await pause();
    }
  }

  #hash(words: Uint32Array, at: number): number {
    let hash = HASH_SEED;
    const end = at + (this.keySize >>> 2);
    for (let i = at; i < end; i++) hash = mix(hash, words[i]!);
    return finish(hash);
  }

  /** Where a key is, which counts as asked for from now on; -1: it is not there. @param at its word in `words` */
  find(words: Uint32Array, at: number): number {
    const cells = this.#cells;
    if (cells.length === 0) return -1;
    const mask = cells.length - 1;
    const size = this.keySize >>> 2;
    const own = this.#keyWords;
    for (let cell = this.#hash(words, at) & mask; ; cell = (cell + 1) & mask) {
      const position = cells[cell]! - 1;
      if (position < 0) return -1;
      const start = position * size;
      let i = 0;
      while (i < size && own[start + i] === words[at + i]) i++;
      if (i < size) continue;
      this.#seen[position] = 1;
      return position;
    }
  }

  /** Gives the memory back: a hundred bytes an entry, which the collector does not see. */
  close(): void {
    this.#cells = new Uint32Array(0);
    releaseEntries(this);
  }

  value(position: number): Uint8Array {
    return this.values.subarray(position * this.stride, position * this.stride + this.valueSize);
  }

  /** Does the value at a position hold these bytes, in its first `size` ones? */
  equals(position: number, bytes: Uint8Array, at: number, size: number): boolean {
    const { values } = this;
    const start = position * this.stride;
    for (let i = 0; i < size; i++) if (values[start + i] !== bytes[at + i]) return false;
    return true;
  }

  /** Keys that nobody asked for, packed. */
  unseen(): { readonly keys: Uint8Array; readonly count: number } {
    let count = 0;
    for (let at = 0; at < this.count; at++) if (this.#seen[at] === 0) count++;
    const keys = new Uint8Array(count * this.keySize);
    let to = 0;
    for (let at = 0; at < this.count && count > 0; at++) {
      if (this.#seen[at] !== 0) continue;
      keys.set(this.keys.subarray(at * this.keySize, (at + 1) * this.keySize), to);
      to += this.keySize;
    }
    return { keys, count };
  }
}

/** Entries between two pauses. */
const STEP = 4_096;
