/** The writer of the tables of `layout: compact`: alone, beside programs that read, and against the model of the protocol. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { compileBpf } from '../../../src/bintools/tools/llvm.ts';
import {
  ip4Key,
  ip4Value,
  ip6Key,
  ip6Value,
  LAYOUT_VERSION,
  macKey,
  macValue,
  tables as tablesCodec,
} from '../../../src/generated/layout.ts';
import { BpfObject, type BucketKind, BucketTable, type Program } from '../../../src/libbpf/index.ts';
import { BucketModel, finish, type ModelKey } from '../../support/bucket-model.ts';
import { concat } from '../../support/packet-layer.ts';
import { Random } from '../../support/random.ts';

const NETWORK = 7;
const KINDS = ['mac', 'ip4', 'ip6'] as const;
const SEED = BigInt(process.env.MAPWIRE_SEED ?? Math.floor(Math.random() * 1e9));

type Entry = readonly [key: Uint8Array, value: Uint8Array];

/** Key `i` with version `v` as test/support/bucket-reader.bpf.c knows it. */
function entryOf(kind: BucketKind, i: number, v: number): Entry {
  const port = i * 16 + v;
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint32(12, i);
  if (kind === 'ip4') {
    const addr = i;
    return [ip4Key.encode({ network: NETWORK, addr }), ip4Value.encode({ port, network: NETWORK, addr, flags: v & 3 })];
  }
  if (kind === 'ip6') {
    bytes[0] = 0xfd;
    return [
      ip6Key.encode({ network: NETWORK, addr: bytes }),
      ip6Value.encode({ port, network: NETWORK, addr: bytes, flags: v & 3 }),
    ];
  }
  bytes[10] = 2;
  const mac = bytes.slice(10);
  return [macKey.encode({ network: NETWORK, mac }), macValue.encode({ port, network: NETWORK, mac, flags: v & 1 })];
}

async function put(table: BucketTable, entries: readonly Entry[]): Promise<number> {
  const [keys, values] = [0, 1].map((part) => Buffer.concat(entries.map((entry) => entry[part] as Uint8Array)));
  const result = await table.updateBatch(new Uint8Array(keys!), new Uint8Array(values!), entries.length);
  const error = table.batchError(result);
  if (error !== undefined) throw error;
  return result.applied;
}

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

describe.each(KINDS)('a table of %s', (kind) => {
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
    await put(table, entries);
    const { occupied, vacated, updated } = table.stats();
    await put(table, entries);
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

interface Race {
  readonly readers: string;
  readonly dawdling: number;
  readonly buckets: number;
  /** Keys that are there all the time. */
  readonly lasting: number;
  /** Keys that come and go. */
  readonly others: number;
  readonly runs: number;
}

/** Filled to about 85 %: the writer has to move others about for many an entry. */
const RACES: readonly Race[] = [
  { readers: 'read a large table', dawdling: 0, buckets: 660, lasting: 1500, others: 1500, runs: 80 },
  // Every slot is written all the time, and every read is late.
  { readers: 'dawdle in a small one', dawdling: 1, buckets: 8, lasting: 9, others: 21, runs: 10 },
];

describe.each(RACES)('beside programs that $readers', ({ dawdling, buckets, lasting, others, runs }) => {
  let folder: string;
  let object: BpfObject;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mwbucket-'));
    const output = join(folder, 'bucket-reader.bpf.o');
    await compileBpf({ root: packageRoot(), source: 'test/support/bucket-reader.bpf.c', output, includes: ['bpf'] });
    object = BpfObject.open(new Uint8Array(readFileSync(output)), { name: 'reader' });
    for (const map of object.mapSettings()) if (map.name.endsWith('_bucket')) map.setMaxEntries(buckets);
    const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    object.setGlobal('lasting', u32(lasting));
    object.setGlobal('keys', u32(lasting + others));
    object.setGlobal('dawdling', u32(dawdling));
    const sizes = { ip4: buckets, ip6: buckets, mac: buckets, places: 1 };
    object.setGlobal('mw_tables', tablesCodec.encode({ seed: SEED, ...sizes }));
    await object.load();
  }, 60_000);

  afterAll(() => {
    object?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test(`none of them sees a torn or foreign entry, or misses one that stays (seed ${SEED})`, async () => {
    const random = new Random(`race ${buckets} ${SEED}`);
    const tables = KINDS.map((kind) =>
      BucketTable.open(object.maps.get(`mw${LAYOUT_VERSION}_${kind}_bucket`)!, { kind, seed: SEED }),
    );
    for (const table of tables) {
      await put(
        table,
        Array.from({ length: lasting }, (_, i) => entryOf(table.kind, i, 1)),
      );
    }
    const reader = object.programs.get('reader') as Program;
    let reading = true;
    const read = (async () => {
      for (let run = 0; run < runs; run++) await reader.testRunAsync({ data: new Uint8Array(64), repeat: 8 });
      reading = false;
    })();
    const there = KINDS.map(() => new Set<number>());
    let operations = 0;
    let refused = 0;
    while (reading) {
      for (const [t, table] of tables.entries()) {
        const held = there[t]!;
        // by turns: much coming and going, and much moving
        const share = operations % 20_000 < 10_000 ? 0.6 : 0.85;
        const most = Math.floor(share * 4 * buckets) - lasting;
        // as a plan does it: some go, others come, and some of those that stay change
        const gone = [...held].filter(() => random.chance(0.3));
        for (const i of gone) held.delete(i);
        await table.deleteBatch(concat(...gone.map((i) => entryOf(table.kind, i, 1)[0])), gone.length);
        const coming = Array.from({ length: 8 }, () => random.below(lasting));
        while (held.size < most && coming.length < 64) {
          const i = lasting + random.below(others);
          held.add(i);
          coming.push(i);
        }
        const entries = coming.map((i) => entryOf(table.kind, i, random.between(1, 15)));
        const [keys, values] = [concat(...entries.map(([key]) => key)), concat(...entries.map(([, value]) => value))];
        const result = await table.updateBatch(keys, values, entries.length);
        // a small table may have no room where it is asked for: what did not come is not there
        if (result.errno !== undefined) {
          refused++;
          for (const i of coming.slice(result.applied))
            if (table.lookup(entryOf(table.kind, i, 1)[0]) === undefined) held.delete(i);
        }
        operations += gone.length + result.applied;
      }
      await new Promise((done) => setImmediate(done));
    }
    await read;
    const counts = new BigUint64Array(object.maps.get('counts')!.mmap(), 0, 5);
    const [found, missing, foreign, torn, absent] = [...counts].map(Number);
    const stats = tables.map((table) => JSON.stringify(table.stats()));
    console.info(
      `bucket tables: ${found} found, ${absent} absent beside ${operations} writes, ${refused} refused; ${stats.join(' ')}`,
    );
    expect({ missing, foreign, torn }).toEqual({ missing: 0, foreign: 0, torn: 0 });
    expect(found).toBeGreaterThan(100_000);
    expect(absent).toBeGreaterThan(1_000);
    for (const table of tables) {
      expect(table.stats().moved).toBeGreaterThan(20);
      expect(table.stats().updated).toBeGreaterThan(100);
      table.close();
    }
  });

  test('what an interrupted move left is mended, and readers miss nothing', async () => {
    const map = object.maps.get(`mw${LAYOUT_VERSION}_mac_bucket`)!;
    const table = BucketTable.open(map, { kind: 'mac', seed: SEED });
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
});
