/**
 * Tagged frames of guests, with the tag in the frame (a packet socket) and beside it (as a VLAN device sends): `vlan: transparent`
 * carries them whole, to the far node and to the neighbour; `vlan: drop` drops every one and counts it. Both hooks.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { linkOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { frame } from '../support/packet.ts';
import { tagBeside } from '../support/tags.ts';

const ENCAPS = ['vxlan', 'geneve', 'gre'] as const;
const COUNT = 20;
const NUMBER = 50;

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [index, name] of ['host-a', 'host-b'].entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name);
    }
    ENCAPS.forEach((encap, index) => {
      overlay.network(encap, { encap, segment: 5001 + index, vlan: 'transparent' });
    });
    overlay.network('drops', { encap: 'vxlan', segment: 5100 });
    for (const network of [...ENCAPS, 'drops']) {
      await overlay.guest('host-a', network, { n: 1 });
      await overlay.guest('host-a', network, { n: 2 });
      await overlay.guest('host-b', network, { n: 3 });
    }
    await overlay.start(['host-a', 'host-b'], { hook });
  });
  afterAll(() => overlay?.close());

  const guests = (network: string) => overlay.of(network) as [OverlayGuest, OverlayGuest, OverlayGuest];

  /** IPv4 from one guest to a MAC, under tags. The payload is long enough for a number behind all headers. */
  const tagged = (from: OverlayGuest, to: OverlayGuest, mac: string, tags: string) =>
    frame(`eth ${from.mac}>${mac} | ${tags} ip4 ${from.ip4}>${to.ip4} | udp 1000>2000 sum=0 | data 64`);

  /** Tags of the frames with EtherType IPv4 behind them that each capture got. */
  async function tagsOf(captures: readonly FrameCapture[]): Promise<(number | undefined)[][]> {
    const frames = await Promise.all(captures.map((capture) => capture.stop()));
    return frames.map((list) =>
      list
        .map(({ frame: bytes }) => linkOf(bytes))
        .filter(({ type }) => type === 0x0800)
        .map(({ vlan }) => vlan),
    );
  }

  const watch = (network: string) =>
    Promise.all(
      guests(network)
        .slice(1)
        .map((guest) => FrameCapture.start(guest.namespace, 'eth0', '', 'in')),
    );

  test.each(ENCAPS)('%s carries a tag in the frame, and two, whole', async (network) => {
    const [one, beside, far] = guests(network);
    for (const [tags, bytes] of [
      ['vlan 10 |', 4],
      ['vlan 10 tpid=0x88a8 | vlan 20 |', 8],
    ] as const) {
      const captures = await watch(network);
      const frames = [
        tagged(one, far, far.mac, tags),
        tagged(one, beside, beside.mac, tags),
        tagged(one, far, 'ff:ff:ff:ff:ff:ff', tags),
      ];
      await sendFrames(one.namespace, 'eth0', frames, { count: 3 * COUNT, numberAt: NUMBER + bytes });
      const results = await Promise.all(captures.map((capture) => capture.stop()));
      for (const [index, list] of results.entries()) {
        const ours = list.filter(({ frame: got }) => linkOf(got).vlan === 10);
        // its own and everybody's, each as it was sent
        expect(ours, `${network}: ${tags} at ${index === 0 ? 'the neighbour' : 'the far guest'}`).toHaveLength(
          2 * COUNT,
        );
        const lengths = new Set(ours.map(({ frame: got }) => got.length));
        expect(lengths).toEqual(new Set([frames[0]!.length]));
        expect(new Set(ours.map(({ frame: got }) => got.readUInt32BE(NUMBER + bytes))).size).toBe(2 * COUNT);
      }
    }
  });

  test.each(ENCAPS)('%s carries a tag that was beside the frame', async (network) => {
    const [one, , far] = guests(network);
    await tagBeside(one.namespace);
    const captures = await watch(network);
    await sendFrames(one.namespace, 'eth0', [tagged(one, far, far.mac, '')], { count: COUNT });
    const [, remote] = await tagsOf(captures);
    expect(remote).toEqual(Array.from({ length: COUNT }, () => 10));
  });

  test('vlan: drop drops a tag in the frame, and one beside it, and counts each', async () => {
    const [one, , far] = guests('drops');
    const dropped = async () => (await overlay.drops('host-a')).tagged ?? 0;
    const before = await dropped();
    const captures = await watch('drops');
    const frames = [tagged(one, far, far.mac, 'vlan 10 |'), tagged(one, far, 'ff:ff:ff:ff:ff:ff', 'vlan 10 |')];
    await sendFrames(one.namespace, 'eth0', frames, { count: 2 * COUNT });
    await tagBeside(one.namespace);
    await sendFrames(one.namespace, 'eth0', [tagged(one, far, far.mac, '')], { count: COUNT });
    expect((await tagsOf(captures)).flat()).toEqual([]);
    // the guest's own chatter may be among them now that it is all tagged
    expect((await dropped()) - before).toBeGreaterThanOrEqual(3 * COUNT);
  });
});
