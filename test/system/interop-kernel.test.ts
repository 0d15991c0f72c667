/**
 * Mapwire and the kernel's VXLAN device, which is as different as a peer can be: it floods ARP, it learns, it verifies checksums.
 * Over IPv4; over IPv6 with a device that takes and sends UDP checksums of zero, and with one that does neither; with a list of
 * peers, with a static FDB, and with a multicast group. Both hooks, both directions.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode, framesOf } from '../support/decode.ts';
import { exchanges, pings, transfers } from '../support/exchange.ts';
import { FrameCapture } from '../support/frames.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { type KernelTunnel, kernelTunnel } from '../support/peers/kernel-tunnel.ts';

interface Peer {
  readonly network: string;
  readonly n: number;
  readonly family: 4 | 6;
  /** More of the network's and of the node's record. */
  readonly net?: Record<string, unknown>;
  readonly node?: Record<string, unknown>;
  readonly tunnel: Partial<KernelTunnel>;
}

const peers: readonly Peer[] = [
  { network: 'flooded4', n: 11, family: 4, tunnel: {} },
  { network: 'static4', n: 12, family: 4, tunnel: { options: ['nolearning'] } },
  {
    network: 'zero6',
    n: 13,
    family: 6,
    node: { 'udp6-checksum': 'zero' },
    tunnel: { options: ['udp6zerocsumrx', 'udp6zerocsumtx'] },
  },
  { network: 'computed6', n: 14, family: 6, tunnel: {} },
  {
    network: 'group4',
    n: 15,
    family: 4,
    net: { flood: 'multicast', group: '239.1.1.1' },
    tunnel: { group: '239.1.1.1' },
  },
  {
    network: 'group6',
    n: 16,
    family: 6,
    net: { flood: 'multicast', group: 'ff05::77' },
    tunnel: { group: 'ff05::77' },
  },
];

let overlay: Overlay;
const pair = (network: string) => overlay.of(network) as [OverlayGuest, OverlayGuest];

beforeAll(async () => {
  overlay = await Overlay.build();
  const a = await overlay.host('host-a', 1);
  overlay.node('host-a', [4, 6]);
  for (const [index, { network, net }] of peers.entries()) {
    overlay.network(network, { encap: 'vxlan', segment: 6001 + index, ...net });
  }
  for (const [index, { network, n, family, node, tunnel }] of peers.entries()) {
    const host = await overlay.host(network, n);
    overlay.node(network, [family], { kind: 'foreign', ...node });
    await overlay.guest('host-a', network, { n: 1 });
    // A Linux bridge answers no "too big": its guests are told the MTU, as its operators do.
    const guest = await overlay.guest(network, network, { n: 2, foreign: true, mtu: family === 4 ? 1450 : 1430 });
    const [local, remote] = family === 4 ? [host.ip4, a.ip4] : [host.ip6, a.ip6];
    const flooded = tunnel.group === undefined && network !== 'static4' ? { peers: [remote] } : {};
    await kernelTunnel(host.namespace, { kind: 'vxlan', segment: 6001 + index, local, ...flooded, ...tunnel });
    await host.namespace.ip(`link set ${guest.device} master br0`);
    if (network === 'static4') {
      const bridge = (...words: string[]) =>
        host.namespace.run(['bridge', 'fdb', ...words, 'dev', 'vx0', 'dst', remote]);
      await bridge('add', pair(network)[0].mac);
      await bridge('append', '00:00:00:00:00:00');
    }
  }
});

afterAll(() => overlay?.close());

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  beforeAll(() => overlay.start(['host-a'], { hook }));
  afterAll(() => overlay.down());

  test.each(peers.flatMap(({ network }) => ([4, 6] as const).map((inside) => ({ network, inside }))))(
    '$network, IPv$inside inside',
    async ({ network, inside }) => {
      const [one, two] = pair(network);
      try {
        await exchanges(one, two, inside);
      } catch (error) {
        throw new Error(`drops of host-a: ${JSON.stringify(await overlay.drops('host-a'))}`, { cause: error });
      }
    },
  );

  test.each(['zero6', 'computed6'])('UDP checksums over IPv6: %s', async (network) => {
    const [one, two] = pair(network);
    const near = overlay.hosts.get('host-a')!;
    const far = overlay.hosts.get(network)!;
    // The device that sends finishes what TC leaves unfinished inside: now the far end really verifies all of it.
    await near.namespace.offload('eth0', { tx: 'off' });
    const watch = await FrameCapture.start(
      far.namespace,
      'eth0',
      `udp port 4789 and src host ${near.ip6} and dst host ${far.ip6}`,
      'in',
    );
    await pings(one, two, 4);
    await pings(one, two, 6);
    await transfers(one, two, 4, 1 << 20);
    await transfers(one, two, 6, 1 << 20);
    await watch.stop();
    await near.namespace.offload('eth0', { tx: 'on' });
    const all = await decode(watch.file);
    expect(all.faults).toEqual([]);
    const frames = framesOf(all, 'eth ipv6 udp vxlan');
    expect(frames).toBeGreaterThan(100);
    // The first UDP checksum of a frame is the outer one.
    const outer = await decode(watch.file, { filter: 'udp.dstport == 4789 && frame[60:2] == 00:00' });
    const zero = framesOf(outer, 'eth ipv6 udp vxlan');
    console.log(`${network}, ${hook}: ${frames} frames, ${zero} with an outer checksum of zero`);
    expect(zero).toBe(network === 'zero6' ? frames : 0);
  });
});
