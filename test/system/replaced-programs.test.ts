/**
 * Programs are replaced while packets pass: of two streams of numbered datagrams, there and back, each arrives once, and none crosses
 * the wire without its tunnel. host-a works by TC and host-b by XDP, so that each program of both has its part in it.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DataplaneStatus } from '../../src/dataplane/index.ts';
import { LAYOUT_VERSION } from '../../src/generated/layout.ts';
import { Overlay, type OverlayGuest, type OverlayPort, type OverlayTable } from '../support/overlay.ts';
import { tcProgramsOn } from '../support/pinned-maps.ts';
import { eventually, run } from '../support/process.ts';
import { endStream, Receiver, startStream } from '../support/stream.ts';
import { capture, ping } from '../support/traffic.ts';

const HOSTS = ['host-a', 'host-b'] as const;
/** Attachments of a host that has one port. */
const FEWEST = { 'host-a': 2, 'host-b': 4 } as const;
/** Datagrams a second and direction. */
const RATE = 1000;
/** More than any test sends. */
const MANY = 1_000_000;
/** UDP ports of the two directions, which no tunnel has. */
const THERE = 7401;
const BACK = 7402;
/** Tunnelled: VXLAN over either family, by the length of its UDP datagram, which nothing else here has. */
const VXLAN = 4789;
const LENGTH = 8 + 8 + 14 + 20 + 8 + 4;

let overlay: Overlay;
let one: OverlayGuest;
let two: OverlayGuest;
/** Ports of network green, in the table or out of it. */
const green: Record<string, OverlayPort> = {};

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  overlay = await Overlay.build();
  await overlay.host('host-a', 1);
  await overlay.host('host-b', 2);
  for (const host of HOSTS) overlay.node(host);
  overlay.network('blue', { encap: 'vxlan', segment: 7001 });
  overlay.network('green', { encap: 'geneve', segment: 7002 });
  const { ports } = overlay.table;
  for (const [n, host] of [...HOSTS.entries()]) {
    for (const network of ['blue', 'green']) {
      const { device } = await overlay.guest(host, network, { n: n + 1, mtu: 1400 });
      ports[device]!.ips.length = 1;
      if (network === 'blue') continue;
      green[device] = ports[device]!;
      delete ports[device];
    }
  }
  [one, two] = overlay.of('blue') as [OverlayGuest, OverlayGuest];
  await overlay.start(['host-a'], { hook: 'tc' });
  await overlay.start(['host-b'], { hook: 'xdp' });
  await everywhere('programs are made for the plan', ({ programs }) => programs.made === 'plan');
  for (const host of HOSTS) {
    const hook = host === 'host-a' ? 'tc' : 'xdp';
    const { devices } = await status(host);
    expect(devices.map((device) => device.hook)).toEqual([hook, hook]);
  }
  expect(await ping(one.namespace, two.ip4)).toMatchObject({ sent: 3, received: 3 });
});

afterAll(() => overlay?.close());

async function status(host: string): Promise<DataplaneStatus> {
  const { text } = await overlay.daemon(host).api('GET', '/v1/status');
  return (JSON.parse(text) as { dataplane: DataplaneStatus }).dataplane;
}

async function everywhere(what: string, is: (status: DataplaneStatus) => boolean): Promise<void> {
  for (const host of HOSTS) await eventually(`${host}: ${what}`, async () => is(await status(host)), 60_000);
}

/** Waits until programs that are right for any plan are at hand: two more for TC on the maps in force. */
async function generic(): Promise<void> {
  for (const host of HOSTS) {
    const map = join(overlay.daemon(host).pinDir, `current/maps/mw${LAYOUT_VERSION}_port`);
    await eventually(`${host}: programs for any plan are loaded`, async () => (await tcProgramsOn(map)) === 4, 60_000);
  }
}

/**
 * Edits the table, and waits until every attachment of both hosts runs another program, made for these encapsulations and features.
 *
 * @returns what kind of programs had the edit in force first
 */
async function replaces(edit: (table: OverlayTable) => unknown, made: readonly string[]): Promise<string[]> {
  const before = new Map<(typeof HOSTS)[number], Map<string, number>>();
  for (const host of HOSTS) before.set(host, await overlay.daemon(host).attachedPrograms());
  edit(overlay.table);
  await overlay.applyTable();
  const first = await Promise.all(HOSTS.map(async (host) => (await status(host)).programs.made));
  await everywhere(`programs for ${made.join(', ')}`, ({ programs }) => {
    const words = [...programs.encaps, ...programs.features];
    return programs.made === 'plan' && words.sort().join() === [...made].sort().join();
  });
  for (const [host, had] of before) {
    // The last links may go over a moment after the status says so.
    await eventually(`${host}: each attachment runs another program`, async () => {
      const has = await overlay.daemon(host).attachedPrograms();
      return has.size >= FEWEST[host] && [...had].every(([name, id]) => has.get(name) !== id);
    });
  }
  return first;
}

/** Frames of a capture that a filter takes. */
async function frames(file: string, filter: string): Promise<number> {
  const { stdout } = await run(['tcpdump', '-n', '--count', '-r', file, filter]);
  return Number(/^(\d+) packet/.exec(stdout)![1]);
}

