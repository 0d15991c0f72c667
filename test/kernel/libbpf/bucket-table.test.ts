/** The writer of the tables of `layout: compact`: alone, beside programs that read, and against the model of the protocol. */
import { describe, expect, test } from 'vitest';
import { ip4Value } from '../../../src/generated/layout.ts';
import { BucketTable, MapFlag, RawMap } from '../../../src/libbpf/index.ts';
import { BucketModel, finish, type ModelKey } from '../../support/bucket-model.ts';
import { BUCKET_KINDS, BUCKET_RACES, bucketRace, entryOf, putAll } from '../../support/bucket-race.ts';
import { Random } from '../../support/random.ts';

const SEED = BigInt(process.env.MAPWIRE_SEED ?? Math.floor(Math.random() * 1e9));

async function held(table: BucketTable): Promise<Map<string, string>> {
  const { count, keys, values } = await table.dump();
  const part = (bytes: Uint8Array, i: number, size: number): string =>
    Buffer.from(bytes.subarray(i * size, (i + 1) * size)).toString('hex');
  const entries = Array.from(
    { length: count },
    (_, i) => [part(keys, i, table.keySize), part(values, i, table.valueSize)] as const,
  );
  expect(new Set(entries.map(([key]) => key)).size).toBe(count);
  return new Map(entries);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe.each(BUCKET_KINDS)('a table of %s', (kind) => {
  test(`holds what a map would (seed ${SEED})`, async () => {
    const random = new Random(`${kind} ${SEED}`);
    using table = BucketTable.inMemory(64, { kind, seed: SEED });
    const wanted = new Map<string, string>();
    for (let step = 0; step < 2_000; step++) {
      const [key, value] = entryOf(kind, random.below(240), random.between(1, 15));
      if (random.chance(0.3)) {
        expect(table.delete(key)).toBe(wanted.delete(hex(key)));
      } else {
        await table.update(key, value);
        wanted.set(hex(key), hex(value));
      }
      expect(hex(table.lookup(key) ?? new Uint8Array())).toBe(wanted.get(hex(key)) ?? '');
    }
    expect(await held(table)).toEqual(wanted);
    expect(table.stats().moved).toBeGreaterThan(0);
  });

  test('writes nothing that is so already, and one slot for what is not', async () => {
    using table = BucketTable.inMemory(64, { kind, seed: SEED });
    const entries = Array.from({ length: 150 }, (_, i) => entryOf(kind, i, 1));
    await putAll(table, entries);
    const { occupied, vacated, updated } = table.stats();
    await putAll(table, entries);
    expect(table.stats()).toMatchObject({ occupied, vacated, updated });
    await table.update(...entryOf(kind, 5, 2));
    expect(table.stats()).toMatchObject({ occupied, vacated, updated: updated + 1 });
  });

  test('takes nine tenths of its slots, and says when it takes no more', async () => {
    using table = BucketTable.inMemory(1000, { kind, seed: SEED });
    const entries = Array.from({ length: 4001 }, (_, i) => entryOf(kind, i, 1));
    const keys = new Uint8Array(Buffer.concat(entries.map(([key]) => key)));
    const values = new Uint8Array(Buffer.concat(entries.map(([, value]) => value)));
    const result = await table.updateBatch(keys, values, entries.length);
    expect(result.applied).toBeGreaterThan(3600);
    expect(table.batchError(result)).toMatchObject({ code: 'ERR_MW_MAP_FULL', details: { maxEntries: 4000 } });
    expect((await held(table)).size).toBe(result.applied);
  });

  test('refuses buffers of another size, and calls after close', async () => {
    using table = BucketTable.inMemory(2, { kind, seed: SEED });
    expect(() => table.lookup(new Uint8Array(3))).toThrow(expect.objectContaining({ code: 'ERR_MW_INVALID_ARGUMENT' }));
    await expect(table.updateBatch(new Uint8Array(8), new Uint8Array(8), 7)).rejects.toMatchObject({
      code: 'ERR_MW_INVALID_ARGUMENT',
    });
    table.close();
    expect(() => table.stats()).toThrow(expect.objectContaining({ code: 'ERR_MW_CLOSED' }));
  });
});

test('finds its buckets where the model does', async () => {
  const model = new BucketModel({ buckets: 50, wordsPerSlot: 2, seed: SEED });
  using table = BucketTable.inMemory(50, { kind: 'ip4', seed: SEED });
  for (let i = 0; i < 180; i++) {
    const [key, value] = entryOf('ip4', i, 1);
    const view = new DataView(key.buffer);
    const words = [BigInt(view.getUint32(4, true)) | (BigInt(view.getUint32(0, true)) << 32n)];
    const modelKey: ModelKey = { words, tail: 0n };
    expect(finish(model.put(modelKey, { port: i * 16 + 1, flags: 1 }, true))).toBe(true);
    await table.update(key, value);
  }
  // Both put an entry into the first free place they come to, so they are alike slot for slot.
  const ports = [...model.entries()].map(([, { port }]) => port);
  const { count, values } = await table.dump();
  const theirs = Array.from({ length: count }, (_, i) => ip4Value.decode(values.slice(i * 16, (i + 1) * 16)).port);
  expect(theirs).toEqual(ports);
});

describe.each(BUCKET_RACES)('beside programs that $name', (race) => {
  test(`none of them sees a torn or foreign entry, or misses one that stays (seed ${SEED})`, async () => {
    const { found, missing, foreign, torn, absent, stats } = await bucketRace(race, SEED);
    expect({ missing, foreign, torn }).toEqual({ missing: 0, foreign: 0, torn: 0 });
    expect(found).toBeGreaterThan(100_000);
    expect(absent).toBeGreaterThan(1_000);
    for (const { moved, updated } of stats) {
      expect(moved).toBeGreaterThan(20);
      expect(updated).toBeGreaterThan(100);
    }
  });
});

test('what an interrupted move left is mended', async () => {
  const buckets = 50;
  const flags = MapFlag.MMAPABLE;
  using map = RawMap.create({
    type: 'array',
    name: 'mac_bucket',
    keySize: 4,
    valueSize: 64,
    maxEntries: buckets,
    flags,
  });
  const table = BucketTable.open(map, { kind: 'mac', seed: SEED, quiet: true });
  await putAll(
    table,
    Array.from({ length: 100 }, (_, i) => entryOf('mac', i, 1)),
  );
  const before = await held(table);
  table.close();
  // copies of entries, in the other bucket of each
  const memory = new BigUint64Array(map.mmap());
  const model = new BucketModel({ buckets, wordsPerSlot: 2, seed: SEED });
  let copies = 0;
  for (let at = 0; at < memory.length && copies < 3; at += 2) {
    if ((memory[at]! & 0xffff_ffffn) === 0n) continue;
    const choices = model.choices({ words: [memory[at + 1]!], tail: memory[at]! >> 48n });
    const other = choices.find((bucket) => bucket !== Math.floor(at / 8))! * 8;
    const free = [0, 2, 4, 6].find((slot) => (memory[other + slot]! & 0xffff_ffffn) === 0n);
    if (free === undefined) continue;
    memory[other + free + 1] = memory[at + 1]!;
    memory[other + free] = memory[at]!;
    copies++;
  }
  expect(copies).toBe(3);
  using next = BucketTable.open(map, { kind: 'mac', seed: SEED });
  expect(await next.repair()).toBe(3);
  expect(await held(next)).toEqual(before);
  expect(await next.repair()).toBe(0);
});
