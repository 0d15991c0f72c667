import { existsSync, readdirSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { objectIds } from '../../../src/libbpf/index.ts';
import { eventually, run } from '../../support/process.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(async () => {
  await scene.close();
});

describe('a data plane', () => {
  beforeEach(async () => {
    await scene.reset();
  });

  it('is set up by the first apply: maps, programs, links, neighbour', async () => {
    const report = await scene.settle(twoHosts());
    expect(report.generation).toBe(1);
    expect(report.writes).toMatchObject({ ip4: 5, ip6: 1, mac: 5, source_mac: 1, allow4: 1, port: 5, network: 1 });
    expect(report.writes).toMatchObject({ segment: 1, vtep: 2, node: 2, flood: 1, link: 3, local: 2 });
    expect(Object.keys(await scene.attached()).sort()).toEqual(['tc eth0', 'tc p1', 'tc p2']);
    const neighbours = (await scene.host.run(['ip', 'neigh', 'show', '192.0.2.2'])).stdout;
    expect(neighbours).toContain('managed');
    const nodes = (await scene.dumpMap('node')).map((text) => JSON.parse(text).formatted.value);
    // One of them is this node, which nothing is sent to.
    expect(nodes.map(({ nexthop }) => nexthop[0].ifindex > 0).sort()).toEqual([false, true]);
    expect(nodes.find(({ nexthop }) => nexthop[0].ifindex > 0).nexthop[0]).toMatchObject({
      dmac: [2, 254, 0, 0, 0, 2],
      smac: [2, 254, 0, 0, 0, 1],
    });
  });

  it('writes nothing when it starts again with nothing to change, and forwards meanwhile', async () => {
    await scene.settle(twoHosts());
    const [before, programs] = [await scene.dumpAll(), await scene.attached()];
    const again = await scene.settle(twoHosts());
    expect(again).toMatchObject({ total: 0, generation: 1, writes: {} });
    expect(await scene.dumpAll()).toEqual(before);
    expect(await scene.attached()).toEqual(programs);
  });

  it('repairs a deleted, an altered and an added entry by exactly three writes, seen by strace', async () => {
    await scene.settle(twoHosts());
    const before = await scene.dumpAll();
    const pinned = (map: string): string[] => ['bpftool', 'map', 'X', 'pinned', scene.mapPath(map)];
    const entry = async (map: string, index: number): Promise<{ key: string[]; value: string[] }> => {
      const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', scene.mapPath(map)]);
      return JSON.parse(stdout)[index];
    };
    const change = async (
      map: string,
      verb: 'update' | 'delete',
      key: string[],
      value: string[] = [],
    ): Promise<void> => {
      const argv = pinned(map).map((word) => (word === 'X' ? verb : word));
      await run([...argv, 'key', ...key, ...(value.length > 0 ? ['value', ...value] : [])]);
    };
    const gone = await entry('ip4', 0);
    await change('ip4', 'delete', gone.key);
    const altered = await entry('port', 0);
    await change('port', 'update', altered.key, [...altered.value.slice(0, 24), '0x63', ...altered.value.slice(25)]);
    const model = await entry('mac', 0);
    await change('mac', 'update', [...model.key.slice(0, 4), '6', '6', '6', '6', '6', '6', '0', '0'], model.value);
    const broken = await scene.dumpAll();
    expect(broken.ip4).toHaveLength(4);
    expect(broken.mac).toHaveLength(6);
    expect(broken.port).not.toEqual(before.port);

    const log = `${scene.stateDir}/strace`;
    const plane = scene.worker(['strace', '-f', '-qq', '-e', 'trace=bpf', '-o', log]);
    await plane.open(scene.options);
    const report = await plane.ask<Report>('apply', { table: twoHosts() });
    await plane.close();
    expect(report.writes).toEqual({ ip4: 1, port: 1, mac: 1 });
    const calls = (await run(['cat', log])).stdout.split('\n');
    const writes = calls.filter((line) => /BPF_MAP_(UPDATE|DELETE)(_ELEM|_BATCH)|BPF_MAP_LOOKUP_AND_DELETE/.test(line));
    expect(writes.map((line) => /BPF_MAP_\w+/.exec(line)?.[0]).sort()).toEqual([
      'BPF_MAP_DELETE_ELEM',
      'BPF_MAP_UPDATE_ELEM',
      'BPF_MAP_UPDATE_ELEM',
    ]);
    expect(await scene.dumpAll()).toEqual(before);
  });

  it('writes only what an edit changes', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: twoHosts(200) });
    await plane.ask('hops');
    const before = await scene.dumpAll();
    const table = twoHosts(200);
    (table.ports as Record<string, object>)['far-7'] = { ...table.ports['far-7'], ips: ['10.3.0.7'] };
    const report = await plane.ask<Report>('edit', { table });
    expect(report.writes).toMatchObject({ ip4: 2 });
    const after = await scene.dumpAll();
    for (const map of Object.keys(before))
      if (map !== 'ip4' && map !== 'meta') expect(after[map], map).toEqual(before[map]);
    expect(after.ip4?.filter((entry) => !before.ip4?.includes(entry))).toHaveLength(1);
    expect(before.ip4?.filter((entry) => !after.ip4?.includes(entry))).toHaveLength(1);
    await plane.close();
  });

  it('sets the former node of a port that moved, by the one write of the move, and never touches it again', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: twoHosts() });
    const moved = twoHosts();
    (moved.ports as Record<string, object>)['far-1'] = {
      ...moved.ports['far-1'],
      at: [{ node: 'a', interface: 'p3' }],
    };
    const report = await plane.ask<Report>('edit', { table: moved });
    expect(report.writes.port).toBe(1);
    type Shown = { formatted: { value: { port: number; former: number; former_until: number } } };
    const formers = async (): Promise<number[]> =>
      (await scene.dumpMap('port'))
        .map((text) => (JSON.parse(text) as Shown).formatted.value)
        .filter((value) => value.former !== 0)
        .map((value) => value.former_until);
    const first = await formers();
    expect(first).toHaveLength(1);
    await plane.close();
    expect((await scene.settle(moved)).writes.port).toBeUndefined();
    expect(await formers()).toEqual(first);
  });

  it('follows devices that appear, are renamed and vanish', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    const table = twoHosts();
    (table.ports as Record<string, object>)['web-3'] = {
      network: 'blue',
      mac: '02:00:00:00:00:03',
      ips: ['10.1.0.3'],
      at: [{ node: 'a', interface: 'late' }],
    };
    await plane.ask('apply', { table });
    expect(await scene.dumpMap('local')).toHaveLength(2);
    await scene.guest('late');
    const attached = async (device: string): Promise<boolean> => `tc ${device}` in (await scene.attached());
    await eventually('late is attached', () => attached('late'));
    await eventually('local has 3 entries', async () => (await scene.dumpMap('local')).length === 3);
    await scene.host.ip('link set late down', 'link set late name other', 'link set other up');
    await eventually('other is let go of', async () => !(await attached('other')));
    await eventually('local has 2 entries', async () => (await scene.dumpMap('local')).length === 2);
    await scene.host.ip('link set other down', 'link set other name late', 'link set late up');
    await eventually('late is attached', () => attached('late'));
    await scene.host.ip('link del late');
    await eventually('link has 3 entries', async () => (await scene.dumpMap('link')).length === 3);
    expect(readdirSync(`${scene.pinDir}/links`).sort()).toHaveLength(3);
    await plane.close();
  });

  it('names the process that holds the pin directory', async () => {
    const first = scene.worker();
    await first.open(scene.options);
    const second = scene.worker();
    await expect(second.open(scene.options)).rejects.toMatchObject({
      code: 'ERR_MW_BUSY',
      message: expect.stringContaining(String(first.pid)),
    });
    await expect(second.ask('down', { options: scene.options })).rejects.toMatchObject({ code: 'ERR_MW_BUSY' });
    await first.close();
    await second.open(scene.options);
    await second.close();
  });

  it('refuses a folder that is no bpffs, and one that others may use', async () => {
    const plane = scene.worker();
    const refused = (pinDir: string) =>
      expect(plane.open({ ...scene.options, pinDir })).rejects.toMatchObject({ code: 'ERR_MW_PIN_DIR' });
    await refused(scene.stateDir);
    await refused('/nonexistent/mapwire');
    await run(['mkdir', '-m', '0755', `${scene.pinDir}-open`]);
    await run(['ln', '-s', scene.pinDir, `${scene.pinDir}-link`]);
    try {
      await refused(`${scene.pinDir}-open`);
      await refused(`${scene.pinDir}-link`);
    } finally {
      await run(['rmdir', `${scene.pinDir}-open`]);
      await run(['rm', `${scene.pinDir}-link`]);
    }
    await plane.close();
  });

  it('does not call a plan applied that it could not write whole, and mends it later', async () => {
    // Flood lists need CAP_SYS_ADMIN: the kernel opens objects by their id for nobody else.
    const caps = '-all,+bpf,+net_admin,+perfmon,+dac_override';
    const plane = scene.worker(['setpriv', `--bounding-set=${caps}`, `--inh-caps=${caps}`]);
    await plane.open(scene.options);
    await expect(plane.ask('apply', { table: twoHosts() })).rejects.toMatchObject({ code: 'ERR_MW_PRIVILEGE' });
    const { revision, problems } = await plane.ask<{ revision?: number; problems: object[] }>('status');
    expect(revision).toBeUndefined();
    expect(problems).toContainEqual(expect.objectContaining({ code: 'ERR_MW_PRIVILEGE', subject: 'map flood' }));
    await plane.close();
    expect(await scene.settle(twoHosts())).toMatchObject({ generation: 1 });
    expect(await scene.dumpMap('flood')).toHaveLength(1);
  });

  it('answers trace from the live maps', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: twoHosts() });
    await plane.ask('hops');
    const arp = (target: string): string =>
      `ffffffffffff0200000000010806000108000604000102000000000${'1'}0a010001000000000000${target}`;
    const answer = await plane.ask('trace', { port: 'web-1', frame: arp('0a010002').padEnd(120, '0') });
    expect(answer).toMatchObject({ hook: 'tc', verdict: 'answer', network: 'blue', port: 'web-2' });
    const spoofed = arp('0a010002').replace('0200000000010806', '0200000000770806');
    expect(await plane.ask('trace', { port: 'web-1', frame: spoofed.padEnd(120, '0') })).toMatchObject({
      verdict: 'drop',
      reason: 'guard-mac',
    });
    expect(await plane.ask('drops')).toEqual([]);
    await expect(plane.ask('trace', { port: 'far-1', frame: arp('0a010002') })).rejects.toMatchObject({
      code: 'ERR_MW_NOT_FOUND',
    });
    await plane.close();
  });
});

