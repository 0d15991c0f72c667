/** The API as a source, with a real log in a folder and a real source set; the other source is one that tests command. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ApiSource } from '../../../src/sources/api.ts';
import { SourceSet } from '../../../src/sources/index.ts';
import type { MappingSource, SourceSink } from '../../../src/sources/source.ts';
import type { readDeltas } from '../../../src/table/delta.ts';

// Edits are synced to the disk: on a busy machine that takes its time.
vi.setConfig({ testTimeout: 60_000 });

const BASE = [
  { node: 'a', underlay: '192.0.2.1' },
  { network: 'blue', segment: 5001 },
  { port: 'p0', network: 'blue', mac: '02:00:00:00:00:01', at: { node: 'a' } },
];

/** A source that gives what it is told to. */
class Given implements MappingSource {
  readonly name = 'given';
  #sink: SourceSink | undefined;
  async start(sink: SourceSink): Promise<void> {
    this.#sink = sink;
    this.give(BASE);
  }
  give(records: readonly object[]): string {
    const feed = (edit: Parameters<typeof readDeltas>[0]): boolean => {
      edit.replaceFile({ name: 'given', source: 'given', rank: 0 });
      for (const record of records) {
        const [kind, id] = Object.entries(record)[0] as ['node' | 'network' | 'port', string];
        const { [kind]: _, ...value } = record as Record<string, unknown>;
        edit.record(kind, id, value, 1);
      }
      return true;
    };
    return this.#sink?.offer({ keep: true, feed }).state ?? 'closed';
  }
  async close(): Promise<void> {}
}

interface Scene {
  readonly set: SourceSet;
  readonly api: ApiSource;
  readonly given: Given;
  close(): Promise<void>;
}

let folder: string;
const open: Scene[] = [];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mw-api-'));
});
afterEach(async () => {
  for (const scene of open.splice(0)) await scene.close();
  await rm(folder, { recursive: true, force: true });
});

async function start(compactAfter?: number): Promise<Scene> {
  let set: SourceSet | undefined;
  const { source: api, revision } = await ApiSource.open(folder, {
    table: () => set?.table,
    ...(compactAfter === undefined ? {} : { compactAfter }),
  });
  let last = revision;
  set = new SourceSet({ revision: () => ++last });
  const given = new Given();
  set.add(given);
  set.add(api);
  await set.start();
  const scene: Scene = { set, api, given, close: () => (set as SourceSet).close() };
  open.push(scene);
  return scene;
}

const port = (n: number, extra = {}) => ({
  port: `p${n}`,
  network: 'blue',
  mac: `02:00:00:00:01:${n.toString(16).padStart(2, '0')}`,
  at: { node: 'a' },
  ...extra,
});
const text = (...records: object[]) => Buffer.from(records.map((one) => `${JSON.stringify(one)}\n`).join(''));
const ids = (scene: Scene): string[] => [...(scene.set.table?.ports() ?? [])].map((one) => one.id).sort();

it('takes edits that the next start finds again: ports, networks and nodes', async () => {
  const first = await start();
  await first.api.edit(text({ node: 'b', underlay: '192.0.2.2' }, { network: 'red', segment: 7 }, port(1), port(2)))
    .durable;
  await first.api.edit(text(port(3, { network: 'red', at: { node: 'b' } }), { delete: 'port', id: 'p1' })).durable;
  await first.api.edit(text(port(2, { ips: ['10.1.0.2'] }), port(4))).durable;
  const { revision } = first.set.table ?? { revision: 0 };
  await first.close();
  const second = await start();
  expect(ids(second)).toEqual(['p0', 'p2', 'p3', 'p4']);
  expect(second.set.table?.port('p2')?.ips).toEqual(['10.1.0.2']);
  expect(second.set.table?.port('p3')).toMatchObject({ network: 'red', at: [expect.objectContaining({ node: 'b' })] });
  expect(second.set.table?.revision).toBeGreaterThan(revision);
});

