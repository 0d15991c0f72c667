import { type ErrorCode, MapwireError } from '../errors.ts';

/**
 * A bounds-checked little-endian view of bytes nobody vouches for. Every read outside them throws a MapwireError with
 * the given code, never a RangeError.
 */
export class ByteReader {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #code: ErrorCode;
  readonly #what: string;

  /** `what` names the bytes in messages, e.g. `the ELF header`. */
  constructor(bytes: Uint8Array, code: ErrorCode, what: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#code = code;
    this.#what = what;
    this.length = bytes.byteLength;
  }

  u8(at: number): number {
    this.#need(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#need(at, 4);
    return this.#view.getUint32(at, true);
  }

  i32(at: number): number {
    this.#need(at, 4);
    return this.#view.getInt32(at, true);
  }

  /** A 64-bit number that has to be an exact JavaScript number, as offsets and sizes of real files are. */
  u64(at: number): number {
    this.#need(at, 8);
    const value = this.#view.getBigUint64(at, true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) {
      throw this.fail(`the 64-bit number 0x${value.toString(16)} at offset ${at} is impossibly large`);
    }
    return Number(value);
  }

  /** `length` bytes from `at`, not copied. */
  slice(at: number, length: number): Uint8Array {
    this.#need(at, length);
    return this.#bytes.subarray(at, at + length);
  }

  /** The NUL-terminated string at `at`; an unterminated one is an error. */
  string(at: number): string {
    this.#need(at, 1);
    const end = this.#bytes.indexOf(0, at);
    if (end < 0) throw this.fail(`the string at offset ${at} does not end`);
    return decoder.decode(this.#bytes.subarray(at, end));
  }

  /** The error for these bytes, with its code. */
  fail(problem: string): MapwireError {
    return new MapwireError(this.#code, `${this.#what}: ${problem}`, { hint: 'the file may be truncated or damaged' });
  }

  #need(at: number, length: number): void {
    if (at < 0 || length < 0 || at + length > this.length) {
      throw this.fail(`${length} bytes at offset ${at} are outside its ${this.length} bytes`);
    }
  }
}

const decoder = new TextDecoder('utf-8');
