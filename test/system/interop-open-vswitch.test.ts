/**
 * Mapwire and Open vSwitch's userspace datapath: VXLAN, Geneve and GRE, over IPv4 and IPv6, both hooks, both directions. All these
 * networks are on one node of Mapwire beside each other.
 */
import { afterAll, beforeAll, describe, test } from 'vitest';
import { exchanges } from '../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { OpenVSwitch } from '../support/peers/open-vswitch.ts';

const types = ['vxlan', 'geneve', 'gre'] as const;
const networks = ([4, 6] as const).flatMap((family) =>
  types.map((type) => ({ network: `${type}${family}`, type, family })),
);
/** Open vSwitch's bridges know no path MTU, and nothing behind them answers "too big". */
const MTU = 1400;

let overlay: Overlay;
const switches = new Map<number, OpenVSwitch>();

beforeAll(async () => {
  overlay = await Overlay.build();
  const a = await overlay.host('host-a', 1);
  overlay.node('host-a', [4, 6]);
  networks.forEach(({ network, type }, index) => {
    overlay.network(network, { encap: type, segment: type === 'gre' ? 0x8000_0000 + index : 7001 + index, mtu: MTU });
  });
  for (const family of [4, 6] as const) {
    const host = await overlay.host(`ovs${family}`, 20 + family, { addressed: false });
    overlay.node(`ovs${family}`, [family], { kind: 'foreign' });
    // Open vSwitch reads frames as they cross its veth: here they become what a wire carries.
    await overlay.wire.offload(`p-ovs${family}`, { tx: 'off' });
    const ovs = await OpenVSwitch.start(host.namespace);
    switches.set(family, ovs);
    await ovs.underlay('br-phy', 'eth0', [family === 4 ? `${host.ip4}/24` : `${host.ip6}/64`]);
  }
  for (const { network, type, family } of networks) {
    const ovs = switches.get(family)!;
    await overlay.guest('host-a', network, { n: 1 });
    const guest = await overlay.guest(`ovs${family}`, network, { n: 2, foreign: true, mtu: MTU });
    await guest.namespace.offload('eth0', { tx: 'off' });
    await ovs.bridge(`br-${network}`);
    await ovs.port(`br-${network}`, guest.device);
    const key = overlay.table.networks[network]!.segment as number;
    await ovs.tunnel(`br-${network}`, network, { type, remote: family === 4 ? a.ip4 : a.ip6, key });
  }
});

afterAll(() => overlay?.close());

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  beforeAll(() => overlay.start(['host-a'], { hook }));
  afterAll(() => overlay.down());

  test.each(networks.flatMap((one) => ([4, 6] as const).map((inside) => ({ ...one, inside }))))(
    '$type over IPv$family, IPv$inside inside',
    async ({ network, family, inside }) => {
      const [one, two] = overlay.of(network) as [OverlayGuest, OverlayGuest];
      try {
        await exchanges(one, two, inside, { bytes: 1 << 20, sizes: [0, 1, 17, 512, 1200, 3000] });
      } catch (error) {
        const drops = JSON.stringify(await overlay.drops('host-a'));
        const report = await switches.get(family)!.report();
        throw new Error(`${(error as Error).message}\ndrops of host-a: ${drops}\n${report}`, { cause: error });
      }
    },
  );
});
