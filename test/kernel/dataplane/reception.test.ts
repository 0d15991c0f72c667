/** What the underlay device is made to receive: MACs of flat networks' ports, groups. Seen by bridge(8) and ip(8). */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eventually } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { Scene } from './scene.ts';

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

type Ports = Record<string, TableObject['ports'][string]>;

const FLAT: Ports = {
  'web-1': { network: 'wire', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a', interface: 'p1' }] },
  'web-2': { network: 'tagged', mac: '02:00:00:00:00:02', ips: ['10.2.0.2'], at: [{ node: 'a', interface: 'p2' }] },
  far: { network: 'wire', mac: '02:00:00:00:00:03', ips: ['10.1.0.3'], at: [{ node: 'b' }] },
};

const GROUPS: Ports = {
  'web-1': { network: 'four', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a', interface: 'p1' }] },
  'web-2': { network: 'six', mac: '02:00:00:00:00:02', ips: ['10.2.0.2'], at: [{ node: 'a', interface: 'p2' }] },
};

function table(ports: Ports): TableObject & { mapwire: 1 } {
  return {
    mapwire: 1,
    nodes: { a: { underlay: ['192.0.2.1', 'fd00:2::1'] }, b: { underlay: ['192.0.2.2', 'fd00:2::2'] } },
    networks: {
      wire: { encap: 'flat' },
      tagged: { encap: 'flat', segment: 30 },
      four: { segment: 4, flood: 'multicast', group: '239.1.1.4' },
      six: { segment: 6, flood: 'multicast', group: 'ff05::6' },
    },
    ports,
  } as TableObject & { mapwire: 1 };
}

function without(ports: Ports, id: string): Ports {
  return Object.fromEntries(Object.entries(ports).filter(([name]) => name !== id));
}

/** Unicast MACs that eth0 receives beside its own. */
async function macs(): Promise<string[]> {
  const { stdout } = await scene.host.run(['bridge', '-j', 'fdb', 'show', 'dev', 'eth0']);
  return (JSON.parse(stdout) as { mac: string }[])
    .map(({ mac }) => mac)
    .filter((mac) => mac.startsWith('02:'))
    .sort();
}

async function groups(): Promise<string[]> {
  const { stdout } = await scene.host.run(['ip', '-j', 'maddr', 'show', 'dev', 'eth0']);
  const [{ maddr = [] } = {}] = JSON.parse(stdout) as { maddr: { address?: string }[] }[];
  return maddr.flatMap(({ address }) => address ?? []).filter((one) => one === '239.1.1.4' || one === 'ff05::6');
}

async function hardware(feature: string): Promise<string> {
  const { stdout } = await scene.host.run(['ethtool', '-k', 'eth0']);
  return new RegExp(`${feature}: (\\w+)`).exec(stdout)?.[1] ?? '';
}

describe('flat networks', () => {
  it('have their local ports received, whatever the process does, until they go', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table(FLAT) });
    expect(await macs()).toEqual(['02:00:00:00:00:01', '02:00:00:00:00:02']);
    await plane.ask('edit', { table: table(without(FLAT, 'web-2')) });
    expect(await macs()).toEqual(['02:00:00:00:00:01']);
    await plane.ask('edit', { table: table(FLAT) });
    await plane.close();
    expect(await macs()).toEqual(['02:00:00:00:00:01', '02:00:00:00:00:02']);
    expect(await scene.settle(table(FLAT))).toMatchObject({ total: 0 });
    expect(await scene.down()).toMatchObject({ receptions: 2 });
    expect(await macs()).toEqual([]);
  });

  it('leave alone what somebody else has the device receive', async () => {
    await scene.host.run(['bridge', 'fdb', 'add', '02:00:00:00:00:01', 'dev', 'eth0', 'self']);
    try {
      await scene.settle(table(FLAT));
      expect(await macs()).toEqual(['02:00:00:00:00:01', '02:00:00:00:00:02']);
      expect(await scene.down()).toMatchObject({ receptions: 1 });
      expect(await macs()).toEqual(['02:00:00:00:00:01']);
    } finally {
      await scene.host.run(['bridge', 'fdb', 'del', '02:00:00:00:00:01', 'dev', 'eth0', 'self']);
    }
  });
});

