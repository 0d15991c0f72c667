import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { NativeBucketTable, NativePlaceTable } from './addon-types.ts';
import { type BatchResult, INLINE_BATCH, type PackedEntries, type RawMap } from './raw-map.ts';
import { Errno, errnoName, invalidArgument, systemError } from './system-error.ts';

/** Which mapping a table holds; its number in the addon. */
const KINDS = { ip4: 0, ip6: 1, mac: 2 } as const;

export type BucketKind = keyof typeof KINDS;

/** Bytes of the keys and values of the hash map that a table stands for (bpf/types.h). */
const SIZES: Readonly<Record<BucketKind, { readonly key: number; readonly value: number }>> = {
  ip4: { key: 8, value: 16 },
  ip6: { key: 20, value: 28 },
  mac: { key: 12, value: 16 },
};

const SLOTS = 4;

/** What the writer of a table did since it was opened. */
export interface BucketStats {
  /** Slots that a key came into. */
  readonly occupied: number;
  /** Slots that a key left. */
  readonly vacated: number;
  /** Slots whose port or flags changed. */
  readonly updated: number;
  /** Of those that were left: because the key went to its other bucket. */
  readonly moved: number;
  /** Times that it waited until no program was left that ran before. */
  readonly waited: number;
}

export interface BucketTableOptions {
  readonly kind: BucketKind;
  /** Of the hash; the programs must be loaded with the same (`mw_tables.seed`). */
  readonly seed: bigint;
  /** No program reads the table yet; see `setQuiet`. */
  readonly quiet?: boolean;
}

/**
 * The writer of a table of `layout: compact` (bpf/buckets.h), with the verbs of `RawMap`: keys and values are those of the
 * hash map it stands for. Stores into mapped memory, no system call an entry; programs that read it meanwhile see every
 * entry whole, and never miss one that stays. One writer a table.
 *
 * Does not own the map. Every method throws ERR_MW_CLOSED after close() and ERR_MW_INVALID_ARGUMENT for buffers of the wrong size.
 */
export class BucketTable implements Disposable {
  readonly name: string;
  readonly kind: BucketKind;
  readonly keySize: number;
  readonly valueSize: number;
  readonly valueStride: number;
  readonly buckets: number;
  #native: NativeBucketTable | undefined;

  private constructor(name: string, native: NativeBucketTable, kind: BucketKind, buckets: number) {
    this.name = name;
    this.kind = kind;
    this.keySize = SIZES[kind].key;
    this.valueSize = this.valueStride = SIZES[kind].value;
    this.buckets = buckets;
    this.#native = native;
  }

  /** @throws ERR_MW_INVALID_ARGUMENT for a map that is no such array, ERR_MW_SYSCALL */
  static open(map: RawMap, options: BucketTableOptions): BucketTable {
    const native = make(() => new (addon().BucketTable)(KINDS[options.kind], map.fd, 0, options.seed), map.name);
    native.setQuiet(options.quiet ?? false);
    return new BucketTable(map.name, native, options.kind, map.maxEntries);
  }

  /** In memory of its own, that no program reads. @param buckets at least 2 */
  static inMemory(buckets: number, options: BucketTableOptions): BucketTable {
    const native = make(() => new (addon().BucketTable)(KINDS[options.kind], null, buckets, options.seed), 'memory');
    native.setQuiet(options.quiet ?? true);
    return new BucketTable('memory', native, options.kind, buckets);
  }

  /** Slots: what fits in at the very most. */
  get maxEntries(): number {
    return this.buckets * SLOTS;
  }

  /** While no program reads the table it is written without waiting for readers. False before the first one runs. */
  setQuiet(quiet: boolean): void {
    this.#open().setQuiet(quiet);
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#checkPacked(key, 1, this.keySize, 'key');
    const value = new Uint8Array(this.valueSize);
    return this.#open().get(key, value) ? value : undefined;
  }

  /** Resolves when it is in force. @throws ERR_MW_MAP_FULL: no room in either bucket, nor any to be made */
  async update(key: Uint8Array, value: Uint8Array): Promise<void> {
    const error = this.batchError(await this.updateBatch(key, value, 1));
    if (error !== undefined) throw error;
  }

  /** False if it was not there. */
  delete(key: Uint8Array): boolean {
    this.#checkPacked(key, 1, this.keySize, 'key');
    return this.#open().remove(key, 1).applied === 1;
  }

  /** Every entry, read on a pool thread. In no order. */
  async dump(): Promise<PackedEntries> {
    const { count, keys, values } = await this.#open().dump();
    return { count, keys, values };
  }

