/**
 * Tunnels through gateways, over a path with a smaller MTU in its middle: routers tell so with real ICMP, the node's MTU is lowered,
 * `status` shows it, and guests are told what still fits.
 *
 *     host-a -- r1 == 1400 == r2 -- host-b
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compares, pings, resolves, transfers } from '../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';

const PATH_MTU = 1400;
/** Overhead of VXLAN over each family (docs/packet-rules.md). */
const OVERHEAD = { 4: 50, 6: 70 } as const;

interface Status {
  readonly dataplane: { readonly nextHops: readonly { node: string; via?: string; pathMtu?: number; mtu?: number }[] };
}

describe.each((['tc', 'xdp'] as const).flatMap((hook) => ([4, 6] as const).map((family) => ({ hook, family }))))(
  'hook: $hook, underlay: IPv$family',
  ({ hook, family }) => {
    let overlay: Overlay;
    let one: OverlayGuest;
    let two: OverlayGuest;
    /** Addresses of the links: link 1 is host-a's, 2 the routers', 3 host-b's. */
    const address = (link: number, n: number) => (family === 4 ? `198.18.${link}.${n}` : `2001:db8:${link}::${n}`);
    const length = family === 4 ? 24 : 64;

    beforeAll(async () => {
      overlay = await Overlay.build();
      const a = await overlay.host('host-a', 1, { addressed: false });
      const b = await overlay.host('host-b', 2, { addressed: false });
      const routers = [await overlay.lab.namespace('r1'), await overlay.lab.namespace('r2')] as const;
      const [r1, r2] = routers;
      for (const router of routers) {
        await router.sysctl({
          'net.ipv4.ip_forward': 1,
          'net.ipv6.conf.all.forwarding': 1,
          // every one of the few messages counts here
          'net.ipv4.icmp_ratelimit': 0,
          'net.ipv6.icmp.ratelimit': 0,
        });
      }
      // Each link is a bridge of the switch, but the routers' own, which is a veth of 1400 bytes.
      await overlay.wire.ip('link add br1 type bridge forward_delay 0 mcast_snooping 0', 'link set br1 up');
      await overlay.wire.ip('link add br3 type bridge forward_delay 0 mcast_snooping 0', 'link set br3 up');
      await overlay.wire.ip('link set p-host-a master br1', 'link set p-host-b master br3');
      await overlay.lab.plug(overlay.wire, r1, 'r1', [`${address(1, 254)}/${length}`], { bridge: 'br1' });
      await overlay.lab.plug(overlay.wire, r2, 'r2', [`${address(3, 254)}/${length}`], { bridge: 'br3' });
      await r1.ip(`link add mid mtu ${PATH_MTU} type veth peer name mid mtu ${PATH_MTU} netns ${r2.name}`);
      const nodad = family === 6 ? ' nodad' : '';
      await r1.ip(`addr add ${address(2, 1)}/${length} dev mid${nodad}`, 'link set mid up');
      await r2.ip(`addr add ${address(2, 2)}/${length} dev mid${nodad}`, 'link set mid up');
      await r1.ip(`route add ${address(3, 0)}/${length} via ${address(2, 2)}`);
      await r2.ip(`route add ${address(1, 0)}/${length} via ${address(2, 1)}`);
      await a.namespace.ip(
        `addr add ${address(1, 1)}/${length} dev eth0${nodad}`,
        `route add default via ${address(1, 254)}`,
      );
      await b.namespace.ip(
        `addr add ${address(3, 2)}/${length} dev eth0${nodad}`,
        `route add default via ${address(3, 254)}`,
      );
      overlay.table.nodes['host-a'] = { underlay: address(1, 1) };
      overlay.table.nodes['host-b'] = { underlay: address(3, 2) };
      overlay.network('blue', { encap: 'vxlan', segment: 5001 });
      one = await overlay.guest('host-a', 'blue', { n: 1 });
      two = await overlay.guest('host-b', 'blue', { n: 2 });
      await overlay.start(['host-a', 'host-b'], { hook });
    });
    afterAll(() => overlay?.close());

    const nextHop = async (from: string, to: string) => {
      const { dataplane } = await overlay.daemon(from).json<Status>('status');
      return dataplane.nextHops.find(({ node }) => node === to);
    };

    test('ping, UDP and neighbours cross through the gateway', async () => {
      expect(await nextHop('host-a', 'host-b')).toMatchObject({ via: address(1, 254) });
      for (const inside of [4, 6] as const) {
        await pings(one, two, inside, true);
        await resolves(one, two, inside);
        await compares(one, two, inside, [0, 1, 512, 1200]);
      }
      expect((await nextHop('host-a', 'host-b'))?.pathMtu).toBeUndefined();
    });

    test('TCP that is too big for the path gets through, and status shows the path’s MTU', async () => {
      await transfers(one, two, 4, 4 << 20);
      await transfers(one, two, 6, 4 << 20);
      for (const [from, to] of [
        ['host-a', 'host-b'],
        ['host-b', 'host-a'],
      ] as const) {
        const lowered = await eventually(`${from} knows the path's MTU`, async () => {
          const hop = await nextHop(from, to);
          return hop?.pathMtu !== undefined && hop;
        });
        expect(lowered).toMatchObject({ pathMtu: PATH_MTU, mtu: PATH_MTU });
      }
      const { stdout } = await overlay
        .daemon('host-a')
        .command(['status', '--config', overlay.daemon('host-a').config]);
      expect(stdout).toMatch(/1400/);
      // And the guest has learnt from Mapwire what fits.
      for (const [version, to] of [
        ['-4', two.ip4],
        ['-6', two.ip6],
      ] as const) {
        const route = await one.namespace.run(['ip', version, 'route', 'get', to]);
        expect(route.stdout).toContain(`mtu ${PATH_MTU - OVERHEAD[family]}`);
      }
    });
  },
);
