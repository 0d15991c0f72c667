/**
 * The daemon under exactly the capabilities of packaging/mapwire.service: everything works, and none of them can go
 * (docs/decisions/0008-capabilities.md).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../src/bintools/package-root.ts';
import { Mapwire } from '../support/mapwire.ts';
import { eventually } from '../support/process.ts';
import { ThreeHosts } from '../support/three-hosts.ts';
import { ping, transfer } from '../support/traffic.ts';

const unit = readFileSync(join(packageRoot(), 'packaging', 'mapwire.service'), 'utf8');

/** Names as in the unit, in lower case without CAP_: `bpf`. */
const granted = (/^CapabilityBoundingSet=(.+)$/m.exec(unit)?.[1] ?? '')
  .split(/\s+/)
  .map((name) => name.replace(/^CAP_/, '').toLowerCase());

/** Numbers of linux/capability.h. */
const NUMBER: Readonly<Record<string, number>> = { net_admin: 12, sys_admin: 21, perfmon: 38, bpf: 39 };

/** As the unit does: bounded set, nothing inherited, no way to gain more. */
function confine(names: readonly string[]): string[] {
  const set = names.map((name) => `,+${name}`).join('');
  return ['setpriv', `--bounding-set=-all${set}`, '--inh-caps=-all', '--no-new-privs', '--'];
}

/** The capability mask of a process, e.g. of its effective set. */
function mask(pid: number, set: 'CapEff' | 'CapBnd'): bigint {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  return BigInt(`0x${new RegExp(`^${set}:\\s*([0-9a-f]+)$`, 'm').exec(text)?.[1]}`);
}

const bits = (names: readonly string[]) =>
  names.reduce((sum, name) => sum | (1n << BigInt(NUMBER[name] as number)), 0n);

describe('the capabilities of the unit file', () => {
  let hosts: ThreeHosts | undefined;

  afterEach(async () => {
    await hosts?.close();
    hosts = undefined;
  });

  async function confined(names: readonly string[], ready: boolean, hook: 'tc' | 'xdp' = 'xdp') {
    hosts = await ThreeHosts.build();
    const guest = await hosts.guest('a', 'socket-a', 10);
    const kernel = await hosts.guest('c', 'kernel-c', 30);
    await hosts.writeTable();
    const a = await Mapwire.configure(hosts.hosts.a, { node: 'host-a', table: hosts.tablePath, hook });
    hosts.lab.atClose(() => a.down());
    const daemon = await a.run(ready, confine(names));
    return { hosts, a, daemon, guest, kernel };
  }

  test('are known', () => {
    expect(granted.filter((name) => NUMBER[name] === undefined)).toEqual([]);
    expect(granted.length).toBeGreaterThan(0);
  });

  test.each(['tc', 'xdp'] as const)(
    'suffice: attach (%s), forward, follow the table, adopt, come down',
    async (hook) => {
      const { hosts, a, daemon, guest, kernel } = await confined(granted, true, hook);
      expect(mask(daemon.pid, 'CapEff')).toBe(bits(granted));
      expect(mask(daemon.pid, 'CapBnd')).toBe(bits(granted));

      for (const address of [kernel.ip4, kernel.ip6])
        expect((await ping(guest.namespace, address)).received).toBeGreaterThan(0);
      await transfer(guest.namespace, kernel.namespace, kernel.ip4, 1 << 20);

      // an edit, an interface that comes later
      const before = await a.applied();
      const late = await hosts.guest('a', 'late', 11);
      await hosts.writeTable();
      await a.appliedAfter(before);
      await eventually(
        'the late guest is reached',
        async () => (await ping(late.namespace, guest.ip4, { count: 1 })).received === 1,
      );
      await a.json('trace', '--from', 'socket-a', '--to', kernel.ip4);

      // another daemon, as confined, adopts what is pinned
      await a.stop();
      await a.run(true, confine(granted));
      expect((await ping(guest.namespace, kernel.ip4)).received).toBeGreaterThan(0);
      await a.stop();
      await a.command(['down', '--config', a.config], { prefix: confine(granted) });
      expect(await a.pinned()).toEqual([]);
    },
  );

  test.each(granted)('none can go: without %s the daemon says what it lacks and ends', async (name) => {
    const { daemon } = await confined(
      granted.filter((other) => other !== name),
      false,
    );
    expect(await daemon.exit()).toBe(1);
    expect(daemon.stdout + daemon.stderr).toMatch(/the daemon lacks CAP_/);
  });
});
