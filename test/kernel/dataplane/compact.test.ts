/** `layout: compact`: the address mappings in tables of buckets, from the plan to the packet and back. */
import { existsSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ip4Slot, LAYOUT_VERSION, MARK_FLAGS, META_MAGIC, macSlot } from '../../../src/generated/layout.ts';
import { BucketTable, RawMap } from '../../../src/libbpf/index.ts';
import { run } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.reset();
});

const COMPACT = { layout: 'compact' } as const;
const KINDS = ['ip4', 'ip6', 'mac'] as const;
const TABLES = ['ip4_bucket', 'ip6_bucket', 'mac_bucket', 'place'] as const;

interface Dump {
  readonly map: string;
  readonly entries: readonly object[];
}

/** Every mapping as `mapwire dump` gives it. */
async function dumped(table: TableObject, layout: 'hash' | 'compact'): Promise<Record<string, string[]>> {
  const plane = scene.worker();
  await plane.open({ ...scene.options, layout });
  await plane.ask('apply', { table });
  const dumps = (await plane.ask('dump')) as unknown as Dump[];
  await plane.close();
  return Object.fromEntries(
    dumps
      .filter(({ map }) => map !== 'link' && map !== 'node')
      .map(({ map, entries }) => [map, entries.map((entry) => JSON.stringify(entry)).sort()]),
  );
}

async function entriesOf(map: string): Promise<number> {
  const { stdout } = await run(['bpftool', '-j', 'map', 'show', 'pinned', scene.mapPath(map)]);
  return (JSON.parse(stdout) as { max_entries: number }).max_entries;
}

/** The memory of a table, as it is. */
function memory(map: string): Buffer {
  using raw = RawMap.openPinned(scene.mapPath(map));
  return Buffer.from(new Uint8Array(raw.mmap()).slice());
}

function memories(): Record<string, string> {
  return Object.fromEntries(TABLES.map((map) => [map, memory(map).toString('hex')]));
}

/** What a slot says, as bpftool prints it: fields by name. */
interface Slot {
  readonly port: number;
  readonly mark: number;
  readonly network: number;
  readonly mac?: readonly number[];
}

async function slotsOf(map: string): Promise<Slot[]> {
  const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', scene.mapPath(map)]);
  return (JSON.parse(stdout) as { formatted: { value: { slot: Slot[] } } }[])
    .flatMap(({ formatted }) => formatted.value.slot)
    .filter(({ port }) => port !== 0);
}

/** The writer of a pinned table, as another process of ours would have it. */
function tableOf(kind: 'ip4' | 'mac'): BucketTable {
  using meta = RawMap.openPinned(scene.mapPath('meta'));
  const bytes = meta.lookup(new Uint8Array(4)) as Uint8Array;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  expect(view.getUint32(0, true)).toBe(META_MAGIC);
  using map = RawMap.openPinned(scene.mapPath(`${kind}_bucket`));
  return BucketTable.open(map, { kind, seed: view.getBigUint64(32, true) });
}

describe('the tables', () => {
  it('hold what the hash maps would, with named fields, and the hash maps cost nothing', async () => {
    const hash = await dumped(twoHosts(300), 'hash');
    for (const map of TABLES) expect(await entriesOf(map), map).toBeLessThanOrEqual(2);
    await scene.down();
    expect(await dumped(twoHosts(300), 'compact')).toEqual(hash);
    for (const map of KINDS) expect(await entriesOf(map), map).toBe(1);
    const macs = await slotsOf('mac_bucket');
    expect(macs).toHaveLength(302);
    const far = macs.find(({ mac }) => mac?.join() === [2, 0, 0, 1, 0, 7].join());
    expect(far).toMatchObject({ port: expect.any(Number), network: expect.any(Number), mark: expect.any(Number) });
    expect(await slotsOf('ip4_bucket')).toHaveLength(302);
    expect(await slotsOf('ip6_bucket')).toHaveLength(1);
  });

  it.each(['xdp', 'tc'] as const)('are what %s programs forward by', async (hook) => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...COMPACT, hook });
    await plane.ask('apply', { table: twoHosts() });
    await plane.ask('hops');
    const frame = (last: string): string =>
      `0200000100${last}020000000001080045000054000040004001244c0a0100010a0200000800f7ff00000000${'00'.repeat(56)}`;
    expect(await plane.ask('trace', { port: 'web-1', frame: frame('01') })).toMatchObject({
      verdict: 'encap',
      node: 'b',
      segment: 5001,
    });
    expect(await plane.ask('trace', { port: 'web-1', frame: frame('77') })).toMatchObject({
      verdict: 'drop',
      reason: 'unknown-unicast',
    });
    await plane.close();
  });

  it('are written without a system call for an entry', async () => {
    const log = `${scene.stateDir}/strace-compact`;
    const plane = scene.worker(['strace', '-f', '-qq', '-e', 'trace=bpf', '-o', log]);
    await plane.open({ ...scene.options, ...COMPACT });
    await plane.ask('apply', { table: twoHosts(100) });
    const calls = (): number => readFileSync(log, 'utf8').split('BPF_MAP_UPDATE').length;
    const moved = twoHosts(100);
    const ports = moved.ports as Record<string, TableObject['ports'][string]>;
    for (let i = 0; i < 50; i++) ports[`far-${i}`] = { ...ports[`far-${i}`]!, ips: [`10.3.0.${i}`] };
    const before = calls();
    const report = await plane.ask<Report>('edit', { table: moved });
    expect(report.writes).toEqual({ ip4: 100 });
    expect(calls()).toBe(before);
    await plane.close();
  });
});

