/**
 * What the programs remember of a decision (bpf/front.h) is void with the write that changes it: the first packet behind an edit, a
 * change of a node's state, or a neighbour's other MAC obeys.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { frame as frameOf } from '../../support/packet.ts';
import type { TableObject } from '../../support/table-object.ts';
import { Scene, twoHosts } from './scene.ts';

const TIMEOUT = 60_000;
/** More than it takes until a decision is remembered. */
const ENOUGH = 16;

/** web-1 here, far-0 on b with a standby on c. */
function table(first: string): TableObject & { mapwire: 1 } {
  const base = twoHosts(1);
  const far = base.ports['far-0']!;
  const at = ['b', 'c'].map((node) => ({ node, priority: node === first ? 1 : 2 }));
  return {
    ...base,
    nodes: { ...base.nodes, c: { underlay: '192.0.2.3' } },
    ports: { ...base.ports, 'far-0': { ...far, at } },
  };
}

const FRAME = frameOf('eth 02:00:00:00:00:01>02:00:00:01:00:00 | ip4 10.1.0.1>10.2.0.0 | udp 1000>2000 | data 18');

describe('a remembered decision', () => {
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.create();
    await scene.peer.ip('addr add 192.0.2.3/24 dev eth0');
  });
  afterAll(() => scene.close());

  /** Puts the frame to the pinned program as if it came from p1, so many times. Gives what the last became: outer MAC and address. */
  async function send(times: number): Promise<{ mac: string; ip: string }> {
    const script = `
      const { Program, skbContext } = await import(process.argv[1]);
      const program = Program.openPinned(process.argv[2]);
      const ctx = skbContext({ ifindex: Number(process.argv[3]) });
      const data = new Uint8Array(Buffer.from(process.argv[4], 'hex'));
      let result;
      for (let i = 0; i < Number(process.argv[5]); i++) result = program.testRun({ data, ctx });
      console.log(Buffer.from(result.data).toString('hex'));`;
    const index = JSON.parse((await scene.host.run(['ip', '-j', 'link', 'show', 'p1'])).stdout) as {
      ifindex: number;
    }[];
    const { stdout } = await scene.host.run([
      // one CPU: what is remembered is the CPU's
      ...['taskset', '-c', '0', process.execPath, '--input-type=module', '-e', script],
      new URL('../../../dist/src/libbpf/index.js', import.meta.url).pathname,
      join(scene.pinDir, scene.generations().at(-1)!, 'programs', 'mw_tc_port'),
      `${index[0]!.ifindex}`,
      Buffer.from(FRAME).toString('hex'),
      `${times}`,
    ]);
    const bytes = Buffer.from(stdout.trim(), 'hex');
    return { mac: bytes.subarray(0, 6).toString('hex'), ip: bytes.subarray(30, 34).join('.') };
  }

  it('ends with an edit, with a state, with a neighbour’s MAC, and with the process', {
    timeout: TIMEOUT,
  }, async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table('b') });
    await plane.ask('hops');
    expect((await send(ENOUGH)).ip).toBe('192.0.2.2');
    // Something is remembered: without the port's entry, which nobody told the programs, the frame goes on as before.
    const { stdout } = await scene.host.run(['bpftool', '-j', 'map', 'dump', 'pinned', scene.mapPath('port')]);
    const keys = (JSON.parse(stdout) as { key: string[]; value: string[] }[]).map(({ key, value }) => ({ key, value }));
    const path = scene.mapPath('port');
    for (const { key } of keys) await scene.host.run(['bpftool', 'map', 'delete', 'pinned', path, 'key', ...key]);
    expect((await send(1)).ip).toBe('192.0.2.2');
    for (const { key, value } of keys) {
      await scene.host.run(['bpftool', 'map', 'update', 'pinned', path, 'key', ...key, 'value', ...value]);
    }

    await plane.ask('edit', { table: table('c') });
    expect((await send(1)).ip).toBe('192.0.2.3');
    expect((await send(ENOUGH)).ip).toBe('192.0.2.3');
    await plane.ask('states', { states: { c: 'down' } });
    expect((await send(1)).ip).toBe('192.0.2.2');
    await plane.ask('states', { states: { c: 'up' } });
    expect(await send(ENOUGH)).toEqual({ mac: '02fe00000002', ip: '192.0.2.3' });

    await scene.peer.ip('link set eth0 address 02:fe:00:00:00:09');
    await scene.host.ip('neigh replace 192.0.2.3 lladdr 02:fe:00:00:00:09 dev eth0');
    await plane.ask('hops');
    expect((await send(1)).mac).toBe('02fe00000009');
    expect((await send(ENOUGH)).mac).toBe('02fe00000009');

    await plane.close();
    await scene.settle(table('b'));
    expect((await send(1)).ip).toBe('192.0.2.2');
  });
});
