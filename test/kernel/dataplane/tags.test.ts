/** Tags that a driver keeps beside the frame: docs/packet-rules.md, section 5. Real frames of a veth guest. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { packageRoot } from '../../../src/bintools/package-root.ts';
import { compileBpf } from '../../../src/bintools/tools/llvm.ts';
import { defaultObjectFiles } from '../../../src/dataplane/index.ts';
import { objectIds, Program } from '../../../src/libbpf/index.ts';
import type { Plane } from '../../support/plane.ts';
import { eventually } from '../../support/process.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

let scene: Scene;
let tagger: string;

beforeAll(async () => {
  scene = await Scene.create();
  // Not one frame to or from the guests that the test did not send.
  for (const each of [scene.host, scene.peer]) await each.sysctl({ 'net.ipv6.conf.all.disable_ipv6': 1 });
  await scene.peer.ip(
    'link set g-p1 address 02:00:00:00:00:01',
    'addr add 10.1.0.1/24 dev g-p1',
    'neigh add 10.1.0.2 lladdr 02:00:00:00:00:02 dev g-p1',
    'link set g-p2 address 02:00:00:00:00:02',
  );
  // A receiver with NAPI: XDP delivers to it.
  await scene.peer.offload('g-p2', { gro: 'on' });
  tagger = join(await scene.lab.folder(), 'tag-guest.o');
  await compileBpf({ root: packageRoot(), source: 'test/support/tag-guest.bpf.c', output: tagger });
});

afterAll(async () => {
  await scene.close();
});

const received = async (): Promise<number> => {
  const { stdout } = await scene.peer.run(['ip', '-j', '-s', 'link', 'show', 'g-p2']);
  return (JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[])[0]?.stats64.rx.packets ?? Number.NaN;
};

/** Sends 8 pings that nobody answers. Gives how many frames the other guest got, and what was dropped. */
async function eight(plane: Plane): Promise<{ delivered: number; dropped: Record<string, number> }> {
  const drops = async (): Promise<Record<string, number>> =>
    Object.fromEntries(
      (await plane.ask<{ reason: string; packets: number }[]>('drops')).map(({ reason, packets }) => [reason, packets]),
    );
  const [before, had] = [await received(), await drops()];
  await scene.peer.run(['ping', '-q', '-c', '8', '-i', '0.01', '-W', '1', '10.1.0.2'], { check: false });
  const dropped: Record<string, number> = {};
  for (const [reason, packets] of Object.entries(await drops())) {
    if (packets > (had[reason] ?? 0)) dropped[reason] = packets - (had[reason] ?? 0);
  }
  return { delivered: (await received()) - before, dropped };
}

async function tagging<T>(work: () => Promise<T>): Promise<T> {
  const at = ['dev', 'g-p1'];
  await scene.peer.run(['tc', 'qdisc', 'add', ...at, 'clsact']);
  try {
    await scene.peer.run(['tc', 'filter', 'add', ...at, 'egress', 'bpf', 'da', 'obj', tagger, 'sec', 'tc']);
    return await work();
  } finally {
    await scene.peer.run(['tc', 'qdisc', 'del', ...at, 'clsact']);
  }
}

interface DeviceLine {
  readonly name: string;
  readonly hook: string;
  readonly why: string;
}

async function device(plane: Plane, name: string): Promise<DeviceLine | undefined> {
  return (await plane.ask<{ devices: DeviceLine[] }>('status')).devices.find((one) => one.name === name);
}

/** Names of the programs that are pinned for one device, and their kernel ids. */
function bound(): Map<string, number> {
  const folder = join(scene.pinDir, scene.generations().at(-1) ?? 'none', 'programs');
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name.includes('@')) : [];
  return new Map(
    names.sort().map((name) => {
      using program = Program.openPinned(join(folder, name));
      return [name, program.id];
    }),
  );
}

const ifindex = async (name: string): Promise<number> =>
  (JSON.parse((await scene.host.run(['ip', '-j', 'link', 'show', name])).stdout) as { ifindex: number }[])[0]
    ?.ifindex as number;