describe('a restart', () => {
  it('writes nothing where nothing differs, not even in memory', async () => {
    await scene.settle(twoHosts(300), COMPACT);
    const before = memories();
    expect(await scene.settle(twoHosts(300), COMPACT)).toMatchObject({ total: 0, generation: 1 });
    expect(memories()).toEqual(before);
  });

  it('repairs a lost, an altered, an added and a doubled entry, and no other', async () => {
    await scene.settle(twoHosts(300), COMPACT);
    const before = (await dumped(twoHosts(300), 'compact')) as Record<string, string[]>;
    const written = memories();
    using table = tableOf('mac');
    const { keys, values } = await table.dump();
    const key = (i: number): Uint8Array => keys.slice(i * 12, (i + 1) * 12);
    const value = (i: number): Uint8Array => values.slice(i * 16, (i + 1) * 16);
    expect(table.delete(key(3))).toBe(true);
    const other = value(4);
    new DataView(other.buffer).setUint32(0, 12345, true);
    await table.update(key(4), other);
    const added = key(5);
    added[4] = 0xee;
    await table.update(added, value(5));
    // a place that was not brought up to date
    {
      using places = RawMap.openPinned(scene.mapPath('place'));
      const words = new BigUint64Array(places.mmap());
      const at = words.findIndex((word, i) => i % 2 === 1 && (word & 0xffff_ffffn) !== 0n) - 1;
      words[at] = words[at]! + 1n;
    }
    expect(await scene.settle(twoHosts(300), COMPACT)).toMatchObject({ writes: { mac: 3 }, total: 3 });
    expect(await dumped(twoHosts(300), 'compact')).toEqual(before);
    for (const map of ['ip4_bucket', 'ip6_bucket', 'place']) expect(memory(map).toString('hex')).toBe(written[map]);
    expect(await scene.settle(twoHosts(300), COMPACT)).toMatchObject({ total: 0 });
  });
});

describe('another layout', () => {
  it('is a new generation, there and back; what both have goes on', async () => {
    await scene.settle(twoHosts(300));
    const links = scene.held().links;
    const there = await scene.settle(twoHosts(300), COMPACT);
    expect(there).toMatchObject({ switched: 'table layout hash becomes compact', generation: 2 });
    expect(scene.held().links).toEqual(links);
    expect(await slotsOf('mac_bucket')).toHaveLength(302);
    expect(await scene.settle(twoHosts(300), COMPACT)).toMatchObject({ total: 0 });
    const back = await scene.settle(twoHosts(300));
    expect(back).toMatchObject({ switched: 'table layout compact becomes hash', generation: 3 });
    expect(await scene.dumpMap('mac')).toHaveLength(302);
    expect(await entriesOf('mac_bucket')).toBe(2);
    expect(scene.held().links).toEqual(links);
  });

  it.each(['complete', 'links'])('killed before %s, is finished or undone', async (step) => {
    await scene.settle(twoHosts(300));
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...COMPACT }, `switch:${step}`);
    await expect(plane.ask('apply', { table: twoHosts(300) })).rejects.toMatchObject({ code: 'ended' });
    await scene.settle(twoHosts(300), COMPACT);
    expect(scene.generations()).toEqual(['g2']);
    expect(await slotsOf('ip4_bucket')).toHaveLength(302);
    expect(await scene.settle(twoHosts(300), COMPACT)).toMatchObject({ total: 0 });
  });
});

describe('a table that grows', () => {
  it('does so before it is full, in place, and is three quarters full then at most', async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...COMPACT });
    await plane.ask('apply', { table: twoHosts() });
    const links = scene.held().links;
    const report = await plane.ask<Report>('edit', { table: twoHosts(3600) });
    expect(report.switched).toMatch(/grows$/);
    expect(scene.held().links).toEqual(links);
    expect(await slotsOf('ip4_bucket')).toHaveLength(3602);
    const status = await plane.ask<{ tableLayout: string; maps: { map: string; entries: number; capacity: number }[] }>(
      'status',
    );
    expect(status.tableLayout).toBe('compact');
    for (const { map, entries, capacity } of status.maps) expect(entries, map).toBeLessThanOrEqual(0.75 * capacity);
    await plane.close();
    expect(await scene.settle(twoHosts(3600), COMPACT)).toMatchObject({ total: 0, generation: 2 });
  });

  it('does so when there is no room although the plan fits', async () => {
    await scene.settle(twoHosts(), COMPACT);
    {
      using table = tableOf('mac');
      const { keys, values } = await table.dump();
      const key = keys.slice(0, 12);
      for (let i = 0; ; i++) {
        new DataView(key.buffer).setUint32(0, 0xff00_0000 + i, true);
        const result = await table.updateBatch(key, values.slice(0, 16), 1);
        if (result.errno !== undefined) break;
      }
    }
    const report = await scene.settle(twoHosts(40), COMPACT);
    expect(report.switched).toBe('map mac is full');
    expect(await slotsOf('mac_bucket')).toHaveLength(42);
    expect(await scene.settle(twoHosts(40), COMPACT)).toMatchObject({ total: 0 });
  });
});

it('leaves nothing behind when it is taken down', async () => {
  await scene.settle(twoHosts(), COMPACT);
  await scene.down();
  expect(existsSync(scene.pinDir)).toBe(false);
});

it('has slots whose fields the codecs know', () => {
  expect([ip4Slot.size, macSlot.size, MARK_FLAGS, LAYOUT_VERSION > 3]).toEqual([16, 16, 15, true]);
});
