/**
 * Super-packets of guests: UDP's, which the underlay device must cut before they leave, and those for a node that wants a
 * checksum in every outer header, which go through the segmenter.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DataplaneStatus } from '../../src/dataplane/index.ts';
import { compiled } from '../support/compiled.ts';
import { transfers } from '../support/exchange.ts';
import { Overlay, type OverlayGuest, type OverlayTable } from '../support/overlay.ts';
import { kernelTunnel } from '../support/peers/kernel-tunnel.ts';
import { eventually } from '../support/process.ts';

let overlay: Overlay;
let sender: string;
const pair = (network: string) => overlay.of(network) as [OverlayGuest, OverlayGuest];
const MIB = 1 << 20;

beforeAll(async () => {
  overlay = await Overlay.build();
  sender = await compiled('udp-gso');
  await overlay.host('host-a', 1);
  await overlay.host('host-b', 2);
  const kernel = await overlay.host('kernel', 3);
  overlay.network('four', { encap: 'vxlan', segment: 7001 });
  overlay.network('computed', { encap: 'vxlan', segment: 7002 });
  overlay.node('host-a', [4, 6]);
  overlay.node('host-b', [4]);
  overlay.node('kernel', [6], { kind: 'foreign', 'udp6-checksum': 'computed' });
  await overlay.guest('host-a', 'four', { n: 1, mtu: 1450 });
  await overlay.guest('host-b', 'four', { n: 2, mtu: 1450 });
  await overlay.guest('host-a', 'computed', { n: 1, mtu: 1430 });
  const guest = await overlay.guest('kernel', 'computed', { n: 2, foreign: true, mtu: 1430 });
  await kernelTunnel(kernel.namespace, {
    kind: 'vxlan',
    segment: 7002,
    local: kernel.ip6,
    peers: [overlay.hosts.get('host-a')!.ip6],
  });
  await kernel.namespace.ip(`link set ${guest.device} master br0`);
});

afterAll(() => overlay?.close());

/** Packets that were sent to the segmenter and came out of it, on host-a. */
async function segmented(): Promise<{ into: number; out: number }> {
  const { stdout } = await overlay.hosts.get('host-a')!.namespace.run(['ip', '-j', '-s', 'link']);
  type Line = { ifname: string; stats64: { rx: { packets: number; bytes: number }; tx: { packets: number } } };
  const links = (JSON.parse(stdout) as Line[]).filter(({ ifname }) => ifname.startsWith('mwseg'));
  const near = links.find(({ ifname }) => ifname.endsWith('n'));
  const far = links.find(({ ifname }) => ifname.endsWith('f'));
  return { into: near?.stats64.tx.packets ?? 0, out: far?.stats64.rx.packets ?? 0 };
}

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  beforeAll(() => overlay.start(['host-a', 'host-b'], { hook }));
  afterAll(() => overlay.down());

  test.each([4, 6] as const)('UDP, IPv%i: every segment arrives, once', async (family) => {
    const [one, two] = pair('four');
    const port = 7100 + family;
    const name = `gso${family}`;
    await two.agent.ask('listen', { name, family, port });
    const address = family === 4 ? two.ip4 : two.ip6;
    await one.namespace.run(['ping', '-c', '1', '-W', '5', address]);
    const { stdout } = await one.namespace.run([sender, address, String(port), '1200', '16', '40']);
    expect(stdout).toBe('sent 640\n');
    const heard = async (): Promise<number[]> => {
      const { counts } = (await two.agent.ask('heard', { name })) as { counts: Record<string, number> };
      return Object.values(counts);
    };
    await eventually('640 datagrams arrive', async () => (await heard()).length === 640);
    expect((await heard()).every((times) => times === 1)).toBe(true);
    await two.agent.ask('unlisten', { name });
    for (const host of ['host-a', 'host-b']) expect(await overlay.drops(host)).not.toHaveProperty('nested-gso');
  });

  test('TCP to a node that wants checksums goes through the segmenter', async () => {
    const [one, two] = pair('computed');
    const before = await segmented();
    await transfers(one, two, 6, 8 * MIB);
    const after = await segmented();
    // Without XDP the guest keeps its segmentation offload: many segments a super-packet.
    if (hook === 'tc') expect(after.out - before.out).toBeGreaterThan((4 * MIB) / 1430);
    expect(after.into).toBe(after.out);
    expect(await overlay.drops('host-a')).not.toHaveProperty('no-segmenter');
  });

  test('a segmenter that somebody takes away is made again, and TCP goes on', async () => {
    const [one, two] = pair('computed');
    const { namespace } = overlay.hosts.get('host-a')!;
    const applied = await overlay.daemon('host-a').applied();
    const { generation } = await dataplane();
    const { name } = (await dataplane()).devices.find(({ role }) => role === 'segmenter')!;
    const made = () => log().filter((line) => line.device === name && line.hook === 'tc').length;
    const before = made();
    const passing = transfers(one, two, 6, 64 * MIB);
    passing.catch(() => {});
    for (let times = 1; times <= 3; times++) {
      await namespace.ip(`link del ${name}`);
      await eventually('it is made again', () => made() === before + times);
      await new Promise((done) => setTimeout(done, 100));
    }
    await passing;
    const { into } = await segmented();
    await transfers(one, two, 6, 8 * MIB);
    if (hook === 'tc') expect((await segmented()).into - into).toBeGreaterThan((4 * MIB) / 1430);
    const after = await dataplane();
    expect(after.devices.find(({ role }) => role === 'segmenter')).toMatchObject({ name, hook: 'tc' });
    // Nobody has edited the table for it, and the programs are the same.
    expect(after).toMatchObject({ problems: [], generation });
    expect(await overlay.daemon('host-a').applied()).toBe(applied);
  });
});

