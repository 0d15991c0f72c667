/**
 * Ports that move between three hosts under a stream of 10,000 packets a second, by the guest's own announcement and by tables:
 * nothing lost with `both`, nothing doubled, otherwise those in flight at most; and news that comes in the wrong order. IPv4 and IPv6,
 * both hooks, UDP, ping and TCP.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, ndjson } from '../support/api.ts';
import { sendFrames } from '../support/frames.ts';
import type { Namespace } from '../support/hosts.ts';
import { guestAddresses, Overlay, type OverlayGuest } from '../support/overlay.ts';
import { frame } from '../support/packet.ts';
import { eventually } from '../support/process.ts';
import { type Arrival, Receiver, startStream } from '../support/stream.ts';
import { PingStream, ping, transfer } from '../support/traffic.ts';

const HOSTS = ['a', 'b', 'c'] as const;
type HostName = (typeof HOSTS)[number];
const PORT = 7000;
const RATE = 10_000;
const COUNT = 15_000;
const UNTIL_STOPPED = 1_000_000;
const MIB = 1 << 20;
const ZERO = '00:00:00:00:00:00';
const BROADCAST = 'ff:ff:ff:ff:ff:ff';
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
/** On the clock of the kernel's time stamps. */
const now = () => BigInt(Math.round((performance.timeOrigin + performance.now()) * 1e6));

interface PortRow {
  readonly port: string;
  readonly at: string[];
  readonly sequence: number | null;
  readonly move: string | null;
}

interface Outcome {
  readonly old: Arrival[];
  readonly new: Arrival[];
  /** When the guest announced itself. */
  readonly announced: bigint;
}