it('takes balanced addresses, which name a network as ports do, and finds them again, also from a snapshot', async () => {
  const address = (weight: number) => ({
    address: 'web',
    network: 'blue',
    mac: '02:00:00:00:0a:01',
    ips: ['10.1.0.100'],
    members: [{ port: 'p1', weight }],
  });
  const first = await start(1);
  await first.api.edit(text(port(1), address(3))).durable;
  await first.api.edit(text(address(5), { ...address(1), address: 'other', mac: '02:00:00:00:0a:02', ips: [] }))
    .durable;
  await first.api.edit(text({ delete: 'address', id: 'other' })).durable;
  await first.close();
  const second = await start();
  const found = second.set.table?.addresses;
  expect([...(found?.keys() ?? [])]).toEqual(['web']);
  expect(found?.get('web')).toMatchObject({ ips: ['10.1.0.100'], members: [{ port: 'p1', weight: 5 }] });
  expect(() => second.api.edit(text({ delete: 'port', id: 'p1' }))).toThrow(
    expect.objectContaining({
      details: expect.objectContaining({ diagnostics: [expect.objectContaining({ code: 'MW180' })] }),
    }),
  );
});

it('refuses a whole edit for one mistake in it, and writes none of it', async () => {
  const scene = await start();
  expect(() => scene.api.edit(text(port(1), port(2, { at: { node: 'z' } })))).toThrow(
    expect.objectContaining({
      code: 'ERR_MW_TABLE',
      details: expect.objectContaining({ diagnostics: [expect.objectContaining({ code: 'MW104', line: 2 })] }),
    }),
  );
  expect(ids(scene)).toEqual(['p0']);
  await scene.close();
  expect(ids(await start())).toEqual(['p0']);
});

it('does not touch what another source owns, nor lets it take over', async () => {
  const scene = await start();
  expect(() => scene.api.edit(text({ ...port(0), port: 'p0' }))).toThrow(
    expect.objectContaining({ code: 'ERR_MW_TABLE' }),
  );
  expect(() => scene.api.edit(text({ delete: 'port', id: 'p0' }))).toThrow(
    expect.objectContaining({ code: 'ERR_MW_TABLE' }),
  );
  await scene.api.edit(text(port(1))).durable;
  expect(scene.given.give([...BASE, port(1)])).toBe('refused');
  expect(ids(scene)).toEqual(['p0', 'p1']);
  expect(scene.given.give(BASE)).toBe('accepted');
});

it('compares the expected revision', async () => {
  const scene = await start();
  const now = scene.set.table?.revision ?? -1;
  const edit = scene.api.edit(text(port(1)), now);
  await edit.durable;
  expect(edit.table.revision).toBeGreaterThan(now);
  expect(() => scene.api.edit(text(port(2)), now)).toThrow(
    expect.objectContaining({ code: 'ERR_MW_REVISION', details: { expected: now, present: edit.table.revision } }),
  );
});

it('needs a table first', async () => {
  const { source } = await ApiSource.open(folder, { table: () => undefined });
  expect(() => source.edit(text(port(1)))).toThrow(expect.objectContaining({ code: 'ERR_MW_API' }));
  await source.close();
});

it('writes snapshots on the way and loses nothing by them', async () => {
  const scene = await start(2000);
  let last: Promise<void> = Promise.resolve();
  for (let round = 0; round < 40; round++) {
    for (let n = 1; n <= 20; n++) last = scene.api.edit(text(port(n, { ips: [`10.${round}.0.${n}`] }))).durable;
    await last;
  }
  await scene.api.edit(text({ delete: 'port', id: 'p20' })).durable;
  await scene.api.compact();
  await scene.close();
  expect(await readdir(folder)).toContain('api.snapshot');
  const again = await start();
  expect(again.set.table?.portCount).toBe(20);
  expect(again.set.table?.port('p19')?.ips).toEqual(['10.39.0.19']);
});

it('started again and again it writes a snapshot before its log is a heap of files', async () => {
  for (let round = 0; round < 40; round++) {
    const scene = await start();
    await scene.api.edit(text(port(1, { ips: [`10.1.0.${round}`] }), port(2 + (round % 5)))).durable;
    await scene.close();
    expect((await readdir(folder)).length).toBeLessThanOrEqual(18);
  }
  expect(await readdir(folder)).toContain('api.snapshot');
  const last = await start();
  expect(ids(last)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6']);
  expect(last.set.table?.port('p1')?.ips).toEqual(['10.1.0.39']);
});

it('takes an edit back that the disk refused', async () => {
  const scene = await start();
  await scene.api.edit(text(port(1))).durable;
  // The log ends under the source's hands, as it does when the disk fails.
  await scene.api.close();
  const lost = scene.api.edit(text(port(1, { ips: ['10.9.9.9'] }), port(2)));
  await expect(lost.durable).rejects.toMatchObject({ code: 'ERR_MW_CLOSED' });
  expect(ids(scene)).toEqual(['p0', 'p1']);
  expect(scene.set.table?.port('p1')?.ips).toEqual([]);
});
