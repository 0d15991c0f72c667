/** The commands that need no kernel, run in this process: what they print, where, and how they end. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../../src/cli/main.ts';

vi.setConfig({ testTimeout: 30_000 });

const TABLE = `mapwire: 1
nodes:
  a: { underlay: 192.0.2.1 }
  b: { underlay: 192.0.2.2 }
networks:
  blue: { segment: 5001 }
ports:
  p1: { network: blue, mac: 02:00:00:00:00:01, ips: [10.1.0.1], at: { node: a, interface: tap1 } }
  p2: { network: blue, mac: 02:00:00:00:00:02, ips: [10.1.0.2], at: { node: b } }
`;

let folder: string;
let table: string;

/** Runs one command and gives what came of it. */
async function mapwire(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((chunk: unknown, ...rest: unknown[]) => {
      written[stream] += String(chunk);
      const done = rest.find((one) => typeof one === 'function') as (() => void) | undefined;
      done?.();
      return true;
    });
  }
  const before = process.exitCode;
  process.exitCode = undefined;
  try {
    await main(['node', 'mapwire', ...argv]);
    return { code: Number(process.exitCode ?? 0), ...written };
  } finally {
    process.exitCode = before;
    vi.restoreAllMocks();
  }
}

beforeAll(() => {
  // Whoever loads the addon fails: none of these commands may.
  vi.stubEnv('MAPWIRE_ADDON', '/nonexistent/mapwire.node');
});
afterAll(() => vi.unstubAllEnvs());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'mw-cli-'));
  table = join(folder, 'table.yaml');
  writeFileSync(table, TABLE);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('usage', () => {
  it('prints the version and the help on stdout', async () => {
    const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8'));
    expect(await mapwire('--version')).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
    const help = await mapwire('--help');
    expect(help.code).toBe(0);
    const commands = 'check compile simulate inspect run status nodes networks ports drops dump trace node doctor down';
    for (const command of commands.split(' ')) expect(help.stdout).toMatch(new RegExp(`^  ${command}\\b`, 'm'));
  });

  it.each([
    [['frob'], /unknown command 'frob'/],
    [['check'], /missing required argument/],
    [['compile', 'x.yaml'], /--node/],
    [['check', 'x', '--frob'], /unknown option/],
    [['simulate', 'x', '--from', 'a', '--to', 'b', '--size', 'big'], /28 to 65535/],
    [['simulate', 'x', '--from', 'a', '--to', 'b', '--kind', 'song'], /echo, resolve/],
    [['node', 'off', 'a'], /up, down, drain, clear/],
    [['node', 'down'], /missing required argument 'id'/],
  ])('wrong usage of %j ends with 2 and a word on stderr', async (argv, words) => {
    const { code, stdout, stderr } = await mapwire(...argv);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(words);
  });
});

describe('check', () => {
  it('says what a good table holds', async () => {
    expect(await mapwire('check', table)).toEqual({
      code: 0,
      stdout: `${table}: good: 2 nodes, 1 network, 2 ports\n`,
      stderr: '',
    });
    const json = await mapwire('check', table, '--json');
    expect(JSON.parse(json.stdout)).toEqual({ ok: true, nodes: 2, networks: 1, ports: 2, diagnostics: [] });
  });

  it('prints every mistake as a compiler does and ends with 3', async () => {
    writeFileSync(table, TABLE.replace('node: b }', 'node: c }').replace('10.1.0.1]', '10.1.0.300]'));
    const { code, stdout, stderr } = await mapwire('check', table);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toMatch(/table\.yaml:8:\d+: error MW122/);
    expect(stderr).toMatch(/table\.yaml:9:\d+: error MW104/);
    expect(stderr).toContain('2 errors');
    const json = await mapwire('check', table, '--json');
    expect(json.code).toBe(3);
    expect(JSON.parse(json.stdout)).toMatchObject({ ok: false, diagnostics: [{ line: 8 }, { line: 9 }] });
  });

  it('names a file that is not there', async () => {
    const { code, stderr } = await mapwire('check', join(folder, 'none.yaml'));
    expect(code).toBe(3);
    expect(stderr).toContain('MW170');
  });
});

describe('compile', () => {
  it('prints the plan of a node, the same each time', async () => {
    const first = await mapwire('compile', table, '--node', 'a');
    expect(first.code).toBe(0);
    expect(first.stdout).toContain('plan of node a');
    expect(first.stdout).toMatch(/blue +02:00:00:00:00:02 +p2/);
    expect(await mapwire('compile', table, '--node', 'a')).toEqual(first);
    const json = JSON.parse((await mapwire('compile', table, '--node', 'a', '--json')).stdout);
    expect(json).toMatchObject({ node: 'a', entries: { mac: [{ port: 'p1' }, { port: 'p2' }] } });
  });

  it('shows what the node sees, with states of nodes', async () => {
    const at = 'at: [{ node: b, prefer: [b] }, { node: a, priority: 0, for: [b] }]';
    writeFileSync(table, TABLE.replace('at: { node: b }', at).replace('192.0.2.2', '192.0.2.2, state: drain'));
    for (const [node, places] of [
      ['a', ['a:5001 priority 0 weight 1', 'b:5001 priority 1 weight 1']],
      ['b', ['b:5001 priority 1 weight 1', 'a:5001 priority 0 weight 1']],
    ] as const) {
      const { entries } = JSON.parse((await mapwire('compile', table, '--node', node, '--json')).stdout);
      expect(entries.port[1].at).toEqual(places);
      expect(entries.node.map((row: { node: string; flags: string[] }) => [row.node, ...row.flags])).toEqual([
        ['a'],
        ['b', 'drain'],
      ]);
    }
    const simulated = (await mapwire('simulate', table, '--from', 'p1', '--to', '10.1.0.2')).stdout;
    expect(simulated).toContain('locator a of p2: used');
    expect(simulated).toContain('locator b of p2: passed over: the node is drained');
  });

  it('refuses a node that is not there, with what was probably meant', async () => {
    writeFileSync(table, TABLE.replaceAll(' a: ', ' host-a: ').replace('node: a,', 'node: host-a,'));
    const { code, stdout, stderr } = await mapwire('compile', table, '--node', 'hosta');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toContain("did you mean 'host-a'?");
  });

  it('ends with 3 for a table with mistakes', async () => {
    writeFileSync(table, 'mapwire: 2\n');
    expect((await mapwire('compile', table, '--node', 'a')).code).toBe(3);
    const json = await mapwire('compile', table, '--node', 'a', '--json');
    expect(JSON.parse(json.stdout).error).toMatchObject({ code: 'ERR_MW_TABLE' });
  });
});