describe('down', () => {
  beforeEach(async () => {
    await scene.reset();
  });

  it('leaves nothing, and is idempotent', async () => {
    await scene.settle(twoHosts(), { hook: 'xdp' });
    expect(Object.keys(await scene.attached())).toContain('xdp p1');
    const held = scene.held();
    expect(held.links).toHaveLength(6);
    const report = await scene.down();
    expect(report).toMatchObject({ generations: 1, neighbours: 1 });
    expect(existsSync(scene.pinDir)).toBe(false);
    const [links, programs] = [new Set(objectIds('link')), new Set(objectIds('program'))];
    expect(held.links.filter((id) => links.has(id))).toEqual([]);
    expect(held.programs.filter((id) => programs.has(id))).toEqual([]);
    expect((await scene.host.run(['ip', 'neigh', 'show', '192.0.2.2'])).stdout).not.toContain('managed');
    expect(await scene.down()).toMatchObject({ links: 0, generations: 0, neighbours: 0, settings: 0 });
  });

  it('puts GRO back where XDP had it switched on', async () => {
    const gro = async (): Promise<string> =>
      /generic-receive-offload: (\w+)/.exec((await scene.host.run(['ethtool', '-k', 'p1'])).stdout)?.[1] ?? '';
    expect(await gro()).toBe('off');
    await scene.settle(twoHosts(), { hook: 'xdp' });
    expect(await gro()).toBe('on');
    // three devices, and the underlay cuts UDP itself
    expect(await scene.down()).toMatchObject({ settings: 4 });
    expect(await gro()).toBe('off');
  });
});