  /**
   * Writes `count` packed entries in order, until one fails. Large batches, and those that have to wait for readers, are written
   * on a pool thread.
   */
  async updateBatch(keys: Uint8Array, values: Uint8Array, count: number): Promise<BatchResult> {
    this.#checkPacked(keys, count, this.keySize, 'keys');
    this.#checkPacked(values, count, this.valueSize, 'values');
    const native = this.#open();
    let done = 0;
    if (count <= INLINE_BATCH) {
      const outcome = native.put(keys, values, count);
      if (outcome.error !== Errno.EAGAIN) return batchResult(outcome);
      done = outcome.applied;
    }
    const rest = count - done;
    const outcome = await native.putAsync(
      keys.subarray(done * this.keySize),
      values.subarray(done * this.valueSize),
      rest,
    );
    return batchResult({ ...outcome, applied: done + outcome.applied });
  }

  /** Deletes `count` packed keys; those that are not there are counted as `missing`. */
  async deleteBatch(keys: Uint8Array, count: number): Promise<BatchResult> {
    this.#checkPacked(keys, count, this.keySize, 'keys');
    const native = this.#open();
    return batchResult(count <= INLINE_BATCH ? native.remove(keys, count) : await native.removeAsync(keys, count));
  }

  /** The error of a batch that stopped; undefined for one that did not. */
  batchError(result: BatchResult): MapwireError | undefined {
    if (result.errno === undefined) return undefined;
    if (result.errno !== Errno.E2BIG) return systemError(result.errno, 'membarrier', `write to '${this.name}'`);
    return new MapwireError('ERR_MW_MAP_FULL', `no room for an entry in '${this.name}'`, {
      hint: `it has ${this.maxEntries} slots: make a larger one`,
      details: { map: this.name, maxEntries: this.maxEntries, errno: Errno.E2BIG, errnoName: 'E2BIG' },
    });
  }

  /**
   * Mends what an earlier writer left that was stopped in the middle: keys that are twice in the table, or not where they
   * belong. Must be called before a table is written that another process wrote.
   *
   * @returns the number of slots that were vacated
   */
  async repair(): Promise<number> {
    const result = await this.#open().repair();
    if (result < 0) throw systemError(-result, 'membarrier', `repair '${this.name}'`);
    return result;
  }

  stats(): BucketStats {
    return this.#open().stats();
  }

  /** Idempotent. */
  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): NativeBucketTable {
    if (this.#native === undefined) throw new MapwireError('ERR_MW_CLOSED', `table '${this.name}' was closed`);
    return this.#native;
  }

  #checkPacked(bytes: Uint8Array, count: number, size: number, what: string): void {
    if (!Number.isSafeInteger(count) || count < 0 || bytes.byteLength !== count * size) {
      throw invalidArgument(
        `table '${this.name}': ${count} ${what} of ${size} bytes are ${count * size}, not ${bytes.byteLength}`,
      );
    }
  }
}

/**
 * The writer of the array `place` (bpf/buckets.h): where ports with one locator are. Does not own the map.
 */
export class PlaceTable implements Disposable {
  readonly #name: string;
  #native: NativePlaceTable | undefined;

  /** @throws ERR_MW_INVALID_ARGUMENT for a map that is no such array, ERR_MW_SYSCALL */
  constructor(map: RawMap) {
    this.#name = map.name;
    this.#native = make(() => new (addon().PlaceTable)(map.fd), map.name);
  }

  /** @param ids packed `u32`; @param ports packed `struct mw_port`; @returns slots stored */
  put(ids: Uint8Array, ports: Uint8Array, count: number): number {
    return this.#open().put(ids, ports, count);
  }

  /** @param ids packed, as `u32`; @returns slots stored */
  clear(ids: Uint8Array, count: number): number {
    return this.#open().clear(ids, count);
  }

  /** Only what these ports say, nothing beside it. @returns slots stored */
  sync(ids: Uint8Array, ports: Uint8Array, count: number): Promise<number> {
    return this.#open().sync(ids, ports, count);
  }

  close(): void {
    this.#native?.close();
    this.#native = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #open(): NativePlaceTable {
    if (this.#native === undefined) throw new MapwireError('ERR_MW_CLOSED', `table '${this.#name}' was closed`);
    return this.#native;
  }
}

function make<T>(construct: () => T, name: string): T {
  try {
    return construct();
  } catch (cause) {
    const { errno, syscall } = cause as { errno?: number; syscall?: string };
    if (errno !== undefined) throw systemError(errno, syscall ?? 'mmap', `mmap of map '${name}'`);
    throw invalidArgument(`map '${name}': ${(cause as Error).message}`);
  }
}

function batchResult(outcome: { applied: number; missing: number; error: number }): BatchResult {
  const { applied, missing, error } = outcome;
  return error === 0 ? { applied, missing } : { applied, missing, errno: error, errnoName: errnoName(error) };
}
