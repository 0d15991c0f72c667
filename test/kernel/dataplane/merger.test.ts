/** The VXLAN device whose socket makes the kernel merge TCP that comes by VXLAN. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mergerName } from '../../../src/dataplane/merger.ts';
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

function table(encap: 'vxlan' | 'geneve', port: object = {}): TableObject & { mapwire: 1 } {
  return {
    mapwire: 1,
    nodes: { a: { underlay: '192.0.2.1' }, b: { underlay: '192.0.2.2' } },
    networks: { blue: { encap, segment: 5001 } },
    ports: {
      'web-1': {
        network: 'blue',
        mac: '02:00:00:00:00:01',
        ips: ['10.1.0.1'],
        at: [{ node: 'a', interface: 'p1' }],
        ...port,
      },
      far: { network: 'blue', mac: '02:00:00:00:00:03', ips: ['10.1.0.3'], at: [{ node: 'b' }] },
    },
  };
}

interface VxlanLine {
  readonly ifname: string;
  readonly flags: readonly string[];
  readonly linkinfo: { readonly info_data: { readonly id: number; readonly port: number; readonly learning: boolean } };
}

async function devices(): Promise<VxlanLine[]> {
  const { stdout } = await scene.host.run(['ip', '-d', '-j', 'link', 'show', 'type', 'vxlan']);
  return (JSON.parse(stdout || '[]') as Partial<VxlanLine>[]).filter((line): line is VxlanLine => !!line.ifname);
}

async function merging(device: string): Promise<boolean> {
  return (await scene.host.run(['ethtool', '-k', device])).stdout.includes('generic-receive-offload: on');
}

describe('the merger', () => {
  it('is there, up and open, while a VXLAN network is; the underlay merges; `down` leaves nothing', async () => {
    const before = await merging('eth0');
    await scene.settle(table('vxlan'));
    const [device, ...others] = await devices();
    expect(others).toEqual([]);
    expect(device).toMatchObject({
      ifname: mergerName(scene.pinDir, 4789, 4),
      flags: expect.arrayContaining(['UP']),
      linkinfo: { info_data: { port: 4789, learning: false } },
    });
    expect((await scene.host.run(['ss', '-lunH', 'sport = :4789'])).stdout).toContain(':4789');
    expect(await merging('eth0')).toBe(true);
    // Again, by a second process: nothing changes.
    await scene.settle(table('vxlan'));
    expect(await devices()).toEqual([device]);
    expect(await scene.down()).toMatchObject({ devices: 1 });
    expect(await devices()).toEqual([]);
    expect(await merging('eth0')).toBe(before);
  });

  it('follows plan, port and `unknown-segment`', async () => {
    await scene.settle(table('geneve'));
    expect(await devices()).toEqual([]);
    const ports = { vxlan: 4799, 'vxlan-gpe': 4790, geneve: 6081, lisp: 4341 };
    await scene.settle(table('vxlan'), { ports });
    expect((await devices()).map(({ ifname }) => ifname)).toEqual([mergerName(scene.pinDir, 4799, 4)]);
    await scene.settle(table('vxlan'));
    expect((await devices()).map(({ ifname }) => ifname)).toEqual([mergerName(scene.pinDir, 4789, 4)]);
    await scene.settle(table('vxlan'), { unknownSegment: 'stack' });
    expect(await devices()).toEqual([]);
  });

  it('goes while a guest may pass on what it gets, by edit too', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table('vxlan') });
    expect(await devices()).toHaveLength(1);
    for (const port of [{ role: 'router' }, { allow: ['10.9.0.0/24'] }]) {
      await plane.ask('edit', { table: table('vxlan', port) });
      expect(await devices(), JSON.stringify(port)).toEqual([]);
      await plane.ask('edit', { table: table('vxlan') });
      expect(await devices()).toHaveLength(1);
    }
    await plane.close();
    await scene.settle(table('vxlan'), { guard: 'mac' });
    expect(await devices()).toEqual([]);
  });

  it('that a killed process left is adopted, and `down` removes it', async () => {
    const plane = scene.worker();
    await plane.open(scene.options, 'merger add');
    await expect(plane.ask('apply', { table: table('vxlan') })).rejects.toThrow('ended');
    await scene.settle(table('vxlan'));
    expect(await devices()).toHaveLength(1);
    const again = scene.worker();
    await again.open(scene.options, 'merger remove');
    await expect(again.ask('apply', { table: table('geneve') })).rejects.toThrow('ended');
    expect(await devices()).toHaveLength(1);
    expect(await scene.down()).toMatchObject({ devices: 1 });
    expect(await devices()).toEqual([]);
  });

  it('leaves another VXLAN device its port', async () => {
    await scene.host.ip('link add vx9 type vxlan external dstport 4789', 'link set vx9 up');
    try {
      await scene.settle(table('vxlan'));
      expect((await devices()).map(({ ifname }) => ifname)).toEqual(['vx9']);
      expect(await scene.down()).toMatchObject({ devices: 0 });
    } finally {
      await scene.host.ip('link del vx9');
    }
  });
});