describe('simulate', () => {
  it('follows a packet rule by rule over both nodes', async () => {
    const { code, stdout } = await mapwire('simulate', table, '--from', 'p1', '--to', '10.1.0.2');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^a, from port device tap1$/m);
    expect(stdout).toContain('=> encap');
    expect(stdout).toMatch(/ 4 +outer header: vxlan over IPv4, \S+ > \S+, segment \d+, TTL 64, .*UDP port \d+$/m);
    expect(stdout).toMatch(/^b, from underlay device/m);
    const json = JSON.parse((await mapwire('simulate', table, '--from', 'p1', '--to', '10.1.0.2', '--json')).stdout);
    expect(json.hops.map((hop: { node: string }) => hop.node)).toEqual(['a', 'b']);
    expect(json.hops[0].frame).toMatch(/^([0-9a-f]{2})+$/);
  });

  it('answers a resolution from the map', async () => {
    const { stdout } = await mapwire('simulate', table, '--from', 'p1', '--to', '10.1.0.2', '--kind', 'resolve');
    expect(stdout).toContain('=> answer');
  });

  it('refuses a port that is not there', async () => {
    const { code, stderr } = await mapwire('simulate', table, '--from', 'p9', '--to', '10.1.0.2');
    expect([code, stderr]).toEqual([1, expect.stringContaining('ERR_MW_INVALID_ARGUMENT')]);
  });
});

describe('inspect', () => {
  it('names a file that is no object', async () => {
    const { code, stderr } = await mapwire('inspect', table);
    expect([code, stderr]).toEqual([1, expect.stringContaining('ERR_MW_ELF')]);
    expect((await mapwire('inspect', join(folder, 'none.o'))).stderr).toContain('npm run build');
  });
});

describe('configuration', () => {
  it('with mistakes ends with 3 and shows the place', async () => {
    const file = join(folder, 'mapwire.yaml');
    writeFileSync(file, 'node: a\nguard: some\n');
    const { code, stderr } = await mapwire('run', '--config', file);
    expect(code).toBe(3);
    expect(stderr).toContain(`${file}:2:8: error: 'guard' must be one of: full, mac, off`);
    expect(stderr).toContain("'table' is missing");
  });

  it('by flags is checked like the file', async () => {
    const { code, stderr } = await mapwire(
      'run',
      '--node',
      'a',
      '--table',
      table,
      '--underlay',
      'eth0',
      '--hook',
      'both',
    );
    expect([code, stderr]).toEqual([3, expect.stringContaining('--hook')]);
  });
});

describe('commands of the daemon', () => {
  const place = () => ['--socket', join(folder, 's'), '--pin-dir', join(folder, 'pins'), '--state-dir', folder];

  it.each(['status', 'nodes', 'networks', 'ports', 'drops', 'dump'])(
    '%s says that no daemon answers',
    async (command) => {
      const { code, stdout, stderr } = await mapwire(command, ...place());
      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/ERR_MW_NO_DAEMON[\s\S]*hint: .*mapwire run/);
    },
  );

  it('keep the code, the hint and the details of what the daemon answers', async () => {
    const server = createServer((_, response) => {
      response.statusCode = 503;
      response.end('{"error":{"code":"ERR_MW_API","message":"not yet","hint":"wait"}}');
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
    try {
      const { code, stderr } = await mapwire('ports', ...place());
      expect([code, stderr]).toEqual([1, 'mapwire: not yet [ERR_MW_API]\n  hint: wait\n']);
      const json = await mapwire('ports', '--json', ...place());
      expect(JSON.parse(json.stdout)).toEqual({
        error: { code: 'ERR_MW_API', message: 'not yet', hint: 'wait', details: {} },
      });
    } finally {
      server.close();
    }
  });
});

it('doctor names a missing addon with its remedy instead of failing on it', async () => {
  const { code, stdout } = await mapwire('doctor', '--socket', join(folder, 's'), '--json');
  const { ok, findings } = JSON.parse(stdout) as {
    ok: boolean;
    findings: { what: string; state: string; remedy?: string }[];
  };
  expect([code, ok]).toEqual([1, false]);
  expect(findings.find((one) => one.what === 'libbpf')).toMatchObject({
    state: 'fail',
    remedy: expect.stringContaining('npm run build'),
  });
});
