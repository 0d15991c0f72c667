/**
 * Runs under every kernel of `npm run test:kernels`: the kernel's own Geneve and GRE devices, VXLAN with `gpe` (a device without
 * Ethernet) and VXLAN on a VLAN device, which this machine's own kernel may lack, each against a host of Mapwire, both hooks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { broadcasts, compares, exchanges, type Family, pings, resolves, transfers } from '../../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../../support/overlay.ts';
import { gpeRoute, kernelTunnel } from '../../support/peers/kernel-tunnel.ts';

const BYTES = 128 * 1024;
/** The small ones fit no IPv6 header's worth of bytes, which taking an outer header off before 6.3 insists on. */
const SIZES = [0, 1, 8, 11, 1200, 3000];
/** Of every guest at the far ends, and so of the networks: a bridge answers no "too big". */
const MTU = 1400;

const peers = [
  { network: 'geneve4', encap: 'geneve', kind: 'geneve', family: 4 },
  { network: 'geneve6', encap: 'geneve', kind: 'geneve', family: 6 },
  { network: 'gre4', encap: 'gre', kind: 'gretap', family: 4 },
  { network: 'gre6', encap: 'gre', kind: 'ip6gretap', family: 6 },
] as const;

/** Devices without Ethernet. */
const gpes = [
  { network: 'gpe4', family: 4 },
  { network: 'gpe6', family: 6 },
] as const;

const pair = (overlay: Overlay, network: string) => overlay.of(network) as [OverlayGuest, OverlayGuest];

/** What fails is told with what Mapwire dropped. */
async function explained(overlay: Overlay, action: () => Promise<void>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const drops = JSON.stringify(await overlay.drops('host-a'));
    throw new Error(`${(error as Error).message}\nhost-a dropped ${drops}`, { cause: error });
  }
}

describe('the kernel’s Geneve and GRE devices, and VXLAN with gpe', () => {
  let overlay: Overlay;

  beforeAll(async () => {
    overlay = await Overlay.build();
    const a = await overlay.host('host-a', 1);
    overlay.node('host-a', [4, 6]);
    for (const [index, { network, encap }] of peers.entries()) {
      overlay.network(network, { encap, segment: (encap === 'gre' ? 0x7fff_0000 : 6000) + index, mtu: MTU });
    }
    for (const [index, { network }] of gpes.entries()) {
      overlay.network(network, { encap: 'vxlan-gpe', segment: 6100 + index });
    }
    for (const [index, { network, kind, family }] of peers.entries()) {
      const host = await overlay.host(network, 11 + index);
      overlay.node(network, [family], { kind: 'foreign' });
      await overlay.guest('host-a', network, { n: 1 });
      const guest = await overlay.guest(network, network, { n: 2, foreign: true, mtu: MTU });
      const [local, remote] = family === 4 ? [host.ip4, a.ip4] : [host.ip6, a.ip6];
      const segment = overlay.table.networks[network]!.segment as number;
      await kernelTunnel(host.namespace, { kind, segment, local, peers: [remote] });
      await host.namespace.ip(`link set ${guest.device} master br0`);
    }
    for (const [index, { network, family }] of gpes.entries()) {
      const host = await overlay.host(network, 21 + index);
      overlay.node(network, [family], { kind: 'foreign' });
      await overlay.guest('host-a', network, { n: 1 });
      const [local, remote] = family === 4 ? [host.ip4, a.ip4] : [host.ip6, a.ip6];
      const segment = overlay.table.networks[network]!.segment as number;
      await kernelTunnel(host.namespace, { kind: 'vxlan-gpe', segment, local, peers: [remote] });
      const itself = await overlay.itself(network, network, 2, 'vx0');
      for (const prefix of [itself.ip4.replace(/2$/, '0/24'), itself.ip6.replace(/2$/, '/64')]) {
        await gpeRoute(host.namespace, prefix, { segment, local, remote });
      }
    }
  });
  afterAll(() => overlay?.close());

  describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
    beforeAll(() => overlay.start(['host-a'], { hook }));
    afterAll(() => overlay.down());

    test.each(peers)('$kind over IPv$family', async ({ network }) => {
      const [one, two] = pair(overlay, network);
      await explained(overlay, async () => {
        for (const inside of [4, 6] as const) await exchanges(one, two, inside, { bytes: BYTES, sizes: SIZES });
      });
    });

    test.each(gpes)('VXLAN-GPE over IPv$family', async ({ network }) => {
      const [one, two] = pair(overlay, network);
      await explained(overlay, async () => {
        for (const inside of [4, 6] as const satisfies readonly Family[]) {
          await pings(one, two, inside, true);
          await pings(two, one, inside);
          // the kernel's end has no neighbours; ours finds it in the map
          await resolves(one, two, inside);
          await compares(one, two, inside, SIZES);
          await compares(two, one, inside, SIZES);
          await transfers(one, two, inside, BYTES);
          await transfers(two, one, inside, BYTES);
          // the kernel sends a broadcast by no route, so this device of it does not know where to
          await broadcasts(one, [two], inside);
        }
      });
    });
  });
});

describe('a tagged underlay with VLAN devices', () => {
  let overlay: Overlay;

  beforeAll(async () => {
    overlay = await Overlay.build();
    const hosts = [
      await overlay.host('host-a', 1, { addressed: false }),
      await overlay.host('kernel', 2, { addressed: false }),
    ] as const;
    for (const { namespace, ip4 } of hosts) {
      await namespace.ip(
        'link add link eth0 name eth0.30 type vlan id 30',
        `addr add ${ip4}/24 dev eth0.30`,
        'link set eth0.30 up',
      );
    }
    const [a, k] = hosts;
    overlay.node('host-a');
    overlay.node('kernel', [4], { kind: 'foreign' });
    overlay.network('blue', { encap: 'vxlan', segment: 5001, mtu: MTU });
    await overlay.guest('host-a', 'blue', { n: 1 });
    const guest = await overlay.guest('kernel', 'blue', { n: 2, foreign: true, mtu: MTU });
    await kernelTunnel(k.namespace, {
      kind: 'vxlan',
      segment: 5001,
      local: k.ip4,
      peers: [a.ip4],
      underlay: 'eth0.30',
    });
    await k.namespace.ip(`link set ${guest.device} master br0`);
  });
  afterAll(() => overlay?.close());

  test.each(['tc', 'xdp'] as const)('hook: %s', async (hook) => {
    await overlay.start(['host-a'], { hook, underlay: ['{ device: eth0, vlan: 30 }'] });
    try {
      const [one, two] = pair(overlay, 'blue');
      for (const inside of [4, 6] as const) await exchanges(one, two, inside, { bytes: BYTES, sizes: SIZES });
      expect(Object.keys(await overlay.drops('host-a')).filter((reason) => reason.startsWith('guard-'))).toEqual([]);
    } finally {
      await overlay.down();
    }
  });
});
