import { MapwireError } from '../errors.ts';
import { addon } from './addon.ts';
import type { NativeMapShape } from './addon-types.ts';
import type { Btf } from './btf.ts';
import { LITTLE_ENDIAN } from './byte-order.ts';
import { isPerCpu, MapType, type MapTypeName, mapTypeName } from './constants.ts';
import { Fd } from './fd.ts';
import { Kind, nameAt, objectInfo, openById, openPinned, pin } from './kernel-object.ts';
import { checked, Errno, errnoName, invalidArgument, systemError } from './system-error.ts';

/** `any` writes always, `create` only what is not there, `replace` only what is. */
export type UpdateMode = 'any' | 'create' | 'replace';

const MODES: Readonly<Record<UpdateMode, number>> = { any: 0, create: 1, replace: 2 };

/** Batches above this many entries run on a pool thread. */
export const INLINE_BATCH = 4096;

/** What a batch did. It is no transaction: the entries before the one that failed are written. */
export interface BatchResult {
  /** Entries written or deleted. The one that failed is the next, counting `missing`. */
  readonly applied: number;
  /** Deletes only: keys that were not there; they are passed over and are no failure. */
  readonly missing: number;
  /** Absent when every entry was done. */
  readonly errno?: number;
  readonly errnoName?: string;
}

/** Entries of a map, packed: `count` keys one after the other, and as many values. */
export interface PackedEntries {
  readonly count: number;
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

export interface LookupBatch extends PackedEntries {
  /** Where the next batch begins; absent after the last. */
  readonly token?: Uint8Array;
}

export interface RawMapSpec {
  readonly type: MapTypeName | number;
  /** At most 15 characters of [A-Za-z0-9_.]. */
  readonly name: string;
  /** In bytes. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** Bits of `MapFlag`. */
  readonly flags?: number;
  /** Maps of maps: a map like those it will hold. */
  readonly innerMap?: RawMap;
  /** Types of key and value in loaded BTF, so that bpftool prints field names. */
  readonly btf?: { readonly btf: Btf; readonly keyTypeId: number; readonly valueTypeId: number };
}

export interface MapInfo {
  readonly id: number;
  readonly name: string;
  /** `MapType` */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  /** Device a map belongs to (offload), else 0. */
  readonly ifindex: number;
  /** 0 without BTF; `Btf.fromId` opens it. */
  readonly btfId: number;
  readonly btfKeyTypeId: number;
  readonly btfValueTypeId: number;
  readonly extra: bigint;
}

/**
 * A map by its descriptor, with keys and values as bytes. `BpfMap` puts codecs on it.
 *
 * Values of per-CPU maps hold all possible CPUs, each rounded up to 8 bytes: `valueStride` bytes.
 * Single operations and batches of up to 4,096 entries are made at once; larger ones on a pool thread.
 *
 * Every method throws ERR_MW_CLOSED after close() and ERR_MW_INVALID_ARGUMENT for buffers of the wrong size.
 */
export class RawMap implements Disposable {
  readonly name: string;
  /** `MapType` */
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  /** Bytes of a value in a system call. */
  readonly valueStride: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly id: number;
  readonly #fd: Fd;
  #memory: ArrayBuffer | undefined;

