/** Nothing is left behind after `down`, also after a crash; what is in the way is named and left alone. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Namespace } from '../support/hosts.ts';
import { Mapwire } from '../support/mapwire.ts';
import { run } from '../support/process.ts';
import { ThreeHosts } from '../support/three-hosts.ts';
import { ping } from '../support/traffic.ts';

/** Everything about a host that an instance could leave changed. */
async function portrait(host: Namespace): Promise<unknown> {
  const links = JSON.parse((await host.run(['ip', '-d', '-j', 'link', 'show'])).stdout) as Record<string, unknown>[];
  const features: Record<string, string> = {};
  for (const { ifname } of links) {
    features[String(ifname)] = (await host.run(['ethtool', '-k', String(ifname)], { check: false })).stdout;
  }
  const neighbours = (await host.run(['ip', 'neigh', 'show'])).stdout
    .split('\n')
    .filter((line) => /extern_learn|managed|PERMANENT|router/.test(line));
  const tc = (await host.run(['tc', 'qdisc', 'show'])).stdout;
  const net = JSON.parse((await host.run(['bpftool', '-j', 'net', 'show'])).stdout) as unknown;
  const settings = links.map(({ ifname, mtu, promiscuity, xdp, ifalias }) => ({
    ifname,
    mtu,
    promiscuity,
    xdp,
    ifalias,
  }));
  return { settings, features, neighbours, tc, net };
}

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let hosts: ThreeHosts;
  beforeAll(async () => {
    hosts = await ThreeHosts.build();
    await hosts.guest('a', 'ga', 10);
    await hosts.guest('b', 'gb', 20);
    await hosts.writeTable();
  });
  afterAll(() => hosts?.close());

  test('down puts everything back: after an orderly end, after a kill, twice, and with no daemon ever', async () => {
    const before = await portrait(hosts.hosts.a);
    await hosts.start({ hook });
    expect(await portrait(hosts.hosts.a)).not.toEqual(before);
    await hosts.a.stop('SIGTERM');
    expect((await hosts.a.command(['down', '--config', hosts.a.config])).code).toBe(0);
    expect(await portrait(hosts.hosts.a)).toEqual(before);
    expect(existsSync(hosts.a.pinDir)).toBe(false);
    // Again: idempotent.
    expect((await hosts.a.command(['down', '--config', hosts.a.config])).code).toBe(0);

    await hosts.a.run();
    await hosts.a.stop('SIGKILL');
    await hosts.a.command(['down', '--config', hosts.a.config]);
    expect(await portrait(hosts.hosts.a)).toEqual(before);
    expect(existsSync(hosts.a.pinDir)).toBe(false);

    // With the daemon running: it is told to stop.
    await hosts.a.run();
    await hosts.a.command(['down', '--config', hosts.a.config]);
    expect(await hosts.a.daemon?.exit()).toBe(0);
    expect(await portrait(hosts.hosts.a)).toEqual(before);

    // Killed at random moments of its start.
    for (const delay of [30, 80, 150, 250, 400]) {
      const daemon = await hosts.a.run(false);
      await new Promise((resolve) => setTimeout(resolve, delay));
      daemon.child.kill('SIGKILL');
      await daemon.exit();
      await hosts.a.command(['down', '--config', hosts.a.config]);
      expect(await portrait(hosts.hosts.a), `killed after ${delay} ms`).toEqual(before);
      expect(existsSync(hosts.a.pinDir)).toBe(false);
    }
    await hosts.a.run();
  });

  test('a second daemon is refused and names the first', async () => {
    const second = await hosts.a.command(['run', '--config', hosts.a.config], { check: false, timeout: 20_000 });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(String(hosts.a.daemon?.pid));
  });

  test('a foreign program on the device is named and left alone', async () => {
    const host = hosts.hosts.b;
    await hosts.b.stop();
    await hosts.b.command(['down', '--config', hosts.b.config]);
    const folder = await hosts.lab.folder();
    const source = join(folder, 'pass.c');
    const flags = ['-O2', '-target', 'bpf', '-c', source, '-o', join(folder, 'pass.o')];
    await writeFile(
      source,
      '__attribute__((section("xdp"), used)) int pass(void *ctx) { return 2; }\n' +
        'char _license[] __attribute__((section("license"), used)) = "GPL";\n',
    );
    await run(['clang-19', ...flags]);
    await host.run(['ip', 'link', 'set', 'dev', 'eth0', 'xdpdrv', 'obj', join(folder, 'pass.o'), 'sec', 'xdp']);
    const { stdout: shown } = await host.run(['ip', '-d', 'link', 'show', 'eth0']);
    expect(shown).toMatch(/prog\/xdp/);
    const { stdout } = await hosts.b.command(['doctor', '--config', hosts.b.config], { check: false });
    expect(stdout).toMatch(/foreign|another/i);
    await host.run(['ip', 'link', 'set', 'dev', 'eth0', 'xdpdrv', 'off']);
    await hosts.b.run();
    expect(await ping(hosts.lab.existing(`${hosts.lab.prefix}-ga`), '10.1.0.20')).toMatchObject({ received: 3 });
  });
});

test('with wrong usage, without a daemon: the documented exit status', async () => {
  const hosts = await ThreeHosts.build();
  try {
    const mapwire = await Mapwire.configure(hosts.hosts.a, { node: 'host-a', table: hosts.tablePath });
    expect((await mapwire.command(['no-such-command'], { check: false })).code).toBe(2);
    expect((await mapwire.command(['status', '--socket', '/nonexistent/s'], { check: false })).code).toBe(1);
  } finally {
    await hosts.close();
  }
});
