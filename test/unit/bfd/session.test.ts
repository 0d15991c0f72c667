import { describe, expect, test } from 'vitest';
import {
  type BfdPacket,
  BfdSession,
  Diagnostic,
  decodePacket,
  encodePacket,
  SessionState,
} from '../../../src/bfd/index.ts';
import { DELAY_MS, seeded, Wire } from './wire.ts';

const { ADMIN_DOWN, DOWN, INIT, UP } = SessionState;

/** A session, and the peer's part played by hand. */
function alone(options: { intervalUs?: number; multiplier?: number } = {}) {
  const session = new BfdSession({
    discriminator: 7,
    intervalUs: 100_000,
    multiplier: 3,
    now: 0,
    random: () => 0,
    ...options,
  });
  const say = (state: SessionState, now: number, more: Partial<BfdPacket> = {}) =>
    session.receive(
      {
        diagnostic: 0,
        state,
        poll: false,
        final: false,
        controlPlaneIndependent: false,
        demand: false,
        multiplier: 3,
        myDiscriminator: 9,
        yourDiscriminator: 7,
        desiredMinTxUs: 100_000,
        requiredMinRxUs: 100_000,
        requiredMinEchoRxUs: 0,
        ...more,
      },
      now,
    );
  return { session, say };
}

/** Brings a session to a state by what RFC 5880 section 6.2 says. */
function inState(state: SessionState) {
  const both = alone();
  if (state === ADMIN_DOWN) both.session.setAdminDown(true, 0);
  if (state === INIT || state === UP) both.say(DOWN, 0);
  if (state === UP) both.say(INIT, 0);
  expect(both.session.state).toBe(state);
  return both;
}

describe('the state machine (RFC 5880 section 6.2)', () => {
  // state, what the peer says: the state that follows
  test.each([
    [DOWN, DOWN, INIT],
    [DOWN, INIT, UP],
    [DOWN, UP, DOWN],
    [DOWN, ADMIN_DOWN, DOWN],
    [INIT, DOWN, INIT],
    [INIT, INIT, UP],
    [INIT, UP, UP],
    [INIT, ADMIN_DOWN, DOWN],
    [UP, DOWN, DOWN],
    [UP, INIT, UP],
    [UP, UP, UP],
    [UP, ADMIN_DOWN, DOWN],
    [ADMIN_DOWN, DOWN, ADMIN_DOWN],
    [ADMIN_DOWN, INIT, ADMIN_DOWN],
    [ADMIN_DOWN, UP, ADMIN_DOWN],
    [ADMIN_DOWN, ADMIN_DOWN, ADMIN_DOWN],
  ] as const)('%i and a peer in %i: %i', (before, said, after) => {
    const { session, say } = inState(before);
    say(said, 1);
    expect(session.state).toBe(after);
  });

  test('silence: Up and Init become Down with diagnostic 1, at the detection time', () => {
    for (const state of [INIT, UP]) {
      const { session, say } = inState(state);
      say(state === INIT ? DOWN : UP, 10, { multiplier: 5, desiredMinTxUs: 200_000 });
      session.run(10 + 999.9);
      expect(session.state).toBe(state);
      session.run(10 + 1000);
      expect(session.status()).toMatchObject({ state: DOWN, diagnostic: Diagnostic.EXPIRED });
      // it forgot the peer's discriminator (section 6.8.1)
      expect(session.say().yourDiscriminator).toBe(0);
    }
  });

  test('what the peer takes down has diagnostic 3', () => {
    const { session, say } = inState(UP);
    say(DOWN, 1);
    expect(session.status()).toMatchObject({ state: DOWN, diagnostic: Diagnostic.NEIGHBOUR_DOWN });
  });
});

