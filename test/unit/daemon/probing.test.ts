import { describe, expect, test } from 'vitest';
import { nodeDiscriminator, SessionState, type SessionStatus } from '../../../src/bfd/index.ts';
import { IdBook, plan } from '../../../src/compiler/index.ts';
import { Probing, probedNodes, probeOf, sessionsOf } from '../../../src/daemon/probing.ts';
import { tableOf } from '../../support/table-object.ts';

const { ADMIN_DOWN, DOWN, INIT, UP } = SessionState;
const DEFAULTS = { kind: 's-bfd', intervalMs: 300, multiplier: 3 } as const;
const HOLD = 10_000;
const EXPIRED = 1;
const NEIGHBOUR = 3;

function status(state: SessionState, more: Partial<SessionStatus> = {}): SessionStatus {
  return {
    state,
    diagnostic: 0,
    remoteState: DOWN,
    remoteDiagnostic: 0,
    since: 0,
    txMs: 100,
    detectionMs: 300,
    sent: 0,
    received: 0,
    expired: 0,
    ...more,
  };
}

class Desk {
  now = 0;
  readonly said: string[] = [];
  readonly probing = new Probing({
    restartHoldMs: HOLD,
    now: () => this.now,
    say: (node, state) => this.said.push(`${node} ${state}`),
  });

  constructor(kind: 'bfd' | 's-bfd' = 'bfd') {
    this.probing.set([{ id: 'b', kind }]);
  }

  report(state: SessionState, more: Partial<SessionStatus> = {}): string[] {
    this.said.length = 0;
    this.probing.report('b', status(state, more));
    return [...this.said];
  }

  pass(milliseconds: number): string[] {
    this.said.length = 0;
    this.now += milliseconds;
    this.probing.tick();
    return [...this.said];
  }
}

describe('what a session says of its node', () => {
  test('up, and down when nothing came', () => {
    const desk = new Desk();
    expect(desk.report(UP)).toEqual(['b up']);
    expect(desk.report(DOWN, { diagnostic: EXPIRED })).toEqual(['b down']);
    expect(desk.probing.due).toBe(Number.POSITIVE_INFINITY);
  });

  test('a node that was never heard is what it was, until the hold is over', () => {
    const desk = new Desk();
    expect(desk.report(DOWN)).toEqual([]);
    expect(desk.probing.due).toBe(HOLD);
    desk.now = HOLD / 2;
    expect(desk.report(INIT)).toEqual([]);
    expect(desk.report(DOWN, { diagnostic: EXPIRED })).toEqual([]);
    expect(desk.pass(HOLD / 2 - 1)).toEqual([]);
    expect(desk.pass(1)).toEqual(['b down']);
    expect(desk.report(UP)).toEqual(['b up']);
  });

  test('AdminDown changes nothing, nor does the silence behind it', () => {
    const desk = new Desk();
    desk.report(UP);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR, remoteState: ADMIN_DOWN })).toEqual([]);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR })).toEqual([]);
    expect(desk.pass(100 * HOLD)).toEqual([]);
    // it is back, and dies
    expect(desk.report(INIT)).toEqual([]);
    expect(desk.report(UP)).toEqual(['b up']);
    expect(desk.report(DOWN, { diagnostic: EXPIRED })).toEqual(['b down']);
  });

  test('of S-BFD, the silence behind AdminDown is a failure: its data plane does not stop with its daemon', () => {
    const desk = new Desk('s-bfd');
    desk.report(UP);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR, remoteState: ADMIN_DOWN })).toEqual([]);
    expect(desk.report(DOWN, { diagnostic: EXPIRED })).toEqual(['b down']);
  });

  test('a peer that was killed and began anew has the hold to come up', () => {
    const desk = new Desk();
    desk.report(UP);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR })).toEqual([]);
    expect(desk.pass(HOLD - 1)).toEqual([]);
    expect(desk.report(INIT)).toEqual([]);
    expect(desk.report(UP)).toEqual(['b up']);
    expect(desk.pass(HOLD)).toEqual([]);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR })).toEqual([]);
    expect(desk.pass(HOLD)).toEqual(['b down']);
  });

  test('a peer that does not hear us is down at once', () => {
    const desk = new Desk();
    desk.report(UP);
    expect(desk.report(DOWN, { diagnostic: NEIGHBOUR, remoteDiagnostic: EXPIRED })).toEqual(['b down']);
  });

  test('sessions that are not wanted any more say nothing', () => {
    const desk = new Desk();
    desk.report(DOWN);
    desk.probing.set([]);
    expect(desk.probing.has('b')).toBe(false);
    expect(desk.report(UP)).toEqual([]);
    expect(desk.pass(HOLD)).toEqual([]);
    // the same again keeps what is known
    desk.probing.set([{ id: 'b', kind: 'bfd' }]);
    desk.report(UP);
    desk.probing.set([{ id: 'b', kind: 'bfd' }]);
    expect(desk.report(DOWN, { diagnostic: EXPIRED })).toEqual(['b down']);
  });
});

describe('who is probed', () => {
  const table = tableOf({
    nodes: {
      a: { underlay: ['2001:db8::1', '192.0.2.1'] },
      b: { underlay: ['2001:db8::2', '192.0.2.2'] },
      c: { underlay: '192.0.2.3', probe: { kind: 'bfd', interval: '1s' } },
      d: { underlay: '192.0.2.4', probe: 'none' },
      e: { underlay: '192.0.2.5', kind: 'foreign' },
      f: { underlay: '192.0.2.6', kind: 'foreign', probe: { kind: 'bfd', multiplier: 5 } },
      elsewhere: { underlay: '192.0.2.7' },
    },
    networks: { blue: { segment: 1 }, red: { segment: 2 } },
    ports: Object.fromEntries(
      ['a', 'b', 'b', 'c', 'd', 'e', 'f', 'elsewhere'].map((node, i) => [
        `p${i}`,
        {
          network: node === 'elsewhere' ? 'red' : 'blue',
          mac: `02:00:00:00:00:0${i}`,
          at: [{ node, ...(node === 'a' && { interface: 'tap0' }) }],
        },
      ]),
    ),
  });

  test('by table and configuration; foreign nodes only where the table says so', () => {
    const of = (node: string) => probeOf(table.nodes.get(node)!, DEFAULTS);
    expect(of('b')).toEqual(DEFAULTS);
    expect(of('c')).toEqual({ kind: 'bfd', intervalMs: 1000, multiplier: 3 });
    expect([of('d'), of('e')]).toEqual([undefined, undefined]);
    expect(of('f')).toEqual({ kind: 'bfd', intervalMs: 300, multiplier: 5 });
    expect(probedNodes(table.nodes.values(), 'a', DEFAULTS)).toEqual(new Set(['b', 'c', 'f', 'elsewhere']));
    expect(probedNodes(table.nodes.values(), 'a', { ...DEFAULTS, kind: 'none' })).toEqual(new Set(['c', 'f']));
  });

  test('a session a node with ports in our networks, from and to the addresses of their tunnels', () => {
    const specs = sessionsOf(plan(table, 'a', new IdBook()).peers(), table.nodes, DEFAULTS);
    expect(specs.map(({ id, kind, remote, local }) => [id, kind, remote.at(-1), local.at(-1), local[10]])).toEqual([
      ['b', 's-bfd', 2, 1, 0],
      ['c', 'bfd', 3, 1, 0xff],
      ['f', 'bfd', 6, 1, 0xff],
    ]);
    expect(specs[0]).toMatchObject({ intervalUs: 300_000, multiplier: 3, remoteDiscriminator: nodeDiscriminator('b') });
  });
});