async function dataplane(): Promise<DataplaneStatus> {
  return (await overlay.daemon('host-a').json<{ dataplane: DataplaneStatus }>('status')).dataplane;
}

/** What the daemon of host-a has logged. */
function log(): Record<string, unknown>[] {
  const { stdout, stderr } = overlay.daemon('host-a').daemon!;
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe.each(['auto', 'off'])('specialise: %s', (specialise) => {
  const whole: Partial<OverlayTable> = {};

  beforeAll(async () => {
    const { table, hosts } = overlay;
    Object.assign(whole, { nodes: table.nodes, ports: table.ports });
    // Two nodes over IPv6 that ask for no checksums yet, and no port of the other network.
    table.nodes = Object.fromEntries(['host-a', 'host-b'].map((host) => [host, { underlay: hosts.get(host)!.ip6 }]));
    table.ports = Object.fromEntries(Object.entries(table.ports).filter(([, { network }]) => network === 'four'));
    await overlay.start(['host-a', 'host-b'], { hook: 'tc', extra: `specialise: ${specialise}` });
  });
  afterAll(async () => {
    await overlay.down();
    Object.assign(overlay.table, whole);
  });

  test('nothing is lost while the first segmenter comes into use, is needed no more, and is again', async () => {
    const [one, two] = pair('four');
    const name = 'first';
    await two.agent.ask('listen', { name, family: 4, port: 7106 });
    await one.namespace.run(['ping', '-c', '1', '-W', '5', two.ip4]);
    expect(await segmented()).toEqual({ into: 0, out: 0 });
    const sending = one.namespace.run([sender, two.ip4, '7106', '1200', '4', '1500']);
    for (const wish of ['computed', 'zero', 'computed']) {
      overlay.table.nodes['host-b']!['udp6-checksum'] = wish;
      await overlay.applyTable();
      await new Promise((done) => setTimeout(done, 500));
    }
    expect((await sending).stdout).toBe('sent 6000\n');
    const counts = async () => Object.values(await two.agent.heard(name));
    await eventually('6000 datagrams arrive', async () => (await counts()).length === 6000, 5_000).catch(() => {});
    const times = await counts();
    expect({ different: times.length, most: Math.max(...times) }).toEqual({ different: 6000, most: 1 });
    expect(await overlay.drops('host-a')).not.toHaveProperty('no-segmenter');
    await two.agent.ask('unlisten', { name });
    expect((await segmented()).out).toBeGreaterThan(1000);
  });
});