describe('timers', () => {
  test('before Up a packet a second at most, then the greater of ours and what the peer can take', () => {
    const { session, say } = alone();
    expect(session.run(0)).toMatchObject({ state: DOWN, desiredMinTxUs: 1_000_000, requiredMinRxUs: 100_000 });
    expect(session.due).toBe(750);
    say(DOWN, 1);
    say(INIT, 2, { requiredMinRxUs: 400_000 });
    expect(session.run(2)).toMatchObject({ state: UP, desiredMinTxUs: 100_000, poll: true });
    expect(session.due).toBe(2 + 0.75 * 400);
  });

  test('jitter takes up to a quarter, and with multiplier 1 at least a tenth (section 6.8.7)', () => {
    for (const [multiplier, low, high] of [
      [3, 75, 100],
      [1, 75, 90],
    ] as const) {
      const random = seeded(multiplier);
      const session = new BfdSession({ discriminator: 7, intervalUs: 100_000, multiplier, now: 0, random });
      const packet = { ...(decodePacket(encodePacket(session.say())) as BfdPacket), yourDiscriminator: 7 };
      const peer = { ...packet, multiplier: 255, desiredMinTxUs: 1e9, requiredMinRxUs: 1 };
      session.receive({ ...peer, state: DOWN }, 0);
      session.receive({ ...peer, state: INIT }, 0);
      const gaps: number[] = [];
      let now = 0;
      session.run(now);
      for (let i = 0; i < 2000; i++) {
        gaps.push(session.due - now);
        now = session.due;
        session.run(now);
      }
      expect(Math.min(...gaps)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...gaps)).toBeLessThanOrEqual(high);
      expect(Math.max(...gaps) - Math.min(...gaps)).toBeGreaterThan((high - low) * 0.9);
    }
  });

  test('a poll is answered at once with F, and ours ends with one', () => {
    const { session, say } = inState(UP);
    expect(say(UP, 1, { poll: true })).toMatchObject({ final: true, poll: false, state: UP });
    expect(session.run(1)).toMatchObject({ poll: true });
    expect(say(UP, 2, { final: true })).toBeUndefined();
    expect(session.run(session.due)).toMatchObject({ poll: false, final: false });
  });

  test('a slower interval is kept to only once the peer knows (section 6.8.3)', () => {
    const { session, say } = inState(UP);
    say(UP, 1, { final: true });
    session.setTimers({ intervalUs: 800_000, multiplier: 4 }, 2);
    expect(session.run(2)).toMatchObject({
      poll: true,
      desiredMinTxUs: 800_000,
      requiredMinRxUs: 800_000,
      multiplier: 4,
    });
    expect(session.status()).toMatchObject({ txMs: 100, detectionMs: 2400 });
    say(UP, 3, { final: true });
    expect(session.status()).toMatchObject({ txMs: 800 });
    // faster: sending at once, but the peer may go on at its pace until it has agreed
    session.setTimers({ intervalUs: 50_000, multiplier: 4 }, 4);
    say(UP, 5, { desiredMinTxUs: 10_000, requiredMinRxUs: 10_000 });
    expect(session.status()).toMatchObject({ txMs: 50, detectionMs: 2400 });
    say(UP, 6, { desiredMinTxUs: 10_000, requiredMinRxUs: 10_000, final: true });
    expect(session.status()).toMatchObject({ txMs: 50, detectionMs: 150 });
  });

  test('a peer that wants none gets none, until it wants some', () => {
    const { session, say } = inState(UP);
    say(UP, 1, { requiredMinRxUs: 0 });
    expect(session.run(1)).toBeUndefined();
    expect(session.run(200)).toBeUndefined();
    say(UP, 201);
    expect(session.run(201)).toMatchObject({ state: UP });
  });

  test('demand mode is refused: packets go on', () => {
    const { session, say } = inState(UP);
    session.run(0);
    say(UP, 1, { demand: true });
    const next = session.run(session.due);
    expect(next).toMatchObject({ demand: false, state: UP });
  });
});

