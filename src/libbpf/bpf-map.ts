import { MapwireError } from '../errors.ts';
import type { BatchResult, PackedEntries, RawMap, UpdateMode } from './raw-map.ts';
import { possibleCpus } from './system.ts';

/** Turns values of one C type into bytes and back: what the generated codecs are, and all this folder needs of them. */
export interface MapCodec<T> {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  write(view: DataView, offset: number, value: T): void;
  read(view: DataView, offset: number): T;
}

function encode<T>(codec: MapCodec<T>, value: T): Uint8Array {
  const bytes = new Uint8Array(codec.size);
  codec.write(new DataView(bytes.buffer), 0, value);
  return bytes;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function incompatible(raw: RawMap, what: string, codec: MapCodec<unknown>, size: number): MapwireError {
  return new MapwireError(
    'ERR_MW_MAP_INCOMPATIBLE',
    `map '${raw.name}': its ${what} has ${size} bytes, ${codec.name} has ${codec.size}`,
    { details: { map: raw.name, field: `${what} size`, kernel: size, expected: codec.size } },
  );
}

/**
 * A map with typed keys and values. It does not own `raw`: closing that closes this.
 *
 * Methods throw what those of `RawMap` throw, and ERR_MW_INVALID_ARGUMENT for a value its codec refuses.
 */
export class BpfMap<K, V> {
  readonly raw: RawMap;
  readonly key: MapCodec<K>;
  readonly value: MapCodec<V>;

  /** @throws ERR_MW_MAP_INCOMPATIBLE when sizes differ, ERR_MW_INVALID_ARGUMENT for a per-CPU map */
  constructor(raw: RawMap, key: MapCodec<K>, value: MapCodec<V>) {
    if (key.size !== raw.keySize) throw incompatible(raw, 'key', key, raw.keySize);
    if (value.size !== raw.valueSize) throw incompatible(raw, 'value', value, raw.valueSize);
    if (raw.perCpu) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `map '${raw.name}' has a value for each CPU`, {
        hint: 'use PerCpuMap',
      });
    }
    this.raw = raw;
    this.key = key;
    this.value = value;
  }

  get name(): string {
    return this.raw.name;
  }

  get(key: K): V | undefined {
    const bytes = this.raw.lookup(encode(this.key, key));
    return bytes === undefined ? undefined : this.value.read(viewOf(bytes), 0);
  }

  has(key: K): boolean {
    return this.raw.lookup(encode(this.key, key)) !== undefined;
  }

  set(key: K, value: V, mode: UpdateMode = 'any'): void {
    this.raw.update(encode(this.key, key), encode(this.value, value), mode);
  }

  /** False if it was not there. */
  delete(key: K): boolean {
    return this.raw.delete(encode(this.key, key));
  }

  *keys(): Generator<K, void, undefined> {
    for (const bytes of this.raw.keys()) yield this.key.read(viewOf(bytes), 0);
  }

  *entries(options: { readonly batch?: number } = {}): Generator<[K, V], void, undefined> {
    for (const [key, value] of this.raw.entries(options)) {
      yield [this.key.read(viewOf(key), 0), this.value.read(viewOf(value), 0)];
    }
  }

  [Symbol.iterator](): Generator<[K, V], void, undefined> {
    return this.entries();
  }

  /** Every entry, read on a pool thread and decoded here. */
  async dump(): Promise<[K, V][]> {
    const { count, keys, values } = await this.raw.dump();
    const keyView = viewOf(keys);
    const valueView = viewOf(values);
    const entries: [K, V][] = new Array(count);
    for (let i = 0; i < count; i++) {
      entries[i] = [this.key.read(keyView, i * this.key.size), this.value.read(valueView, i * this.value.size)];
    }
    return entries;
  }

  /** Packs entries for `RawMap.updateBatch`. */
  pack(entries: Iterable<readonly [K, V]>): PackedEntries {
    const keys = new PackedWriter(this.key);
    const values = new PackedWriter(this.value);
    for (const [key, value] of entries) {
      keys.push(key);
      values.push(value);
    }
    return { count: keys.count, keys: keys.bytes(), values: values.bytes() };
  }

  /** Writes entries in order until one fails; see `BatchResult`. */
  setMany(entries: Iterable<readonly [K, V]>, mode: UpdateMode = 'any'): Promise<BatchResult> {
    const { count, keys, values } = this.pack(entries);
    return this.raw.updateBatch(keys, values, count, mode);
  }

  deleteMany(keys: Iterable<K>): Promise<BatchResult> {
    const packed = new PackedWriter(this.key);
    for (const key of keys) packed.push(key);
    return this.raw.deleteBatch(packed.bytes(), packed.count);
  }
}

