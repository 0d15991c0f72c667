/**
 * A broadcast goes to the nodes that have a port in the network, and to no other: counted on the wire and at the far ends, while
 * nodes come and go, by number.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Heard } from '../support/agent.ts';
import { FrameCapture } from '../support/frames.ts';
import { packetOf } from '../support/headers.ts';
import { Overlay, type OverlayGuest, type OverlayPort } from '../support/overlay.ts';
import { eventually } from '../support/process.ts';

const PORT = 21_000;
const HOSTS = ['host-a', 'host-b', 'host-c', 'host-d'] as const;

let overlay: Overlay;
let sender: OverlayGuest;
const guests = new Map<string, OverlayGuest>();

/** Numbers heard, in order; rejects when one came twice. */
function numbers(heard: Heard): number[] {
  const twice = Object.entries(heard).filter(([, times]) => times !== 1);
  expect(twice, 'heard more than once').toEqual([]);
  return Object.keys(heard)
    .map((text) => Number(text.split(' ').at(-1)))
    .sort((a, b) => a - b);
}

/** Outer destinations of those tunnel packets on host-a's wire that carry the text, and how many each got. */
async function copies(capture: FrameCapture, text: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { frame } of await capture.stop()) {
    // guests speak of their own accord too: router solicitations, multicast listener reports
    if (!frame.includes(`${text} `)) continue;
    const destination = packetOf(frame)?.destination ?? 'none';
    counts[destination] = (counts[destination] ?? 0) + 1;
  }
  return counts;
}

async function listen(name: string): Promise<void> {
  for (const guest of guests.values())
    await guest.agent.ask('listen', { name, family: 4, port: PORT, device: 'eth0', address: guest.ip4 });
}

async function unlisten(name: string): Promise<void> {
  for (const guest of guests.values()) await guest.agent.ask('unlisten', { name });
}

describe.each(['tc', 'xdp'] as const)('hook: %s; a table of 50 nodes, a network on three of them', (hook) => {
  let later: OverlayPort;
  beforeAll(async () => {
    guests.clear();
    overlay = await Overlay.build();
    for (const [index, name] of HOSTS.entries()) {
      await overlay.host(name, index + 1);
      overlay.node(name);
    }
    overlay.network('blue', { encap: 'vxlan', segment: 5001 });
    overlay.network('other', { encap: 'geneve', segment: 5002 });
    for (const [index, name] of HOSTS.entries()) guests.set(name, await overlay.guest(name, 'blue', { n: index + 1 }));
    sender = guests.get('host-a')!;
    // 46 nodes more that nobody plays, with a network of their own in which host-a has a port too.
    await overlay.guest('host-a', 'other', { n: 1 });
    for (let n = 5; n <= 50; n++) {
      overlay.table.nodes[`far-${n}`] = { underlay: `192.0.2.${n}` };
      const mac = `02:00:00:02:00:${n.toString(16).padStart(2, '0')}`;
      overlay.table.ports[`far-${n}`] = { network: 'other', mac, ips: [`10.2.0.${n}`], at: [{ node: `far-${n}` }] };
    }
    later = overlay.table.ports[guests.get('host-d')!.device]!;
    delete overlay.table.ports[guests.get('host-d')!.device];
    await overlay.start(HOSTS, { hook });
    expect(Object.keys(overlay.table.nodes)).toHaveLength(50);
  });
  afterAll(() => overlay?.close());

  test('100 broadcasts make 200 copies: one to each of the two other nodes', async () => {
    await listen('hundred');
    const wire = await FrameCapture.start(overlay.wire, 'p-host-a', 'udp port 4789 and src 192.0.2.1');
    const texts = Array.from({ length: 100 }, (_, n) => `hundred ${n}`);
    await sender.agent.ask('send', { from: sender.ip4, to: '255.255.255.255', port: PORT, device: 'eth0', texts });
    for (const name of ['host-b', 'host-c']) {
      const heard = await guests.get(name)!.agent.hears('hundred', texts);
      expect(numbers(heard)).toHaveLength(100);
    }
    expect(await guests.get('host-d')!.agent.heard('hundred')).toEqual({});
    expect(await copies(wire, 'hundred')).toEqual({ '192.0.2.2': 100, '192.0.2.3': 100 });
    await unlisten('hundred');
  });

  test('a first port and a last port change the copies by exactly that node; nothing is lost, nothing doubled', async () => {
    await listen('stream');
    const wire = await FrameCapture.start(overlay.wire, 'p-host-a', 'udp port 4789 and src 192.0.2.1');
    await sender.agent.ask('stream', {
      name: 'stream',
      from: sender.ip4,
      to: '255.255.255.255',
      port: PORT,
      device: 'eth0',
      interval: 2,
    });
    const sent = async () => (await sender.agent.ask<{ sent: number }>('sent', { name: 'stream' })).sent;
    const goesOn = async () => {
      const before = await sent();
      await eventually('100 broadcasts more are sent', async () => (await sent()) > before + 100);
    };
    await goesOn();
    overlay.table.ports[guests.get('host-d')!.device] = later;
    await overlay.applyTable();
    await goesOn();
    delete overlay.table.ports[guests.get('host-c')!.device];
    await overlay.applyTable();
    await goesOn();
    const { sent: total } = await sender.agent.ask<{ sent: number }>('unstream', { name: 'stream' });
    const all = Array.from({ length: total }, (_, n) => n);
    const hear = async (name: string) => numbers(await guests.get(name)!.agent.heard('stream'));
    await eventually('host-b has heard the last', async () => (await hear('host-b')).at(-1) === total - 1);
    const [b, c, d] = [await hear('host-b'), await hear('host-c'), await hear('host-d')];
    const counts = await copies(wire, 'stream');
    console.log(
      `${hook}: ${total} broadcasts; host-b heard ${b.length}, host-c the first ${c.length}, host-d the last ${d.length}; copies ${JSON.stringify(counts)}`,
    );
    expect(b).toEqual(all);
    expect(c, 'host-c hears all up to its end').toEqual(all.slice(0, c.length));
    expect(c.length).toBeGreaterThan(100);
    expect(c.length).toBeLessThan(total);
    expect(d, 'host-d hears all from its beginning').toEqual(all.slice(total - d.length));
    expect(d.length).toBeGreaterThan(100);
    expect(d.length).toBeLessThan(total);
    expect(counts['192.0.2.2']).toBe(total);
    expect(Object.keys(counts).sort()).toEqual(['192.0.2.2', '192.0.2.3', '192.0.2.4']);
    await unlisten('stream');
  });
});
