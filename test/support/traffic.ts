/** Traffic between guests, and what became of it. */
import { join } from 'node:path';
import { type Namespace, support } from './hosts.ts';
import { type Background, eventually, run } from './process.ts';

const peer = join(support, 'peer.mjs');

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly output: string;
}

function parsePing(output: string): PingResult {
  const match = output.match(/(\d+) packets transmitted, (\d+) (?:packets )?received/);
  if (!match) throw new Error(`no summary from ping:\n${output}`);
  return { sent: Number(match[1]), received: Number(match[2]), output };
}

/** Sends `count` echo requests; never rejects because of loss. */
export async function ping(
  from: Namespace,
  to: string,
  options: { readonly count?: number; readonly interval?: number; readonly size?: number; readonly df?: boolean } = {},
): Promise<PingResult> {
  const { count = 3, interval = 0.05, size, df } = options;
  const argv = ['ping', '-n', '-c', String(count), '-i', String(interval), '-W', '1'];
  if (size !== undefined) argv.push('-s', String(size));
  if (df !== undefined) argv.push('-M', df ? 'do' : 'dont');
  const { stdout } = await from.run([...argv, to], { check: false, timeout: 30_000 + count * interval * 1_000 });
  return parsePing(stdout);
}

/** Packets that a device of a namespace has received. */
async function received(namespace: Namespace, device: string): Promise<number> {
  const { stdout } = await namespace.run(['ip', '-j', '-s', 'link', 'show', device]);
  return (JSON.parse(stdout) as { stats64: { rx: { packets: number } } }[])[0]!.stats64.rx.packets;
}

/**
 * Which of these devices get more while pings go by that are all answered: those that get as many (some multicast of the guests is
 * there always). Rejects when an answer is missing.
 */
export async function receivers(
  from: Namespace,
  to: string,
  devices: Readonly<Record<string, readonly [Namespace, string]>>,
): Promise<string[]> {
  const count = 20;
  const look = async () =>
    new Map(
      await Promise.all(
        Object.entries(devices).map(async ([name, [ns, dev]]) => [name, await received(ns, dev)] as const),
      ),
    );
  const before = await look();
  const sent = await ping(from, to, { count, interval: 0.01 });
  if (sent.received !== count) throw new Error(`pings to ${to} are lost:\n${sent.output}`);
  const after = await look();
  return [...after].filter(([name, packets]) => packets - before.get(name)! >= count).map(([name]) => name);
}

/** An endless ping; `stop()` gives what was sent and received. Requests still on the way at the stop are waited for. */
export class PingStream {
  readonly #process: Background;
  readonly #interval: number;

  constructor(from: Namespace, to: string, interval = 0.002, pattern = '') {
    this.#interval = interval;
    this.#process = from.start([
      'ping',
      '-n',
      '-D',
      '-O',
      '-i',
      String(interval),
      '-W',
      '1',
      ...(pattern === '' ? [] : ['-p', pattern]),
      to,
    ]);
  }

  /** Resolves when the first answer is in. */
  async flowing(): Promise<void> {
    await this.#process.waitFor(/bytes from/);
  }

  /** Everything printed so far: with `-D` each line starts with the time in seconds. */
  get output(): string {
    return this.#process.stdout;
  }

  async stop(): Promise<PingResult> {
    await this.#process.stop('SIGINT');
    return parsePing(this.#process.stdout);
  }

  /** Sequence numbers never answered among the requests sent after `time` (seconds since 1970). */
  lostAfter(time: number): number[] {
    // With -O ping says of each unanswered request, when it sends the next one, that there is no answer yet.
    const sent = new Map<number, number>();
    for (const match of this.#process.stdout.matchAll(/^\[([\d.]+)\] no answer yet for icmp_seq=(\d+)/gm)) {
      sent.set(Number(match[2]), Number(match[1]) - this.#interval);
    }
    return this.lost().filter((sequence) => (sent.get(sequence) ?? Number.POSITIVE_INFINITY) >= time);
  }

  /** Sequence numbers that were never answered. */
  lost(): number[] {
    const answered = new Set<number>();
    let last = 0;
    for (const match of this.#process.stdout.matchAll(/bytes from .*icmp_seq=(\d+)/g)) {
      answered.add(Number(match[1]));
      last = Math.max(last, Number(match[1]));
    }
    const lost: number[] = [];
    for (let sequence = 1; sequence <= last; sequence++) if (!answered.has(sequence)) lost.push(sequence);
    return lost;
  }
}

export interface TransferResult {
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Sends `bytes` of pseudo-random data over TCP from one guest to the other and as much back; both ends compare SHA-256.
 * Rejects when a digest differs or nothing moves for 10 s.
 */
export async function transfer(
  from: Namespace,
  to: Namespace,
  address: string,
  bytes: number,
  timeout = 60_000,
): Promise<TransferResult> {
  const server = to.start([process.execPath, peer, 'tcp-serve', address]);
  try {
    const [, port] = await server.waitFor(/listening (\d+)/);
    const { stdout } = await from.run([process.execPath, peer, 'tcp-send', address, port!, String(bytes)], { timeout });
    const result = JSON.parse(stdout) as TransferResult;
    await eventually('the server has verified', () => /verified/.test(server.stdout), 5_000);
    return result;
  } finally {
    await server.stop();
  }
}

/** UDP datagrams of each size there and back, compared byte for byte; rejects when one is missing after retries. */
export async function datagrams(
  from: Namespace,
  to: Namespace,
  address: string,
  sizes: readonly number[],
): Promise<void> {
  const server = to.start([process.execPath, peer, 'udp-serve', address]);
  try {
    const [, port] = await server.waitFor(/listening (\d+)/);
    await from.run([process.execPath, peer, 'udp-send', address, port!, sizes.join(',')], { timeout: 30_000 });
  } finally {
    await server.stop();
  }
}

/** A packet capture on a device of a namespace, written to `file`. The shorter the frames kept, the more fit the buffer. */
export async function capture(
  namespace: Namespace,
  device: string,
  file: string,
  filter = '',
  length = 0,
  direction: 'in' | 'out' | 'inout' = 'inout',
): Promise<Background> {
  const keep = ['-Q', direction, '-s', String(length), '--immediate-mode', '-B', '32768', '-Z', 'root'];
  const argv = ['tcpdump', '-i', device, '-U', '-w', file, ...keep];
  const process = namespace.start(filter === '' ? argv : [...argv, filter]);
  await process.waitFor(/listening on/);
  return process;
}

/** Frames of a capture in which any checksum, inner or outer, is wrong, as text lines; `frames` counts all. */
export async function badChecksums(file: string): Promise<{ readonly frames: number; readonly bad: string[] }> {
  const verify = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].flatMap((protocol) =>
    protocol.startsWith('icmp') ? [] : ['-o', `${protocol}.check_checksum:TRUE`],
  );
  const all = await run(['capinfos', '-c', '-M', '-T', '-r', file]);
  const frames = Number(all.stdout.trim().split('\t').at(-1));
  // Where the sum comes to 0 the stack writes 0xffff for TCP too (CSUM_MANGLED_0), which means the same; tshark minds.
  const wrong = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].map((protocol) =>
    protocol === 'tcp'
      ? '(tcp.checksum.status == "Bad" && tcp.checksum != 0xffff)'
      : `${protocol}.checksum.status == "Bad"`,
  );
  const { stdout } = await run(['tshark', '-r', file, ...verify, '-Y', wrong.join(' || ')], { timeout: 120_000 });
  return { frames, bad: stdout.split('\n').filter((line) => line.trim() !== '') };
}
