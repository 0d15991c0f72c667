/**
 * A node's state is one field of one map entry: whatever the number of ports behind it, a change is one write, counted
 * from outside.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mapWrites, underStrace } from '../../support/bpf-trace.ts';
import { frame as frameOf } from '../../support/packet.ts';
import { run } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { ENTRY_MAPS, type Report, Scene, twoHosts } from './scene.ts';

const PORTS = 100_000;
const SECONDS = 1_000;

/** Hosts a, b and c; every port of b has its standby on c. */
function standbys(count: number, states: Readonly<Record<string, string>> = {}): TableObject & { mapwire: 1 } {
  const table = twoHosts(0);
  const ports = table.ports as Record<string, object>;
  for (let i = 0; i < count; i++) {
    const number = i.toString(16).padStart(6, '0');
    ports[`far-${i}`] = {
      network: 'blue',
      mac: `02:00:01:${number.slice(0, 2)}:${number.slice(2, 4)}:${number.slice(4)}`,
      at: [
        { node: 'b', priority: 1 },
        { node: 'c', priority: 2 },
      ],
    };
  }
  const nodes: Record<string, object> = { ...table.nodes, c: { underlay: '192.0.2.3' } };
  for (const [node, state] of Object.entries(states)) nodes[node] = { ...nodes[node], state };
  return { ...table, nodes: nodes as TableObject['nodes'] };
}

/** More than are written in one go. */
const MANY = 12_000;

/** Many nodes with a port each. @param prefix of their addresses */
function manyNodes(prefix: string): TableObject & { mapwire: 1 } {
  const table = standbys(10);
  const nodes: Record<string, object> = { ...table.nodes };
  const ports: Record<string, object> = { ...table.ports };
  for (let n = 0; n < MANY; n++) {
    nodes[`n${n}`] = { underlay: `${prefix}.${n >> 8}.${n & 255}` };
    ports[`on-${n}`] = { network: 'blue', mac: `02:00:02:00:${hex(n >> 8)}:${hex(n & 255)}`, at: { node: `n${n}` } };
  }
  return { ...table, nodes: nodes as TableObject['nodes'], ports: ports as TableObject['ports'] };
}

const hex = (byte: number): string => byte.toString(16).padStart(2, '0');

const frameHex = (text: string): string => Buffer.from(frameOf(text)).toString('hex');