/** Sends steadily in both directions while something happens: each datagram arrives once, and crosses the wire once, in a tunnel. */
async function steadily(happens: () => Promise<void>): Promise<void> {
  const file = join(await overlay.lab.folder(), 'wire.pcap');
  const ends = [
    { from: one, to: two, port: THERE },
    { from: two, to: one, port: BACK },
  ];
  const wire = await capture(overlay.wire, 'p-host-a', file, 'udp', 128);
  const receivers = await Promise.all(ends.map(({ to, port }) => Receiver.start(to.namespace, port)));
  const senders = await Promise.all(
    ends.map(({ from, to, port }) => startStream(from.namespace, to.ip4, port, RATE, MANY)),
  );
  await pause(300);
  await happens();
  await pause(300);
  const sent = await Promise.all(senders.map(endStream));
  await pause(300);
  for (const [i, receiver] of receivers.entries()) {
    const counts = new Uint32Array(sent[i]!);
    for (const { number } of await receiver.stop()) counts[number]!++;
    const wrong = [...counts.entries()].filter(([, times]) => times !== 1);
    expect(wrong.slice(0, 20), `${wrong.length} of ${sent[i]} from ${ends[i]!.from.name}: number, times`).toEqual([]);
    expect(sent[i]).toBeGreaterThan(RATE);
  }
  await wire.stop('SIGINT');
  expect(wire.stderr).toMatch(/\b0 packets dropped by kernel/);
  expect(await frames(file, `udp port ${THERE} or udp port ${BACK}`)).toBe(0);
  const tunnelled = `udp dst port ${VXLAN} and (udp[4:2] = ${LENGTH} or ip6[44:2] = ${LENGTH})`;
  expect(await frames(file, tunnelled)).toBe(sent[0]! + sent[1]!);
}

describe('nothing is lost, doubled or sent without its tunnel', () => {
  /** The table that each test begins and ends with. */
  let base: Pick<OverlayTable, 'nodes' | 'networks' | 'ports'>;

  beforeAll(() => {
    const { nodes, networks, ports } = overlay.table;
    base = structuredClone({ nodes, networks, ports });
  });

  const add = (ports: OverlayTable['ports']) => Object.assign(ports, structuredClone(green));
  const all = (table: OverlayTable) => Object.assign(table, structuredClone(base));

  test('a network of another encapsulation comes, and goes', async () => {
    await steadily(async () => {
      await generic();
      const first = await replaces(({ ports }) => add(ports), ['vxlan', 'geneve']);
      expect(first).toEqual(['meanwhile', 'meanwhile']);
      await replaces(all, ['vxlan']);
    });
  });

  test("the streams' own network and ports want more, then less", async () => {
    await steadily(async () => {
      // In the first seconds after programs were loaded those for any plan are not at hand.
      const more = ['vxlan', 'ip6', 'allow', 'macs', 'unknown-flood', 'transparent'];
      await replaces(({ networks, ports }) => {
        Object.assign(networks.blue!, { unknown: 'flood', vlan: 'transparent' });
        for (const [n, { device, ip6 }] of [one, two].entries()) {
          ports[device]!.ips.push(ip6);
          Object.assign(ports[device]!, { allow: [`10.9${n}.0.0/16`], macs: [`02:00:00:99:00:0${n}`] });
        }
      }, more);
      await replaces(all, ['vxlan']);
    });
  });

  test('edits go on while programs are made', async () => {
    await steadily(async () => {
      await generic();
      const before = new Map<string, number>();
      for (const host of HOSTS) before.set(host, (await status(host)).generation);
      const end = Date.now() + 15_000;
      for (let n = 0; Date.now() < end; n++) {
        const { ports, networks } = all(overlay.table);
        if (n % 2 === 0) add(ports);
        networks.blue!.unknown = n % 4 < 2 ? 'flood' : 'drop';
        await overlay.applyTable();
        // Now and then long enough for programs to be made, or to be begun.
        await pause(n % 6 === 5 ? 5_200 : 50);
      }
      for (const host of HOSTS) expect((await status(host)).generation).toBeGreaterThan(before.get(host)!);
      await replaces(
        (table) => {
          const { networks, ports } = all(table);
          add(ports);
          networks.blue!.vlan = 'transparent';
        },
        ['vxlan', 'geneve', 'transparent'],
      );
      await replaces(all, ['vxlan']);
    });
  });

  test('the underlay gets IPv6, goes over to it, and wants checksums there', async () => {
    const underlays = (first: 4 | 6, more: object = {}) => {
      for (const host of HOSTS) {
        const { ip4, ip6 } = overlay.hosts.get(host)!;
        overlay.table.nodes[host] = { underlay: first === 4 ? [ip4, ip6] : [ip6, ip4], ...more };
      }
    };
    await steadily(async () => {
      await replaces(() => underlays(4), ['vxlan', 'ip6']);
      underlays(6);
      await overlay.applyTable();
      await pause(500);
      await replaces(() => underlays(6, { 'udp6-checksum': 'computed' }), ['vxlan', 'ip6', 'checksum']);
      await replaces(() => underlays(4), ['vxlan', 'ip6']);
      await replaces(all, ['vxlan']);
    });
  });
});
