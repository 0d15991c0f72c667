/**
 * Restarts with a table that is large enough for a snapshot: nothing is written where nothing differs, what was altered meanwhile is repaired by as
 * many writes as there are differences, and what changed in the sources is applied, whatever became of the snapshot.
 */
import { existsSync } from 'node:fs';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { ask, ndjson } from '../../support/api.ts';
import { mapWrites, underStrace } from '../../support/bpf-trace.ts';
import { Lab, type Namespace } from '../../support/hosts.ts';
import { Mapwire } from '../../support/mapwire.ts';
import { pinnedMap } from '../../support/pinned-maps.ts';
import { eventually, run } from '../../support/process.ts';
import { daemonHost } from './host.ts';

vi.setConfig({ testTimeout: 180_000 });

const PORTS = 20_100;

let lab: Lab;
let host: Namespace;
let table: string;
let trace: string;
let mapwire: Mapwire;

const hex = (n: number): string => n.toString(16).padStart(2, '0');
const record = (n: number, node = 'b') => ({
  port: `q${n}`,
  network: 'blue',
  mac: `02:00:00:01:${hex(n >> 8)}:${hex(n & 255)}`,
  ips: [`10.2.${n >> 8}.${n & 255}`],
  at: { node },
});

async function writeTable(moved = -1): Promise<void> {
  const lines: unknown[] = [
    { mapwire: 1 },
    { node: 'a', underlay: '192.0.2.1' },
    { node: 'b', underlay: '192.0.2.2' },
    { network: 'blue', segment: 5001, flood: 'none' },
    { port: 'p1', network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: { node: 'a', interface: 'port1' } },
  ];
  for (let n = 0; n < PORTS; n++) lines.push(record(n, n === moved ? 'a' : 'b'));
  await writeFile(`${table}.new`, lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  await rename(`${table}.new`, table);
}

/** Starts the daemon under strace, waits until it has compared everything, and ends it: the map writes that were seen. */
async function restart(whileUp: () => Promise<void> = async () => {}): Promise<string[]> {
  await rm(trace, { force: true });
  const daemon = await mapwire.run(false, underStrace(trace));
  await daemon.waitFor(/\bready\b/, 60_000);
  await eventually('all is compared', () => /were compared/.test(daemon.stderr) || !/trusted/.test(daemon.stderr));
  try {
    await whileUp();
  } finally {
    await mapwire.stop();
  }
  return [...(await mapWrites(trace)).lines];
}

/** Names of the nodes that the kernel's entry of a port names, joined; '' when there is none. */
async function nodesOf(n: number): Promise<string> {
  const { text } = await ask(mapwire.socket, 'GET', '/v1/dump?map=port');
  const [dump] = JSON.parse(text) as { entries: { mac: string; at: string[] }[] }[];
  const at = dump!.entries.find(({ mac }) => mac === record(n).mac)?.at ?? [];
  return at.map((one) => one.slice(0, one.indexOf(':'))).join();
}

const snapshot = () => join(mapwire.stateDir, 'table.snapshot');

beforeAll(async () => {
  lab = new Lab('mwr');
  host = await daemonHost(lab);
  const folder = await lab.folder();
  table = join(folder, 'table.ndjson');
  trace = join(folder, 'strace');
  await writeTable();
  mapwire = await Mapwire.configure(host, { node: 'a', table });
  lab.atClose(() => mapwire.down());
  await mapwire.run();
  await mapwire.stop();
});

afterAll(() => lab?.close());

test('nothing differs: nothing is written', async () => {
  expect(existsSync(snapshot())).toBe(true);
  expect(await restart()).toEqual([]);
  expect(mapwire.daemon!.stderr).toMatch(/resumed/);
});

test('entries that were altered, removed and added meanwhile: as many writes', async () => {
  const change = async (map: string, edit: (keys: string[][], values: string[][]) => string[]): Promise<void> => {
    const path = await pinnedMap(mapwire, map);
    const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', path]);
    const entries = (JSON.parse(stdout) as { key: string[]; value: string[] }[]).slice(0, 2);
    const words = edit(
      entries.map(({ key }) => key),
      entries.map(({ value }) => value),
    );
    await run(['bpftool', 'map', words[0]!, 'pinned', path, ...words.slice(1)]);
  };
  await change('ip4', ([key]) => ['delete', 'key', ...key!]);
  await change('port', ([key], [value]) => [
    'update',
    'key',
    ...key!,
    'value',
    ...value!.slice(0, 20),
    '0x63',
    ...value!.slice(21),
  ]);
  await change('mac', ([key], [value]) => [
    'update',
    'key',
    ...key!.slice(0, 4),
    ...'666666'.split(''),
    '0',
    '0',
    'value',
    ...value!,
  ]);
  const lines = await restart();
  const verbs = lines.map((line) => /BPF_MAP_(UPDATE|DELETE)/.exec(line)?.[1]).sort();
  expect(verbs, lines.join('\n')).toEqual(['DELETE', 'UPDATE', 'UPDATE']);
  expect(mapwire.daemon!.stderr).toMatch(/resumed/);
  expect(await restart()).toEqual([]);
});

test('the table changed meanwhile, or through the API, or both', async () => {
  await writeTable(77);
  const lines = await restart(async () => {
    expect(await nodesOf(77)).toBe('a');
    const { status } = await ask(mapwire.socket, 'PATCH', '/v1/table', { body: ndjson(record(PORTS + 1)) });
    expect(status).toBe(200);
  });
  // the port that moved; then entry, MAC and address of the one that came
  expect(lines.length, lines.join('\n')).toBeLessThanOrEqual(5);
  await writeTable();
  const again = await restart(async () => {
    expect(await nodesOf(PORTS + 1)).toBe('b');
    expect(await nodesOf(77)).toBe('b');
  });
  expect(again.length, again.join('\n')).toBeLessThanOrEqual(2);
});

test('killed after an edit: the snapshot is older than the kernel, and everything is read', async () => {
  await mapwire.run();
  const { status } = await ask(mapwire.socket, 'PATCH', '/v1/table', { body: ndjson(record(PORTS + 2)) });
  expect(status).toBe(200);
  await mapwire.stop('SIGKILL');
  expect(
    await restart(async () => {
      expect(await nodesOf(PORTS + 2)).toBe('b');
    }),
  ).toEqual([]);
});

test('a snapshot that is damaged is as good as none', async () => {
  const bytes = await readFile(snapshot());
  bytes[bytes.length >> 1]! ^= 1;
  await writeFile(snapshot(), bytes);
  expect(await restart()).toEqual([]);
  expect(mapwire.daemon!.stderr).not.toMatch(/resumed/);
  expect(await restart()).toEqual([]);
  expect(mapwire.daemon!.stderr).toMatch(/resumed/);
});
