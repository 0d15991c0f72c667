import { MapwireError } from '../errors.ts';
import type { Generation } from './generation.ts';
import { isListMap, readList, writeList } from './inner-lists.ts';
import type { EntryMap, RawEntry } from './map-table.ts';
import type { Problem } from './types.ts';

/** Entries of a map by the text of their keys. */
export type Held = Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>;

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

/** What a map holds. */
export async function readMap(generation: Generation, map: EntryMap): Promise<Held> {
  const raw = generation.entries(map);
  const { count, keys, values } = await raw.dump();
  const held: Held = new Map();
  for (let i = 0; i < count; i++) {
    const key = keys.slice(i * raw.keySize, (i + 1) * raw.keySize);
    const value = values.subarray(i * raw.valueStride, (i + 1) * raw.valueStride);
    held.set(textOf(key), { key, value: isListMap(map) ? await readList(map, value) : value });
  }
  return held;
}

/** One entry; undefined when it is absent. */
export async function readEntry(
  generation: Generation,
  map: EntryMap,
  key: Uint8Array,
): Promise<Uint8Array | undefined> {
  const value = generation.entries(map).lookup(key);
  return value !== undefined && isListMap(map) ? readList(map, value) : value;
}

export interface WriterHooks {
  /** Called once, before the first write. */
  readonly before?: () => void;
  /** Called when entries were put into a map, before anything else is written. */
  readonly put?: (map: EntryMap) => void;
}

/** Writes entries, counting each; an entry that the kernel refuses becomes a problem and does not keep back the rest. */
export class MapWriter {
  readonly generation: Generation;
  readonly writes: Record<string, number> = {};
  readonly problems: Problem[] = [];

  readonly #hooks: WriterHooks;
  #begun = false;

  constructor(generation: Generation, hooks: WriterHooks) {
    this.generation = generation;
    this.#hooks = hooks;
  }

  /** Every write: what CPUs remember of the entries before it ends with it, also when it fails half way. */
  async #writing(write: () => Promise<void>): Promise<void> {
    if (!this.#begun) this.#hooks.before?.();
    this.#begun = true;
    try {
      await write();
    } finally {
      this.generation.touch();
    }
  }

  get total(): number {
    return Object.values(this.writes).reduce((sum, count) => sum + count, 0);
  }

  /**
   * Entries of one map, in one batch where the map has batches.
   *
   * @throws ERR_MW_MAP_FULL: grow it and begin again
   */
  async put(map: EntryMap, entries: readonly RawEntry[]): Promise<void> {
    if (entries.length === 0) return;
    await this.#writing(() => this.#put(map, entries));
    this.#hooks.put?.(map);
  }

  async #put(map: EntryMap, entries: readonly RawEntry[]): Promise<void> {
    const raw = this.generation.entries(map);
    if (isListMap(map) || map === 'dev' || entries.length === 1) {
      for (const entry of entries) await this.#putOne(map, entry);
      return;
    }
    await this.#putPacked(
      map,
      pack(entries, raw.keySize, 'key'),
      pack(entries, raw.valueSize, 'value'),
      entries.length,
    );
  }

  /**
   * Packed entries of a map that has batches. The buffers must stay as they are until the promise resolves.
   *
   * @throws ERR_MW_MAP_FULL: grow it and begin again
   */
  putPacked(map: EntryMap, keys: Uint8Array, values: Uint8Array, count: number): Promise<void> {
    return this.#writing(() => this.#putPacked(map, keys, values, count));
  }

  async #putPacked(map: EntryMap, keys: Uint8Array, values: Uint8Array, count: number): Promise<void> {
    const raw = this.generation.entries(map);
    if (count === 1) {
      await this.#putOne(map, { map, key: keys.subarray(0, raw.keySize), value: values.subarray(0, raw.valueSize) });
      return;
    }
    for (let done = 0; done < count; ) {
      const result = await raw.updateBatch(
        keys.subarray(done * raw.keySize, count * raw.keySize),
        values.subarray(done * raw.valueSize, count * raw.valueSize),
        count - done,
      );
      this.#count(map, result.applied);
      done += result.applied;
      const error = raw.batchError(result);
      if (error === undefined) return;
      this.#failed(map, error);
      done++;
    }
  }

  async #putOne(map: EntryMap, entry: RawEntry): Promise<void> {
    const raw = this.generation.entries(map);
    try {
      if (isListMap(map)) await writeList(this.generation, map, entry.key, entry.value);
      else await raw.update(entry.key, entry.value);
      this.#count(map, 1);
    } catch (error) {
      this.#failed(map, error);
    }
  }

  /** Keys of one map. What is gone already is fine. */
  async remove(map: EntryMap, keys: readonly Uint8Array[]): Promise<void> {
    if (keys.length > 0) await this.#writing(() => this.#remove(map, keys));
  }

  async #remove(map: EntryMap, keys: readonly Uint8Array[]): Promise<void> {
    const raw = this.generation.entries(map);
    if (isListMap(map) || map === 'dev' || keys.length === 1) {
      for (const key of keys) if (raw.delete(key)) this.#count(map, 1);
      return;
    }
    const packed = new Uint8Array(keys.length * raw.keySize);
    keys.forEach((key, i) => {
      packed.set(key, i * raw.keySize);
    });
    await this.#removePacked(map, packed, keys.length);
  }

  /** Packed keys of a map that has batches. */
  async removePacked(map: EntryMap, keys: Uint8Array, count: number): Promise<void> {
    if (count > 0) await this.#writing(() => this.#removePacked(map, keys, count));
  }

  async #removePacked(map: EntryMap, keys: Uint8Array, count: number): Promise<void> {
    const raw = this.generation.entries(map);
    if (count === 1) {
      if (raw.delete(keys.subarray(0, raw.keySize))) this.#count(map, 1);
      return;
    }
    const result = await raw.deleteBatch(keys, count);
    this.#count(map, result.applied);
    const error = raw.batchError(result);
    if (error !== undefined) this.#failed(map, error);
  }

  #count(map: EntryMap, count: number): void {
    if (count > 0) this.writes[map] = (this.writes[map] ?? 0) + count;
  }

  #failed(map: EntryMap, error: unknown): void {
    if (!(error instanceof MapwireError)) throw error;
    const { errno } = error.details as { errno?: number };
    // ENOMEM of a map without preallocation is room, too.
    if (error.code === 'ERR_MW_MAP_FULL' || errno === 12) {
      throw new MapwireError('ERR_MW_MAP_FULL', error.message, {
        cause: error,
        hint: error.hint ?? 'memory is short: raise MemoryMax of the unit',
        details: { ...error.details, map },
      });
    }
    this.problems.push({
      code: error.code,
      message: `map ${map}: ${error.message}`,
      hint: error.hint,
      subject: `map ${map}`,
    });
  }
}

function pack(entries: readonly RawEntry[], size: number, part: 'key' | 'value'): Uint8Array {
  const packed = new Uint8Array(entries.length * size);
  entries.forEach((entry, i) => {
    packed.set(entry[part], i * size);
  });
  return packed;
}
