/** A snapshot gives the table back as it was; whatever is altered in the file, it gives nothing, or the same. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Resumable, readResumePoint, writeResumePoint } from '../../../src/daemon/resume.ts';
import { readSnapshot, writeSnapshot } from '../../../src/snapshot-file.ts';
import { applyDelta, type CompactTable, equalTables, parseTable } from '../../../src/table/index.ts';
import { NumberColumn } from '../../../src/table/number-column.ts';
import { Random } from '../../support/random.ts';
import { tableOf } from '../../support/table-object.ts';
import { RandomTable } from '../compiler/random-table.ts';

const SEED = Number(process.env.MAPWIRE_SEED ?? Date.now() % 1_000_000);

let folder: string;
let path: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'mapwire-resume-'));
  path = join(folder, 'table.snapshot');
});
afterAll(() => rmSync(folder, { recursive: true }));

function pointOf(table: CompactTable): Resumable {
  const kernel = {
    instance: '00'.repeat(16),
    generation: 3,
    layout: 3,
    revision: 7,
    addresses: [[1, '2 02:00:00:00:00:09']] as const,
    networks: [],
    nodes: [],
  };
  const rowIds = new NumberColumn();
  for (let row = 0; row < table.rowLimit; row++) rowIds.set(row, row + 11);
  const stamp = { device: 1n, inode: 2n, size: 3n, modified: 1_700_000_000_123_456_789n, changed: 5n };
  return { node: 'n0', source: 'file:x', table, files: [{ path: 'x', stamp }], kernel, rowIds, nextPort: 99 };
}

const never = (): boolean => false;

test(`gives tables back, and they can be edited (MAPWIRE_SEED=${SEED})`, async () => {
  for (let run = 0; run < 30; run++) {
    const why = `seed ${SEED + run}`;
    const table = tableOf(new RandomTable(SEED + run).draft) as CompactTable;
    const point = pointOf(table);
    expect(await writeResumePoint(path, point, never)).toBe(true);
    const back = readResumePoint(path, 'n0', 'file:x');
    expect(back, why).toBeDefined();
    expect(back!.table.revision).toBe(table.revision);
    expect(equalTables(table, back!.table), why).toBe(true);
    expect([back!.kernel, back!.nextPort, back!.files[0]?.stamp]).toEqual([point.kernel, 99, point.files[0]!.stamp]);
    for (const port of table.ports()) {
      const row = table.rowOf(port.id);
      expect(back!.table.rowOf(port.id), why).toBe(row);
      expect(back!.rowIds.get(row)).toBe(row + 11);
      expect(back!.table.portByMac(port.network, port.mac)?.id, why).toBe(port.id);
      for (const ip of port.ips) expect(back!.table.portByIp(port.network, ip)?.id, why).toBe(port.id);
    }
    // the same edit does the same to both
    const ports = [...table.ports()];
    const edits = ports.slice(0, 3).map(({ id }) => ({ delete: 'port', id }));
    const [one, other] = [applyDelta(table, edits), applyDelta(back!.table, edits)];
    // without places in a file they come in the order in which they are found
    const [ours, theirs] = [one, other].map(({ diagnostics }) => diagnostics.map(({ code }) => code).sort());
    expect(theirs, why).toEqual(ours);
    if (one.table !== undefined) expect(equalTables(one.table, other.table!), why).toBe(true);
  }
});

test('keeps sequences, moves and states of ports, and what is checked by them', async () => {
  const ports = Array.from({ length: 200 }, (_, i) => ({
    port: `p${i}`,
    network: 'blue',
    mac: `02:00:00:00:00:${i.toString(16).padStart(2, '0')}`,
    at: { node: 'n0' },
    ...(i % 3 === 0 && { sequence: 0xffff_ff00 + i }),
    ...(i % 4 === 0 && { state: i % 8 === 0 ? 'down' : 'drain' }),
    ...(i % 6 === 0 && { move: { to: { node: 'n1' }, send: 'both', activate: 'announcement' } }),
  }));
  const records = [
    { mapwire: 1 },
    { node: 'n0', underlay: '192.0.2.1' },
    { node: 'n1', underlay: '192.0.2.2' },
    { network: 'blue', segment: 1 },
    ...ports,
  ];
  const { table } = parseTable(records.map((record) => JSON.stringify(record)).join('\n'), { format: 'ndjson' });
  expect(await writeResumePoint(path, pointOf(table!), never)).toBe(true);
  const back = readResumePoint(path, 'n0', 'file:x')!.table;
  expect([...back.ports()]).toEqual([...table!.ports()]);
  expect(back.port('p6')).toMatchObject({ sequence: 0xffff_ff06, move: { send: 'both', activate: 'announcement' } });
  expect([back.port('p8')?.state, back.port('p4')?.state, back.port('p5')?.state]).toEqual([
    'down',
    'drain',
    undefined,
  ]);
  expect([...back.sequencedPorts()]).toHaveLength(67);
  const codes = (edit: object) => applyDelta(back, [edit] as never).diagnostics.map(({ code }) => code);
  expect(codes({ ...ports[3], sequence: 0xffff_ff02 })).toEqual(['MW194']);
  expect(new Set(codes({ network: 'blue', segment: 1, flood: 'none' }))).toEqual(new Set(['MW192']));
  // beyond the room that the store had, and again in columns
  const more = applyDelta(
    back,
    Array.from({ length: 300 }, (_, i) => ({
      ...ports[1],
      port: `q${i}`,
      mac: `02:00:00:00:01:${(i % 256).toString(16).padStart(2, '0')}`,
      network: i < 256 ? 'blue' : 'green',
      sequence: i + 1,
    })).concat([{ network: 'green', segment: 2 } as never]) as never,
  ).table!;
  expect(await writeResumePoint(path, pointOf(more), never)).toBe(true);
  expect(equalTables(readResumePoint(path, 'n0', 'file:x')!.table, more)).toBe(true);
});

test('one of an older form is passed over', async () => {
  const table = tableOf(new RandomTable(SEED).draft) as CompactTable;
  await writeResumePoint(path, pointOf(table), never);
  const { meta, arrays } = readSnapshot(path)!;
  const { format } = meta as { format: number };
  await writeSnapshot(path, meta, arrays, never);
  expect(readResumePoint(path, 'n0', 'file:x')).toBeDefined();
  await writeSnapshot(path, { ...(meta as object), format: format - 1 }, arrays, never);
  expect(readResumePoint(path, 'n0', 'file:x')).toBeUndefined();
});

test(`is worth nothing when a byte is another, or the end is missing (MAPWIRE_SEED=${SEED})`, async () => {
  const random = new Random(`${SEED} resume`);
  const table = tableOf(new RandomTable(SEED).draft) as CompactTable;
  await writeResumePoint(path, pointOf(table), never);
  const good = readFileSync(path);
  // the filling between arrays means nothing, so altering it may be passed over: the table is the same then
  let refused = 0;
  for (let run = 0; run < 600; run++) {
    const bad = Buffer.from(good);
    const at = run < 64 ? run : random.below(bad.length);
    bad[at]! ^= 1 << random.below(8);
    writeFileSync(path, bad);
    const back = readResumePoint(path, 'n0', 'file:x');
    if (back === undefined) refused++;
    else expect(equalTables(back.table, table), `byte ${at}`).toBe(true);
  }
  expect(refused).toBeGreaterThan(500);
  for (let run = 0; run < 50; run++) {
    writeFileSync(path, good.subarray(0, random.below(good.length)));
    expect(readResumePoint(path, 'n0', 'file:x')).toBeUndefined();
  }
  writeFileSync(path, Buffer.concat([good, Buffer.from('x')]));
  expect(readResumePoint(path, 'n0', 'file:x')).toBeUndefined();
});

test('is worth nothing of another node or table, with loose modes, through a link, or half written', async () => {
  const table = tableOf(new RandomTable(SEED).draft) as CompactTable;
  rmSync(path, { force: true });
  expect(readResumePoint(path, 'n0', 'file:x')).toBeUndefined();
  await writeResumePoint(path, pointOf(table), never);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(readResumePoint(path, 'n1', 'file:x')).toBeUndefined();
  expect(readResumePoint(path, 'n0', 'file:y')).toBeUndefined();
  chmodSync(path, 0o640);
  expect(readResumePoint(path, 'n0', 'file:x')).toBeUndefined();
  chmodSync(path, 0o600);
  const link = join(folder, 'link');
  symlinkSync(path, link);
  expect(readResumePoint(link, 'n0', 'file:x')).toBeUndefined();
  const before = readFileSync(path);
  let asked = 0;
  expect(await writeResumePoint(path, pointOf(table), () => asked++ === 5)).toBe(false);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(readResumePoint(path, 'n0', 'file:x')).toBeDefined();
});
