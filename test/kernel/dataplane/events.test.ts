/** What routers tell: real ICMP messages to the underlay device, and what becomes of them. docs/packet-rules.md, section 7. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { sendFrames } from '../../support/frames.ts';
import { concat, fromHex, internetChecksum } from '../../support/packet.ts';
import type { Plane } from '../../support/plane.ts';
import { eventually } from '../../support/process.ts';
import type { TableObject } from '../../support/table-object.ts';
import { Scene } from './scene.ts';

let scene: Scene;

beforeAll(async () => {
  scene = await Scene.create();
  await scene.host.ip('addr add fd00:2::1/64 dev eth0 nodad');
  await scene.peer.ip('addr add fd00:2::2/64 dev eth0 nodad');
});

afterAll(async () => {
  await scene.close();
});

beforeEach(async () => {
  await scene.reset();
});

function table(family: 4 | 6, count = 1): TableObject & { mapwire: 1 } {
  const far = Array.from({ length: count }, (_, i) => [
    `far-${i}`,
    {
      network: 'blue',
      mac: `02:00:00:01:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`,
      at: [{ node: 'b' }],
    },
  ]);
  const [a, b] = family === 4 ? ['192.0.2.1', '192.0.2.2'] : ['fd00:2::1', 'fd00:2::2'];
  return {
    mapwire: 1,
    nodes: { a: { underlay: a }, b: { underlay: b } },
    networks: { blue: { segment: 5001 } },
    ports: {
      'web-1': { network: 'blue', mac: '02:00:00:00:00:01', ips: ['10.1.0.1'], at: [{ node: 'a', interface: 'p1' }] },
      ...Object.fromEntries(far),
    },
  };
}

const ETHERNET = '02fe00000001 02fe00000002';
const word = (value: number): string => value.toString(16).padStart(4, '0');

/** A router (192.0.2.254) tells 192.0.2.1 of a datagram to 192.0.2.`last`, port `port`. */
function tooBig4(mtu: number, last = 2, port = 4789): Uint8Array {
  const head = (total: number, proto: number, from: number, to: number): Uint8Array => {
    const bytes = fromHex(
      `4500 ${word(total)} 0000 4000 40 ${proto.toString(16).padStart(2, '0')} 0000 c0000200 c0000200`,
    );
    bytes[15] = from;
    bytes[19] = to;
    return bytes;
  };
  const quoted = concat(head(1600, 17, 1, last), fromHex(`c000 ${word(port)} 062c 0000`));
  const icmp = concat(fromHex(`0304 0000 0000 ${word(mtu)}`), quoted);
  icmp.set(fromHex(word(internetChecksum(icmp))), 2);
  const ip = head(20 + icmp.length, 1, 254, 1);
  ip.set(fromHex(word(internetChecksum(ip))), 10);
  return concat(fromHex(`${ETHERNET} 0800`), ip, icmp);
}

/** The same over IPv6, to fd00:2::1 about fd00:2::2. */
function tooBig6(mtu: number): Uint8Array {
  const address = (last: string): string => `fd00000200000000 00000000000000${last}`;
  const quoted = fromHex(`6000 0000 0600 11 40 ${address('01')} ${address('02')} c000 12b5 0600 0000`);
  const icmp = concat(fromHex(`0200 0000 0000 ${word(mtu)}`), quoted);
  const ip = fromHex(`6000 0000 ${word(icmp.length)} 3a ff ${address('fe')} ${address('01')}`);
  return concat(fromHex(`${ETHERNET} 86dd`), ip, icmp);
}

async function pathMtu(plane: Plane): Promise<number | undefined> {
  const { nextHops } = await plane.ask<{ nextHops: { pathMtu?: number }[] }>('status');
  return nextHops[0]?.pathMtu;
}

async function nodeMtu(): Promise<number> {
  const nodes = (await scene.dumpMap('node')).map((text) => JSON.parse(text).formatted.value as { mtu: number });
  // This node's own entry has none.
  return Math.max(...nodes.map(({ mtu }) => mtu));
}

describe('a router that tells of a tunnel packet that was too big', () => {
  it.each([
    [4, tooBig4(1400)],
    [6, tooBig6(1400)],
  ] as const)('lowers the MTU of the node, in its entry and in the status: IPv%i', async (family, frame) => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table(family) });
    await plane.ask('hops');
    expect(await pathMtu(plane)).toBeUndefined();
    await sendFrames(scene.peer, 'eth0', [frame]);
    await eventually('the status has it', async () => (await pathMtu(plane)) === 1400);
    expect(await nodeMtu()).toBe(1400);
    await plane.close();
  });

  it('is not believed when it cannot be, or speaks of others', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table(4) });
    await plane.ask('hops');
    // 575 is impossible; 9000 is no news; nobody is 192.0.2.77; port 53 is no tunnel. The last one is believed.
    const frames = [tooBig4(575), tooBig4(9000), tooBig4(1300, 77), tooBig4(1300, 2, 53), tooBig4(1450)];
    await sendFrames(scene.peer, 'eth0', frames);
    await eventually('the last one is believed', async () => (await pathMtu(plane)) !== undefined);
    expect(await pathMtu(plane)).toBe(1450);
    await plane.close();
  });

  it('is heard by the next generation too', async () => {
    const plane = scene.worker();
    await plane.open(scene.options);
    await plane.ask('apply', { table: table(4) });
    await plane.ask('hops');
    expect(await plane.ask('edit', { table: table(4, 4000) })).toMatchObject({ generation: 2 });
    await sendFrames(scene.peer, 'eth0', [tooBig4(1400)]);
    await eventually('the status has it', async () => (await pathMtu(plane)) === 1400);
    await plane.close();
  });
});