describe.each([
  ['tc', 4],
  ['xdp', 6],
] as const)('hook: %s, underlay: IPv%i', (hook, family) => {
  let overlay: Overlay;
  let client: OverlayGuest;
  const vm = guestAddresses(1, 100);
  /** The same guest on two hosts; it runs on one of them at a time, and listens on both. */
  let places: Record<'b' | 'c', Namespace>;
  /** One guest with a foot on two hosts: its connections go on. */
  let twin: OverlayGuest;
  let sequence = 0;

  const announcements = {
    garp: `eth ${vm.mac}>${BROADCAST} | arp request ${vm.mac} ${vm.ip4} > ${ZERO} ${vm.ip4}`,
    rarp: `eth ${vm.mac}>${BROADCAST} type=0x8035 | data 46`,
    na: `eth ${vm.mac}>33:33:00:00:00:01 | ip6 ${vm.ip6}>ff02::1 hop=255 | na ${vm.ip6} flags=0x20 | opt 2 ${vm.mac}`,
  } as const;

  const port = (at: HostName, more: object = {}) => ({
    network: 'blue',
    mac: vm.mac,
    ips: [vm.ip4, vm.ip6],
    at: [{ node: at, interface: 'vm' }],
    sequence: ++sequence,
    ...more,
  });

  async function place(record: ReturnType<typeof port>): Promise<void> {
    overlay.table.ports.vm = record;
    await overlay.applyTable();
  }

  async function row(on: HostName, id = 'vm'): Promise<PortRow> {
    const rows = await overlay.daemon(on).json<PortRow[]>('ports');
    return rows.find((one) => one.port === id)!;
  }

  /** Moves the guest from `from` to the other place while a stream goes to it. */
  async function migrate(
    from: 'b' | 'c',
    send: 'old' | 'both',
    to: string,
    how: keyof typeof announcements,
  ): Promise<Outcome> {
    const target = from === 'b' ? 'c' : 'b';
    await place(
      port(from, {
        move: { to: { node: target, interface: 'vm' }, send, activate: 'announcement' },
      }),
    );
    const receivers = {
      old: await Receiver.start(places[from], PORT),
      new: await Receiver.start(places[target], PORT),
    };
    const stream = await startStream(client.namespace, to, PORT, RATE, COUNT);
    await pause(500);
    const announced = now();
    await sendFrames(places[target], 'eth0', [frame(announcements[how])]);
    for (const host of HOSTS) {
      await eventually(`${host} heard the guest`, async () => (await row(host)).move?.endsWith(', heard'));
    }
    expect(await stream.exit(), stream.stderr).toBe(0);
    expect(stream.stdout).toMatch(/refused 0/);
    await pause(100);
    const outcome = { old: await receivers.old.stop(), new: await receivers.new.stop(), announced };
    await place(port(target));
    return outcome;
  }

  const numbers = (arrivals: readonly Arrival[]) => arrivals.map(({ number }) => number);
  /** Those of the stream that came nowhere. */
  function lost({ old, new: fresh }: Outcome): number[] {
    const came = new Set([...numbers(old), ...numbers(fresh)]);
    return Array.from({ length: COUNT }, (_, i) => i).filter((i) => !came.has(i));
  }

  function expectNothingDoubled({ old, new: fresh, announced }: Outcome): void {
    expect(new Set(numbers(old)).size).toBe(old.length);
    expect(new Set(numbers(fresh)).size).toBe(fresh.length);
    // The guest runs in one place at a time: it has left the old one when it speaks from the new one.
    const seen = new Set(numbers(old.filter(({ time }) => time < announced - 1_000_000n)));
    expect(numbers(fresh).filter((number) => seen.has(number))).toEqual([]);
  }

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [i, name] of HOSTS.entries()) {
      await overlay.host(name, i + 1);
      overlay.node(name, [family]);
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    client = await overlay.guest('a', 'blue', { n: 1 });
    for (const [i, name] of (['b', 'c'] as const).entries()) await overlay.guest(name, 'blue', { n: 2 + i });
    const options = { mac: vm.mac, addresses: [`${vm.ip4}/24`, `${vm.ip6}/64`] };
    const guest = (host: 'b' | 'c') =>
      overlay.lab.guest(overlay.hosts.get(host)!.namespace, `vm-${host}`, 'vm', options);
    places = { b: await guest('b'), c: await guest('c') };
    overlay.table.ports.vm = port('b');
    twin = await overlay.guest('b', 'blue', { n: 50, port: { sequence: 1 } });
    await overlay.secondFoot('c', twin);
    await overlay.start(HOSTS, { hook });
    await ping(client.namespace, vm.ip4);
    await ping(client.namespace, vm.ip6);
  }, 60_000);

  afterAll(() => overlay?.close());

  test.each([
    ['b', 'ip4', 'garp'],
    ['c', 'ip6', 'na'],
  ] as const)(
    'both, from %s: a stream to %s, moved by %s: none lost, none doubled',
    async (from, ip, how) => {
      const outcome = await migrate(from, 'both', vm[ip], how);
      expect(outcome.new.length).toBeGreaterThan(0);
      expect(outcome.old.length).toBeGreaterThan(0);
      expect(lost(outcome)).toEqual([]);
      expectNothingDoubled(outcome);
      const target = from === 'b' ? 'c' : 'b';
      expect(await row('a')).toMatchObject({ at: [`${target}:5001`], move: null, sequence });
    },
    60_000,
  );

  test.each([['b', 'ip6', 'rarp']] as const)(
    'old, from %s: a stream to %s, moved by %s: those in flight are lost at most, none doubled',
    async (from, ip, how) => {
      const outcome = await migrate(from, 'old', vm[ip], how);
      expectNothingDoubled(outcome);
      const [last, first] = [Math.max(...numbers(outcome.old)), Math.min(...numbers(outcome.new))];
      expect(last).toBeLessThan(first);
      // Nothing but what was on its way to the old place when that heard of the new one.
      expect(lost(outcome).filter((number) => number < last || number > first)).toEqual([]);
      console.info(`${hook}: ${first - last - 1} of ${RATE} a second were in flight`);
    },
    60_000,
  );

  // one a hook: it takes long
  test.each([family === 4 ? (['b', 'ip4'] as const) : (['c', 'ip6'] as const)])(
    'by tables, from %s: a stream to %s: both, new, the end, the new place first: none lost, none doubled',
    async (from, ip) => {
      const target = from === 'b' ? 'c' : 'b';
      const to = { node: target, interface: 'vm' };
      /** In force on one after the other: who answers has written its maps. */
      const say = async (hosts: readonly HostName[], record: object) => {
        for (const host of hosts) {
          const { status, text } = await ask(overlay.daemon(host).socket, 'PATCH', '/v1/table', {
            body: ndjson(record),
          });
          expect(status, text).toBe(200);
        }
      };
      const all = [target, 'a', from] as const;
      const moving = (send: 'both' | 'new') => ({
        ...{ port: 'orchestrated', ...port(from, { move: { to, send, activate: 'table' } }) },
      });
      const before = overlay.table.ports.vm!;
      delete overlay.table.ports.vm;
      await overlay.applyTable();
      await say(all, { port: 'orchestrated', ...port(from) });
      try {
        const [old, fresh] = [await Receiver.start(places[from], PORT), await Receiver.start(places[target], PORT)];
        const stream = await startStream(client.namespace, vm[ip], PORT, RATE, UNTIL_STOPPED);
        await pause(100);
        await say(all, moving('both'));
        await pause(100);
        await say(all, moving('new'));
        await pause(100);
        await say(all, { port: 'orchestrated', ...port(target) });
        await pause(200);
        await stream.stop();
        await pause(100);
        const arrivals = { old: numbers(await old.stop()), new: numbers(await fresh.stop()) };
        expect(new Set(arrivals.old).size).toBe(arrivals.old.length);
        expect(new Set(arrivals.new).size).toBe(arrivals.new.length);
        expect(arrivals.old[0]).toBe(0);
        expect(arrivals.new[0]).toBeGreaterThan(0);
        const end = arrivals.new.at(-1)!;
        expect(arrivals.old.at(-1)).toBeLessThan(end);
        const came = new Set([...arrivals.old, ...arrivals.new]);
        expect(Array.from({ length: end }, (_, i) => i).filter((i) => !came.has(i))).toEqual([]);
      } finally {
        await say(all, { delete: 'port', id: 'orchestrated' });
        overlay.table.ports.vm = { ...before, sequence: ++sequence };
        await overlay.applyTable();
      }
    },
    60_000,
  );

  test('late news: a stale sequence and a late removal of the old place change nothing, by API and by file', async () => {
    await place(port('c'));
    const vmPort = { port: 'api-vm', network: 'blue', mac: '02:00:00:01:00:77', ips: ['10.1.0.119'] };
    const { socket } = overlay.daemon('a');
    const patch = async (...records: object[]) => {
      const { status, text } = await ask(socket, 'PATCH', '/v1/table', { body: ndjson(...records) });
      return { status, body: JSON.parse(text) as { error?: { code: string; details: { inForce?: object[] } } } };
    };
    const moved = { ...vmPort, sequence: 8, at: { node: 'c', interface: 'x' } };
    expect(await patch(moved)).toMatchObject({ status: 200 });
    // the move before, which comes late; without any sequence; and the removal that belonged to it
    for (const late of [
      { ...vmPort, sequence: 7, at: { node: 'b', interface: 'x' } },
      { ...vmPort, at: { node: 'b', interface: 'x' } },
      { delete: 'port', id: 'api-vm', sequence: 7 },
    ]) {
      const answer = await patch(late);
      expect(answer, JSON.stringify(answer)).toMatchObject({
        status: 409,
        body: { error: { code: 'ERR_MW_SEQUENCE' } },
      });
      expect(answer.body.error!.details.inForce).toEqual([moved]);
    }
    expect(await row('a', 'api-vm')).toMatchObject({ at: ['c:5001'], sequence: 8 });
    // a removal that is newer counts, and what is older than it does not come back
    expect(await patch({ delete: 'port', id: 'api-vm', sequence: 9 })).toMatchObject({ status: 200 });
    expect(await patch(moved)).toMatchObject({ status: 409 });

    const good = overlay.table.ports.vm!;
    overlay.table.ports.vm = { ...port('b'), sequence: sequence - 2 };
    await overlay.writeTable();
    interface Status {
      sources: { name: string; state: string; diagnostics: { code: string }[] }[];
    }
    const told = async (host: HostName) => {
      const { sources } = await overlay.daemon(host).json<Status>('status');
      return sources.find(({ name }) => name !== 'api')?.diagnostics.map(({ code }) => code);
    };
    for (const host of HOSTS) {
      await eventually(`${host} tells of the older move`, async () => String(await told(host)) === 'MW208');
    }
    expect(await row('a')).toMatchObject({ at: ['c:5001'], sequence: (good as { sequence?: number }).sequence });
    expect((await ping(client.namespace, vm.ip4)).received).toBeGreaterThan(0);
    // and over a restart, with a file that is older than what was in force
    const a = overlay.daemon('a');
    await a.stop();
    await a.run();
    expect(await row('a')).toMatchObject({ at: ['c:5001'], sequence: (good as { sequence?: number }).sequence });
    expect(await told('a')).toEqual(['MW208']);
    expect(await patch(moved)).toMatchObject({ status: 409 });
    // the file says again what is in force: nothing to tell, and no other revision
    overlay.table.ports.vm = good;
    await overlay.writeTable();
    for (const host of HOSTS)
      await eventually(`${host} has nothing to tell`, async () => String(await told(host)) === '');
  }, 90_000);

  test('an address that another port has after a move leads to that one', async () => {
    await place(port('c'));
    const [old] = [overlay.table.ports.vm!];
    const other = guestAddresses(1, 3);
    // the guest on c gives its addresses to the one of b: another MAC, another node
    const heir = overlay.guests.find(({ host, network }) => host === 'b' && network === 'blue')!;
    const before = overlay.table.ports[heir.device]!;
    overlay.table.ports[heir.device] = { ...before, ips: [...before.ips, vm.ip4, vm.ip6], sequence: 1 };
    delete overlay.table.ports.vm;
    await heir.namespace.ip(`addr add ${vm.ip4}/32 dev eth0`, `addr add ${vm.ip6}/128 dev eth0 nodad`);
    try {
      await overlay.applyTable();
      await client.namespace.run(['ip', 'neigh', 'flush', 'all']);
      for (const address of [vm.ip4, vm.ip6]) {
        const { received, output } = await ping(client.namespace, address);
        expect(received, output).toBeGreaterThan(0);
        const { stdout } = await client.namespace.run(['ip', 'neigh', 'show', address]);
        expect(stdout).toContain(heir.mac);
      }
      expect(other.ip4).not.toBe(vm.ip4);
    } finally {
      overlay.table.ports[heir.device] = { ...before, sequence: 2 };
      overlay.table.ports.vm = { ...old, sequence: ++sequence } as typeof old;
      await heir.namespace.ip(`addr del ${vm.ip4}/32 dev eth0`, `addr del ${vm.ip6}/128 dev eth0`);
      await overlay.applyTable();
      await client.namespace.run(['ip', 'neigh', 'flush', 'all']);
    }
  }, 60_000);

  // one after the other: a transfer fills the rings of veths on a busy machine, and a ping that finds one full is lost
  test.each(['ping', 'TCP'] as const)(
    'a guest that moves goes on: %s, both families',
    async (what) => {
      const at = [{ node: 'b', interface: 'g1-50' }];
      const to = { node: 'c', interface: 'g1-50' };
      const before = overlay.table.ports[twin.device]!;
      const next = Number(before.sequence ?? 0) + 1;
      overlay.table.ports[twin.device] = {
        ...before,
        at,
        sequence: next,
        move: { to, send: 'both', activate: 'announcement' },
      };
      await overlay.applyTable();
      const addresses = [twin.ip4, twin.ip6];
      for (const address of addresses) await ping(client.namespace, address);
      const streams =
        what === 'ping' ? addresses.map((address) => new PingStream(client.namespace, address, 0.01)) : [];
      const transfers =
        what === 'TCP'
          ? addresses.map((address) => transfer(client.namespace, twin.namespace, address, 64 * MIB, 60_000))
          : [];
      const garp = `eth ${twin.mac}>${BROADCAST} | arp reply ${twin.mac} ${twin.ip4} > ${ZERO} ${twin.ip4}`;
      try {
        await Promise.all(streams.map((stream) => stream.flowing()));
        await pause(200);
        await sendFrames(twin.namespace, 'eth1', [frame(garp)]);
        await eventually('a heard it', async () => (await row('a', twin.device)).move?.endsWith(', heard'));
        await pause(200);
        // what programs heard is theirs: a daemon that starts finds it, and writes nothing over it
        const a = overlay.daemon('a');
        await a.stop();
        await a.run();
        expect((await row('a', twin.device)).move).toMatch(/, heard$/);
      } finally {
        const results = await Promise.all(streams.map((stream) => stream.stop()));
        for (const [i, result] of results.entries())
          expect(result.sent - result.received, streams[i]!.output).toBeLessThanOrEqual(1);
        await Promise.all(transfers);
      }
      overlay.table.ports[twin.device] = { ...before, sequence: next + 1 };
      await overlay.applyTable();
    },
    90_000,
  );
});
