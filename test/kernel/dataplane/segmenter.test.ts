/** The pair that cuts super-packets for nodes that want a checksum in every outer header, and what routers tell. */
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DataplaneStatus } from '../../../src/dataplane/index.ts';
import { pairNames } from '../../../src/dataplane/segmenter.ts';
import { LinkRole } from '../../../src/generated/layout.ts';
import type { Plane } from '../../support/plane.ts';
import { eventually } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { type Report, Scene } from './scene.ts';

let scene: Scene;
let near: string;
let far: string;

beforeAll(async () => {
  scene = await Scene.create();
  ({ near, far } = pairNames(scene.pinDir));
  await scene.host.ip('addr add fd00:2::1/64 dev eth0 nodad');
  await scene.peer.ip('addr add fd00:2::2/64 dev eth0 nodad');
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.reset();
});

/** Two nodes over IPv6; does the other one want checksums? */
function table(checksum: 'zero' | 'computed'): TableObject & { mapwire: 1 } {
  return {
    mapwire: 1,
    nodes: { a: { underlay: 'fd00:2::1' }, b: { underlay: 'fd00:2::2', 'udp6-checksum': checksum } },
    networks: { blue: { segment: 5001 } },
    ports: {
      'web-1': { network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a', interface: 'p1' }] },
      far: { network: 'blue', mac: '02:00:00:00:00:03', ips: ['10.1.0.3'], at: [{ node: 'b' }] },
    },
  };
}

interface LinkLine {
  readonly ifindex: number;
  readonly ifname: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly addr_info: readonly object[];
}

async function ends(): Promise<LinkLine[]> {
  const { stdout } = await scene.host.run(['ip', '-j', 'addr']);
  return (JSON.parse(stdout) as LinkLine[]).filter(({ ifname }) => ifname === near || ifname === far);
}

async function segmenting(device: string): Promise<string[]> {
  const { stdout } = await scene.host.run(['ethtool', '-k', device]);
  return stdout.split('\n').filter((line) => /segmentation.*: on/.test(line) && !line.includes('[fixed]'));
}

async function expectPair(): Promise<void> {
  const pair = await ends();
  expect(pair).toHaveLength(2);
  for (const end of pair) {
    expect(end).toMatchObject({ mtu: 65535, addr_info: [] });
    expect(end.flags).toContain('UP');
  }
  expect(await segmenting(near)).toEqual([]);
  const ifindex = pair.find(({ ifname }) => ifname === far)?.ifindex;
  type Shown = { formatted: { key: number; value: { role: number } } };
  const links = (await scene.dumpMap('link')).map((text) => (JSON.parse(text) as Shown).formatted);
  expect(links.find(({ key }) => key === ifindex)?.value.role).toBe(LinkRole.SEGMENTER);
  expect(Object.keys(await scene.attached())).toContain(`tc ${far}`);
  expect(Object.keys(await scene.attached())).not.toContain(`xdp ${far}`);
}

describe('the segmenter', () => {
  it('is made for a plan that needs it, adopted, and goes at the switch after it is needed no more', async () => {
    expect(await scene.settle(table('zero'))).toMatchObject({ generation: 1 });
    expect(await ends()).toEqual([]);
    expect(await scene.settle(table('computed'))).toMatchObject({
      generation: 2,
      switched: 'the programs need other constants',
    });
    await expectPair();
    const pair = await ends();
    expect(await scene.settle(table('computed'))).toMatchObject({ total: 0, generation: 2 });
    expect(await ends()).toEqual(pair);
    // Not needed any more: the programs know it still.
    expect((await scene.settle(table('zero'))).switched).toBeUndefined();
    await expectPair();
    expect(await scene.settle(table('zero'), { ttl: 63 })).toMatchObject({ generation: 3 });
    expect(await ends()).toEqual([]);
    expect(Object.keys(await scene.attached())).toEqual(['tc eth0', 'tc p1']);
    expect(await scene.down()).toMatchObject({ pairs: 0 });
  });

  it('gets no XDP, and is no port', async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, hook: 'xdp' });
    await plane.ask('apply', { table: table('computed') });
    await expectPair();
    const { devices, problems } = await plane.ask<{ devices: object[]; problems: object[] }>('status');
    expect(devices).toContainEqual(expect.objectContaining({ name: far, role: 'segmenter', hook: 'tc' }));
    expect(problems).toEqual([]);
    await plane.close();
    expect(await scene.down()).toMatchObject({ pairs: 1 });
    expect(await ends()).toEqual([]);
  });

  it('that cannot be made is a problem, and the rest goes on', async () => {
    await scene.host.ip(`link add ${far} type bridge`);
    try {
      const plane = scene.worker();
      await plane.open(scene.options);
      expect(await plane.ask<Report>('apply', { table: table('computed') })).toMatchObject({ generation: 1 });
      const { problems } = await plane.ask<{ problems: object[] }>('status');
      expect(problems).toEqual([
        expect.objectContaining({ subject: `device ${near}`, hint: expect.stringContaining(`ip link del ${far}`) }),
      ]);
      await plane.close();
      await scene.down();
      expect((await ends()).map(({ ifname }) => ifname)).toEqual([far]);
    } finally {
      await scene.host.ip(`link del ${far}`);
    }
  });

  describe('that somebody takes away', () => {
    let plane: Plane;
    const indexes = async () => {
      const pair = await ends();
      return [near, far].map((name) => pair.find(({ ifname }) => ifname === name)?.ifindex);
    };
    const status = () => plane.ask<DataplaneStatus>('status');
    /** It comes by itself: the whole of the test's patience. */
    const isUsed = () =>
      eventually('the pair is there and has its program', async () => {
        const [, ifindex] = await indexes();
        const device = (await status()).devices.find(({ name }) => name === far);
        return ifindex !== undefined && device?.ifindex === ifindex && device.hook === 'tc';
      });

    /** What is done before the data plane can look: it is quicker than the second of two lines of `ip`. */
    async function behindItsBack(...lines: string[]): Promise<void> {
      const { child } = plane.process;
      child.kill('SIGSTOP');
      try {
        await scene.host.ip(...lines);
      } finally {
        child.kill('SIGCONT');
      }
    }

    beforeEach(async () => {
      plane = scene.worker();
      await plane.open(scene.options);
      await plane.ask('apply', { table: table('computed') });
      await plane.ask('hops');
    });

    it('is there again with the index that the programs know', async () => {
      const [before] = await indexes();
      for (const end of [near, far]) {
        await scene.host.ip(`link del ${end}`);
        await isUsed();
        await eventually('it is up', async () => (await ends()).every(({ flags }) => flags.includes('UP')));
        await expectPair();
        expect((await indexes())[0]).toBe(before);
        expect(await status()).toMatchObject({ generation: 1, problems: [] });
      }
      await plane.close();
      expect(await scene.down()).toMatchObject({ pairs: 1 });
      expect(await ends()).toEqual([]);
    });

    it('is brought up again', async () => {
      for (const end of [near, far]) {
        await scene.host.ip(`link set ${end} down`);
        await eventually('it is up', async () => (await ends()).every(({ flags }) => flags.includes('UP')));
      }
      await plane.close();
    });

    it('gets another index where its own is taken, and programs that know it', async () => {
      const [before] = await indexes();
      await behindItsBack(`link del ${near}`, `link add taken index ${before} type bridge`);
      try {
        await eventually('programs know the new index', async () => (await status()).generation === 2);
        await isUsed();
        await expectPair();
        expect((await indexes())[0]).not.toBe(before);
        expect(await plane.ask<Report>('apply', { table: table('computed') })).toMatchObject({
          total: 0,
          generation: 2,
        });
        await plane.close();
      } finally {
        await scene.host.ip('link del taken');
      }
    });

    it('is a problem while its name is taken, and comes when that is free', async () => {
      await behindItsBack(`link del ${near}`, `link add ${far} type bridge`);
      try {
        const subject = `device ${near}`;
        await eventually('that is told', async () =>
          (await status()).problems.some((problem) => problem.subject === subject),
        );
      } finally {
        await scene.host.ip(`link del ${far}`);
      }
      await isUsed();
      expect((await status()).problems).toEqual([]);
      await plane.close();
    });
  });

  it.each(['segmenter add', 'segmenter offloads', 'segmenter up', 'switch:links'])(
    'a process that is killed before "%s" leaves what the next one finishes, and `down` undoes',
    async (killAt) => {
      for (const finish of [true, false]) {
        const plane = scene.worker();
        await plane.open(scene.options, killAt);
        await expect(plane.ask('apply', { table: table('computed') })).rejects.toMatchObject({ code: 'ended' });
        if (finish) {
          await scene.settle(table('computed'));
          await expectPair();
        }
        await scene.down();
        expect(await ends()).toEqual([]);
        expect(existsSync(`${scene.stateDir}/host-changes.json`)).toBe(false);
      }
    },
  );

  it('`down`, killed before it removes the pair, is finished by a second one', async () => {
    await scene.settle(table('computed'));
    const plane = scene.worker();
    await expect(plane.ask('down', { options: scene.options, killAt: 'down:pairs' })).rejects.toMatchObject({
      code: 'ended',
    });
    expect(await ends()).toHaveLength(2);
    expect(await scene.down()).toMatchObject({ pairs: 1 });
    expect(await ends()).toEqual([]);
  });
});
