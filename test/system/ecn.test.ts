/**
 * ECN of outer and inner header (RFC 6040), against the kernel's VXLAN device: what each makes of all sixteen cases when it takes a
 * tunnel off, which is the same, and of the four when it puts one on, where they differ: docs/interoperation.md.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { linkOf, packetOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest, type OverlayHost } from '../support/overlay.ts';
import { frame } from '../support/packet.ts';
import { kernelTunnel } from '../support/peers/kernel-tunnel.ts';

const NAMES = ['Not-ECT', 'ECT(1)', 'ECT(0)', 'CE'] as const;
const DROP = 'drop';
const CASES = [0, 1, 2, 3].flatMap((inner) => [0, 1, 2, 3].map((outer) => ({ inner, outer })));

/** What is delivered, by RFC 6040 figure 4. */
function rfc6040(inner: number, outer: number): number | typeof DROP {
  if (outer === 3) return inner === 0 ? DROP : 3;
  return outer === 1 && inner === 2 ? 1 : inner;
}

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let a: OverlayHost;
  let k: OverlayHost;
  let ours: OverlayGuest;
  let theirs: OverlayGuest;

  beforeAll(async () => {
    overlay = await Overlay.build();
    a = await overlay.host('host-a', 1);
    k = await overlay.host('kernel', 2);
    overlay.node('host-a');
    overlay.node('kernel', [4], { kind: 'foreign' });
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    ours = await overlay.guest('host-a', 'blue', { n: 1 });
    theirs = await overlay.guest('kernel', 'blue', { n: 2, mtu: 1450, foreign: true });
    await kernelTunnel(k.namespace, { kind: 'vxlan', segment: 5001, local: k.ip4, peers: [a.ip4] });
    await k.namespace.ip(`link set ${theirs.device} master br0`);
    await overlay.start(['host-a'], { hook });
  });
  afterAll(() => overlay?.close());

  const macOf = async (host: OverlayHost) => {
    const { stdout } = await host.namespace.run(['ip', '-j', 'link', 'show', 'dev', 'eth0']);
    return (JSON.parse(stdout) as { address: string }[])[0]!.address;
  };

  /** The inner packet of a case; its source port says which. */
  function inner(from: OverlayGuest, to: OverlayGuest, family: 4 | 6, ecn: number, port: number): string {
    const ip =
      family === 4 ? `ip4 ${from.ip4}>${to.ip4} tos=${0x48 | ecn}` : `ip6 ${from.ip6}>${to.ip6} tc=${0x48 | ecn}`;
    return `eth ${from.mac}>${to.mac} | ${ip} | udp ${port}>2000 | data 40`;
  }

  /** ECN of what arrives at a guest, by the source port. */
  async function arriving(to: OverlayGuest, send: () => Promise<unknown>): Promise<Map<number, number>> {
    const watch = await FrameCapture.start(to.namespace, 'eth0', 'udp dst port 2000 or (ip6 and udp)', 'in');
    await send();
    const got = new Map<number, number>();
    for (const { frame: bytes } of await watch.stop()) {
      const packet = packetOf(bytes);
      if (packet?.protocol !== 17 || packet.payload.readUInt16BE(2) !== 2000) continue;
      got.set(packet.payload.readUInt16BE(0), packet.trafficClass & 3);
      // the DSCP inside stays
      expect(packet.trafficClass >> 2).toBe(0x48 >> 2);
    }
    return got;
  }

  test.each([4, 6] as const)('taking off: all sixteen cases, IPv%i inside', async (family) => {
    const results: string[] = [];
    for (const [name, from, to, near, far] of [
      ['Mapwire', theirs, ours, k, a],
      ['kernel', ours, theirs, a, k],
    ] as const) {
      const [source, target] = [await macOf(near), await macOf(far)];
      const frames = CASES.map(({ inner: i, outer: o }, index) =>
        frame(
          `eth ${source}>${target} | ip4 ${near.ip4}>${far.ip4} tos=${o} | udp 50000>4789 sum=0 | vxlan 5001 | ${inner(from, to, family, i, 3000 + index)}`,
        ),
      );
      // As if the peer had sent them, from its own device.
      const got = await arriving(to, () => sendFrames(near.namespace, 'eth0', frames));
      const delivered = CASES.map((_, index) => got.get(3000 + index) ?? DROP);
      expect(delivered, name).toEqual(CASES.map(({ inner: i, outer: o }) => rfc6040(i, o)));
      results.push(
        `${name}: ${CASES.map(({ inner: i, outer: o }, index) => `${NAMES[i]}/${NAMES[o]} ${delivered[index] === DROP ? DROP : NAMES[delivered[index] as number]}`).join(', ')}`,
      );
    }
    console.log(`${hook}, IPv${family}, inner/outer and what is delivered:\n${results.join('\n')}`);
  });

  test.each([4, 6] as const)('putting on: four cases, IPv%i inside', async (family) => {
    const put = async (from: OverlayGuest, to: OverlayGuest, near: OverlayHost, far: OverlayHost) => {
      const watch = await FrameCapture.start(far.namespace, 'eth0', `udp port 4789 and src ${near.ip4}`, 'in');
      const frames = [0, 1, 2, 3].map((ecn) => frame(inner(from, to, family, ecn, 4000 + ecn)));
      await sendFrames(from.namespace, 'eth0', frames);
      const got = new Map<number, number>();
      for (const { frame: bytes } of await watch.stop()) {
        const outer = packetOf(bytes)!;
        // behind UDP and VXLAN: the inner frame
        const packet = packetOf(outer.payload.subarray(16));
        if (packet?.protocol !== 17) continue;
        expect(linkOf(outer.payload.subarray(16)).source).toBe(from.mac);
        got.set(packet.payload.readUInt16BE(0) - 4000, outer.trafficClass & 3);
      }
      return [0, 1, 2, 3].map((ecn) => NAMES[got.get(ecn)!]);
    };
    expect(await put(ours, theirs, a, k), 'Mapwire').toEqual(['Not-ECT', 'ECT(1)', 'ECT(0)', 'CE']);
    // include/net/inet_ecn.h, INET_ECN_encapsulate(): RFC 3168's full functionality, which resets CE to ECT(0).
    expect(await put(theirs, ours, k, a), 'kernel').toEqual(['Not-ECT', 'ECT(1)', 'ECT(0)', 'ECT(0)']);
  });
});
