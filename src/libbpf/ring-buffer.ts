import { setImmediate } from 'node:timers/promises';
import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { NativeRingReader } from './addon-types.ts';
import type { MapCodec } from './bpf-map.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { MapType } from './constants.ts';
import { Fd } from './fd.ts';
import { Kind } from './kernel-object.ts';
import type { RawMap } from './raw-map.ts';
import { Readiness, type ReadinessOptions } from './readiness.ts';
import { checked, invalidArgument, systemError } from './system-error.ts';

export interface RingBufferOptions extends ReadinessOptions {
  /** Bytes copied out at a time; 64 KiB unless said otherwise. It grows for a larger record. */
  readonly bufferSize?: number;
}

/** How long a record that is reserved but not yet submitted is left alone, in milliseconds. */
const UNCOMMITTED_DELAY = 1;

/**
 * The reader of a ring buffer map (kernel 5.8). It reads only while it is iterated, so memory is bounded: a slow reader
 * fills the ring, and the BPF program's bpf_ringbuf_reserve() fails and may count it. One reader a ring, one iteration at
 * a time; it does not own the map.
 *
 * ```ts
 * using events = new RingBuffer(object.maps.get('events')!, { signal });
 * for await (const bytes of events) …
 * ```
 */
export class RingBuffer implements AsyncIterable<Uint8Array>, Disposable {
  readonly #reader: NativeRingReader;
  readonly #readiness: Readiness;
  #buffer: Uint8Array;

  /** @throws ERR_MW_INVALID_ARGUMENT for another type of map, ERR_MW_SYSCALL */
  constructor(map: RawMap, options: RingBufferOptions = {}) {
    if (map.type !== MapType.ringbuf) throw invalidArgument(`map '${map.name}' is a ${map.typeName}, no ringbuf`);
    const binding = addon();
    try {
      this.#reader = new binding.RingReader(map.fd);
    } catch (cause) {
      const { errno, syscall } = cause as { errno?: number; syscall?: string };
      if (errno === undefined) throw cause;
      throw systemError(errno, syscall ?? 'mmap', `read ring buffer '${map.name}'`);
    }
    const fd = checked(addon().duplicate(map.fd, Kind.map), 'fcntl(F_DUPFD)', `ring buffer '${map.name}'`);
    this.#readiness = new Readiness(new Fd(fd, `ring buffer '${map.name}'`), options);
    this.#buffer = new Uint8Array(Math.max(options.bufferSize ?? 64 * 1024, 64));
  }

  get closed(): boolean {
    return this.#readiness.closed;
  }

  /**
   * What is there now, without waiting: copies of at most a buffer full of records.
   *
   * @throws ERR_MW_CLOSED
   */
  drain(): Uint8Array[] {
    return this.#drain().records;
  }

  /** Records as they come, each a copy; ends with close() or the signal. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      while (await this.#readiness.wait()) {
        const { records, pending } = this.#drain();
        if (records.length === 0) this.#readiness.rearm(pending ? UNCOMMITTED_DELAY : 0);
        yield* records;
        // A program that never stops writing must not starve the rest of the process.
        if (records.length > 0) await setImmediate();
      }
    } finally {
      if (this.closed) this.#reader.close();
    }
  }

  /** Records decoded; those of another size than the codec's are a ERR_MW_LAYOUT. */
  async *decoded<T>(codec: MapCodec<T>): AsyncGenerator<T, void, undefined> {
    for await (const bytes of this) {
      if (bytes.byteLength < codec.size) {
        throw new MapwireError(
          'ERR_MW_LAYOUT',
          `a record of ${bytes.byteLength} bytes: ${codec.name} has ${codec.size}`,
        );
      }
      yield codec.read(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0);
    }
  }

  /** Idempotent; an iteration under way finishes. */
  close(): void {
    if (this.closed) return;
    this.#readiness.close();
    this.#reader.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #drain(): { readonly records: Uint8Array[]; readonly pending: boolean } {
    if (this.closed) throw new MapwireError('ERR_MW_CLOSED', 'the ring buffer is closed');
    let result = this.#reader.drain(this.#buffer);
    if (result.needed > 0) {
      this.#buffer = new Uint8Array(result.needed);
      result = this.#reader.drain(this.#buffer);
    }
    const copy = this.#buffer.slice(0, result.bytes);
    const view = new DataView(copy.buffer);
    const records: Uint8Array[] = [];
    for (let at = 0; at < copy.byteLength; ) {
      const length = view.getUint32(at, LITTLE_ENDIAN);
      records.push(copy.subarray(at + 4, at + 4 + length));
      at += 4 + ((length + 3) & ~3);
    }
    return { records, pending: result.pending };
  }
}