describe('the state of a node', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.create();
  });
  afterAll(() => scene.close());

  const flags = async (): Promise<number[]> => {
    const { stdout } = await run(['bpftool', '-j', 'map', 'dump', 'pinned', scene.mapPath('node')]);
    const entries = JSON.parse(stdout) as { formatted: { value: { flags: number } } }[];
    return entries.map(({ formatted }) => formatted.value.flags).sort();
  };

  it(`of ${PORTS} ports with a standby is one write, and no map but 'node' is touched`, {
    timeout: 300 * SECONDS,
  }, async () => {
    const log = `${scene.stateDir}/strace`;
    const plane = scene.worker(underStrace(log));
    await plane.open(scene.options);
    await plane.ask('apply', { table: standbys(PORTS), ms: 1 });
    await plane.ask('hops', { ms: 1 });
    const untouched = async () => {
      const held: Record<string, string> = {};
      for (const map of ENTRY_MAPS.filter((name) => name !== 'node' && name !== 'mac')) {
        held[map] = (await run(['sh', '-c', `bpftool -j map dump pinned ${scene.mapPath(map)} | sha256sum`])).stdout;
      }
      return held;
    };
    const before = await untouched();
    expect(await flags()).toEqual([0, 0, 0]);
    for (const [states, expected] of [
      [{ b: 'down' }, [0, 0, 1]],
      [{ b: 'drain' }, [0, 0, 8]],
      [{ b: 'drain', a: 'down' }, [0, 1, 8]],
      [{ a: 'down' }, [0, 0, 1]],
      [{ a: 'up' }, [0, 0, 0]],
    ] as const) {
      const start = (await mapWrites(log)).lines.length;
      expect(await plane.ask('states', { states })).toBe(1);
      expect(await flags()).toEqual(expected);
      const fresh = (await mapWrites(log)).lines.slice(start);
      expect(fresh, fresh.join('\n')).toHaveLength(1);
      expect(fresh[0]).toContain('BPF_MAP_UPDATE_ELEM');
    }
    // Said again, and of nodes that nobody knows: nothing.
    expect(await plane.ask('states', { states: { a: 'up', nobody: 'down' } })).toBe(0);
    expect(await untouched()).toEqual(before);
    await plane.close();
    await scene.reset();
  });

  it('is obeyed by the next packet', async () => {
    await scene.peer.ip('addr add 192.0.2.3/24 dev eth0');
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: standbys(10) });
    expect(await plane.ask('hops')).toEqual([]);
    const frame = frameHex('eth 02:00:00:00:00:01>02:00:01:00:00:07 | ip4 10.1.0.1>10.1.0.9 | udp 1>2 | data 18');
    const asked = async () => {
      const { verdict, reason, node } = await plane.ask<Record<string, string>>('trace', { port: 'web-1', frame });
      return node ?? `${verdict} ${reason}`;
    };
    for (const [states, place] of [
      [{}, 'b'],
      [{ b: 'down' }, 'c'],
      [{ b: 'drain' }, 'c'],
      [{ b: 'drain', c: 'drain' }, 'b'],
      [{ b: 'drain', c: 'down' }, 'b'],
      [{ b: 'down', c: 'down' }, 'drop no-locator'],
      [{ b: 'down', c: 'drain' }, 'c'],
      [{ c: 'down' }, 'b'],
    ] as const) {
      await plane.ask('states', { states });
      expect(await asked(), JSON.stringify(states)).toBe(place);
    }
    await plane.close();
    await scene.reset();
  });

  it('from the table is one write, too', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: standbys(100) });
    expect(await flags()).toEqual([0, 0, 0]);
    const report = await plane.ask<Report>('edit', { table: standbys(100, { b: 'down' }) });
    expect(report.writes).toEqual({ node: 1 });
    expect(await flags()).toEqual([0, 0, 1]);
    // What is set beside the table counts before it, for the nodes that it names.
    expect(await plane.ask('states', { states: { b: 'up', c: 'drain' } })).toBe(2);
    expect(await flags()).toEqual([0, 0, 8]);
    expect((await plane.ask<Report>('edit', { table: standbys(100, { b: 'drain', a: 'down' }) })).total).toBe(2);
    expect(await flags()).toEqual([0, 1, 8]);
    // Taken back: the table counts again.
    expect(await plane.ask('states', { states: {} })).toBe(2);
    expect(await flags()).toEqual([0, 1, 8]);
    await plane.close();
    await scene.reset();
  });

  it('does not wait for a plan that is being applied, and is not taken back by it', {
    timeout: 300 * SECONDS,
  }, async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: standbys(10) });
    interface Verdicts {
      readonly said: number;
      readonly wrong: number;
      readonly last: string;
      readonly report: Report;
    }
    const wanted = { down: 1, drain: 8, up: 0 };
    const last = async ({ last }: Verdicts): Promise<void> => {
      expect((await flags()).filter((flag) => flag !== 0)).toEqual(last === 'up' ? [] : [wanted[last as 'down']]);
    };
    // Into the maps that are there, the entry of the node among them: its address changes.
    for (const [count, address] of [
      [1_500, '192.0.2.22'],
      [1_600, '192.0.2.2'],
      [1_700, '192.0.2.22'],
    ] as const) {
      const table = standbys(count);
      const told = await plane.ask<Verdicts>('verdicts', {
        table: { ...table, nodes: { ...table.nodes, b: { underlay: address } } },
        map: scene.mapPath('node'),
      });
      expect(told.report.switched).toBeUndefined();
      expect(told.said).toBeGreaterThan(2);
      expect(told.wrong).toBe(0);
      await last(told);
    }
    // Into new ones, of nodes too.
    const before = scene.mapPath('node');
    const told = await plane.ask<Verdicts>('verdicts', { table: manyNodes('198.18'), map: before });
    expect(told.report.switched).toBeDefined();
    expect(scene.mapPath('node')).not.toBe(before);
    expect(told.said).toBeGreaterThan(2);
    await last(told);
    // Between the writes of a batch that leaves the event loop free.
    let met = 0;
    for (let i = 0; i < 12 && met < 2; i++) {
      const asked = await plane.ask<{ met: boolean; isDown: boolean }>('overtaken', {
        table: manyNodes(i % 2 === 0 ? '198.19' : '198.18'),
        node: `n${MANY - 1}`,
        map: scene.mapPath('node'),
      });
      if (!asked.met) continue;
      met++;
      expect(asked.isDown).toBe(true);
    }
    expect(met).toBeGreaterThan(0);
    await plane.close();
    await scene.reset();
  });

  it('said before the first plan comes into force with it, without a moment of another state', async () => {
    await scene.settle(standbys(3));
    const log = `${scene.stateDir}/strace-start`;
    const plane = scene.worker(underStrace(log));
    await plane.open(scene.options);
    expect(await plane.ask('states', { states: { b: 'down' } })).toBe(0);
    expect((await plane.ask<Report>('apply', { table: standbys(3) })).writes).toEqual({ node: 1 });
    expect(await flags()).toEqual([0, 0, 1]);
    // Over devices and next hops that change, it stays.
    await scene.peer.ip('link set eth0 down');
    await plane.ask('hops', { ms: 1500 });
    await scene.peer.ip('link set eth0 up');
    await plane.ask('hops', { ms: 3000 });
    expect(await flags()).toEqual([0, 0, 1]);
    await plane.close();
    await scene.reset();
  });
});