/**
 * A per-CPU map with typed keys and values: each lookup gives one value for every possible CPU, in order of their
 * numbers. It does not own `raw`.
 */
export class PerCpuMap<K, V> {
  readonly raw: RawMap;
  readonly key: MapCodec<K>;
  readonly value: MapCodec<V>;
  readonly #cpus: number;
  readonly #step: number;

  /** @throws ERR_MW_MAP_INCOMPATIBLE when sizes differ, ERR_MW_INVALID_ARGUMENT for a map that is not per CPU */
  constructor(raw: RawMap, key: MapCodec<K>, value: MapCodec<V>) {
    if (key.size !== raw.keySize) throw incompatible(raw, 'key', key, raw.keySize);
    if (value.size !== raw.valueSize) throw incompatible(raw, 'value', value, raw.valueSize);
    if (!raw.perCpu) {
      throw new MapwireError('ERR_MW_INVALID_ARGUMENT', `map '${raw.name}' has one value for all CPUs`, {
        hint: 'use BpfMap',
      });
    }
    this.raw = raw;
    this.key = key;
    this.value = value;
    this.#cpus = possibleCpus();
    this.#step = raw.valueStride / this.#cpus;
  }

  get name(): string {
    return this.raw.name;
  }

  get(key: K): V[] | undefined {
    const bytes = this.raw.lookup(encode(this.key, key));
    return bytes === undefined ? undefined : this.#read(bytes);
  }

  /** @param values one for every possible CPU */
  set(key: K, values: readonly V[], mode: UpdateMode = 'any'): void {
    if (values.length !== this.#cpus) {
      throw new MapwireError(
        'ERR_MW_INVALID_ARGUMENT',
        `map '${this.name}': ${values.length} values for ${this.#cpus} possible CPUs`,
      );
    }
    const bytes = new Uint8Array(this.raw.valueStride);
    const view = viewOf(bytes);
    values.forEach((value, cpu) => {
      this.value.write(view, cpu * this.#step, value);
    });
    this.raw.update(encode(this.key, key), bytes, mode);
  }

  /** False if it was not there. */
  delete(key: K): boolean {
    return this.raw.delete(encode(this.key, key));
  }

  *entries(options: { readonly batch?: number } = {}): Generator<[K, V[]], void, undefined> {
    for (const [key, value] of this.raw.entries(options)) yield [this.key.read(viewOf(key), 0), this.#read(value)];
  }

  [Symbol.iterator](): Generator<[K, V[]], void, undefined> {
    return this.entries();
  }

  #read(bytes: Uint8Array): V[] {
    const view = viewOf(bytes);
    return Array.from({ length: this.#cpus }, (_, cpu) => this.value.read(view, cpu * this.#step));
  }
}

/** Values of one type, packed; the buffer grows by doubling. */
class PackedWriter<T> {
  readonly #codec: MapCodec<T>;
  #bytes: Uint8Array;
  #view: DataView;
  count = 0;

  constructor(codec: MapCodec<T>) {
    this.#codec = codec;
    this.#bytes = new Uint8Array(Math.max(16, codec.size * 64));
    this.#view = viewOf(this.#bytes);
  }

  push(value: T): void {
    const offset = this.count * this.#codec.size;
    if (offset + this.#codec.size > this.#bytes.byteLength) {
      const larger = new Uint8Array(this.#bytes.byteLength * 2);
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#view = viewOf(larger);
    }
    this.#codec.write(this.#view, offset, value);
    this.count++;
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.count * this.#codec.size);
  }
}
