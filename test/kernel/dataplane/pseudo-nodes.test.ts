/** Multicast groups and the wire stand among the nodes: their ids are found again, and nobody else gets them. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NODE_WIRE } from '../../../src/generated/layout.ts';
import type { TableObject } from '../../support/table-object.ts';
import { Scene, twoHosts } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
});

afterAll(async () => {
  await scene.close();
});

/** Host `a` with a network that floods to a group, and a flat one. */
function table(group: string, more: TableObject['nodes'] = {}): TableObject {
  return {
    nodes: { ...twoHosts().nodes, ...more },
    networks: {
      casts: { encap: 'geneve', segment: 7, flood: 'multicast', group },
      wire: { encap: 'flat', segment: 30 },
    },
    ports: {
      one: { network: 'casts', mac: '02:00:00:00:00:01', at: [{ node: 'a', interface: 'p1' }] },
      two: { network: 'wire', mac: '02:00:00:00:00:02', at: [{ node: 'a', interface: 'p2' }] },
      far: { network: 'casts', mac: '02:00:00:00:00:03', at: [{ node: 'b' }] },
    },
  };
}

const nodes = async (): Promise<{ id: number; remote: string }[]> => {
  const entries = (await scene.dumpMap('node')).map((text) => JSON.parse(text).formatted);
  const all = entries.map(({ key, value }) => ({ id: key, remote: value.remote.slice(12).join('.') }));
  // Without that of this node, which nothing is sent to.
  return all.filter(({ id, remote }) => id === NODE_WIRE || remote !== '0.0.0.0');
};

describe('pseudo nodes', () => {
  it('keep their ids when the data plane starts again, and nothing is written', async () => {
    await scene.settle(table('239.1.1.1'));
    const before = await nodes();
    expect(before.map(({ remote }) => remote).sort()).toEqual(['0.0.0.0', '192.0.2.2', '239.1.1.1']);
    expect(before.find(({ remote }) => remote === '0.0.0.0')?.id).toBe(NODE_WIRE);
    const maps = await scene.dumpAll();
    const again = await scene.settle(table('239.1.1.1'));
    expect(again).toMatchObject({ total: 0, writes: {} });
    expect(await scene.dumpAll()).toEqual(maps);
  });

  it('leave their ids to nobody at once: not to another group, nor to a node', async () => {
    const before = new Set((await nodes()).map(({ id }) => id));
    await scene.settle(table('239.1.1.2', { c: { underlay: '192.0.2.3' } }));
    const after = await nodes();
    const fresh = after.find(({ remote }) => remote === '239.1.1.2');
    expect(fresh).toBeDefined();
    expect(before.has(fresh?.id ?? 0)).toBe(false);
    expect(after.map(({ remote }) => remote).sort()).toEqual(['0.0.0.0', '192.0.2.2', '239.1.1.2']);
  });
});