describe('hooks', () => {
  beforeEach(async () => {
    await scene.reset();
  });

  const devices = async (options: object): Promise<Record<string, { hook: string; why: string }>> => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...options });
    await plane.ask('apply', { table: twoHosts() });
    const status = await plane.ask<{ devices: { name: string; hook: string; why: string }[]; problems: object[] }>(
      'status',
    );
    await plane.close();
    return Object.fromEntries(status.devices.map((device) => [device.name, device]));
  };

  it('auto: TC on a veth, and says why; xdp: XDP in front of it; tc takes XDP away again', async () => {
    expect((await devices({})).p1).toMatchObject({ hook: 'tc', why: expect.stringContaining('auto: XDP on a veth') });
    expect((await devices({ hook: 'xdp' })).p1).toMatchObject({
      hook: 'xdp',
      why: expect.stringContaining('hook: xdp'),
    });
    expect(Object.keys(await scene.attached()).filter((name) => name.startsWith('xdp'))).toHaveLength(3);
    expect((await devices({ hook: 'tc' })).p1).toMatchObject({ hook: 'tc', why: 'hook: tc' });
    expect(Object.keys(await scene.attached()).sort()).toEqual(['tc eth0', 'tc p1', 'tc p2']);
  });

  it('names a foreign XDP program, leaves it alone, and forwards through TC', async () => {
    const folder = await scene.lab.folder();
    await writeFile(`${folder}/foreign.c`, FOREIGN);
    await run(['clang-19', '-O2', '-g', '-target', 'bpf', '-c', `${folder}/foreign.c`, '-o', `${folder}/foreign.o`]);
    await scene.host.run(['ip', 'link', 'set', 'dev', 'p1', 'xdpdrv', 'obj', `${folder}/foreign.o`, 'sec', 'xdp']);
    try {
      const plane = scene.worker();
      await plane.open({ ...scene.options, hook: 'xdp' });
      await plane.ask('apply', { table: twoHosts() });
      const status = await plane.ask<{ devices: object[]; problems: object[] }>('status');
      expect(status.problems).toEqual([
        expect.objectContaining({
          code: 'ERR_MW_FOREIGN_PROGRAM',
          subject: 'device p1',
          message: expect.stringContaining('stranger'),
        }),
      ]);
      expect(status.devices).toContainEqual(expect.objectContaining({ name: 'p1', hook: 'tc' }));
      await plane.close();
      expect((await scene.host.run(['ip', 'link', 'show', 'p1'])).stdout).toContain('xdp');
    } finally {
      await scene.host.run(['ip', 'link', 'set', 'dev', 'p1', 'xdpdrv', 'off']);
    }
  });

  it('says so when an underlay device is absent or no underlay device leads to a node', async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, underlay: ['nowhere'] });
    await plane.ask('apply', { table: twoHosts() });
    const missing = await plane.ask<object[]>('hops', { ms: 50 });
    expect(missing).toEqual([
      expect.objectContaining({ node: 'b', resolved: false, why: expect.stringContaining('no underlay device') }),
    ]);
    const status = await plane.ask<{ devices: object[] }>('status');
    expect(status.devices).toContainEqual(
      expect.objectContaining({ name: 'nowhere', role: 'underlay', hook: 'none', why: 'the device is absent' }),
    );
    await plane.close();
  });

  it('follows a neighbour that changes its MAC', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: twoHosts() });
    await plane.ask('hops');
    try {
      await scene.host.ip('neigh replace 192.0.2.2 lladdr 02:fe:00:00:00:99 dev eth0 nud permanent');
      await eventually('the node entry has the new MAC', async () =>
        (await scene.dumpMap('node')).join().includes('"dmac":[2,254,0,0,0,153]'),
      );
    } finally {
      await scene.host.ip('neigh del 192.0.2.2 dev eth0');
    }
    await plane.close();
  });
});

const FOREIGN = `
__attribute__((section("xdp"), used)) int stranger(void *ctx) { return 2; }
char LICENSE[] __attribute__((section("license"), used)) = "GPL";
`;
