/**
 * A tagged underlay, IPv4 and IPv6: host-a sends and receives its tunnels with tag 30, Open vSwitch is the switch: host-a's port is
 * a trunk, the kernel's VTEP is behind an access port and knows nothing of tags, and an Open vSwitch that ends tunnels has its own
 * tagged uplink.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exchanges, type Family } from '../support/exchange.ts';
import { FrameCapture } from '../support/frames.ts';
import { linkOf, packetOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest, type OverlayHost } from '../support/overlay.ts';
import { kernelTunnel } from '../support/peers/kernel-tunnel.ts';
import { OpenVSwitch } from '../support/peers/open-vswitch.ts';

const TAG = 30;
const MTU = 1400;
const FAMILIES = [4, 6] as const;
const addressOf = (host: OverlayHost, family: Family) => (family === 4 ? host.ip4 : host.ip6);

let overlay: Overlay;
let middle: OpenVSwitch;

beforeAll(async () => {
  overlay = await Overlay.build();
  const a = await overlay.host('host-a', 1);
  const k = await overlay.host('kernel', 2);
  const o = await overlay.host('ovs', 3, { addressed: false });
  overlay.node('host-a', FAMILIES);
  for (const family of FAMILIES) {
    // one host, and a node of the table for each of its addresses
    for (const [name, host] of [
      [`kernel${family}`, k],
      [`ovs${family}`, o],
    ] as const) {
      overlay.hosts.set(name, host);
      overlay.node(name, [family], { kind: 'foreign' });
    }
    overlay.network(`access${family}`, { encap: 'vxlan', segment: 5010 + family, mtu: MTU });
    overlay.network(`trunk${family}`, { encap: 'geneve', segment: 5020 + family, mtu: MTU });
  }
  // The lab's switch becomes Open vSwitch.
  middle = await OpenVSwitch.start(overlay.wire);
  await middle.bridge('middle');
  for (const name of ['host-a', 'kernel', 'ovs']) {
    await overlay.wire.ip(`link set p-${name} nomaster`);
    await overlay.wire.offload(`p-${name}`, { tx: 'off', gro: 'off' });
  }
  // Open vSwitch reads what comes out of these: finished, and one frame at a time.
  for (const host of [a, k]) await host.namespace.offload('eth0', { tx: 'off' });
  await middle.port('middle', 'p-host-a', { trunks: [TAG] });
  await middle.port('middle', 'p-kernel', { tag: TAG });
  await middle.port('middle', 'p-ovs', { trunks: [TAG] });

  const far = await OpenVSwitch.start(o.namespace);
  await far.underlay('br-phy', 'eth0', [`${o.ip4}/24`, `${o.ip6}/64`], TAG);
  for (const family of FAMILIES) {
    const remote = addressOf(a, family);
    const trunk = `trunk${family}`;
    await overlay.guest('host-a', trunk, { n: 1 });
    const behind = await overlay.guest(`ovs${family}`, trunk, { n: 2, mtu: MTU, foreign: true });
    await behind.namespace.offload('eth0', { tx: 'off' });
    await far.bridge(`br-${trunk}`);
    await far.port(`br-${trunk}`, behind.device);
    await far.tunnel(`br-${trunk}`, trunk, { type: 'geneve', remote, key: 5020 + family });

    const access = `access${family}`;
    await overlay.guest('host-a', access, { n: 1 });
    const other = await overlay.guest(`kernel${family}`, access, { n: 2, mtu: MTU, foreign: true });
    const [bridge, device, local] = [`br${family}`, `vx${family}`, addressOf(k, family)];
    const tunnel = { kind: 'vxlan', segment: 5010 + family, local, peers: [remote], bridge, device } as const;
    await kernelTunnel(k.namespace, tunnel);
    await k.namespace.ip(`link set ${other.device} master ${bridge}`);
  }

  // Neither host has a device for the tag (this kernel may know none), so nobody could ask for a neighbour.
  const mac = async (host: typeof a, device: string) => {
    const link = await host.namespace.run(['ip', '-j', 'link', 'show', 'dev', device]);
    return (JSON.parse(link.stdout) as { address: string }[])[0]!.address;
  };
  const own = await mac(a, 'eth0');
  for (const family of FAMILIES) {
    const here = addressOf(a, family);
    for (const [host, device] of [
      [k, 'eth0'],
      [o, 'br-phy'],
    ] as const) {
      const lladdr = await mac(host, device);
      await a.namespace.ip(`neigh replace ${addressOf(host, family)} lladdr ${lladdr} dev eth0 nud permanent`);
    }
    await k.namespace.ip(`neigh replace ${here} lladdr ${own} dev eth0 nud permanent`);
    await far.appctl('tnl/neigh/set', 'br-phy', here, own);
  }
});

afterAll(() => overlay?.close());

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  beforeAll(() => overlay.start(['host-a'], { hook, underlay: [`{ device: eth0, vlan: ${TAG} }`] }));
  afterAll(() => overlay.down());

  test.each(
    (['access', 'trunk'] as const).flatMap((port) =>
      FAMILIES.flatMap((family) => FAMILIES.map((inside) => ({ port, family, inside }))),
    ),
  )('$port over IPv$family, IPv$inside inside', async ({ port, family, inside }) => {
    const [one, two] = overlay.of(`${port}${family}`) as [OverlayGuest, OverlayGuest];
    // The switch's port, where host-a's frames come in: tagged, each of them.
    const watch = await FrameCapture.start(overlay.wire, 'p-host-a', '', 'in');
    await exchanges(one, two, inside, { bytes: 1 << 19, sizes: [0, 1, 512, 1200] });
    const tunnels = (await watch.stop()).filter(({ frame }) => packetOf(frame)?.protocol === 17);
    // guests of other networks solicit routers as they please: by the other family, perhaps, but tagged as well
    expect(tunnels.filter(({ frame }) => packetOf(frame)?.family === family).length).toBeGreaterThan(100);
    expect(tunnels.filter(({ frame }) => linkOf(frame).vlan !== TAG)).toEqual([]);
  });
});
