/** What is missing or in the way is named with its remedy, by `mapwire doctor` beforehand and by `mapwire run`. */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { addonPath } from '../../src/libbpf/index.ts';
import { Mapwire } from '../support/mapwire.ts';
import type { RunResult } from '../support/process.ts';
import { ThreeHosts } from '../support/three-hosts.ts';

interface Finding {
  readonly what: string;
  readonly state: 'ok' | 'warn' | 'fail';
  readonly found: string;
  readonly remedy?: string;
}

let hosts: ThreeHosts;
let mapwire: Mapwire;

beforeAll(async () => {
  hosts = await ThreeHosts.build();
  await hosts.guest('a', 'ga', 10);
  await hosts.guest('b', 'gb', 20);
  await hosts.writeTable();
  mapwire = await Mapwire.configure(hosts.hosts.a, { node: 'host-a', table: hosts.tablePath });
  hosts.lab.atClose(() => mapwire.down());
});
afterAll(() => hosts?.close());

interface Situation {
  readonly prefix?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const command = (argv: readonly string[], { prefix = [], env = {} }: Situation) =>
  mapwire.command([...argv, '--config', mapwire.config], { check: false, timeout: 30_000, prefix, env });

async function doctor(situation: Situation = {}): Promise<{ code: number; findings: Finding[] }> {
  const { code, stdout } = await command(['doctor', '--json'], situation);
  return { code, findings: (JSON.parse(stdout) as { findings: Finding[] }).findings };
}

const failures = (findings: readonly Finding[]) => findings.filter(({ state }) => state === 'fail');

/** One line says what, one says what to do; no trace of the program's inside. */
function expectRefusal({ code, stdout, stderr }: RunResult, what: RegExp, remedy: RegExp): void {
  expect([code, stdout]).toEqual([1, '']);
  expect(stderr).toMatch(what);
  expect(/hint: (.+)/.exec(stderr)?.[1]).toMatch(remedy);
  expect(stderr).not.toMatch(/\n\s+at /);
}

test('a host that has everything: doctor says so, kernel and MTU included', async () => {
  const { code, findings } = await doctor();
  expect([code, failures(findings)]).toEqual([0, []]);
  expect(findings).toContainEqual({ what: 'kernel', state: 'ok', found: release() });
  expect(findings).toContainEqual({
    what: 'device eth0',
    state: 'ok',
    found: expect.stringMatching(/^MTU 1500, hook tc/),
  });
  const words = await command(['doctor'], {});
  expect(words.code).toBe(0);
  expect(words.stdout).toContain(`ok    kernel: ${release()}\n`);
  expect(words.stdout).not.toContain('fail');
});

describe('an MTU too small', () => {
  async function withMtu(mtu: number): Promise<{ code: number; findings: Finding[] }> {
    await hosts.hosts.a.ip(`link set eth0 mtu ${mtu}`);
    try {
      return await doctor();
    } finally {
      await hosts.hosts.a.ip('link set eth0 mtu 1500');
    }
  }

  test('for the network of the table: the largest packet, what it needs, and the remedy', async () => {
    const { code, findings } = await withMtu(1499);
    expect(code).toBe(1);
    expect(failures(findings)).toEqual([
      {
        what: 'network blue',
        state: 'fail',
        found: 'MTU 1450 and 50 of vxlan over IPv4 are more than the 1499 of eth0',
        remedy: expect.stringMatching(/^ip link set eth0 mtu 1500;.*'mtu: 1449'/),
      },
    ]);
  });

  test('the remedies are remedies: either makes the finding go', async () => {
    hosts.table.networks.blue!.mtu = 1350;
    await hosts.writeTable();
    expect(failures((await withMtu(1400)).findings)).toEqual([]);
    hosts.table.networks.blue!.mtu = 8950;
    await hosts.writeTable();
    expect(failures((await withMtu(9000)).findings)).toEqual([]);
    expect(failures((await withMtu(8999)).findings)).toHaveLength(1);
    delete hosts.table.networks.blue!.mtu;
    await hosts.writeTable();
  });
});

describe('a kernel too old', () => {
  // a personality of Linux itself: uname(2) says 2.6 (UNAME26), to the program and all that it asks
  const old = { prefix: ['setarch', '--uname-2.6'] };

  test('doctor', async () => {
    const { code, findings } = await doctor(old);
    expect(code).toBe(1);
    expect(failures(findings)).toEqual([
      {
        what: 'kernel',
        state: 'fail',
        found: expect.stringMatching(/^2\.6\.\d+.* is too old$/),
        remedy: 'Linux 6.1 or later',
      },
    ]);
  });

  test('run', async () => {
    expectRefusal(await command(['run'], old), /the kernel 2\.6\.\S+ is too old \[ERR_MW_UNSUPPORTED\]/, /Linux 6\.1/);
    expect(await mapwire.pinned()).toEqual([]);
  });
});

describe('no root', () => {
  // nobody, without capabilities; what root may read it still can: the checkout can be in /root
  const user = { prefix: ['unshare', '--user'] };

  test('doctor', async () => {
    // without the configuration, which is root's
    const argv = ['doctor', '--json', '--node', 'host-a', '--underlay', 'eth0', '--pin-dir', mapwire.pinDir];
    const { code, stdout } = await mapwire.command(argv, { check: false, ...user });
    expect(code).toBe(1);
    const { findings } = JSON.parse(stdout) as { findings: Finding[] };
    expect(failures(findings)).toEqual([
      {
        what: 'privileges',
        state: 'fail',
        found: expect.stringContaining('CAP_NET_ADMIN'),
        remedy: expect.stringContaining('root'),
      },
    ]);
    // what it cannot see it says, and goes on
    const unseen = findings.filter(({ found }) => found.includes('could not be found out'));
    expect(unseen.map(({ what }) => what)).toEqual(expect.arrayContaining(['batch-hash', 'device eth0']));
    expect(unseen.filter(({ remedy }) => remedy !== 'run doctor as root')).toEqual([]);
    expect(findings.map(({ what }) => what)).toContain('daemon');
  });

  test('run', async () => {
    const argv = ['run', '--node', 'host-a', '--underlay', 'eth0', '--table', hosts.tablePath];
    const refused = await mapwire.command(argv, { check: false, ...user });
    expectRefusal(refused, /CAP_NET_ADMIN.*\[ERR_MW_PRIVILEGE\]/, /root/);
  });
});

describe('no bpffs', () => {
  // in a mount namespace of its own, where it was never mounted
  const bare = { prefix: ['unshare', '--mount', 'sh', '-c', 'umount /sys/fs/bpf && exec "$@"', 'sh'] };

  test('doctor', async () => {
    const { code, findings } = await doctor(bare);
    expect(code).toBe(1);
    expect(failures(findings)).toEqual([
      {
        what: 'bpffs',
        state: 'fail',
        found: `${mapwire.pinDir} is not in a bpffs`,
        remedy: 'mount -t bpf bpf /sys/fs/bpf',
      },
    ]);
  });

  test('run', async () => {
    expectRefusal(await command(['run'], bare), /bpffs.*\[ERR_MW_PIN_DIR\]/, /mount -t bpf/);
  });
});

describe('no libbpf', () => {
  let absent: Situation;
  beforeEach(async () => {
    // this addon, wanting a version of the library that no system has
    const file = join(await hosts.lab.folder(), 'mapwire.node');
    const bytes = await readFile(addonPath());
    const at = bytes.indexOf('libbpf.so.1\0');
    expect(at).toBeGreaterThan(0);
    bytes.write('libbpf.so.9', at);
    await writeFile(file, bytes);
    await chmod(file, 0o755);
    absent = { env: { MAPWIRE_ADDON: file } };
  });

  test('doctor', async () => {
    const { code, findings } = await doctor(absent);
    expect(code).toBe(1);
    expect(failures(findings)).toEqual([
      {
        what: 'libbpf',
        state: 'fail',
        found: expect.stringContaining('libbpf.so.9'),
        remedy: expect.stringContaining('apt install libbpf1'),
      },
    ]);
  });

  test('run', async () => {
    expectRefusal(await command(['run'], absent), /libbpf\.so\.9.*\[ERR_MW_ADDON\]/s, /apt install libbpf1/);
  });
});
