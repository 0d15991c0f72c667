/**
 * Two uplinks: the flows are spread over both; one that goes down leaves, and comes back. What is lost on the way is counted and
 * printed.
 *
 *     host-a == eth0, eth1 == router -- host-b
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compares, pings, transfers } from '../support/exchange.ts';
import { FrameCapture } from '../support/frames.ts';
import type { Namespace } from '../support/hosts.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';
import { PingStream } from '../support/traffic.ts';

interface Status {
  readonly dataplane: {
    readonly nextHops: readonly { node: string; ways: { device?: string; used: boolean }[] }[];
  };
}

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let router: Namespace;
  let one: OverlayGuest;
  let two: OverlayGuest;

  beforeAll(async () => {
    overlay = await Overlay.build();
    const a = await overlay.host('host-a', 1, { addressed: false });
    const b = await overlay.host('host-b', 2, { addressed: false });
    router = await overlay.lab.namespace('router');
    await router.sysctl({ 'net.ipv4.ip_forward': 1, 'net.ipv4.conf.all.rp_filter': 0 });
    await a.namespace.sysctl({ 'net.ipv4.conf.all.rp_filter': 0 });
    // The host's devices are veths straight into the router; eth0 of the lab's switch is not used.
    await a.namespace.ip('link set eth0 down', 'link set eth0 name unused');
    for (const [device, net] of [
      ['eth0', 1],
      ['eth1', 2],
    ] as const) {
      await router.ip(`link add a-${device} type veth peer name ${device} netns ${a.namespace.name}`);
      await router.ip(`addr add 198.18.${net}.254/24 dev a-${device}`, `link set a-${device} up`);
      await router.offload(`a-${device}`, { gro: 'on' });
      await a.namespace.ip(`addr add 198.18.${net}.1/24 dev ${device}`, `link set ${device} up`);
    }
    await overlay.lab.plug(overlay.wire, router, 'router', ['198.18.3.254'], { device: 'b-eth0' });
    await b.namespace.ip('addr add 198.18.3.2/24 dev eth0', 'route add default via 198.18.3.254');
    // The node's address is on no uplink: it stays when one of them goes.
    await a.namespace.ip(
      'addr add 203.0.113.1/32 dev lo',
      'route add 198.18.3.0/24 src 203.0.113.1 nexthop via 198.18.1.254 dev eth0 nexthop via 198.18.2.254 dev eth1',
    );
    await router.ip('route add 203.0.113.1/32 nexthop via 198.18.1.1 dev a-eth0 nexthop via 198.18.2.1 dev a-eth1');
    await router.sysctl({ 'net.ipv4.fib_multipath_hash_policy': 1 });
    overlay.table.nodes['host-a'] = { underlay: '203.0.113.1' };
    overlay.table.nodes['host-b'] = { underlay: '198.18.3.2' };
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    one = await overlay.guest('host-a', 'blue', { n: 1 });
    two = await overlay.guest('host-b', 'blue', { n: 2 });
    await overlay.start(['host-b'], { hook });
    await overlay.start(['host-a'], { hook, underlay: ['eth0', 'eth1'] });
  });
  afterAll(() => overlay?.close());

  const used = async () => {
    const { dataplane } = await overlay.daemon('host-a').json<Status>('status');
    const ways = dataplane.nextHops.find(({ node }) => node === 'host-b')?.ways ?? [];
    return ways.filter((way) => way.used).map((way) => way.device);
  };

  /** Frames of tunnels that came to the router by each uplink while `what` ran. */
  async function spread(what: () => Promise<void>): Promise<[number, number]> {
    const captures = await Promise.all(
      ['a-eth0', 'a-eth1'].map((device) => FrameCapture.start(router, device, 'inbound and udp port 4789')),
    );
    await what();
    const [first, second] = await Promise.all(captures.map((capture) => capture.stop()));
    return [first!.length, second!.length];
  }

  /** Datagrams of 64 flows. */
  async function manyFlows(): Promise<void> {
    for (let flow = 0; flow < 64; flow++) await compares(one, two, 4, [32]);
  }

  test('flows are spread over both, and each packet arrives', async () => {
    expect((await used()).sort()).toEqual(['eth0', 'eth1']);
    for (const inside of [4, 6] as const) {
      await pings(one, two, inside, true);
      await transfers(one, two, inside, 2 << 20);
    }
    const [first, second] = await spread(manyFlows);
    console.log(`${hook}: 64 flows: ${first} frames by eth0, ${second} by eth1`);
    expect(first).toBeGreaterThanOrEqual(8);
    expect(second).toBeGreaterThanOrEqual(8);
  });

  test.each(['eth0', 'eth1'] as const)('%s goes down in the middle of everything, and comes back', async (device) => {
    // As when a cable is pulled: the other end goes, this one loses its carrier.
    const streams = [new PingStream(one.namespace, two.ip4), new PingStream(one.namespace, two.ip6)];
    for (const stream of streams) await stream.flowing();
    const other = device === 'eth0' ? 'eth1' : 'eth0';
    await router.ip(`link set a-${device} down`);
    await eventually(`${device} leaves`, async () => (await used()).join() === other);
    // The other uplink carries all of them: each datagram is answered.
    await manyFlows();
    await router.ip(`link set a-${device} up`);
    // The router forgot its route by the link that went.
    await router.run(['ip', 'route', 'replace', '203.0.113.1/32', ...hops('a-')]);
    const host = overlay.hosts.get('host-a')!.namespace;
    await host.run(['ip', 'route', 'replace', '198.18.3.0/24', 'src', '203.0.113.1', ...hops('')]);
    await eventually(`${device} is back`, async () => (await used()).length === 2);
    const results = await Promise.all(streams.map((stream) => stream.stop()));
    for (const [index, { sent, received }] of results.entries()) {
      const lost = streams[index]!.lost();
      const span = lost.length === 0 ? 0 : lost.at(-1)! - lost[0]! + 1;
      console.log(
        `${hook}: ${device} down and up: ${sent - received} of ${sent} pings lost (one each 2 ms), the first and the last of them ${span} apart`,
      );
      expect(received).toBeGreaterThan(sent / 2);
    }
  });
});

/** The two next hops as seen from the host (``) or from the router (`a-`). */
function hops(prefix: string): string[] {
  const [first, second] = prefix === '' ? ['198.18.1.254', '198.18.2.254'] : ['198.18.1.1', '198.18.2.1'];
  return ['nexthop', 'via', first!, 'dev', `${prefix}eth0`, 'nexthop', 'via', second!, 'dev', `${prefix}eth1`];
}
