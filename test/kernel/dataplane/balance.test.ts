/** Balanced addresses in the kernel's maps: what is written when, counted, and that ids are found again. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../support/process.ts';
import type { AddressObject, TableObject } from '../../support/table-object.ts';
import { type Report, Scene, twoHosts } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(async () => {
  await scene.close();
});

afterEach(async () => {
  await scene.reset();
});

const web: AddressObject = {
  network: 'blue',
  mac: '02:00:00:00:0b:01',
  ips: ['10.1.0.100', 'fd00:1::100'],
  members: [{ port: 'web-1', weight: 3 }, { port: 'far-0' }, { port: 'far-1' }],
};
const dns: AddressObject = { ...web, mac: '02:00:00:00:0b:02', ips: ['10.1.0.53'], members: [{ port: 'far-2' }] };

function table(addresses: TableObject['addresses'] = { web, dns }): TableObject {
  return { ...twoHosts(), addresses };
}

/** Ids of the addresses, by their MACs. */
async function ids(): Promise<Record<string, number>> {
  type Shown = { formatted: { value: { port: number; mac: (string | number)[]; flags: number } } };
  const found: Record<string, number> = {};
  for (const text of await scene.dumpMap('mac')) {
    const { port, mac, flags } = (JSON.parse(text) as Shown).formatted.value;
    if (flags === 1) found[mac.map((byte) => Number(byte).toString(16).padStart(2, '0')).join(':')] = port;
  }
  return found;
}

async function differences(before: Record<string, string[]>): Promise<string[]> {
  const after = await scene.dumpAll();
  return Object.keys(after).filter(
    (map) => map !== 'meta' && JSON.stringify(after[map]) !== JSON.stringify(before[map]),
  );
}

describe('balanced addresses', () => {
  it('are one entry of each map that names them; members here may send from them', async () => {
    const report = await scene.settle(table());
    expect(report.writes).toMatchObject({ balance: 2, mac: 7, ip4: 7, ip6: 2, allow4: 2, allow6: 1 });
    expect(Object.keys(await ids()).sort()).toEqual([web.mac, dns.mac]);
  });

  it('are found again with their ids, whatever they are called by then, and nothing is written', async () => {
    await scene.settle(table());
    const [before, maps] = [await ids(), await scene.dumpAll()];
    // in another order and by other names: who is who, the kernel tells
    const again = await scene.settle(table({ other: dns, renamed: web }));
    expect(again).toMatchObject({ total: 0, writes: {} });
    expect(await ids()).toEqual(before);
    expect(await scene.dumpAll()).toEqual(maps);
  });

  it('write their own table of slots, and nothing else, when a weight or a state changes: seen by strace', async () => {
    const log = `${scene.stateDir}/strace`;
    const plane = scene.worker(['strace', '-f', '-qq', '-e', 'trace=bpf', '-o', log]);
    await plane.open(scene.options);
    await plane.ask('apply', { table: table() });
    await plane.ask('hops');
    for (const members of [
      [{ port: 'web-1', weight: 4 }, { port: 'far-0' }, { port: 'far-1' }],
      [{ port: 'web-1', weight: 4 }, { port: 'far-0', state: 'down' as const }, { port: 'far-1' }],
    ]) {
      const before = await scene.dumpAll();
      const calls = async (): Promise<number> =>
        (await run(['grep', '-c', 'BPF_MAP_UPDATE_ELEM', log], { check: false })).stdout as unknown as number;
      const count = Number(await calls());
      const report = await plane.ask<Report>('edit', { table: table({ web: { ...web, members }, dns }) });
      expect(report).toMatchObject({ total: 1, writes: { balance: 1 } });
      expect(await differences(before)).toEqual(['balance']);
      // one write of the map; the list was filled before anybody could see it
      expect(Number(await calls()) - count).toBe(1);
    }
    await plane.close();
  });

  it('write nothing when a member only moves to where it makes no difference', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table() });
    const moved = table();
    (moved.ports as Record<string, object>)['far-2'] = { ...moved.ports['far-2'], at: [{ node: 'b', priority: 2 }] };
    const report = await plane.ask<Report>('edit', { table: moved });
    expect(report.writes).toEqual({ port: 1 });
    await plane.close();
  });

  it('take an address over from a port, and give it back, without a moment in which it is nobody’s', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table() });
    const owned = table({ dns });
    (owned.ports as Record<string, object>)['far-0'] = { ...owned.ports['far-0'], ips: ['10.1.0.100'] };
    const report = await plane.ask<Report>('edit', { table: owned });
    // 10.1.0.100 altered, the port's own removed; the other family, the MAC and the slots removed
    expect(report.writes).toMatchObject({ ip4: 2, ip6: 1, mac: 1, balance: 1, allow4: 1, allow6: 1 });
    expect((await scene.dumpMap('ip4')).length).toBe(6);
    const back = await plane.ask<Report>('edit', { table: table() });
    expect(back.writes).toMatchObject({ ip4: 2, ip6: 1, mac: 1, balance: 1 });
    await plane.close();
  });
});
