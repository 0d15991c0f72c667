/**
 * Programs that read tables of buckets (bucket-reader.bpf.c) on one CPU while a writer puts, changes, moves and removes entries on
 * another, and what they saw.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { compileBpf } from '../../src/bintools/tools/llvm.ts';
import {
  ip4Key,
  ip4Value,
  ip6Key,
  ip6Value,
  LAYOUT_VERSION,
  macKey,
  macValue,
  tables as tablesCodec,
} from '../../src/generated/layout.ts';
import { BpfObject, type BucketKind, type BucketStats, BucketTable, type Program } from '../../src/libbpf/index.ts';
import { concat } from './packet-layer.ts';
import { Random } from './random.ts';

export const BUCKET_KINDS = ['mac', 'ip4', 'ip6'] as const;
const NETWORK = 7;

export type BucketEntry = readonly [key: Uint8Array, value: Uint8Array];

/** Key `i` with version `v` as test/support/bucket-reader.bpf.c knows it. */
export function entryOf(kind: BucketKind, i: number, v: number): BucketEntry {
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

/** @throws ERR_MW_MAP_FULL */
export async function putAll(table: BucketTable, entries: readonly BucketEntry[]): Promise<number> {
  const [keys, values] = [0, 1].map((part) => Buffer.concat(entries.map((entry) => entry[part] as Uint8Array)));
  const result = await table.updateBatch(new Uint8Array(keys!), new Uint8Array(values!), entries.length);
  const error = table.batchError(result);
  if (error !== undefined) throw error;
  return result.applied;
}

export interface BucketRace {
  readonly name: string;
  /** Readers take their time between two reads, sometimes. */
  readonly dawdling: boolean;
  readonly buckets: number;
  /** Keys that are there all the time. */
  readonly lasting: number;
  /** Keys that come and go. */
  readonly others: number;
  /** Of the reader: 24,576 lookups each. */
  readonly runs: number;
}

/** Filled to 60 and to 85 % by turns: the writer has to move others about for many an entry. */
export const BUCKET_RACES: readonly BucketRace[] = [
  { name: 'read a large table', dawdling: false, buckets: 660, lasting: 1500, others: 1500, runs: 80 },
  // Every slot is written all the time, and every read may be late.
  { name: 'dawdle in a small one', dawdling: true, buckets: 8, lasting: 9, others: 21, runs: 10 },
];

export interface BucketRaceResult {
  readonly found: number;
  /** A key that was there all the time was not found. */
  readonly missing: number;
  /** The value of another key. */
  readonly foreign: number;
  /** The port of one entry, the flags of another. */
  readonly torn: number;
  readonly absent: number;
  readonly stats: readonly BucketStats[];
}

export async function bucketRace(race: BucketRace, seed: bigint): Promise<BucketRaceResult> {
  const { buckets, lasting, others, runs } = race;
  const random = new Random(`race ${buckets} ${seed}`);
  using object = await loadReader(race, seed);
  const tables = BUCKET_KINDS.map((kind) =>
    BucketTable.open(object.maps.get(`mw${LAYOUT_VERSION}_${kind}_bucket`)!, { kind, seed }),
  );
  for (const table of tables) {
    await putAll(
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
  const there = BUCKET_KINDS.map(() => new Set<number>());
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
  const [found, missing, foreign, torn, absent] = [...counts].map(Number) as [number, number, number, number, number];
  const stats = tables.map((table) => table.stats());
  console.info(
    `readers that ${race.name}: ${found} found, ${absent} absent beside ${operations} writes, ${refused} refused; ${stats.map((one) => JSON.stringify(one)).join(' ')}`,
  );
  for (const table of tables) table.close();
  return { found, missing, foreign, torn, absent, stats };
}

async function loadReader({ dawdling, buckets, lasting, others }: BucketRace, seed: bigint): Promise<BpfObject> {
  const folder = mkdtempSync(join(tmpdir(), 'mwbucket-'));
  try {
    const output = join(folder, 'bucket-reader.bpf.o');
    await compileBpf({ root: packageRoot(), source: 'test/support/bucket-reader.bpf.c', output, includes: ['bpf'] });
    const object = BpfObject.open(new Uint8Array(readFileSync(output)), { name: 'reader' });
    for (const map of object.mapSettings()) if (map.name.endsWith('_bucket')) map.setMaxEntries(buckets);
    const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);
    object.setGlobal('lasting', u32(lasting));
    object.setGlobal('keys', u32(lasting + others));
    object.setGlobal('dawdling', u32(dawdling ? 1 : 0));
    const sizes = { ip4: buckets, ip6: buckets, mac: buckets, places: 1 };
    object.setGlobal('mw_tables', tablesCodec.encode({ seed, ...sizes }));
    await object.load();
    return object;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