describe('two machines on a wire', () => {
  test('come up, agree on the slower interval, and stay', () => {
    const wire = new Wire(2);
    wire.machines[0]!.set(wire.spec(1, { intervalUs: 100_000 }), 0);
    wire.machines[1]!.set(wire.spec(0, { intervalUs: 300_000, multiplier: 5 }), 0);
    wire.pass(3000);
    expect([wire.state(0, 'n1'), wire.state(1, 'n0')]).toEqual([UP, UP]);
    expect(wire.machines[0]!.status('n1')).toMatchObject({ txMs: 300, detectionMs: 1500, expired: 0 });
    expect(wire.machines[1]!.status('n0')).toMatchObject({ txMs: 300, detectionMs: 900 });
    const changes = wire.changes.length;
    wire.pass(60_000);
    expect(wire.changes.length).toBe(changes);
    const count = wire.sent.filter(({ at, from }) => at > 3000 && from === 0).length;
    expect(count).toBeGreaterThanOrEqual(60_000 / 300);
    expect(count).toBeLessThanOrEqual(60_000 / 225);
  });

  test('a cut is seen within the detection time on both sides, in whichever direction it is', () => {
    for (const cut of ['both', 'there', 'back'] as const) {
      const wire = new Wire(2, 5);
      wire.machines[0]!.set(wire.spec(1), 0);
      wire.machines[1]!.set(wire.spec(0), 0);
      wire.pass(5000);
      wire.passes = (from) => !(cut === 'both' || (cut === 'there') === (from === 0));
      wire.changes.length = 0;
      wire.pass(400);
      const down = wire.changes.filter(({ status }) => status.state === DOWN);
      expect(new Set(down.map(({ host }) => host)), cut).toEqual(new Set([0, 1]));
      for (const { at } of down) expect(at - 5000).toBeLessThanOrEqual(300 + 2 * DELAY_MS + 100);
      const first = down[0]!;
      expect(first.at - 5000).toBeLessThanOrEqual(300 + DELAY_MS);
      expect(first.at - 5000).toBeGreaterThan(200);
      wire.passes = () => true;
      wire.pass(4000);
      expect([wire.state(0, 'n1'), wire.state(1, 'n0')]).toEqual([UP, UP]);
    }
  });

  test('a few lost packets take nothing down', () => {
    const wire = new Wire(2, 9);
    const random = seeded(4);
    let lost = 0;
    // never more than one in a row and direction: a multiplier of 3 bears two
    const row = [0, 0];
    wire.passes = (from) => {
      row[from] = row[from] === 0 && random() < 0.3 ? 1 : 0;
      lost += row[from] as number;
      return row[from] === 0;
    };
    wire.machines[0]!.set(wire.spec(1), 0);
    wire.machines[1]!.set(wire.spec(0), 0);
    wire.pass(10_000);
    wire.changes.length = 0;
    wire.pass(100_000);
    expect(lost).toBeGreaterThan(100);
    expect(wire.changes).toEqual([]);
  });

  test('AdminDown is told, and the way back is open', () => {
    const wire = new Wire(2);
    wire.machines[0]!.set(wire.spec(1), 0);
    wire.machines[1]!.set(wire.spec(0), 0);
    wire.pass(5000);
    wire.machines[0]!.sayAdminDown(wire.now);
    wire.pass(5);
    expect(wire.machines[1]!.status('n0')).toMatchObject({
      state: DOWN,
      remoteState: ADMIN_DOWN,
      diagnostic: Diagnostic.NEIGHBOUR_DOWN,
    });
    // the process is another, with another discriminator
    wire.machines[0] = undefined;
    wire.pass(1000);
    wire.start(0).set(wire.spec(1), wire.now);
    wire.pass(3000);
    expect([wire.state(0, 'n1'), wire.state(1, 'n0')]).toEqual([UP, UP]);
    expect(wire.machines[1]!.status('n0')!.expired).toBe(0);
  });

  test('what came by a router is not looked at, nor what is nobody’s', () => {
    const wire = new Wire(1);
    const machine = wire.machines[0]!;
    machine.set(wire.spec(1), 0);
    wire.pass(200);
    const payload = wire.sent[0]!.packet.payload;
    const from = { kind: 'bfd', remote: wire.spec(1).remote, payload } as const;
    machine.receive({ ...from, ttl: 254 }, wire.now);
    machine.receive({ ...from, ttl: undefined }, wire.now);
    expect(machine.discards).toEqual({ ttl: 2, malformed: 0, unknown: 0 });
    machine.receive({ ...from, ttl: 255, payload: payload.subarray(1) }, wire.now);
    machine.receive({ ...from, ttl: 255, remote: wire.spec(2).remote }, wire.now);
    expect(machine.discards).toEqual({ ttl: 2, malformed: 1, unknown: 1 });
    expect(wire.state(0, 'n1')).toBe(DOWN);
    machine.receive({ ...from, ttl: 255 }, wire.now);
    expect(wire.state(0, 'n1')).toBe(INIT);
    // another's address, and our discriminator
    const stolen = encodePacket({ ...(decodePacket(payload) as BfdPacket), yourDiscriminator: 1, state: DOWN });
    machine.receive({ ...from, ttl: 255, payload: stolen }, wire.now);
    expect(machine.discards.unknown).toBe(2);
    const far = new Wire(2, 1, 4);
    far.machines[0]!.set(far.spec(1), 0);
    far.pass(200);
    expect(far.sent[0]!.packet.port).toBe(4784);
    far.machines[0]!.receive({ ...from, ttl: 251 }, far.now);
    far.machines[0]!.receive({ ...from, ttl: 252 }, far.now);
    expect(far.machines[0]!.discards.ttl).toBe(1);
    expect(far.state(0, 'n1')).toBe(INIT);
  });
});

