/** The life of a daemon: start, edit, stop, crash, restart, end — seen from outside, on a host of its own. */
import { existsSync, statSync } from 'node:fs';
import { readdir, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { ask, ndjson } from '../../support/api.ts';
import { Lab, type Namespace } from '../../support/hosts.ts';
import { launcher, Mapwire } from '../../support/mapwire.ts';
import { eventually, run } from '../../support/process.ts';
import { daemonHost } from './host.ts';

vi.setConfig({ testTimeout: 180_000 });

let lab: Lab;
let host: Namespace;
let table: string;
let mapwire: Mapwire;

const HEAD = `mapwire: 1
nodes:
  a: { underlay: 192.0.2.1 }
  b: { underlay: 192.0.2.2 }
networks:
  blue: { segment: 5001 }
ports:
  p1: { network: blue, mac: 02:00:00:00:00:01, ips: [10.1.0.1], at: { node: a, interface: port1 } }
`;
const port = (n: number): string =>
  `  q${n}: { network: blue, mac: ${mac(n)}, ips: [10.2.${n >> 8}.${n & 255}], at: { node: b } }\n`;
const mac = (n: number): string => `02:00:00:01:${hex(n >> 8)}:${hex(n & 255)}`;
const hex = (n: number): string => n.toString(16).padStart(2, '0');
const record = (n: number) => ({
  port: `q${n}`,
  network: 'blue',
  mac: mac(n),
  ips: [`10.2.${n >> 8}.${n & 255}`],
  at: { node: 'b' },
});

interface Status {
  readonly pid: number;
  readonly state: string;
  readonly revision: { readonly table: number | null; readonly applied: number | null };
  readonly sources: readonly {
    readonly name: string;
    readonly state: string;
    readonly diagnostics: readonly { code: string }[];
  }[];
  readonly lastApply: { readonly total: number } | null;
}

/** Over the socket: a command of its own for each look would cost half a second. */
async function get<T>(path: string): Promise<T> {
  return JSON.parse((await ask(mapwire.socket, 'GET', path)).text) as T;
}

const status = (): Promise<Status> => get<Status>('/v1/status');

/** MAC addresses in the kernel, read by somebody else. */
async function macs(): Promise<string[]> {
  const path = (await mapwire.pinned()).find((one) => /(^|[/_])mac$/.test(one) && !one.includes('source'));
  if (path === undefined) return [];
  const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', path]);
  const entries = JSON.parse(stdout) as { formatted: { key: { mac: number[] } } }[];
  return entries.map(({ formatted }) => formatted.key.mac.map(hex).join(':')).sort();
}

/** As editors do it: a new file takes the name. */
async function replaceTable(text: string): Promise<void> {
  await writeFile(`${table}.new`, text);
  await rename(`${table}.new`, table);
}

beforeAll(async () => {
  lab = new Lab('mwd');
  host = await daemonHost(lab);
  table = join(await lab.folder(), 'table.yaml');
  lab.atClose(() => mapwire?.down());
});

afterAll(() => lab?.close());

beforeEach(async () => {
  if (mapwire?.daemon?.running || (mapwire !== undefined && existsSync(mapwire.pinDir))) await mapwire.down();
  await writeFile(table, HEAD + port(1));
  mapwire = await Mapwire.configure(host, { node: 'a', table });
});

test('is ready, names the missing next hop, and listens on a socket for root only', async () => {
  const silent = HEAD.replace('networks:', '  c: { underlay: 192.0.2.3 }\nnetworks:');
  await writeFile(table, silent + port(1).replace('node: b', 'node: c') + port(2));
  const began = Date.now();
  const daemon = await mapwire.run();
  expect(daemon.stdout).toMatch(/^mapwire .*\bready\b.*\bc \(.*\n$/);
  expect(daemon.stdout).not.toMatch(/\bb \(/);
  expect(Date.now() - began).toBeGreaterThan(2000);
  expect(await status()).toMatchObject({ state: 'ready', revision: { table: 1, applied: 1 } });
  expect(statSync(mapwire.socket).mode & 0o777).toBe(0o660);
  expect(statSync(mapwire.stateDir).mode & 0o777).toBe(0o700);
  expect(await macs()).toEqual(['02:00:00:00:00:01', mac(1), mac(2)]);
});

test('an edit of the file is applied, and only that', async () => {
  await mapwire.run();
  await replaceTable(HEAD + port(1) + port(2));
  await eventually('the new port', async () => (await macs()).includes(mac(2)));
  // address, MAC, port; the broadcast list of node b and the revision
  expect((await status()).lastApply?.total).toBeLessThanOrEqual(4);
  await writeFile(table, HEAD + port(2));
  await eventually('the old port is gone', async () => !(await macs()).includes(mac(1)));
});

test('SIGTERM leaves everything in force; a restart writes nothing', async () => {
  await mapwire.run();
  const before = await macs();
  expect(await mapwire.stop('SIGTERM')).toBe(0);
  expect(existsSync(mapwire.socket)).toBe(false);
  expect(await macs()).toEqual(before);
  await mapwire.run();
  expect((await status()).lastApply?.total).toBe(0);
  expect(await macs()).toEqual(before);
});

test('kill -9 leaves everything in force; a restart finds its socket and applies what changed', async () => {
  await mapwire.run();
  await mapwire.stop('SIGKILL');
  expect(existsSync(mapwire.socket)).toBe(true);
  expect(await macs()).toHaveLength(2);
  await replaceTable(HEAD + port(1) + port(2));
  await mapwire.run();
  expect(await macs()).toHaveLength(3);
});

test('a second daemon ends with status 1 and names the first', async () => {
  const daemon = await mapwire.run();
  const second = await mapwire.command(['run', '--config', mapwire.config], { check: false });
  expect(second.code).toBe(1);
  expect(second.stderr).toContain(`process ${daemon.pid}`);
  expect(second.stderr).toContain('ERR_MW_BUSY');
  // Another pin directory, but the same state directory by mistake.
  const third = await mapwire.command(['run', '--config', mapwire.config, '--pin-dir', `${mapwire.pinDir}-x`], {
    check: false,
  });
  expect(third.code).toBe(1);
  expect(third.stderr).toContain('ERR_MW_BUSY');
  await mapwire.command([
    'down',
    '--pin-dir',
    `${mapwire.pinDir}-x`,
    '--state-dir',
    `${mapwire.stateDir}-x`,
    '--socket',
    `${mapwire.socket}x`,
  ]);
  expect(await status()).toMatchObject({ state: 'ready', pid: daemon.pid });
});

test('a bad table keeps the mapping in force, and status says what is wrong', async () => {
  await mapwire.run();
  const before = await macs();
  await replaceTable(HEAD.replace('node: a,', 'node: nowhere,'));
  const bad = await eventually('the refusal', async () => {
    const now = await status();
    return now.sources[0]?.state === 'bad' ? now : undefined;
  });
  expect(bad.sources[0]?.diagnostics.map(({ code }) => code)).toEqual(['MW104']);
  expect(bad.state).toBe('ready');
  expect(await macs()).toEqual(before);
  const { stdout } = await mapwire.command(['status', '--config', mapwire.config]);
  expect(stdout).toMatch(/table\.yaml:8:\d+: error MW104/);
  await replaceTable(HEAD);
  await eventually('the mended table', async () => (await macs()).length === 1);
});

test.each([
  ['missing', () => rm(table)],
  ['broken', () => writeFile(table, 'mapwire: 1\nports: [')],
  ['of other nodes', () => writeFile(table, 'mapwire: 1\nnodes: { z: { underlay: 192.0.2.9 } }\n')],
])('a table that is %s at start keeps what is pinned and waits for a good one', async (_, spoil) => {
  await mapwire.run();
  const before = await macs();
  await mapwire.stop();
  await spoil();
  const daemon = await mapwire.run(false);
  await eventually('the API answers', async () => (await status()).pid === daemon.pid);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await status()).state).not.toBe('ready');
  expect(daemon.stdout).toBe('');
  expect(await macs()).toEqual(before);
  await writeFile(table, HEAD + port(1) + port(7));
  await daemon.waitFor(/\bready\b/);
  expect(await macs()).toContain(mac(7));
});

test('an interface may come, go and come again', async () => {
  await mapwire.run();
  const hook = async () =>
    (await get<{ port: string; hook: string | null }[]>('/v1/ports')).find((one) => one.port === 'p1')?.hook;
  await eventually('attached', async () => (await hook()) === 'tc');
  await host.ip('link del port1');
  await eventually('gone', async () => (await hook()) !== 'tc');
  await host.ip('link add port1 type veth peer name guest1', 'link set port1 up', 'link set guest1 up');
  await eventually('attached again', async () => (await hook()) === 'tc');
});

test('SIGHUP reads the table again', async () => {
  const daemon = await mapwire.run();
  daemon.child.kill('SIGHUP');
  await daemon.waitFor(/reading the table again/);
  expect(await status()).toMatchObject({ state: 'ready' });
});

test('a hold file stops reading until it is gone', async () => {
  const folder = await lab.folder();
  await writeFile(join(folder, 'a.yaml'), HEAD);
  mapwire = await Mapwire.configure(host, { node: 'a', table: folder });
  await mapwire.run();
  await writeFile(join(folder, '.mapwire-hold'), '');
  await writeFile(join(folder, 'b.yaml'), `mapwire: 1\nports:\n${port(5)}`);
  await new Promise((resolve) => setTimeout(resolve, 400));
  expect(await macs()).toHaveLength(1);
  await rm(join(folder, '.mapwire-hold'));
  await eventually('the second file', async () => (await macs()).length === 2);
});

test('refuses a socket path that is taken', async () => {
  await writeFile(mapwire.socket, 'not a socket');
  const file = await mapwire.command(['run', '--config', mapwire.config], { check: false });
  expect([file.code, file.stderr]).toEqual([3, expect.stringContaining('ERR_MW_CONFIG')]);
  await rm(mapwire.socket);
  const other = createServer().listen(mapwire.socket);
  const busy = await mapwire.command(['run', '--config', mapwire.config], { check: false });
  expect([busy.code, busy.stderr]).toEqual([1, expect.stringContaining('ERR_MW_BUSY')]);
  await new Promise((resolve) => other.close(resolve));
});

test('names the capabilities that are missing', async () => {
  const argv = ['run', '--config', mapwire.config];
  const { code, stderr } = await host.run(
    ['setpriv', '--bounding-set', '-net_admin,-perfmon', '--', process.execPath, launcher, ...argv],
    { check: false },
  );
  expect([code, stderr]).toEqual([1, expect.stringMatching(/CAP_NET_ADMIN[\s\S]*ERR_MW_PRIVILEGE[\s\S]*hint:/)]);
  expect(existsSync(mapwire.pinDir)).toBe(false);
});

test('refuses a table that others can write', async () => {
  await writeFile(table, HEAD);
  await run(['chmod', '666', table]);
  const daemon = await mapwire.run(false);
  await daemon.waitFor(/MW179/);
  expect((await status()).state).toBe('waiting');
  await run(['chmod', '644', table]);
  await daemon.waitFor(/\bready\b/);
});

test('edits through the API: conditional, checked as a whole, owned', async () => {
  await mapwire.run();
  const patch = (body: string, headers = {}) => ask(mapwire.socket, 'PATCH', '/v1/table', { body, headers });
  const first = await patch(ndjson(record(10), record(11)), { 'if-match': '"1"' });
  expect([first.status, JSON.parse(first.text)]).toEqual([200, expect.objectContaining({ revision: 2, records: 2 })]);
  expect(await macs()).toHaveLength(4);

  const late = await patch(ndjson(record(12)), { 'if-match': '"1"' });
  expect([late.status, JSON.parse(late.text).error]).toEqual([
    412,
    expect.objectContaining({ code: 'ERR_MW_REVISION', hint: expect.any(String) }),
  ]);
  const half = await patch(ndjson(record(12), { ...record(13), at: { node: 'nowhere' } }));
  expect([half.status, JSON.parse(half.text).error.details.diagnostics]).toEqual([
    422,
    [expect.objectContaining({ code: 'MW104', line: 2 })],
  ]);
  const foreign = await patch(ndjson({ delete: 'port', id: 'p1' }));
  expect([foreign.status, foreign.text]).toEqual([422, expect.stringContaining('another source')]);
  expect((await patch('{"port":')).status).toBe(422);
  expect((await patch(ndjson(record(12)), { 'if-match': '"soon"' })).status).toBe(400);
  expect(await macs()).toHaveLength(4);

  // The file cannot take over what came through the API: the clash is told and nothing changes.
  await replaceTable(HEAD + port(10));
  await eventually('the clash', async () =>
    (await status()).sources.some((one) => one.diagnostics.some(({ code }) => code === 'MW106')),
  );
  expect(await macs()).toHaveLength(4);

  const gone = await patch(ndjson({ delete: 'port', id: 'q10' }, { port: 'q11', delete: true }));
  expect(gone.status).toBe(200);
});

test('the API answers for what is not there and serves metrics', async () => {
  await mapwire.run();
  expect((await ask(mapwire.socket, 'GET', '/v1/nothing')).status).toBe(404);
  const metrics = await ask(mapwire.socket, 'GET', '/metrics');
  expect(metrics.headers['content-type']).toContain('version=0.0.4');
  expect(metrics.text).toContain('\nmapwire_applied_revision 1\n');
  expect(metrics.text).toMatch(/^mapwire_drop_packets_total\{reason="guard-mac"\} \d+$/m);
  expect(metrics.text).toMatch(/^mapwire_map_capacity\{map="mac"\} 4096$/m);
});

test('1,000 edits and a kill -9 in the middle: nothing that was acknowledged is lost', async () => {
  await mapwire.run();
  const acknowledged = new Set<number>();
  const lanes = Array.from({ length: 8 }, async (_, lane) => {
    for (let n = 100 + lane; n < 1100; n += 8) {
      const answer = await ask(mapwire.socket, 'PATCH', '/v1/table', { body: ndjson(record(n)) }).catch(
        () => undefined,
      );
      if (answer === undefined) return;
      expect(answer.status).toBe(200);
      acknowledged.add(n);
    }
  });
  await eventually('half of the edits', () => acknowledged.size >= 500, 60_000);
  await mapwire.stop('SIGKILL');
  await Promise.all(lanes);
  expect(acknowledged.size).toBeLessThan(1000);
  await mapwire.run();
  const held = new Set(await macs());
  for (const n of acknowledged) expect(held.has(mac(n)), `q${n}`).toBe(true);
  // What was on its way may be there too, but nothing else.
  expect(held.size).toBeLessThanOrEqual(2 + acknowledged.size + 8);

  // The rest goes in, and survives an ordinary restart as well.
  for (let n = 100; n < 1100; n += 100) {
    const records = Array.from({ length: 100 }, (_, i) => record(n + i));
    expect((await ask(mapwire.socket, 'PATCH', '/v1/table', { body: ndjson(...records) })).status).toBe(200);
  }
  await mapwire.stop();
  await mapwire.run();
  expect(await macs()).toHaveLength(1002);
  expect((await status()).lastApply?.total).toBe(0);
});

test('down ends the daemon and leaves nothing; twice, and after a crash', async () => {
  const daemon = await mapwire.run();
  expect(await mapwire.json('down')).toMatchObject({ stopped: true, generations: 1 });
  expect(await daemon.exit()).toBe(0);
  const nothing = async () => {
    expect(existsSync(mapwire.pinDir)).toBe(false);
    expect(existsSync(mapwire.socket)).toBe(false);
    expect((await host.run(['tc', 'filter', 'show', 'dev', 'port1', 'ingress'])).stdout).toBe('');
    expect((await host.run(['bpftool', 'net', 'show'])).stdout).not.toContain('mw_');
    expect((await host.run(['ip', 'neigh', 'show', 'dev', 'eth0'])).stdout).not.toContain('managed');
  };
  await nothing();
  expect(await mapwire.json('down')).toMatchObject({ stopped: false, links: 0, generations: 0 });
  await mapwire.run();
  await mapwire.stop('SIGKILL');
  expect(await mapwire.json('down')).toMatchObject({ stopped: false, generations: 1 });
  await nothing();
});

test('what is not there is a dash in every table that people read', async () => {
  await writeFile(table, HEAD + port(1));
  await mapwire.run();
  for (const command of ['status', 'nodes', 'networks', 'ports', 'drops', 'dump']) {
    const { stdout } = await mapwire.command([command, '--config', mapwire.config]);
    expect(stdout, command).not.toMatch(/\b(null|undefined|NaN|object)\b/);
  }
  const { stdout } = await mapwire.command(['ports', '--config', mapwire.config]);
  // here, with an interface; elsewhere, without
  expect(/^ *p1 .*$/m.exec(stdout)?.[0]).toContain(' port1 ');
  expect(/^ *q1 .*$/m.exec(stdout)?.[0]).toMatch(/ - /);
});

test('without a daemon, status, drops and dump read what is pinned', async () => {
  await mapwire.run();
  await mapwire.stop();
  expect(await mapwire.json('status')).toMatchObject({ pid: null, state: 'no daemon', revision: { applied: 1 } });
  const [dump] = await mapwire.json<{ entries: { port: string }[] }[]>('dump', 'mac');
  expect(dump?.entries.map((one) => one.port).sort()).toEqual(['p1', 'q1']);
  expect(await mapwire.json('drops')).toBeInstanceOf(Array);
  const words = await mapwire.command(['status', '--config', mapwire.config]);
  expect(words.stdout).toContain('no daemon');
});

test('without a daemon the commands say so, with the remedy', async () => {
  const answer = await mapwire.command(['ports', '--config', mapwire.config], { check: false });
  expect([answer.code, answer.stderr]).toEqual([1, expect.stringContaining('ERR_MW_NO_DAEMON')]);
  expect(answer.stderr).toContain('mapwire run');
  expect(await readdir(mapwire.stateDir)).not.toContain('mapwire.sock');
});