  private constructor(fd: number, name: string | undefined) {
    this.#fd = new Fd(fd, `map ${name ?? ''}`.trimEnd());
    try {
      const shape: NativeMapShape = addon().mapShape(fd);
      this.type = shape.type;
      this.keySize = shape.keySize;
      this.valueSize = shape.valueSize;
      this.valueStride = shape.valueStride;
      this.maxEntries = shape.maxEntries;
      this.flags = shape.flags;
      const info = this.info();
      this.id = info.id;
      this.name = name ?? info.name;
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  /** Wraps a descriptor of the addon and owns it. For this folder only. @internal */
  static own(fd: number, name?: string): RawMap {
    return new RawMap(fd, name);
  }

  /** @throws ERR_MW_SYSCALL, ERR_MW_PRIVILEGE */
  static create(spec: RawMapSpec): RawMap {
    const type = typeof spec.type === 'number' ? spec.type : MapType[spec.type];
    if (type === undefined) throw invalidArgument(`no map type '${spec.type}'`);
    if (!/^[\w.]{0,15}$/.test(spec.name)) {
      throw invalidArgument(`map name '${spec.name}': at most 15 letters, digits, '_' and '.'`);
    }
    const fd = addon().mapCreate({
      type,
      name: spec.name,
      keySize: spec.keySize,
      valueSize: spec.valueSize,
      maxEntries: spec.maxEntries,
      flags: spec.flags ?? 0,
      innerMapFd: spec.innerMap?.fd,
      ...(spec.btf === undefined
        ? {}
        : {
            btfFd: spec.btf.btf.fd,
            btfKeyTypeId: spec.btf.keyTypeId,
            btfValueTypeId: spec.btf.valueTypeId,
          }),
    });
    return new RawMap(checked(fd, 'bpf(BPF_MAP_CREATE)', `create map '${spec.name}'`), spec.name);
  }

  /** @throws ERR_MW_NOT_FOUND; ERR_MW_INVALID_ARGUMENT if something else than a map is pinned there */
  static openPinned(path: string): RawMap {
    return new RawMap(openPinned('map', path), undefined);
  }

  /** @throws ERR_MW_NOT_FOUND, ERR_MW_PRIVILEGE: every kernel wants CAP_SYS_ADMIN for this. */
  static fromId(id: number): RawMap {
    return new RawMap(openById('map', id), undefined);
  }

  /** @throws ERR_MW_CLOSED */
  get fd(): number {
    return this.#fd.number;
  }

  get closed(): boolean {
    return this.#fd.closed;
  }

  get typeName(): string {
    return mapTypeName(this.type);
  }

  /** Whether each possible CPU has its own value. */
  get perCpu(): boolean {
    return isPerCpu(this.type);
  }

  /** A second handle of the same map, with its own lifetime. */
  dup(): RawMap {
    return new RawMap(checked(addon().duplicate(this.fd, Kind.map), 'fcntl(F_DUPFD)', this.#what()), this.name);
  }

  lookup(key: Uint8Array): Uint8Array | undefined {
    this.#checkKey(key);
    const value = new Uint8Array(this.valueStride);
    const result = addon().mapLookup(this.fd, key, value, 0);
    if (result === -Errno.ENOENT) return undefined;
    checked(result, 'bpf(BPF_MAP_LOOKUP_ELEM)', `lookup in ${this.#what()}`);
    return value;
  }

  /** Takes an entry out; for queues and stacks the key is empty. Hash tables: kernel 5.14. */
  lookupAndDelete(key: Uint8Array): Uint8Array | undefined {
    this.#checkKey(key);
    const value = new Uint8Array(this.valueStride);
    const result = addon().mapLookupAndDelete(this.fd, key, value);
    if (result === -Errno.ENOENT) return undefined;
    checked(result, 'bpf(BPF_MAP_LOOKUP_AND_DELETE_ELEM)', `lookup and delete in ${this.#what()}`);
    return value;
  }

  /**
   * @throws ERR_MW_MAP_FULL; ERR_MW_NOT_FOUND (`replace`, no such key); ERR_MW_SYSCALL with EEXIST (`create`, it is there)
   */
  update(key: Uint8Array, value: Uint8Array, mode: UpdateMode = 'any'): void {
    this.#checkKey(key);
    if (value.byteLength !== this.valueStride) {
      throw invalidArgument(`${this.#what()}: a value has ${this.valueStride} bytes, not ${value.byteLength}`);
    }
    const result = addon().mapUpdate(this.fd, key, value, MODES[mode]);
    if (result < 0) throw this.#updateError(-result);
  }

  /** False if it was not there. */
  delete(key: Uint8Array): boolean {
    this.#checkKey(key);
    const result = addon().mapDelete(this.fd, key);
    if (result === -Errno.ENOENT) return false;
    checked(result, 'bpf(BPF_MAP_DELETE_ELEM)', `delete in ${this.#what()}`);
    return true;
  }

  /**
   * Keys in the kernel's order; the next one is fetched before this one is given out, so it may be deleted. When
   * another one deletes the next key meanwhile the kernel starts again, and a key can come twice.
   */
  *keys(): Generator<Uint8Array, void, undefined> {
    const next = (key: Uint8Array | null): Uint8Array | undefined => {
      const out = new Uint8Array(this.keySize);
      const result = addon().mapNextKey(this.fd, key, out);
      if (result === -Errno.ENOENT) return undefined;
      checked(result, 'bpf(BPF_MAP_GET_NEXT_KEY)', `walk ${this.#what()}`);
      return out;
    };
    for (let key = next(null); key !== undefined; ) {
      const following = next(key);
      yield key;
      key = following;
    }
  }

  /**
   * Entries in the kernel's order, read in batches where the map can (else key by key). The arrays are views of a batch
   * that stay as they were read. For big maps prefer `dump()`, which leaves the event loop free.
   *
   * @param options.batch entries a system call; it grows when a bucket holds more
   */
  *entries(options: { readonly batch?: number } = {}): Generator<[Uint8Array, Uint8Array], void, undefined> {
    let token: Uint8Array | undefined;
    do {
      let batch: LookupBatch;
      try {
        batch = this.lookupBatch({ count: options.batch ?? 256, ...(token === undefined ? {} : { token }) });
      } catch (error) {
        if (token !== undefined || !(error instanceof MapwireError) || error.code !== 'ERR_MW_UNSUPPORTED') throw error;
        yield* this.#entriesByKey();
        return;
      }
      for (let i = 0; i < batch.count; i++) {
        yield [
          batch.keys.subarray(i * this.keySize, (i + 1) * this.keySize),
          batch.values.subarray(i * this.valueStride, (i + 1) * this.valueStride),
        ];
      }
      token = batch.token;
    } while (token !== undefined);
  }

  *#entriesByKey(): Generator<[Uint8Array, Uint8Array], void, undefined> {
    for (const key of this.keys()) {
      const value = this.lookup(key);
      if (value !== undefined) yield [key, value];
    }
  }

  /** Every entry at once, read on a pool thread. */
  async dump(options: { readonly batch?: number } = {}): Promise<PackedEntries> {
    const dump = await addon().mapDump(this.fd, options.batch ?? INLINE_BATCH);
    if (dump.error !== 0) throw systemError(dump.error, 'bpf(BPF_MAP_LOOKUP_BATCH)', `dump of ${this.#what()}`);
    return { count: dump.count, keys: dump.keys, values: dump.values };
  }

  /**
   * The next entries. A batch smaller than a bucket is enlarged, so more than `count` may come.
   *
   * @throws ERR_MW_UNSUPPORTED if this type of map has no batches (devmaps; kernel 5.6 for hash, later for others)
   */
  lookupBatch(options: { readonly count: number; readonly token?: Uint8Array }): LookupBatch {
    const size = Math.max(this.keySize, 8);
    const token = new Uint8Array(size);
    const most = Math.max(this.maxEntries * 2, 16);
    for (let count = Math.max(1, options.count); ; count *= 2) {
      const keys = new Uint8Array(count * this.keySize);
      const values = new Uint8Array(count * this.valueStride);
      const result = addon().mapLookupBatch(this.fd, options.token ?? null, token, keys, values, count);
      if (result.error === Errno.ENOSPC && count < most) continue;
      if (result.error !== 0 && result.error !== Errno.ENOENT) {
        const unsupported =
          options.token === undefined && (result.error === Errno.EINVAL || result.error === Errno.ENOTSUPP);
        throw systemError(
          result.error,
          'bpf(BPF_MAP_LOOKUP_BATCH)',
          `batch of ${this.#what()}`,
          unsupported ? { code: 'ERR_MW_UNSUPPORTED' } : {},
        );
      }
      const found = {
        count: result.count,
        keys: keys.subarray(0, result.count * this.keySize),
        values: values.subarray(0, result.count * this.valueStride),
      };
      return result.error === Errno.ENOENT ? found : { ...found, token };
    }
  }

  /**
   * Writes `count` packed entries in order, until one fails. Maps without batches are written one by one.
   * The buffers may be used again at once.
   */
  async updateBatch(
    keys: Uint8Array,
    values: Uint8Array,
    count: number,
    mode: UpdateMode = 'any',
  ): Promise<BatchResult> {
    this.#checkPacked(keys, count, this.keySize, 'keys');
    this.#checkPacked(values, count, this.valueStride, 'values');
    const outcome =
      count <= INLINE_BATCH
        ? addon().mapUpdateBatch(this.fd, keys, values, count, MODES[mode])
        : await addon().mapUpdateBatchAsync(this.fd, keys, values, count, MODES[mode]);
    return batchResult(outcome);
  }

  /** Deletes `count` packed keys; those that are not there are counted as `missing`. */
  async deleteBatch(keys: Uint8Array, count: number): Promise<BatchResult> {
    this.#checkPacked(keys, count, this.keySize, 'keys');
    const outcome =
      count <= INLINE_BATCH
        ? addon().mapDeleteBatch(this.fd, keys, count)
        : await addon().mapDeleteBatchAsync(this.fd, keys, count);
    return batchResult(outcome);
  }

  /** The error of a batch that stopped; undefined for one that did not. */
  batchError(result: BatchResult): MapwireError | undefined {
    return result.errno === undefined ? undefined : this.#updateError(result.errno);
  }

  info(): MapInfo {
    const view = objectInfo(this.fd, this.#fd.what);
    const u32 = (offset: number): number => view.getUint32(offset, LITTLE_ENDIAN);
    return {
      type: u32(0),
      id: u32(4),
      keySize: u32(8),
      valueSize: u32(12),
      maxEntries: u32(16),
      flags: u32(20),
      name: nameAt(view, 24),
      ifindex: u32(40),
      btfId: u32(64),
      btfKeyTypeId: u32(68),
      btfValueTypeId: u32(72),
      extra: view.getBigUint64(80, LITTLE_ENDIAN),
    };
  }

  /** No writes by user space from now on; not to be undone. */
  freeze(): void {
    checked(addon().mapFreeze(this.fd), 'bpf(BPF_MAP_FREEZE)', `freeze ${this.#what()}`);
  }

  /** @throws ERR_MW_SYSCALL (EEXIST, or EINVAL outside a bpffs), ERR_MW_NOT_FOUND (no such folder) */
  pin(path: string): void {
    pin(this.fd, this.#what(), path);
  }

  /**
   * The memory of a `MapFlag.MMAPABLE` array, shared with the kernel: elements every `valueSize` rounded up to 8 bytes. One
   * ArrayBuffer per handle; it stays valid after close() and must not be transferred. Use Atomics for counters.
   *
   * @throws ERR_MW_INVALID_ARGUMENT for other maps, ERR_MW_PRIVILEGE for a frozen one
   */
  mmap(): ArrayBuffer {
    if (this.#memory === undefined) {
      const result = addon().mapMemory(this.fd);
      if (typeof result === 'number') {
        throw systemError(
          result,
          'mmap',
          `mmap of ${this.#what()}`,
          result === -Errno.EINVAL
            ? { code: 'ERR_MW_INVALID_ARGUMENT', hint: 'only arrays made with MapFlag.MMAPABLE can be mapped' }
            : {},
        );
      }
      this.#memory = result;
    }
    return this.#memory;
  }

  /** Idempotent. The kernel frees a map when its last holder (descriptor, pin, program, map of maps) goes. */
  close(): void {
    this.#fd.close();
    this.#memory = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #what(): string {
    return `map '${this.name}'`;
  }

  #checkKey(key: Uint8Array): void {
    if (key.byteLength !== this.keySize) {
      throw invalidArgument(`${this.#what()}: a key has ${this.keySize} bytes, not ${key.byteLength}`);
    }
  }

  #checkPacked(bytes: Uint8Array, count: number, size: number, what: string): void {
    if (!Number.isSafeInteger(count) || count < 0 || count > 0xffffffff) {
      throw invalidArgument(`${this.#what()}: ${count} is not a number of entries`);
    }
    if (bytes.byteLength !== count * size) {
      throw invalidArgument(
        `${this.#what()}: ${count} ${what} of ${size} bytes are ${count * size}, not ${bytes.byteLength}`,
      );
    }
  }

  #updateError(errno: number): MapwireError {
    // Hash maps answer E2BIG, LPM tries ENOSPC. E2BIG of an array is an index beyond its end.
    const full =
      (errno === Errno.E2BIG && this.type !== MapType.array && this.type !== MapType.percpu_array) ||
      (errno === Errno.ENOSPC && this.type === MapType.lpm_trie);
    return systemError(errno, 'bpf(BPF_MAP_UPDATE_ELEM)', `update of ${this.#what()}`, {
      details: { map: this.name, maxEntries: this.maxEntries },
      ...(full
        ? { code: 'ERR_MW_MAP_FULL' as const, hint: `it holds at most ${this.maxEntries} entries: make a larger one` }
        : {}),
    });
  }
}

function batchResult(outcome: { applied: number; missing: number; error: number }): BatchResult {
  const { applied, missing, error } = outcome;
  return error === 0 ? { applied, missing } : { applied, missing, errno: error, errnoName: errnoName(error) };
}
