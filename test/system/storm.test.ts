/** A guest that broadcasts as fast as it can: what the node takes of it is bounded and the rest counted; the neighbour barely notices. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { experimental } from '../support/headers.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { PingStream } from '../support/traffic.ts';

const RATE = 200;
const SENT = 1_000_000;

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let storm: OverlayGuest;
  let far: OverlayGuest;
  let bystander: OverlayGuest;

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [index, name] of ['host-a', 'host-b'].entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name);
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    storm = await overlay.guest('host-a', 'blue', { n: 1 });
    bystander = await overlay.guest('host-a', 'blue', { n: 2 });
    far = await overlay.guest('host-b', 'blue', { n: 3 });
    await overlay.start(['host-a', 'host-b'], { hook, extra: `flood-rate: ${RATE}` });
  });
  afterAll(() => overlay?.close());

  test('flood-rate bounds it, and every frame is flooded or counted', async () => {
    const captures = await Promise.all(
      [bystander, far].map(({ namespace }) => FrameCapture.start(namespace, 'eth0', 'ether proto 0x88b5')),
    );
    const ping = new PingStream(bystander.namespace, far.ip4, 0.01);
    await ping.flowing();
    const said = await sendFrames(storm.namespace, 'eth0', [experimental('ff:ff:ff:ff:ff:ff', storm.mac, 'storm')], {
      count: SENT,
      numberAt: 20,
    });
    const { sent, received, output } = await ping.stop();
    const seconds = Number(/in ([\d.]+) s/.exec(said)?.[1]);
    const dropped = (await overlay.drops('host-a'))['flood-rate'] ?? 0;
    const latency = /rtt [^\n]*/.exec(output)?.[0] ?? 'no times';
    const [local, remote] = await Promise.all(captures.map((capture) => capture.stop()));
    const distinct = (frames: typeof local) => new Set(frames!.map(({ frame }) => frame.toString('hex'))).size;
    console.log(
      `${hook}: ${SENT} broadcasts in ${seconds} s; ${local!.length} flooded at a limit of ${RATE} a second, ${dropped} dropped; ` +
        `bystander: ${sent - received} of ${sent} pings lost, ${latency}`,
    );
    expect(dropped + local!.length).toBe(SENT);
    expect(distinct(local)).toBe(local!.length);
    expect(distinct(remote)).toBe(remote!.length);
    expect(remote!.length).toBe(local!.length);
    expect(local!.length).toBeGreaterThan(0);
    // Windows begin on the clock's seconds: one more at either end.
    expect(local!.length).toBeLessThanOrEqual(RATE * (Math.ceil(seconds) + 2));
  });
});