describe('S-BFD', () => {
  const DISCRIMINATOR = 0xabcd;
  function probing(state: SessionState = UP) {
    const wire = new Wire(1);
    wire.reflectors.set(1, { discriminator: DISCRIMINATOR, state });
    wire.machines[0]!.set(wire.spec(1, { kind: 's-bfd', remoteDiscriminator: DISCRIMINATOR }), 0);
    return wire;
  }

  test('is up with the first answer; what is asked has D, and goes to 7784', () => {
    const wire = probing();
    wire.pass(150);
    expect(wire.state(0, 'n1')).toBe(UP);
    expect(wire.sent[0]!.packet).toMatchObject({ port: 7784 });
    expect(decodePacket(wire.sent[0]!.packet.payload)).toMatchObject({
      demand: true,
      state: DOWN,
      yourDiscriminator: DISCRIMINATOR,
    });
    wire.pass(10_000);
    expect(wire.changes.map(({ status }) => status.state)).toEqual([DOWN, UP]);
    expect(decodePacket(wire.sent.at(-1)!.packet.payload)).toMatchObject({ state: UP, desiredMinTxUs: 100_000 });
  });

  test('silence is seen within three intervals, its end with the first answer', () => {
    for (let seed = 0; seed < 50; seed++) {
      const wire = probing();
      const cutAt = 5000 + 7 * seed;
      wire.until(cutAt);
      wire.passes = () => false;
      wire.pass(1000);
      const change = wire.changes.at(-1)!;
      expect(change.status).toMatchObject({ state: DOWN, diagnostic: Diagnostic.EXPIRED, expired: 1 });
      expect(change.at - cutAt).toBeLessThanOrEqual(300 + 2 * DELAY_MS);
      wire.passes = () => true;
      wire.pass(1100);
      expect(wire.state(0, 'n1')).toBe(UP);
    }
  });

  test('a node that says AdminDown is told apart from one that is silent', () => {
    const wire = probing();
    wire.pass(2000);
    wire.reflectors.get(1)!.state = ADMIN_DOWN;
    wire.pass(150);
    expect(wire.machines[0]!.status('n1')).toMatchObject({ state: DOWN, remoteState: ADMIN_DOWN, expired: 0 });
    wire.reflectors.delete(1);
    wire.pass(500);
    expect(wire.machines[0]!.status('n1')).toMatchObject({ state: DOWN, remoteState: DOWN });
    wire.reflectors.set(1, { discriminator: DISCRIMINATOR, state: UP });
    wire.pass(1100);
    expect(wire.state(0, 'n1')).toBe(UP);
  });

  test('who stood still does not take others for dead', () => {
    const wire = probing();
    wire.pass(2000);
    // stopped for ten seconds: nothing was asked, nothing came
    wire.now += 10_000;
    wire.pass(200);
    expect(wire.state(0, 'n1')).toBe(UP);
    expect(wire.machines[0]!.status('n1')!.expired).toBe(0);
  });

  test('a reflector with another discriminator is none', () => {
    const wire = probing();
    wire.reflectors.get(1)!.discriminator = 1;
    wire.pass(5000);
    expect(wire.state(0, 'n1')).toBe(DOWN);
    expect(wire.sent.length).toBeLessThanOrEqual(8);
  });
});

test('sessions come, change and go', () => {
  const wire = new Wire(2, 3);
  const [a, b] = wire.machines as [NonNullable<(typeof wire.machines)[0]>, NonNullable<(typeof wire.machines)[0]>];
  a.set(wire.spec(1), 0);
  b.set(wire.spec(0), 0);
  wire.pass(4000);
  a.set(wire.spec(1, { intervalUs: 500_000 }), wire.now);
  wire.pass(2000);
  expect(a.status('n1')).toMatchObject({ state: UP, txMs: 500, expired: 0 });
  expect(b.status('n0')).toMatchObject({ state: UP, txMs: 500, expired: 0 });
  a.delete('n1');
  a.delete('n1');
  expect([a.size, a.due]).toEqual([0, Number.POSITIVE_INFINITY]);
  wire.pass(2000);
  expect(wire.state(1, 'n0')).toBe(DOWN);
});
