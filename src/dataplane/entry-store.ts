import type { MapwireError } from '../errors.ts';
import { type BatchResult, type PackedEntries, PlaceTable, type RawMap } from '../libbpf/index.ts';

/**
 * Where the entries of one mapping are, whatever is behind it: what a `RawMap` and a `BucketTable` have in common. Keys and
 * values are those of the hash map of that name.
 */
export interface EntryStore {
  readonly keySize: number;
  readonly valueSize: number;
  readonly valueStride: number;
  /** Entries that fit in at most. */
  readonly maxEntries: number;
  lookup(key: Uint8Array): Uint8Array | undefined;
  update(key: Uint8Array, value: Uint8Array): void | Promise<void>;
  /** False if it was not there. */
  delete(key: Uint8Array): boolean;
  dump(): Promise<PackedEntries>;
  updateBatch(keys: Uint8Array, values: Uint8Array, count: number): Promise<BatchResult>;
  deleteBatch(keys: Uint8Array, count: number): Promise<BatchResult>;
  batchError(result: BatchResult): MapwireError | undefined;
}

/** The ports of `layout: compact`: the hash map, and the places of those with one locator, which follow it. */
export class PortStore implements EntryStore, Disposable {
  readonly #ports: RawMap;
  readonly #places: PlaceTable;

  constructor(ports: RawMap, places: RawMap) {
    this.#ports = ports;
    this.#places = new PlaceTable(places);
  }

  get keySize(): number {
    return this.#ports.keySize;
  }

  get valueSize(): number {
    return this.#ports.valueSize;
  }

  get valueStride(): number {
    return this.#ports.valueStride;
  }

  get maxEntries(): number {
    return this.#ports.maxEntries;
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    return this.#ports.lookup(key);
  }

  update(key: Uint8Array, value: Uint8Array): void {
    this.#ports.update(key, value);
    this.#places.put(key, value, 1);
  }

  delete(key: Uint8Array): boolean {
    this.#places.clear(key, 1);
    return this.#ports.delete(key);
  }

  dump(): Promise<PackedEntries> {
    return this.#ports.dump();
  }

  async updateBatch(keys: Uint8Array, values: Uint8Array, count: number): Promise<BatchResult> {
    const result = await this.#ports.updateBatch(keys, values, count);
    const { applied } = result;
    this.#places.put(keys.subarray(0, applied * this.keySize), values.subarray(0, applied * this.valueSize), applied);
    return result;
  }

  deleteBatch(keys: Uint8Array, count: number): Promise<BatchResult> {
    this.#places.clear(keys, count);
    return this.#ports.deleteBatch(keys, count);
  }

  batchError(result: BatchResult): MapwireError | undefined {
    return this.#ports.batchError(result);
  }

  /** Brings the places in step with the ports: an earlier process may have ended between the two. @returns places changed */
  async repair(): Promise<number> {
    const { count, keys, values } = await this.#ports.dump();
    return this.#places.sync(keys, values, count);
  }

  /** The map stays open. */
  close(): void {
    this.#places.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
