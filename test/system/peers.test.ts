/**
 * The peers prove themselves first, without Mapwire: Open vSwitch and the kernel's VXLAN device understand each other, over both
 * families, and Open vSwitch understands itself with Geneve and GRE. What fails later is then not the peers' fault.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { broadcasts, compares, type Family, multicasts, pings, resolves, transfers } from '../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { kernelTunnel } from '../support/peers/kernel-tunnel.ts';
import { OpenVSwitch } from '../support/peers/open-vswitch.ts';

let overlay: Overlay;
let left: OpenVSwitch;
const MTU = 1380;

const networks = ['vxlan4', 'vxlan6', 'geneve4', 'geneve6', 'gre4', 'gre6'] as const;

/** A bridge of Open vSwitch for a network: its tunnel to `remote` and one guest. */
async function bridge(ovs: OpenVSwitch, host: string, network: string, remote: string, n: number): Promise<void> {
  const type = network.slice(0, -1) as 'vxlan' | 'geneve' | 'gre';
  const guest = await overlay.guest(host, network, { n, mtu: MTU });
  // Open vSwitch finishes no checksum: its guests have to.
  await guest.namespace.offload('eth0', { tx: 'off' });
  await ovs.bridge(`br-${network}`);
  await ovs.port(`br-${network}`, guest.device);
  await ovs.tunnel(`br-${network}`, network, { type, remote, key: overlay.numberOf(network) });
}

beforeAll(async () => {
  overlay = await Overlay.build();
  for (const name of networks) overlay.network(name, {});
  const a = await overlay.host('ovs-a', 1, { addressed: false });
  const b = await overlay.host('ovs-b', 2, { addressed: false });
  const k = await overlay.host('kernel', 3);
  for (const name of ['ovs-a', 'ovs-b']) await overlay.wire.offload(`p-${name}`, { tx: 'off' });
  left = await OpenVSwitch.start(a.namespace);
  const right = await OpenVSwitch.start(b.namespace);
  await left.underlay('br-phy', 'eth0', [`${a.ip4}/24`, `${a.ip6}/64`]);
  await right.underlay('br-phy', 'eth0', [`${b.ip4}/24`, `${b.ip6}/64`]);
  for (const network of networks) {
    const six = network.endsWith('6');
    const far = network.startsWith('vxlan') ? k : b;
    await bridge(left, 'ovs-a', network, six ? far.ip6 : far.ip4, 1);
    if (far === b) await bridge(right, 'ovs-b', network, six ? a.ip6 : a.ip4, 2);
    else {
      const guest = await overlay.guest('kernel', network, { n: 2, mtu: MTU });
      await kernelTunnel(k.namespace, {
        kind: 'vxlan',
        segment: overlay.numberOf(network),
        local: six ? k.ip6 : k.ip4,
        peers: [six ? a.ip6 : a.ip4],
        bridge: `br-${network}`,
        device: network,
        // Debian's Open vSwitch sends no UDP checksum over IPv6, and takes none that is not finished.
        options: six ? ['udp6zerocsumrx', 'udp6zerocsumtx'] : ['noudpcsum'],
      });
      await k.namespace.ip(`link set ${guest.device} master br-${network}`);
    }
  }
});

afterAll(() => overlay?.close());

describe.each(networks)('%s', (network) => {
  test.each([4, 6] as const)('IPv%i inside', async (family: Family) => {
    const [one, two] = overlay.of(network) as [OverlayGuest, OverlayGuest];
    try {
      await pings(one, two, family, true);
      await pings(two, one, family);
      await resolves(one, two, family);
      await resolves(two, one, family);
      await compares(one, two, family, [0, 1, 512, 1200]);
      await transfers(one, two, family, 1 << 20);
      await broadcasts(one, [two], family);
      await broadcasts(two, [one], family);
      await multicasts(one, [two], family);
    } catch (error) {
      throw new Error(await left.report(), { cause: error });
    }
  });
});

test('no process of Open vSwitch is left that belongs to the system', async () => {
  // The tests start their own, in their own folders; setup leaves the service off.
  const { stdout } = await left.host.run(['pgrep', '-a', 'ovs-vswitchd'], { check: false });
  expect(stdout.split('\n').filter((line) => line.includes('/var/run/openvswitch/db.sock'))).toEqual([]);
});
