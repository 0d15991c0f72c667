/**
 * One network on 4,000 nodes: a broadcast makes 3,999 copies in runs of at most 256; each copy is sent or counted, and what it does
 * to a bystander is measured. The far nodes are addresses behind one gateway, which counts what comes.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FrameCapture, sendFrames } from '../support/frames.ts';
import { experimental, packetOf } from '../support/headers.ts';
import type { Namespace } from '../support/hosts.ts';
import { Overlay, type OverlayGuest } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';
import { PingStream } from '../support/traffic.ts';

const NODES = 4_000;
const FAR = NODES - 1;

describe.each(['tc', 'xdp'] as const)('hook: %s', (hook) => {
  let overlay: Overlay;
  let gateway: Namespace;
  let sender: OverlayGuest;
  let bystander: OverlayGuest;
  let other: OverlayGuest;

  beforeAll(async () => {
    overlay = await Overlay.build();
    const a = await overlay.host('host-a', 1);
    await overlay.host('host-b', 2);
    overlay.node('host-a');
    overlay.node('host-b');
    gateway = await overlay.lab.namespace('gateway');
    await overlay.lab.plug(overlay.wire, gateway, 'gateway', '192.0.2.254');
    await a.namespace.ip('route add 198.18.0.0/15 via 192.0.2.254');
    overlay.network('wide', { encap: 'vxlan', segment: 5001 });
    overlay.network('narrow', { encap: 'vxlan', segment: 5002 });
    sender = await overlay.guest('host-a', 'wide', { n: 1 });
    bystander = await overlay.guest('host-a', 'narrow', { n: 1 });
    other = await overlay.guest('host-b', 'narrow', { n: 2 });
    for (let n = 1; n <= FAR; n++) {
      const [high, low] = [n >> 8, n & 255];
      const hex = (value: number) => value.toString(16).padStart(2, '0');
      overlay.table.nodes[`far-${n}`] = { underlay: `198.18.${high}.${low}` };
      overlay.table.ports[`far-${n}`] = {
        network: 'wide',
        mac: `02:00:01:00:${hex(high)}:${hex(low)}`,
        ips: [`10.128.${high}.${low}`],
        at: [{ node: `far-${n}` }],
      };
    }
    await overlay.start(['host-a', 'host-b'], { hook, extra: 'flood-rate: 0' });
  }, 600_000);
  afterAll(() => overlay?.close());

  const broadcast = (rate: number, count: number) =>
    sendFrames(sender.namespace, 'eth0', [experimental('ff:ff:ff:ff:ff:ff', sender.mac, 'wide')], {
      count,
      rate,
      numberAt: 20,
    });

  const counter = async (host: Namespace, device: string, name: string) => {
    const { stdout } = await host.run(['ip', '-j', '-s', 'link', 'show', 'dev', device]);
    const [link] = JSON.parse(stdout) as { stats64: Record<string, Record<string, number>> }[];
    const [direction, field] = name.split('.') as [string, string];
    return link!.stats64[direction]![field]!;
  };

  test('every node gets exactly one copy of each broadcast', async () => {
    const COUNT = 5;
    const watch = await FrameCapture.start(gateway, 'eth0', 'udp port 4789 and ether[62:2] = 0x88b5');
    await broadcast(5, COUNT);
    const copies = new Map<string, number>();
    for (const { frame } of await watch.stop(500)) {
      const { destination, payload } = packetOf(frame)!;
      // behind UDP, VXLAN and the inner Ethernet header: where the sender wrote the broadcast's number
      const key = `${destination} ${payload.readUInt32BE(16 + 20)}`;
      copies.set(key, (copies.get(key) ?? 0) + 1);
    }
    expect([...copies.values()].filter((times) => times !== 1)).toEqual([]);
    expect(copies.size).toBe(FAR * COUNT);
  });

  test('copies under load are sent or counted, and the bystander is measured', async () => {
    const alone = await bystanderPings(async () => {
      await new Promise((resolve) => setTimeout(resolve, 3_000));
    });
    const host = overlay.hosts.get('host-a')!.namespace;
    const rows = async () => (await overlay.drops('host-a'))['flood-copy'] ?? 0;
    // Frames that the guest sends and the host's own queue loses never come to Mapwire.
    const taken = async () => {
      const ports = await overlay.daemon('host-a').json<{ port: string; rxPackets: number | string }[]>('ports');
      return Number(ports.find(({ port }) => port === sender.device)!.rxPackets);
    };
    const takenBefore = await taken();
    const before = { rx: await counter(gateway, 'eth0', 'rx.packets'), copies: await rows() };
    const sentBefore = await counter(host, 'eth0', 'tx.packets');
    const COUNT = 150;
    let said = '';
    const loaded = await bystanderPings(async () => {
      said = await broadcast(50, COUNT);
    });
    const got = await eventually(
      'the copies have arrived',
      async () => {
        const first = await counter(gateway, 'eth0', 'rx.packets');
        await new Promise((resolve) => setTimeout(resolve, 500));
        const second = await counter(gateway, 'eth0', 'rx.packets');
        return first === second && second - before.rx;
      },
      60_000,
    );
    const counted = (await rows()) - before.copies;
    const sent = (await counter(host, 'eth0', 'tx.packets')) - sentBefore;
    const flooded = (await taken()) - takenBefore;
    console.log(
      `${hook}: ${flooded} of ${COUNT} broadcasts to ${FAR} nodes (${said.trim()}): ${sent} copies sent, ${counted} counted as flood-copy, ` +
        `${got} came through the switch to the gateway;\nbystander alone: ${alone}\nbystander beside it: ${loaded}`,
    );
    // The bystander's pings are in the device's figure too; what the switch or the gateway lose is not ours to count.
    expect(sent + counted).toBeGreaterThanOrEqual(flooded * FAR);
    expect(sent + counted).toBeLessThan(flooded * FAR + 2_000);
  });

  async function bystanderPings(what: () => Promise<void>): Promise<string> {
    const stream = new PingStream(bystander.namespace, other.ip4, 0.005);
    await stream.flowing();
    await what();
    const { sent, received, output } = await stream.stop();
    return `${sent - received} of ${sent} pings lost, ${/rtt [^\n]*/.exec(output)?.[0] ?? 'no times'}`;
  }
});
