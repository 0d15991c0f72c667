/**
 * A node that is not ours (the kernel's VXLAN device) with a guest that the table does not hold, and with one that claims another's
 * MAC: what `guard: full`, `open` and `off` of the node let in. Real frames of real guests.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { linkOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { frame } from '../support/packet.ts';
import { kernelTunnel } from '../support/peers/kernel-tunnel.ts';
import { ping } from '../support/traffic.ts';

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let ours: OverlayGuest;
  let listed: OverlayGuest;
  let stranger: OverlayGuest;

  beforeAll(async () => {
    overlay = await Overlay.build();
    const a = await overlay.host('host-a', 1);
    const k = await overlay.host('kernel', 2);
    overlay.node('host-a');
    overlay.node('kernel', [4], { kind: 'foreign', guard: 'full' });
    // Answers to a MAC that the table does not hold get back only if unknown unicast is flooded.
    overlay.network('blue', { encap: 'vxlan', segment: 5001, unknown: 'flood' });
    ours = await overlay.guest('host-a', 'blue', { n: 1 });
    listed = await overlay.guest('kernel', 'blue', { n: 2, mtu: 1450, foreign: true });
    stranger = await overlay.guest('kernel', 'blue', { n: 3, mtu: 1450, unlisted: true });
    await kernelTunnel(k.namespace, { kind: 'vxlan', segment: 5001, local: k.ip4, peers: [a.ip4] });
    for (const { device } of [listed, stranger]) await k.namespace.ip(`link set ${device} master br0`);
    // A MAC of the table's that is elsewhere: claiming it would draw another's frames.
    const victim = { network: 'blue', mac: '02:00:00:01:00:99', ips: ['10.1.0.99'], at: [{ node: 'host-a' }] };
    overlay.table.ports.victim = victim;
    await overlay.start(['host-a'], { hook });
  });
  afterAll(() => overlay?.close());

  const guarded = async () => (await overlay.drops('host-a'))['guard-remote'] ?? 0;

  /** How many of ten frames get to our guest that the stranger sends with this source. */
  async function admitted(source: string): Promise<number> {
    const watch = await FrameCapture.start(ours.namespace, 'eth0', 'udp port 2000', 'in');
    const sent = frame(`eth ${source}>${ours.mac} | ip4 ${stranger.ip4}>${ours.ip4} | udp 1000>2000 sum=0 | data 30`);
    await sendFrames(stranger.namespace, 'eth0', [sent], { count: 10 });
    return (await watch.stop()).filter(({ frame: got }) => linkOf(got).source === source).length;
  }

  test.each([
    { guard: 'full', unknown: 0, claimed: 0 },
    { guard: 'open', unknown: 10, claimed: 0 },
    { guard: 'off', unknown: 10, claimed: 10 },
  ])('guard: $guard', async ({ guard, unknown, claimed }) => {
    const record = overlay.table.nodes.kernel!;
    if (record.guard !== guard) {
      record.guard = guard;
      await overlay.applyTable();
    }
    expect(await admitted('02:00:00:01:00:77')).toBe(unknown);
    expect((await ping(listed.namespace, ours.ip4)).received).toBe(3);
    const before = await guarded();
    expect(await admitted('02:00:00:01:00:99')).toBe(claimed);
    if (claimed === 0) expect((await guarded()) - before).toBeGreaterThanOrEqual(10);
    const { received } = await ping(stranger.namespace, ours.ip4);
    expect(received).toBe(unknown === 0 ? 0 : 3);
  });
});
