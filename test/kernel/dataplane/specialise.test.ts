/**
 * Programs are made for what the plan contains. A plan of another shape is in force at once, by the programs that are right for any;
 * those for it come behind, in place, and no frame is lost meanwhile.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { DataplaneStatus } from '../../../src/dataplane/index.ts';
import { frame as frameOf } from '../../support/packet.ts';
import { tcProgramsOn } from '../../support/pinned-maps.ts';
import type { Plane } from '../../support/plane.ts';
import type { TableObject } from '../../support/table-object.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

const TIMEOUT = 60_000;
const SOON = { specialiseAfterMs: 1000 };
/** Switches and removals wait for nothing: the whole of the test's patience. */
const PATIENCE_MS = 20_000;

/** One VXLAN network with IPv4 alone; with `other` a Geneve network beside it, whose only port is here. */
function table(other: boolean): TableObject & { mapwire: 1 } {
  const base = twoHosts(1);
  const plain = (name: string) => ({
    ...base.ports[name]!,
    macs: [],
    allow: [],
    ips: base.ports[name]!.ips!.slice(0, 1),
  });
  return {
    ...base,
    networks: { ...base.networks, ...(other && { green: { encap: 'geneve', segment: 6001 } }) },
    ports: {
      'web-1': plain('web-1'),
      'far-0': plain('far-0'),
      ...(other && {
        'web-2': { network: 'green', mac: '02:00:00:00:00:02', at: [{ node: 'a', interface: 'p2' }] },
        'far-1': { network: 'green', mac: '02:00:00:00:00:03', at: [{ node: 'b' }] },
      }),
    },
  };
}

const hex = (text: string): string => Buffer.from(frameOf(text)).toString('hex');
const BLUE = hex('eth 02:00:00:00:00:01>02:00:00:01:00:00 | ip4 10.1.0.1>10.2.0.0 | udp 1000>2000 | data 18');

describe('programs for a plan', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.create();
  });
  beforeEach(() => scene.reset());
  afterAll(() => scene.close());

  const programs = async (plane: Plane): Promise<DataplaneStatus['programs']> =>
    (await plane.ask<DataplaneStatus>('status')).programs;

  async function until(what: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + PATIENCE_MS;
    while (!(await what())) {
      if (Date.now() > end) throw new Error('it does not come about');
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  const loaded = (): Promise<number> => tcProgramsOn(scene.mapPath('port'));

  it.each(['tc', 'xdp'] as const)(
    'are replaced in place when its shape changes (%s)',
    { timeout: TIMEOUT },
    async (hook) => {
      const plane = scene.worker();
      await plane.open({ ...scene.options, ...SOON, hook });
      await plane.ask('apply', { table: table(false) });
      await plane.ask('hops');
      const links = Object.keys(await scene.attached()).sort();
      expect(await programs(plane)).toEqual({ made: 'plan', encaps: ['vxlan'], features: [] });
      const before = scene.generations();
      // those that are right for any plan: two more for TC
      await until(async () => (await loaded()) === 4);
      expect(scene.generations()).toEqual(before);

      const report = await plane.ask<Report>('edit', { table: table(true) });
      expect(report).not.toHaveProperty('switched');
      expect((await programs(plane)).made).toBe('meanwhile');
      expect(await plane.ask('trace', { port: 'web-1', frame: BLUE })).toMatchObject({ verdict: 'encap' });
      expect(Object.keys(await scene.attached())).toEqual(expect.arrayContaining(links));

      await until(async () => (await programs(plane)).made === 'plan');
      expect(await programs(plane)).toEqual({ made: 'plan', encaps: ['vxlan', 'geneve'], features: [] });
      await until(async () => scene.generations().length === 1);
      expect(scene.generations()).not.toEqual(before);
      // a device that came meanwhile gets its hook now
      const wanted = [...links, `${hook} p2`, 'tc p2'];
      await until(async () => {
        const attached = await scene.attached();
        return wanted.every((name) => name in attached);
      });

      // And back: what is loaded is right for less, too, so nothing is in a hurry.
      const shrunk = await plane.ask<Report>('edit', { table: table(false) });
      expect(shrunk).not.toHaveProperty('switched');
      expect((await programs(plane)).made).toBe('plan');
      await until(async () => (await programs(plane)).encaps.length === 1);
      await plane.close();
    },
  );

  it('are the same for any with specialise: off', { timeout: TIMEOUT }, async () => {
    const plane = scene.worker();
    await plane.open({ ...scene.options, ...SOON, specialise: 'off' });
    await plane.ask('apply', { table: table(false) });
    const status = await programs(plane);
    expect(status.made).toBe('generic');
    expect(status.encaps).toHaveLength(6);
    const before = scene.generations();
    await plane.ask<Report>('edit', { table: table(true) });
    expect(scene.generations()).toEqual(before);
    expect(await programs(plane)).toEqual(status);
    await plane.close();
  });
});
