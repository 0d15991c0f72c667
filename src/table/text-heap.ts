/**
 * Many short texts in one byte array, each named by its offset. A text takes one byte and its UTF-8 form; a UUID in its
 * usual form takes 17 bytes. Released texts leave holes until `compact`.
 */

import { finish, HASH_SEED, mix } from './hash-index.ts';

const UUID = 0;
/** Texts from this many bytes on have a second length byte. */
const LONG = 255;
const MAX_BYTES = LONG + 255;
const UUID_BYTES = 16;
const UUID_TEXT = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const HEX = '0123456789abcdef';

export class TextHeap {
  #bytes = Buffer.allocUnsafe(4096);
  #end = 0;
  #holes = 0;
  /** The text that `encode` has put into form. */
  readonly #scratch = Buffer.alloc(MAX_BYTES + 2);
  #scratchLength = 0;

  /** Bytes in use, holes included. */
  get size(): number {
    return this.#end;
  }

  get holes(): number {
    return this.#holes;
  }

  /** Puts a text into the form that `store`, `equals` and `encodedHash` then speak of. */
  encode(text: string): void {
    const scratch = this.#scratch;
    if (text.length === 36 && UUID_TEXT.test(text)) {
      scratch[0] = UUID;
      scratch.write(text.replaceAll('-', ''), 1, 'hex');
      this.#scratchLength = 1 + UUID_BYTES;
      return;
    }
    const length = scratch.write(text, 2, 'utf8');
    if (length >= LONG) {
      scratch[0] = LONG;
      scratch[1] = length - LONG;
      this.#scratchLength = length + 2;
      return;
    }
    scratch[0] = length;
    scratch.copyWithin(1, 2, 2 + length);
    this.#scratchLength = length + 1;
  }

  /** Hash of the encoded text. */
  encodedHash(): number {
    return hashBytes(this.#scratch, 0, this.#scratchLength);
  }

  /** Hash of a stored text: the same as that of the encoded one. */
  hash(offset: number): number {
    return hashBytes(this.#bytes, offset, this.#sizeAt(offset));
  }

  /** True when the stored text is the encoded one. */
  equals(offset: number): boolean {
    const length = this.#scratchLength;
    if (offset + length > this.#end) return false;
    const bytes = this.#bytes;
    const scratch = this.#scratch;
    for (let i = 0; i < length; i++) if (bytes[offset + i] !== scratch[i]) return false;
    return true;
  }

  /** Stores the encoded text; its offset. */
  store(): number {
    const length = this.#scratchLength;
    if (this.#end + length > this.#bytes.length) {
      const bigger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#end + length));
      this.#bytes.copy(bigger, 0, 0, this.#end);
      this.#bytes = bigger;
    }
    const offset = this.#end;
    this.#scratch.copy(this.#bytes, offset, 0, length);
    this.#end += length;
    return offset;
  }

  text(offset: number): string {
    const bytes = this.#bytes;
    const tag = bytes[offset]!;
    if (tag === UUID) return uuidText(bytes, offset + 1);
    if (tag === LONG) return bytes.toString('utf8', offset + 2, offset + 2 + LONG + bytes[offset + 1]!);
    return bytes.toString('utf8', offset + 1, offset + 1 + tag);
  }

  release(offset: number): void {
    this.#holes += this.#sizeAt(offset);
  }

  /** Writes the texts that are still in use into a new array: `move` gets a function from old offsets to new ones. */
  compact(move: (place: (offset: number) => number) => void): void {
    const old = this.#bytes;
    const target = Buffer.allocUnsafe(Math.max(4096, Math.ceil((this.#end - this.#holes) * 1.25)));
    let end = 0;
    move((offset) => {
      const size = this.#sizeAt(offset);
      old.copy(target, end, offset, offset + size);
      end += size;
      return end - size;
    });
    this.#bytes = target;
    this.#end = end;
    this.#holes = 0;
  }

  /** For a snapshot. */
  dump(): Uint8Array {
    return this.#bytes.subarray(0, this.#end);
  }

  restore(bytes: Uint8Array): void {
    this.#bytes = Buffer.from(bytes);
    this.#end = bytes.length;
    this.#holes = 0;
  }

  #sizeAt(offset: number): number {
    const tag = this.#bytes[offset]!;
    if (tag === UUID) return 1 + UUID_BYTES;
    return tag === LONG ? 2 + LONG + this.#bytes[offset + 1]! : 1 + tag;
  }
}

function hashBytes(bytes: Uint8Array, start: number, length: number): number {
  let hash = HASH_SEED ^ length;
  let i = start;
  const whole = start + (length & ~3);
  for (; i < whole; i += 4) {
    hash = mix(hash, bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24));
  }
  let rest = 0;
  for (; i < start + length; i++) rest = (rest << 8) | bytes[i]!;
  return finish(mix(hash, rest));
}

function uuidText(bytes: Uint8Array, offset: number): string {
  let text = '';
  for (let i = 0; i < UUID_BYTES; i++) {
    if (i === 4 || i === 6 || i === 8 || i === 10) text += '-';
    const byte = bytes[offset + i]!;
    text += HEX[byte >> 4]! + HEX[byte & 15]!;
  }
  return text;
}
