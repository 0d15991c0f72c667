/**
 * Standby, drain, return and views between three hosts of Mapwire, with real traffic: a guest with a foot on two hosts (so that
 * nothing of its own gets lost when its place changes), a pair of guests with the same addresses on two hosts, a
 * service with the same addresses on every host.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Namespace } from '../support/hosts.ts';
import type { Mapwire } from '../support/mapwire.ts';
import { guestAddresses, Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';
import { datagrams, type PingResult, PingStream, ping, receivers, transfer } from '../support/traffic.ts';

const MIB = 1 << 20;
const HOSTS = ['a', 'b', 'c'] as const;
type HostName = (typeof HOSTS)[number];
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface NodeRow {
  readonly node: string;
  readonly state: string;
}

describe.each([
  ['tc', 4],
  ['xdp', 6],
] as const)('hook: %s, underlay: IPv%i', (hook, family) => {
  let overlay: Overlay;
  let client: OverlayGuest;
  /** One guest, two feet. */
  let twin: OverlayGuest;
  /** The same addresses in two guests. */
  let pair: Record<'b' | 'c', Namespace>;
  /** The same addresses on every host. */
  let service: Record<HostName, Namespace>;
  const serviceAddress = guestAddresses(1, 200);
  const pairAddress = guestAddresses(1, 100);
  const clients = {} as Record<HostName, OverlayGuest>;

  const daemon = (name: HostName): Mapwire => overlay.daemon(name);
  /** `mapwire node …` on a host; what it printed. */
  async function node(on: HostName, state: string, id: HostName): Promise<string> {
    const { stdout } = await daemon(on).command(['node', state, id, '--config', daemon(on).config]);
    return stdout.trim();
  }
  async function states(on: HostName): Promise<Record<string, string>> {
    const rows = await daemon(on).json<NodeRow[]>('nodes');
    return Object.fromEntries(rows.map((row) => [row.node, row.state]));
  }
  const feet = (): Record<string, readonly [Namespace, string]> => ({
    b: [twin.namespace, 'eth0'],
    c: [twin.namespace, 'eth1'],
  });
  const pairs = (): Record<string, readonly [Namespace, string]> => ({ b: [pair.b, 'eth0'], c: [pair.c, 'eth0'] });

  /** A further guest with addresses that another has. */
  async function double(
    host: HostName,
    name: string,
    device: string,
    addresses: { mac: string; ip4: string; ip6: string },
  ) {
    const { mac, ip4, ip6 } = addresses;
    const options = { mac, addresses: [`${ip4}/24`, `${ip6}/64`] };
    return overlay.lab.guest(overlay.hosts.get(host)!.namespace, name, device, options);
  }

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [i, name] of HOSTS.entries()) {
      await overlay.host(name, i + 1);
      overlay.node(name, [family], i < 2 ? { region: 'north' } : {});
    }
    overlay.network('blue', { encap: 'geneve', segment: 5001 });
    for (const [i, name] of HOSTS.entries()) clients[name] = await overlay.guest(name, 'blue', { n: i + 1 });
    client = clients.a;
    twin = await overlay.guest('b', 'blue', {
      n: 50,
      port: {
        at: [
          { node: 'b', interface: 'g1-50', priority: 1 },
          { node: 'c', interface: 'g1-50', priority: 2 },
        ],
      },
    });
    await overlay.secondFoot('c', twin);
    pair = { b: await double('b', 'pair-b', 'pair', pairAddress), c: await double('c', 'pair-c', 'pair', pairAddress) };
    overlay.table.ports.pair = {
      network: 'blue',
      mac: pairAddress.mac,
      ips: [pairAddress.ip4, pairAddress.ip6],
      at: ['b', 'c'].map((node, i) => ({ node, interface: 'pair', priority: i + 1 })),
    };
    service = {} as Record<HostName, Namespace>;
    for (const name of HOSTS) service[name] = await double(name, `service-${name}`, 'service', serviceAddress);
    overlay.table.ports.service = {
      network: 'blue',
      mac: serviceAddress.mac,
      ips: [serviceAddress.ip4, serviceAddress.ip6],
      at: HOSTS.map((name) => ({ node: name, interface: 'service', prefer: [name] })),
    };
    await overlay.start(HOSTS, { hook });
  });

  afterAll(() => overlay?.close());

  test('a table that sees ports differently is told by `compile` and `ports`', async () => {
    const { stdout } = await daemon('b').command(['compile', overlay.tablePath, '--node', 'b', '--json']);
    const plan = JSON.parse(stdout) as { entries: { port: { port: string; at: string[] }[] } };
    expect(plan.entries.port.find(({ port }) => port === 'service')!.at.map((at) => at[0])).toEqual(['b', 'a', 'c']);
    const rows = await daemon('c').json<{ port: string; at: string[] }[]>('ports');
    expect(rows.find(({ port }) => port === 'service')!.at).toEqual(['c:5001', 'a:5001', 'b:5001']);
  });

  test('the first place is used', async () => {
    expect(await states('a')).toEqual({ a: 'up', b: 'up', c: 'up' });
    for (const address of [twin.ip4, twin.ip6])
      expect(await receivers(client.namespace, address, feet())).toEqual(['b']);
    for (const address of [pairAddress.ip4, pairAddress.ip6])
      expect(await receivers(client.namespace, address, pairs())).toEqual(['b']);
  });

  test.each(['drain', 'down'] as const)(
    '%s loses no packet: pings of 2 ms, TCP',
    async (state) => {
      await ping(client.namespace, twin.ip4);
      await ping(client.namespace, twin.ip6);
      const before = await Promise.all(HOSTS.map((name) => overlay.drops(name)));
      const streams = [twin.ip4, twin.ip6].map((address) => new PingStream(client.namespace, address));
      const toggle = async () => {
        expect(await node('a', state, 'b')).toBe(`node b: state: ${state} (by command)`);
        await pause(100);
        expect(await node('a', 'clear', 'b')).toBe('node b: state: up');
        await pause(100);
      };
      try {
        await Promise.all(streams.map((stream) => stream.flowing()));
        for (let round = 0; round < 3; round++) await toggle();
      } finally {
        const results: PingResult[] = await Promise.all(streams.map((stream) => stream.stop()));
        for (const [i, result] of results.entries()) {
          expect(streams[i]!.lost()).toEqual([]);
          expect(result.received, result.output.slice(-300)).toBe(result.sent);
        }
      }
      // TCP apart from the pings: it fills the rings of a veth, which then lose what comes, whatever the nodes' states
      let ended = false;
      const transfers = [twin.ip4, twin.ip6].map((address) =>
        transfer(client.namespace, twin.namespace, address, 96 * MIB, 120_000),
      );
      const all = Promise.all(transfers).finally(() => {
        ended = true;
      });
      for (let round = 0; round < 3 || !ended; round++) await toggle();
      await all;
      const after = await Promise.all(HOSTS.map((name) => overlay.drops(name)));
      // A guest's own multicast has no copy for a node that is down; for a drained one it has.
      const counted = (drops: Record<string, number>) => ({ ...drops, ...(state === 'down' && { 'flood-copy': 0 }) });
      expect(after.map(counted)).toEqual(before.map(counted));
    },
    180_000,
  );

  test('a drained node’s guests reach everyone, and are reached where they are nowhere else', async () => {
    await node('a', 'drain', 'b');
    await node('b', 'drain', 'b');
    try {
      for (const address of [twin.ip4, twin.ip6]) {
        expect(await receivers(client.namespace, address, feet())).toEqual(['c']);
        expect(await receivers(clients.b.namespace, address, feet())).toEqual(['c']);
      }
      for (const [from, to] of [
        [clients.a, clients.b],
        [clients.b, clients.a],
        [clients.b, clients.c],
      ] as const) {
        expect(await ping(from.namespace, to.ip4)).toMatchObject({ sent: 3, received: 3 });
        expect(await ping(from.namespace, to.ip6)).toMatchObject({ sent: 3, received: 3 });
      }
      await transfer(clients.b.namespace, clients.a.namespace, clients.a.ip4, MIB);
    } finally {
      await node('a', 'clear', 'b');
      await node('b', 'clear', 'b');
    }
  });

  test('a host dies: `node down` brings its ports to their standby, for ping, TCP and UDP', async () => {
    const wire = overlay.wire;
    await wire.ip('link set p-b down');
    try {
      expect((await ping(client.namespace, pairAddress.ip4, { count: 2 })).received).toBe(0);
      await node('a', 'down', 'b');
      for (const address of [pairAddress.ip4, pairAddress.ip6]) {
        expect(await receivers(client.namespace, address, pairs())).toEqual(['c']);
        await transfer(client.namespace, pair.c, address, 2 * MIB);
        await datagrams(client.namespace, pair.c, address, [100, 1000]);
      }
      expect((await ping(client.namespace, clients.b.ip4, { count: 1 })).received).toBe(0);
      expect((await overlay.drops('a'))['no-locator']).toBeGreaterThan(0);
    } finally {
      await wire.ip('link set p-b up');
      await node('a', 'clear', 'b');
    }
    await eventually(
      'b is reached again',
      async () => (await ping(client.namespace, pairAddress.ip4)).received === 3,
      15_000,
    );
    expect(await receivers(client.namespace, pairAddress.ip4, pairs())).toEqual(['b']);
  }, 60_000);

  test('what was said survives restarts and kills of the daemon, and `status` tells it', async () => {
    await node('a', 'down', 'b');
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await daemon('a').stop(signal);
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['c']);
      await daemon('a').run();
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['c']);
      expect((await states('a')).b).toBe('down (by command)');
    }
    const { stdout } = await daemon('a').command(['status', '--config', daemon('a').config]);
    expect(stdout).toContain('node b: state: down (by command)');
    // The others were told nothing.
    expect((await states('c')).b).toBe('up');
    // A command counts before the table.
    overlay.table.nodes.b!.state = 'up';
    await overlay.applyTable();
    expect(await states('a')).toMatchObject({ b: 'down (by command)' });
    expect(await node('a', 'clear', 'b')).toBe('node b: state: up (by table)');
    expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['b']);
    delete overlay.table.nodes.b!.state;
    await overlay.applyTable();
    expect(
      (await daemon('a').command(['node', 'down', 'nobody', '--config', daemon('a').config], { check: false })).stderr,
    ).toContain('ERR_MW_NOT_FOUND');
  }, 60_000);

  test('the table says it to the whole fleet', async () => {
    overlay.table.nodes.b!.state = 'drain';
    await overlay.applyTable();
    for (const name of HOSTS) expect((await states(name)).b).toBe('drain (by table)');
    for (const name of HOSTS) expect(await receivers(clients[name].namespace, twin.ip6, feet())).toEqual(['c']);
    delete overlay.table.nodes.b!.state;
    await overlay.applyTable();
    for (const name of HOSTS) expect(await receivers(clients[name].namespace, twin.ip6, feet())).toEqual(['b']);
  });

  test('a service on every host is reached at one’s own, and elsewhere when that is drained', async () => {
    const devices = Object.fromEntries(HOSTS.map((name) => [name, [service[name], 'eth0'] as const]));
    for (const name of HOSTS) {
      for (const address of [serviceAddress.ip4, serviceAddress.ip6])
        expect(await receivers(clients[name].namespace, address, devices)).toEqual([name]);
      await transfer(clients[name].namespace, service[name], serviceAddress.ip4, MIB);
      await datagrams(clients[name].namespace, service[name], serviceAddress.ip6, [100, 1000]);
    }
    // b drains itself: its own clients go to the first of the others.
    await node('b', 'drain', 'b');
    expect(await receivers(clients.b.namespace, serviceAddress.ip4, devices)).toEqual(['a']);
    await node('b', 'clear', 'b');
    // A service of some hosts: others do not have it.
    const ports = overlay.table.ports;
    const before = ports.service!;
    ports.service = { ...before, at: [{ node: 'c', interface: 'service', for: ['region:north'] }] };
    await overlay.applyTable();
    expect(await receivers(clients.a.namespace, serviceAddress.ip4, devices)).toEqual(['c']);
    ports.service = { ...before, at: [{ node: 'c', interface: 'service', for: ['b'] }] };
    await overlay.applyTable();
    expect(await receivers(clients.b.namespace, serviceAddress.ip6, devices)).toEqual(['c']);
    expect((await ping(clients.a.namespace, serviceAddress.ip6, { count: 2 })).received).toBe(0);
    ports.service = before;
    await overlay.applyTable();
  }, 60_000);

  if (hook === 'tc') {
    test('after it was down, a node returns as it is configured', async () => {
      const { config } = daemon('a');
      const { readFile, writeFile } = await import('node:fs/promises');
      const text = await readFile(config, 'utf8');
      const restart = async (line: string) => {
        await daemon('a').stop();
        await writeFile(config, `${text}${line}\n`, { mode: 0o600 });
        await daemon('a').run();
      };
      const say = async (state: 'down' | undefined) => {
        if (state === undefined) delete overlay.table.nodes.b!.state;
        else overlay.table.nodes.b!.state = state;
        await overlay.applyTable();
      };
      await restart('return: after 4s');
      await say('down');
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['c']);
      const start = Date.now();
      await say(undefined);
      expect((await states('a')).b).toMatch(/^drain \(returns at \d{4}-.*Z\)$/);
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['c']);
      // It still serves what is nowhere else.
      expect(await ping(client.namespace, clients.b.ip4)).toMatchObject({ received: 3 });
      await eventually('b is back', async () => (await states('a')).b === 'up', 20_000);
      expect(Date.now() - start).toBeGreaterThanOrEqual(3_900);
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['b']);
      await restart('return: by-hand');
      await say('down');
      await say(undefined);
      await daemon('a').stop('SIGKILL');
      await daemon('a').run();
      expect((await states('a')).b).toBe('drain (returns by `mapwire node up`)');
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['c']);
      expect(await node('a', 'up', 'b')).toBe('node b: state: up');
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['b']);
      await restart('');
      await say('down');
      await say(undefined);
      expect(await receivers(client.namespace, twin.ip4, feet())).toEqual(['b']);
    }, 90_000);
  }
});
