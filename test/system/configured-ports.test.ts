/**
 * UDP ports, TTL and DSCP of the configuration are what is on the wire, for each encapsulation over UDP, over both families, and
 * what comes in at these ports is taken. The usual ports are then nobody's.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decode, framesOf } from '../support/decode.ts';
import { broadcasts, compares, pings } from '../support/exchange.ts';
import { FrameCapture } from '../support/frames.ts';
import { packetOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';

const PORTS = { vxlan: 8472, 'vxlan-gpe': 14790, geneve: 16081, lisp: 14341 } as const;
const TTL = 33;
const DSCP = 46;
const encaps = Object.keys(PORTS) as (keyof typeof PORTS)[];

describe.each(([4, 6] as const).map((underlay) => ({ underlay })))('underlay: IPv$underlay', ({ underlay }) => {
  let overlay: Overlay;

  beforeAll(async () => {
    overlay = await Overlay.build();
    for (const [index, name] of ['host-a', 'host-b'].entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name, [underlay]);
    }
    encaps.forEach((encap, index) => {
      overlay.network(encap, { encap, segment: 5001 + index });
    });
    for (const encap of encaps) {
      await overlay.guest('host-a', encap, { n: 1 });
      await overlay.guest('host-b', encap, { n: 2 });
    }
    const lines = [
      `vxlan-port: ${PORTS.vxlan}`,
      `gpe-port: ${PORTS['vxlan-gpe']}`,
      `geneve-port: ${PORTS.geneve}`,
      `lisp-port: ${PORTS.lisp}`,
      `ttl: ${TTL}`,
      `dscp: ${DSCP}`,
    ];
    await overlay.start(['host-a', 'host-b'], { hook: underlay === 4 ? 'xdp' : 'tc', extra: lines.join('\n') });
  });
  afterAll(() => overlay?.close());

  test('every encapsulation is at its port, with the configured TTL and DSCP', async () => {
    const [a, b] = ['host-a', 'host-b'].map((name) => overlay.hosts.get(name)!);
    await a!.namespace.offload('eth0', { tx: 'off' });
    const source = underlay === 4 ? a!.ip4 : a!.ip6;
    const watch = await FrameCapture.start(b!.namespace, 'eth0', `udp and src host ${source}`, 'in');
    for (const encap of encaps) {
      const [one, two] = overlay.of(encap) as [OverlayGuest, OverlayGuest];
      for (const inside of [4, 6] as const) {
        await pings(one, two, inside);
        await compares(one, two, inside, [0, 1, 1200]);
        await broadcasts(one, [two], inside);
        await broadcasts(two, [one], inside);
      }
    }
    const frames = await watch.stop();
    for (const { frame } of frames) {
      const { trafficClass, hopLimit } = packetOf(frame)!;
      expect({ dscp: trafficClass >> 2, hopLimit }).toEqual({ dscp: DSCP, hopLimit: TTL });
    }
    const names = { vxlan: 'vxlan', vxlan_gpe: 'vxlan-gpe', geneve: 'geneve', 'lisp-data': 'lisp' } as const;
    const ports = Object.fromEntries(Object.entries(names).map(([layer, encap]) => [layer, PORTS[encap]]));
    const counted: Record<string, number> = {};
    for (const [layer, encap] of Object.entries(names)) {
      const result = await decode(watch.file, { ports, filter: `udp.dstport == ${PORTS[encap]}` });
      expect(result.faults).toEqual([]);
      const outer = `eth ${underlay === 4 ? 'ip' : 'ipv6'} udp`;
      // tshark has no name for VXLAN-GPE among the layers: IP behind UDP
      const starts = layer === 'vxlan_gpe' ? [`${outer} ip`, `${outer} ipv6`] : [`${outer} ${layer}`];
      counted[encap] = starts.reduce((total, start) => total + framesOf(result, start), 0);
      expect(counted[encap], encap).toBeGreaterThanOrEqual(16);
    }
    console.log(`IPv${underlay}: frames by encapsulation at its configured port: ${JSON.stringify(counted)}`);
    const sum = Object.values(counted).reduce((total, count) => total + count, 0);
    expect(sum, 'every frame was at one of the ports').toBe(frames.length);
  });
});
