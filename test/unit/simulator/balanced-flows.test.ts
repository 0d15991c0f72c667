/** Flows to a balanced address when members die, drain and are removed: who gets which flow, asked of the model packet by packet. */
import { beforeAll, describe, expect, test } from 'vitest';
import { defaultEnvironment } from '../../../src/simulator/default-environment.ts';
import { simulate } from '../../../src/simulator/simulate.ts';
import { World } from '../../../src/simulator/world.ts';
import { tableFromObject } from '../../../src/table/index.ts';
import type { NodeState, Table } from '../../../src/table/model.ts';
import { frame } from '../../support/packet.ts';

const MEMBERS = Array.from({ length: 10 }, (_, i) => `m${i}`);
const FLOWS = 5_000;
const MAC = '02:00:00:00:0a:01';
const CLIENT = '02:00:00:00:00:01';

/** Member i is alone on node i. */
function tableOf(members: readonly string[], weight: (member: string) => number = () => 1, slots = 4093): Table {
  const nodes = Object.fromEntries(MEMBERS.map((name, i) => [name, { underlay: `192.0.2.${i + 10}` }]));
  const ports = Object.fromEntries(
    MEMBERS.map((name, i) => [
      name,
      { network: 'blue', mac: `02:00:00:00:01:0${i}`, ips: [`10.1.0.${i + 10}`], at: [{ node: name }] },
    ]),
  );
  return tableFromObject({
    nodes: { self: { underlay: '192.0.2.1' }, ...nodes },
    networks: { blue: { segment: 5001 } },
    ports: {
      client: { network: 'blue', mac: CLIENT, ips: ['10.1.0.1'], at: [{ node: 'self', interface: 'p' }] },
      ...ports,
    },
    addresses: {
      web: {
        ...{ network: 'blue', mac: MAC, ips: ['10.1.0.100'], slots },
        members: members.map((port) => ({ port, weight: weight(port) })),
      },
    },
  });
}

/** The member of each flow: TCP from a port of its own. */
function servers(table: Table, states: ReadonlyMap<string, NodeState> = new Map()): (string | undefined)[] {
  const world = new World(table, { ...defaultEnvironment(table, 'self'), states });
  return Array.from({ length: FLOWS }, (_, flow) => {
    const bytes = frame(`eth ${CLIENT}>${MAC} | ip4 10.1.0.1>10.1.0.100 | tcp ${1024 + flow}>443`);
    return simulate({ world, hook: 'tc', program: 'port', device: 'p', frame: bytes }).record.port;
  });
}

/** Flows that another member has than before. */
function moved(before: readonly (string | undefined)[], after: readonly (string | undefined)[]): number[] {
  return before.flatMap((member, flow) => (after[flow] === member ? [] : [flow]));
}

describe('of ten members', () => {
  let before: (string | undefined)[];
  beforeAll(() => {
    before = servers(tableOf(MEMBERS));
    expect(new Set(before)).toEqual(new Set(MEMBERS));
  });

  test.each(['down', 'drain'] as const)(
    'one whose node is %s moves its own flows and no other, to all others',
    (state) => {
      for (const gone of ['m0', 'm4', 'm9']) {
        const after = servers(tableOf(MEMBERS), new Map([[gone, state]]));
        const flows = moved(before, after);
        expect(new Set(flows.map((flow) => before[flow]))).toEqual(new Set([gone]));
        expect(after).not.toContain(gone);
        expect(new Set(flows.map((flow) => after[flow]))).toEqual(new Set(MEMBERS.filter((member) => member !== gone)));
      }
    },
  );

  test('two that die move theirs and no other', () => {
    const states = new Map<string, NodeState>([
      ['m2', 'down'],
      ['m7', 'down'],
    ]);
    const after = servers(tableOf(MEMBERS), states);
    expect(new Set(moved(before, after).map((flow) => before[flow]))).toEqual(new Set(['m2', 'm7']));
    expect(after.every((member) => member !== undefined && !states.has(member))).toBe(true);
  });

  test('the last one that lives, or is not drained, has all, however little its weight is', () => {
    const table = tableOf(MEMBERS, (member) => (member === 'm3' ? 1 : 30), 32749);
    for (const state of ['down', 'drain'] as const) {
      const states = new Map<string, NodeState>(
        MEMBERS.filter((member) => member !== 'm3').map((member) => [member, state]),
      );
      expect(new Set(servers(table, states))).toEqual(new Set(['m3']));
    }
  });

  test('one that is removed, or added, moves under 1.5 / N of all', () => {
    for (const gone of ['m0', 'm4', 'm9']) {
      const after = servers(tableOf(MEMBERS.filter((member) => member !== gone)));
      const flows = moved(before, after);
      const own = before.filter((member) => member === gone).length;
      expect(flows.length).toBeGreaterThanOrEqual(own);
      expect(flows.length).toBeLessThan((1.5 * FLOWS) / MEMBERS.length);
    }
  });
});
