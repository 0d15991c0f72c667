/**
 * Ids of ports, sixteen bytes a row: a UUID in its usual form as its bytes, a text of up to 15 bytes with its length before it, and of a
 * longer one the place in a heap of texts. Which of the three it is, the caller keeps.
 */

import { finish, mix } from './hash-index.ts';
import { TextHeap } from './text-heap.ts';

/** A short text, or nothing. */
export const ID_SHORT = 0;
export const ID_UUID = 1;
export const ID_LONG = 2;
export type IdKind = typeof ID_SHORT | typeof ID_UUID | typeof ID_LONG;

const CELL = 16;
const HEX = '0123456789abcdef';
/** Value of a lower-case hex digit by its code; 255: none. */
const DIGIT = new Uint8Array(256).fill(255);
for (let i = 0; i < 16; i++) DIGIT[HEX.charCodeAt(i)] = i;
const DASH = 0x2d;

export class IdCells {
  #bytes: Uint8Array<ArrayBuffer>;
  #words: Uint32Array<ArrayBuffer>;
  readonly #heap: TextHeap;
  readonly #seed: number;
  /** The id that `encode` has put into form. */
  readonly #scratch = Buffer.alloc(CELL);
  readonly #scratchWords = new Uint32Array(this.#scratch.buffer, this.#scratch.byteOffset, 4);
  readonly #text = Buffer.alloc(1024);
  #kind: IdKind = ID_SHORT;

  constructor(capacity: number, seed: number) {
    this.#bytes = new Uint8Array(capacity * CELL);
    this.#words = new Uint32Array(this.#bytes.buffer);
    this.#seed = seed;
    this.#heap = new TextHeap(seed);
  }

  resize(capacity: number): void {
    const bigger = new Uint8Array(capacity * CELL);
    bigger.set(this.#bytes.subarray(0, Math.min(this.#bytes.length, bigger.length)));
    this.#bytes = bigger;
    this.#words = new Uint32Array(bigger.buffer);
  }

  /** Puts an id into the form that `store`, `equals` and `hash` then speak of. */
  encode(id: string): void {
    const length = id.length <= 256 ? this.#text.write(id, 0, 'utf8') : this.#text.length;
    if (length < this.#text.length) this.encodeBytes(this.#text, 0, length);
    else this.#encodeLong(id);
  }

  /** The same of UTF-8 bytes. */
  encodeBytes(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const scratch = this.#scratch;
    if (length < CELL) {
      this.#scratchWords.fill(0);
      scratch[0] = length;
      for (let i = 0; i < length; i++) scratch[i + 1] = bytes[start + i]!;
      this.#kind = ID_SHORT;
      return;
    }
    if (length === 36 && this.#encodeUuid(bytes, start)) {
      this.#kind = ID_UUID;
      return;
    }
    this.#encodeLong(Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('utf8'));
  }

  #encodeUuid(bytes: Uint8Array, start: number): boolean {
    const scratch = this.#scratch;
    let to = 0;
    for (let i = start; i < start + 36; ) {
      if (to === 4 || to === 6 || to === 8 || to === 10) {
        if (bytes[i] !== DASH) return false;
        i++;
      }
      const high = DIGIT[bytes[i]!]!;
      const low = DIGIT[bytes[i + 1]!]!;
      if ((high | low) > 15) return false;
      scratch[to++] = (high << 4) | low;
      i += 2;
    }
    return true;
  }

  /** The same of an id that others hold. */
  encodeFrom(others: IdCells, row: number, kind: IdKind): void {
    if (kind === ID_LONG) {
      this.#encodeLong(others.text(row, kind));
      return;
    }
    for (let i = 0; i < 4; i++) this.#scratchWords[i] = others.#words[row * 4 + i]!;
    this.#kind = kind;
  }

  #encodeLong(id: string): void {
    this.#heap.encode(id);
    this.#kind = ID_LONG;
  }

  /** Of the encoded id. */
  hash(): number {
    return this.#kind === ID_LONG ? this.#heap.encodedHash() : this.#hashWords(this.#scratchWords, 0);
  }

  hashAt(row: number, kind: IdKind): number {
    return kind === ID_LONG ? this.#heap.hash(this.#words[row * 4]!) : this.#hashWords(this.#words, row * 4);
  }

  #hashWords(words: Uint32Array, at: number): number {
    return finish(mix(mix(mix(mix(this.#seed, words[at]!), words[at + 1]!), words[at + 2]!), words[at + 3]!));
  }

  /** Does the row hold the encoded id? */
  equals(row: number, kind: IdKind): boolean {
    if (kind !== this.#kind) return false;
    if (kind === ID_LONG) return this.#heap.equals(this.#words[row * 4]!);
    const words = this.#words;
    const own = this.#scratchWords;
    const at = row * 4;
    return words[at] === own[0] && words[at + 1] === own[1] && words[at + 2] === own[2] && words[at + 3] === own[3];
  }

  /** Stores the encoded id; what kind it is. */
  store(row: number): IdKind {
    if (this.#kind === ID_LONG) {
      this.#words.fill(0, row * 4, row * 4 + 4);
      this.#words[row * 4] = this.#heap.store();
    } else {
      this.#words.set(this.#scratchWords, row * 4);
    }
    return this.#kind;
  }

  text(row: number, kind: IdKind): string {
    if (kind === ID_LONG) return this.#heap.text(this.#words[row * 4]!);
    const bytes = this.#bytes;
    const start = row * CELL;
    if (kind === ID_UUID) return uuidText(bytes, start);
    const length = bytes[start]!;
    return Buffer.from(bytes.buffer, start + 1, length).toString('utf8');
  }

  /** True when a cell of a short id holds none. */
  isEmpty(row: number): boolean {
    return this.#bytes[row * CELL] === 0;
  }

  release(row: number, kind: IdKind): void {
    if (kind === ID_LONG) this.#heap.release(this.#words[row * 4]!);
    this.#words.fill(0, row * 4, row * 4 + 4);
  }

  /** Moves the texts of the heap together when much of it is holes; `isLong` tells the rows that have one. */
  compact(limit: number, isLong: (row: number) => boolean): void {
    if (this.#heap.holes <= 65_536 || this.#heap.holes * 2 <= this.#heap.size) return;
    this.#heap.compact((place) => {
      for (let row = 0; row < limit; row++) if (isLong(row)) this.#words[row * 4] = place(this.#words[row * 4]!);
    });
  }

  /** For a snapshot: the cells of the first rows, and the texts. */
  dump(rows: number): { readonly cells: Uint8Array<ArrayBuffer>; readonly texts: Uint8Array<ArrayBuffer> } {
    return { cells: this.#bytes.subarray(0, rows * CELL), texts: this.#heap.dump() };
  }

  restore(cells: Uint8Array<ArrayBuffer>, texts: Uint8Array): void {
    this.#bytes = cells;
    this.#words = new Uint32Array(cells.buffer, cells.byteOffset, cells.length >>> 2);
    this.#heap.restore(texts);
  }
}

function uuidText(bytes: Uint8Array, offset: number): string {
  let text = '';
  for (let i = 0; i < CELL; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    const byte = bytes[offset + i]!;
    text += HEX[byte >> 4]! + HEX[byte & 15]!;
  }
  return text;
}
