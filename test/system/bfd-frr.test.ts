/** BFD with a peer that nobody here wrote: FRR's bfdd. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab, type Namespace } from '../support/hosts.ts';
import { FrrBfd } from '../support/peers/frr-bfd.ts';
import { Probes } from '../support/probes.ts';

const INTERVAL = 100;
const OURS = { 4: '192.0.2.1', 6: '2001:db8::1' } as const;
const THEIRS = { 4: '192.0.2.9', 6: '2001:db8::9' } as const;

let lab: Lab;
let wire: Namespace;
let host: Namespace;
let frr: FrrBfd;

async function eventually(what: string, holds: () => Promise<boolean>, tries = 100): Promise<void> {
  for (let i = 0; i < tries; i++) {
    if (await holds()) return;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`never: ${what}`);
}

beforeAll(async () => {
  lab = new Lab('mwbfd');
  wire = await lab.wire();
  host = await lab.namespace('host');
  const peer = await lab.namespace('peer');
  await lab.plug(wire, host, 'host', [OURS[4], OURS[6]]);
  await lab.plug(wire, peer, 'peer', [THEIRS[4], THEIRS[6]]);
  frr = await FrrBfd.start(peer);
}, 60_000);

afterAll(() => lab?.close());

const FAMILIES = [4, 6] as const;

test('up, down on loss, AdminDown both ways, and up again, over IPv4 and IPv6', async () => {
  const probes = new Probes(host);
  const ids = FAMILIES.map((family) => `ip${family}`);
  const all = <T>(each: (id: string, family: 4 | 6) => Promise<T>): Promise<T[]> =>
    Promise.all(FAMILIES.map((family) => each(`ip${family}`, family)));
  const theirs = (status: string) => async () =>
    (await Promise.all(FAMILIES.map((family) => frr.status(OURS[family])))).every((one) => one?.status === status);
  /** Both sessions become that, after what they were. */
  const become = (state: string, seen: ReadonlyMap<string, number>) =>
    all((id) => probes.change(id, state, seen.get(id) ?? 0));
  const seen = () => new Map(ids.map((id) => [id, probes.changes(id).length]));
  const set = async () => {
    for (const family of FAMILIES) await frr.set({ address: OURS[family], interval: INTERVAL });
  };
  await probes.ask('start');
  await probes.set(
    ...FAMILIES.map((family) => ({
      id: `ip${family}`,
      kind: 'bfd' as const,
      local: OURS[family],
      remote: THEIRS[family],
      interval: INTERVAL,
    })),
  );
  await set();
  await become('up', new Map());
  await eventually('FRR says up', theirs('up'));
  // polls have been answered both ways: the peer works with our interval, and we with its
  await eventually('the intervals are agreed on', async () => {
    const { statuses } = await probes.ask<{ statuses: Record<string, { detectionMs: number }> }>('look');
    const status = await Promise.all(FAMILIES.map((family) => frr.status(OURS[family])));
    return (
      status.every((one) => one?.['remote-transmit-interval'] === INTERVAL && one['remote-detect-multiplier'] === 3) &&
      Object.values(statuses).every(({ detectionMs }) => detectionMs === 3 * INTERVAL)
    );
  });
  // The event loop of the daemon stands still for longer than the detection time: nobody notices.
  const quiet = probes.changes().length;
  await probes.ask('busy', { ms: 1000 });
  expect(probes.changes().length).toBe(quiet);
  expect(await theirs('up')()).toBe(true);

  let before = seen();
  const cut = Date.now();
  await wire.ip('link set p-peer down');
  for (const down of await become('down', before)) {
    console.log(`${down.changed}: down ${down.since - cut} ms after the cut, told after ${down.at - cut} ms`);
    expect(down).toMatchObject({ diagnostic: 1, expired: 1 });
  }
  await eventually('FRR says down', theirs('down'));
  before = seen();
  await wire.ip('link set p-peer up');
  await become('up', before);
  await eventually('FRR says up again', theirs('up'));

  before = seen();
  for (const family of FAMILIES) await frr.shutdown({ address: OURS[family], interval: INTERVAL });
  for (const down of await become('down', before)) {
    expect(down).toMatchObject({ remoteState: 'admin-down', diagnostic: 3, expired: 1 });
  }
  before = seen();
  await set();
  await become('up', before);
  await eventually('FRR is back', theirs('up'));

  // We end: the peer is told, and does not have to find out.
  await probes.ask('close');
  for (const family of FAMILIES) {
    expect(await frr.status(OURS[family])).toMatchObject({
      status: 'down',
      diagnostic: 'neighbor signaled session down',
    });
  }
  await probes.process.stop();
}, 60_000);

test('over several hops (RFC 5883)', async () => {
  const probes = new Probes(host);
  await probes.ask('start', { hops: 3 });
  await probes.set({ id: 'far', kind: 'bfd', local: OURS[4], remote: THEIRS[4], interval: INTERVAL });
  const peer = { address: OURS[4], local: THEIRS[4], interval: INTERVAL, multihop: true };
  await frr.set(peer);
  await probes.change('far', 'up');
  await frr.shutdown(peer);
  expect(await probes.change('far', 'down', probes.changes().length - 1)).toMatchObject({ remoteState: 'admin-down' });
  await probes.ask('close');
}, 30_000);

test('a port that another process has is named, and taken as soon as it is free', async () => {
  const first = new Probes(host);
  await first.ask('start');
  const session = { id: 'frr', kind: 'bfd', local: OURS[4], remote: THEIRS[4], interval: INTERVAL } as const;
  await first.set(session);
  await frr.set({ address: OURS[4], interval: INTERVAL });
  await first.change('frr', 'up');
  const second = new Probes(host);
  await second.ask('start');
  await second.set(session);
  await eventually('the second complains', async () => second.problems().length > 0);
  expect(second.problems()).toEqual([
    expect.objectContaining({ code: 'ERR_MW_BUSY', message: expect.stringContaining('3784') }),
  ]);
  expect(second.changes()).toEqual([]);
  await first.ask('close');
  await second.change('frr', 'up');
  expect(second.problems()).toHaveLength(1);
  await second.ask('close');
}, 30_000);
