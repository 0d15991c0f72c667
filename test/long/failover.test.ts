/**
 * A node with 1,000,000 ports behind it goes down: one map write, counted from outside, and the first packet that comes
 * after it goes to the standby.
 */
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mapWrites, writesRest } from '../support/bpf-trace.ts';
import type { Namespace } from '../support/hosts.ts';
import { scaled } from '../support/long.ts';
import { Mapwire } from '../support/mapwire.ts';
import { guestAddresses, Overlay, type OverlayGuest } from '../support/overlay.ts';
import type { Background } from '../support/process.ts';
import { PingStream } from '../support/traffic.ts';

const PORTS = scaled(1_000_000, 50_000);
const ROUNDS = 10;
const MINUTES = 60_000;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let overlay: Overlay;
let client: OverlayGuest;
let standby: Namespace;
let daemon: Mapwire;
let trace: string;
const pair = guestAddresses(1, 100);

/** Ports of node b with a standby on c, as NDJSON beside the table. */
async function writeBulk(path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    let text = '{"mapwire":1}\n';
    for (let i = 0; i < PORTS; i++) {
      const hex = i.toString(16).padStart(6, '0');
      const mac = `02:00:f0:${hex.slice(0, 2)}:${hex.slice(2, 4)}:${hex.slice(4)}`;
      const at = '[{"node":"b","priority":1},{"node":"c","priority":2}]';
      text += `{"port":"bulk-${i}","network":"blue","mac":"${mac}","at":${at}}\n`;
      if (text.length > 1 << 20) {
        await file.write(text);
        text = '';
      }
    }
    await file.write(text);
  } finally {
    await file.close();
  }
}

beforeAll(async () => {
  overlay = await Overlay.build();
  for (const [i, name] of ['a', 'b', 'c'].entries()) {
    await overlay.host(name, i + 1);
    overlay.node(name);
  }
  overlay.network('blue', { segment: 5001 });
  client = await overlay.guest('a', 'blue', { n: 1 });
  const options = { mac: pair.mac, addresses: [`${pair.ip4}/24`, `${pair.ip6}/64`] };
  const guests = ['b', 'c'].map((name) =>
    overlay.lab.guest(overlay.hosts.get(name)!.namespace, `pair-${name}`, 'pair', options),
  );
  standby = (await Promise.all(guests))[1]!;
  overlay.table.ports.pair = {
    network: 'blue',
    mac: pair.mac,
    ips: [pair.ip4, pair.ip6],
    at: ['b', 'c'].map((node, i) => ({ node, interface: 'pair', priority: i + 1 })),
  };
  await overlay.start(['b', 'c']);
  const folder = dirname(overlay.tablePath);
  await writeBulk(join(folder, 'bulk.ndjson'));
  const host = overlay.hosts.get('a')!.namespace;
  daemon = await Mapwire.configure(host, { node: 'a', table: folder });
  overlay.lab.atClose(() => daemon.down());
  trace = join(await overlay.lab.folder(), 'strace');
  const strace = ['strace', '-f', '-qq', '-ttt', '-e', 'trace=bpf', '-o', trace];
  const process = await daemon.run(false, strace);
  await process.waitFor(/\bready\b/, 10 * MINUTES);
  await writesRest(trace);
}, 15 * MINUTES);

afterAll(() => overlay?.close(), 2 * MINUTES);

/** Times, in seconds since 1970, of the echo requests that a capture has printed. */
function requests(capture: Background): number[] {
  return [...capture.stdout.matchAll(/^(\d+\.\d+) .*echo request/gm)].map((match) => Number(match[1]));
}

test(`${PORTS} ports: one write, and the next packet goes to the standby`, { timeout: 10 * MINUTES }, async () => {
  const capture = standby.start(['tcpdump', '-i', 'eth0', '-tt', '-l', '-n', 'icmp or icmp6']);
  await capture.waitFor(/listening on/);
  const stream = new PingStream(client.namespace, pair.ip4, 0.0005);
  await stream.flowing();
  const delays: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const before = (await mapWrites(trace)).lines.length;
    await daemon.command(['node', 'down', 'b', '--config', daemon.config]);
    await pause(300);
    const down = (await mapWrites(trace)).lines.slice(before);
    expect(down, down.join('\n')).toHaveLength(1);
    const written = Number(/\b(\d{10}\.\d+)\b/.exec(down[0]!)?.[1]);
    const first = requests(capture).find((time) => time >= written);
    expect(first).toBeDefined();
    delays.push((first! - written) * 1_000);
    await daemon.command(['node', 'clear', 'b', '--config', daemon.config]);
    await pause(300);
    expect((await mapWrites(trace)).lines.slice(before)).toHaveLength(2);
  }
  const { sent, received } = await stream.stop();
  await capture.stop('SIGINT');
  delays.sort((a, b) => a - b);
  console.info(
    `failover: ${PORTS} ports, write to first packet (ms): ${delays.map((one) => one.toFixed(2)).join(' ')}`,
  );
  // Both guests live: nothing gets lost on the way over. How long it may take is judged by the bench (`--only failover`).
  expect(received).toBe(sent);
});
