import { describe, expect, test } from 'vitest';
import { MapFlag, type MapTypeName, RawMap } from '../../../src/libbpf/index.ts';
import { caught, mapwireError, openDescriptors, readU32, u32 } from './support.ts';

interface Packed {
  readonly keys: Uint8Array;
  readonly values: Uint8Array;
}

/** Keys from..from+count-1, each with the value key * 3. */
function packed(count: number, from = 0): Packed {
  const keys = new Uint32Array(count);
  const values = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    keys[i] = from + i;
    values[i] = (from + i) * 3;
  }
  return { keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

function make(type: MapTypeName, maxEntries: number, flags = 0): RawMap {
  return RawMap.create({ type, name: 'batch', keySize: 4, valueSize: 4, maxEntries, flags });
}

const done = (applied: number, missing = 0): unknown => ({ applied, missing });

describe.each([
  ['at once', 1000],
  ['on a pool thread', 10_000],
])('%s', (_, count) => {
  test('what is written comes back, and goes', async () => {
    using map = make('hash', count);
    const { keys, values } = packed(count);
    expect(await map.updateBatch(keys, values, count)).toEqual(done(count));
    const seen = new Map([...map.entries({ batch: 100 })].map(([k, v]) => [readU32(k), readU32(v)]));
    expect(seen.size).toBe(count);
    for (const [key, value] of seen) if (value !== key * 3) throw new Error(`${key} has ${value}`);
    const dump = await map.dump();
    expect(dump.count).toBe(count);
    expect(new Set(new Uint32Array(dump.keys.slice().buffer))).toEqual(new Set(seen.keys()));
    expect(await map.deleteBatch(keys, count)).toEqual(done(count));
    expect((await map.dump()).count).toBe(0);
  });

  test('a full map: so many are in, the error is that of the next', async () => {
    using map = make('hash', count - 10);
    const { keys, values } = packed(count);
    const result = await map.updateBatch(keys, values, count);
    expect(result).toMatchObject({ missing: 0, errnoName: 'E2BIG' });
    expect(result.applied).toBeGreaterThanOrEqual(count - 10);
    expect(result.applied).toBeLessThan(count);
    expect(map.lookup(u32(result.applied - 1))).toBeDefined();
    expect(map.lookup(u32(result.applied))).toBeUndefined();
    expect(map.batchError(result)).toEqual(mapwireError('ERR_MW_MAP_FULL'));
  });

  test('deletes pass over what is not there', async () => {
    using map = make('hash', count);
    const half = packed(count / 2, count / 4);
    await map.updateBatch(half.keys, half.values, count / 2);
    expect(await map.deleteBatch(packed(count).keys, count)).toEqual(done(count / 2, count / 2));
    expect((await map.dump()).count).toBe(0);
  });

  test('modes that the kernel has no batch for', async () => {
    using map = make('hash', count);
    const { keys, values } = packed(count);
    map.update(u32(7), u32(1));
    expect(await map.updateBatch(keys, values, count, 'create')).toMatchObject({ applied: 7, errnoName: 'EEXIST' });
    map.delete(u32(7));
    const rest = packed(count - 7, 7);
    expect(await map.updateBatch(rest.keys, rest.values, count - 7, 'create')).toEqual(done(count - 7));
    expect(await map.updateBatch(keys, values, count, 'replace')).toEqual(done(count));
  });

  test('the caller may reuse its buffers at once', async () => {
    using map = make('hash', count);
    const { keys, values } = packed(count);
    const running = map.updateBatch(keys, values, count);
    keys.fill(0xff);
    values.fill(0xff);
    expect(await running).toEqual(done(count));
    expect(map.lookup(u32(count - 1))).toEqual(u32((count - 1) * 3));
  });
});

test.each<[MapTypeName, number]>([
  ['array', 0],
  ['lru_hash', 0],
  ['percpu_hash', 0],
  ['percpu_array', 0],
  ['hash', MapFlag.NO_PREALLOC],
])('%s (flags %d)', async (type, flags) => {
  const count = 300;
  using map = make(type, count, flags);
  const keys = packed(count).keys;
  const values = new Uint8Array(count * map.valueStride);
  for (let i = 0; i < count; i++) {
    for (let at = i * map.valueStride; at < (i + 1) * map.valueStride; at += map.perCpu ? 8 : 4) values.set(u32(i), at);
  }
  expect(await map.updateBatch(keys, values, count)).toEqual(done(count));
  const entries = [...map.entries({ batch: 64 })];
  // an LRU may have thrown some out already
  if (type === 'lru_hash') expect(entries.length).toBeGreaterThan(count / 2);
  else expect(entries.length).toBe(count);
  for (const [key, value] of entries) expect(readU32(value, map.valueStride - (map.perCpu ? 8 : 4))).toBe(readU32(key));
});

test('an LPM trie goes in batches, and deletes of prefixes not there are counted', async () => {
  const count = 200;
  using map = RawMap.create({
    type: 'lpm_trie',
    name: 'lpm',
    keySize: 8,
    valueSize: 4,
    maxEntries: count,
    flags: MapFlag.NO_PREALLOC,
  });
  const keys = new Uint8Array(count * 8);
  for (let i = 0; i < count; i++) keys.set([...u32(24), 10, i >> 8, i & 255, 0], i * 8);
  expect(await map.updateBatch(keys, new Uint8Array(count * 4), count)).toEqual(done(count));
  expect((await map.dump({ batch: 16 })).count).toBe(count);
  expect([...map.entries({ batch: 16 })]).toHaveLength(count);
  map.delete(keys.subarray(0, 8));
  map.delete(keys.subarray(80, 88));
  expect(await map.deleteBatch(keys, count)).toEqual(done(count - 2, 2));
});

test('a batch smaller than a bucket grows', async () => {
  // Two buckets for 2 entries each on average; a batch of 1 must still get through
  using map = make('hash', 256);
  const { keys, values } = packed(256);
  await map.updateBatch(keys, values, 256);
  expect([...map.entries({ batch: 1 })]).toHaveLength(256);
  expect((await map.dump({ batch: 1 })).count).toBe(256);
});

test('an empty batch is nothing', async () => {
  using map = make('hash', 4);
  const none = new Uint8Array(0);
  expect(await map.updateBatch(none, none, 0)).toEqual(done(0));
  expect(await map.deleteBatch(none, 0)).toEqual(done(0));
  expect([...map.entries()]).toEqual([]);
});

test('many at the same time, closed meanwhile', async () => {
  const before = openDescriptors();
  const maps = Array.from({ length: 8 }, () => make('hash', 20_000));
  const { keys, values } = packed(20_000);
  const running = maps.map((map) => map.updateBatch(keys, values, 20_000));
  const [first] = maps;
  using kept = first!.dup();
  for (const map of maps) map.close();
  expect(await Promise.all(running)).toEqual(maps.map(() => done(20_000)));
  expect((await kept.dump()).count).toBe(20_000);
  expect(await caught(() => first!.dump())).toEqual(mapwireError('ERR_MW_CLOSED'));
  kept.close();
  expect(openDescriptors()).toBe(before);
});