describe('a guest that sends tags beside its frames', () => {
  beforeEach(async () => {
    await scene.reset();
  });

  it.each(['xdp', 'tc'] as const)(
    'is dropped as tagged, 8 of 8, with hook %s; untagged it gets through',
    async (hook) => {
      const plane = scene.worker();
      await plane.open({ ...scene.options, hook });
      await plane.ask('apply', { table: twoHosts() });
      expect((await device(plane, 'p1'))?.hook).toBe(hook);
      expect(await tagging(() => eight(plane))).toEqual({ delivered: 0, dropped: { tagged: 8 } });
      expect(await eight(plane)).toEqual({ delivered: 8, dropped: {} });
      await plane.close();
    },
  );

  it('would fool XDP programs that do not ask', async () => {
    const { xdp, tc } = defaultObjectFiles();
    const plane = scene.worker();
    await plane.open({ ...scene.options, hook: 'xdp', objects: { xdp, tc, bound: xdp } });
    await plane.ask('apply', { table: twoHosts() });
    expect(await tagging(() => eight(plane))).toEqual({ delivered: 8, dropped: {} });
    await plane.close();
  });

  it('is kept from XDP where the programs cannot ask: TC does it, and says why', async () => {
    const { xdp, tc } = defaultObjectFiles();
    const plane = scene.worker();
    await plane.open({ ...scene.options, hook: 'xdp', objects: { xdp, tc } });
    await plane.ask('apply', { table: twoHosts() });
    expect(await device(plane, 'p1')).toMatchObject({ hook: 'tc', why: expect.stringContaining('VLAN tags') });
    expect(Object.keys(await scene.attached()).filter((name) => name.startsWith('xdp'))).toEqual([]);
    expect(await tagging(() => eight(plane))).toEqual({ delivered: 0, dropped: { tagged: 8 } });
    await plane.close();
  });
});

describe('programs that are loaded for one device', () => {
  beforeEach(async () => {
    await scene.reset();
  });

  it('one a device; a restart adopts them without a load', async () => {
    await scene.settle(twoHosts(), { hook: 'xdp' });
    const names = [
      `mw_xdp_port@${await ifindex('p1')}`,
      `mw_xdp_port@${await ifindex('p2')}`,
      `mw_xdp_underlay@${await ifindex('eth0')}`,
    ];
    const before = bound();
    expect([...before.keys()]).toEqual(names.sort());
    const attached = await scene.attached();
    expect(attached['xdp p1']).toBe(before.get(`mw_xdp_port@${await ifindex('p1')}`));
    expect(await scene.settle(twoHosts(), { hook: 'xdp' })).toMatchObject({ total: 0, generation: 1 });
    expect(bound()).toEqual(before);
    expect(await scene.attached()).toEqual(attached);
  });

  it('go with the device, and with the hook', async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, hook: 'xdp' });
    const table = twoHosts();
    (table.ports as Record<string, object>)['web-3'] = {
      network: 'blue',
      mac: '02:00:00:00:00:03',
      ips: ['10.1.0.3'],
      at: [{ node: 'a', interface: 'late' }],
    };
    await plane.ask('apply', { table });
    expect(bound().size).toBe(3);
    await scene.guest('late');
    await eventually('late has a program of its own', () => bound().size === 4);
    const late = bound().get(`mw_xdp_port@${await ifindex('late')}`);
    await scene.host.ip('link del late');
    await eventually('late has none', () => bound().size === 3);
    await eventually('the kernel has let go of it', () => ![...objectIds('program')].includes(late as number));
    await plane.close();
    await scene.settle(twoHosts(), { hook: 'tc' });
    expect(bound().size).toBe(0);
  });

  it('are replaced in place by those of the next generation', async () => {
    await scene.settle(twoHosts(), { hook: 'xdp' });
    const [before, links] = [bound(), scene.held().links];
    const report = await scene.settle(twoHosts(5000), { hook: 'xdp' });
    expect(report).toMatchObject({ generation: 2 });
    expect(scene.held().links).toEqual(links);
    const after = bound();
    expect([...after.keys()]).toEqual([...before.keys()]);
    for (const [name, id] of after) expect(id, name).not.toBe(before.get(name));
    const running = new Set(scene.held().programs);
    for (const [name, id] of after) expect(running.has(id), name).toBe(true);
    const alive = new Set(objectIds('program'));
    expect([...before.values()].filter((id) => alive.has(id))).toEqual([]);
  });

  it.each([
    ...['bound xdp', 'attach xdp', 'switch:bound', 'switch:complete', 'switch:links', 'update xdp', 'switch:retire'],
  ])('a process that ends before "%s" leaves what the next one finishes', async (killAt) => {
    const [first, second] = [twoHosts(), twoHosts(5000)];
    const switching = killAt.startsWith('switch') || killAt.startsWith('update');
    if (switching) await scene.settle(first, { hook: 'xdp' });
    const plane = scene.worker();
    await plane.open({ ...scene.options, hook: 'xdp' }, killAt);
    await expect(plane.ask<Report>('apply', { table: switching ? second : first })).rejects.toMatchObject({
      code: 'ended',
    });
    await scene.settle(switching ? second : first, { hook: 'xdp' });
    expect(bound().size).toBe(3);
    const running = new Set(scene.held().programs);
    for (const [name, id] of bound()) expect(running.has(id), name).toBe(true);
    const held = bound();
    expect(await scene.down()).toMatchObject({ generations: 1 });
    const alive = new Set(objectIds('program'));
    expect([...held.values()].filter((id) => alive.has(id))).toEqual([]);
  });
});
