/**
 * Super-packets of guests: UDP's, which the underlay device must cut before they leave, and those for a node that wants a
 * checksum in every outer header, which go through the segmenter.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compiled } from '../support/compiled.ts';
import { transfers } from '../support/exchange.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
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
});