describe('multicast groups', () => {
  beforeAll(async () => {
    await scene.host.ip('addr add fd00:2::1/64 dev eth0 nodad');
  });

  it('are joined on the underlay device without a process, and left with the last network', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table(GROUPS) });
    expect(await groups()).toEqual(['239.1.1.4', 'ff05::6']);
    expect((await plane.ask<{ problems: object[] }>('status')).problems).toEqual([]);
    await plane.close();
    expect(await groups()).toEqual(['239.1.1.4', 'ff05::6']);
    const again = scene.worker();
    await again.open(scene.options);
    await again.ask('apply', { table: table(GROUPS) });
    await again.ask('edit', { table: table(without(GROUPS, 'web-1')) });
    expect(await groups()).toEqual(['ff05::6']);
    await again.ask('edit', { table: table(GROUPS) });
    expect(await groups()).toEqual(['239.1.1.4', 'ff05::6']);
    await again.close();
    expect(await scene.down()).toMatchObject({ receptions: 2 });
    expect(await groups()).toEqual([]);
  });

  it('that the kernel refuses are a problem, with a remedy, and the rest goes on', async () => {
    await scene.host.sysctl({ 'net.ipv4.igmp_max_memberships': 0 });
    try {
      const plane = scene.worker();
      await plane.open(scene.options);
      await plane.ask('apply', { table: table(GROUPS) });
      const { problems } = await plane.ask<{ problems: object[] }>('status');
      expect(problems).toEqual([
        expect.objectContaining({
          subject: 'group 239.1.1.4',
          message: expect.stringContaining('eth0 cannot join the group 239.1.1.4'),
          hint: expect.stringContaining('igmp_max_memberships'),
        }),
      ]);
      expect(await groups()).toEqual(['ff05::6']);
      await scene.host.sysctl({ 'net.ipv4.igmp_max_memberships': 20 });
      await plane.ask('hops');
      expect(await groups()).toEqual(['239.1.1.4', 'ff05::6']);
      expect((await plane.ask<{ problems: object[] }>('status')).problems).toEqual([]);
      await plane.close();
    } finally {
      await scene.host.sysctl({ 'net.ipv4.igmp_max_memberships': 20 });
    }
  });
});

describe('the underlay veth', () => {
  it('cuts super-packets of UDP before they leave, until `down`', async () => {
    const before = await hardware('tx-udp-segmentation');
    expect(before).toBe('on');
    await scene.settle(table(FLAT));
    expect(await hardware('tx-udp-segmentation')).toBe('off');
    await scene.down();
    expect(await hardware('tx-udp-segmentation')).toBe(before);
  });
});

describe('a process that is killed', () => {
  it.each([
    ['setting tx-udp', FLAT],
    ['receive mac', FLAT],
    ['receive group', GROUPS],
  ])('before "%s" leaves what the next one, and `down`, understand', async (killAt, ports) => {
    for (const finish of [true, false]) {
      const plane = scene.worker();
      await plane.open(scene.options, killAt);
      await expect(plane.ask('apply', { table: table(ports) })).rejects.toMatchObject({ code: 'ended' });
      if (finish) {
        await scene.settle(table(ports));
        expect([...(await macs()), ...(await groups())]).toHaveLength(2);
      }
      await scene.down();
      expect([...(await macs()), ...(await groups())]).toEqual([]);
      expect(await hardware('tx-udp-segmentation')).toBe('on');
      expect(existsSync(`${scene.stateDir}/host-changes.json`)).toBe(false);
    }
  });

  it.each(['receptions', 'settings', 'pairs', 'folders'])(
    'in `down`, before %s: a second one finishes',
    async (step) => {
      await scene.settle(table(FLAT));
      const plane = scene.worker();
      await expect(plane.ask('down', { options: scene.options, killAt: `down:${step}` })).rejects.toMatchObject({
        code: 'ended',
      });
      await scene.down();
      expect(await macs()).toEqual([]);
      expect(await hardware('tx-udp-segmentation')).toBe('on');
      expect(existsSync(scene.pinDir)).toBe(false);
    },
  );

  it('before it forgets a MAC', async () => {
    await scene.settle(table(FLAT));
    const plane = scene.worker();
    await plane.open(scene.options, 'forget mac');
    const fewer = table(without(FLAT, 'web-2'));
    await expect(plane.ask('apply', { table: fewer })).rejects.toMatchObject({ code: 'ended' });
    await scene.settle(fewer);
    expect(await macs()).toEqual(['02:00:00:00:00:01']);
  });
});

describe('an underlay device that goes down and up', () => {
  it('is in the groups afterwards, although the kernel took the IPv6 address', async () => {
    await using other = await Scene.create();
    await other.host.ip('addr add fd00:2::1/64 dev eth0 nodad');
    const plane = other.worker();
    await plane.open(other.options);
    await plane.ask('apply', { table: table(GROUPS) });
    await other.host.ip('link set eth0 down', 'link set eth0 up');
    await eventually('the uplink is there again', async () => {
      const { groups: found } = await plane.ask<{ groups: { device?: string }[] }>('status');
      return found.every(({ device }) => device === 'eth0');
    });
    await plane.ask('hops', { ms: 0 });
    const { stdout } = await other.host.run(['ip', 'maddr', 'show', 'dev', 'eth0']);
    expect(stdout).toContain('239.1.1.4');
    expect(stdout).toContain('ff05::6');
    expect((await plane.ask<{ problems: object[] }>('status')).problems).toEqual([]);
    await plane.close();
  });
});
