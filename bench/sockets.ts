/** TCP throughput and round trips, container to container, peers in turn; and what the kernel drops meanwhile. */
import { join } from 'node:path';
import { packageRoot } from '../src/bintools/package-root.ts';
import type { Lab, Namespace } from '../test/support/hosts.ts';
import { eventually, run } from '../test/support/process.ts';
import { type Drops, DropWatch } from './drops.ts';
import { Pair, SERVER, type Wire } from './pair.ts';
import type { MapwireVariant } from './peers/mapwire.ts';
import { quantile, type Summary, summary } from './statistics.ts';

export interface SocketRow {
  readonly wire: Wire;
  readonly peer: string;
  /** Gbit/s of TCP by the number of streams, and segments sent again a second. */
  readonly tcp: Readonly<Record<string, { readonly rate: Summary; readonly retransmits: Summary }>>;
  /** Nanoseconds of a round trip: of each round its median, and its 99th percentile. */
  readonly roundTrip: { readonly median: Summary; readonly p99: Summary };
  /** In a run of its own with one stream. */
  readonly drops?: Drops;
  /** Bytes of a frame on the wire, on average. */
  readonly frameSize?: number;
}

export interface SocketOptions {
  readonly variants: readonly MapwireVariant[];
  readonly names: ReadonlySet<string>;
  readonly rounds: number;
  /** Seconds of one TCP measurement. */
  readonly seconds: number;
  readonly pings: number;
  readonly streams: readonly number[];
  readonly say: (text: string) => void;
}

/** The peer without any tunnel. */
export const NO_TUNNEL = 'no-tunnel';

interface Contender {
  readonly name: string;
  readonly pair: Pair;
  readonly netfilter?: boolean;
}

export async function measureSockets(lab: Lab, wire: Wire, options: SocketOptions): Promise<SocketRow[]> {
  const probe = join(await lab.folder(), 'round-trip');
  await run(['cc', '-O2', '-Wall', '-Werror', '-o', probe, join(packageRoot(), 'bench', 'round-trip.c')]);
  const contenders = await build(lab, wire, options);
  const results = new Map(
    contenders.map(({ name }) => [
      name,
      { tcp: new Map<number, Tcp[]>(), median: [] as number[], p99: [] as number[] },
    ]),
  );
  try {
    for (let round = -1; round < options.rounds; round++) {
      for (const one of contenders) {
        const { tcp, median, p99 } = results.get(one.name)!;
        await activate(one);
        const times = await roundTrips(one.pair.client, probe, round < 0 ? 200 : options.pings);
        if (round < 0) continue;
        median.push(quantile(times, 0.5));
        p99.push(quantile(times, 0.99));
        for (const streams of options.streams)
          tcp.set(streams, [...(tcp.get(streams) ?? []), await throughput(one.pair, streams, options.seconds)]);
      }
      if (round >= 0) options.say(`wire ${wire}: round ${round + 1} of ${options.rounds}`);
    }
    const rows: SocketRow[] = [];
    const watch = await DropWatch.start(lab.prefix);
    try {
      for (const one of contenders) {
        await activate(one);
        watch.take();
        const before = await wireCounters(one.pair.hosts[0]);
        await throughput(one.pair, 1, options.seconds);
        const drops = watch.take();
        const after = await wireCounters(one.pair.hosts[0]);
        const { tcp, median, p99 } = results.get(one.name)!;
        rows.push({
          wire,
          peer: one.name,
          tcp: Object.fromEntries(
            [...tcp].map(([streams, all]) => [
              streams,
              { rate: summary(all.map(({ gbits }) => gbits)), retransmits: summary(all.map((one) => one.retransmits)) },
            ]),
          ),
          roundTrip: { median: summary(median), p99: summary(p99) },
          drops,
          frameSize: Math.round((after.bytes - before.bytes) / (after.packets - before.packets)),
        });
      }
    } finally {
      watch.close();
    }
    return rows;
  } finally {
    for (const pair of new Set(contenders.map(({ pair }) => pair))) await pair.remove();
  }
}

async function build(lab: Lab, wire: Wire, { variants, names }: SocketOptions): Promise<Contender[]> {
  const contenders: Contender[] = [];
  if (names.has(NO_TUNNEL))
    contenders.push({ name: NO_TUNNEL, pair: await Pair.build(lab, `b-${wire}`, wire, 'bridge') });
  const kernels = ['kernel', 'kernel-tuned'].filter((name) => names.has(name));
  if (kernels.length > 0) {
    const pair = await Pair.build(lab, `k-${wire}`, wire, 'kernel');
    for (const name of kernels) contenders.push({ name, pair, netfilter: name === 'kernel' });
  }
  for (const variant of variants) {
    if (!names.has(variant.name)) continue;
    contenders.push({ name: variant.name, pair: await Pair.build(lab, `${variant.name}-${wire}`, wire, variant) });
  }
  return contenders;
}

async function activate({ pair, netfilter }: Contender): Promise<void> {
  if (netfilter !== undefined) await pair.netfilter(netfilter);
}

async function roundTrips(client: Namespace, probe: string, count: number): Promise<number[]> {
  const { stdout } = await client.run([probe, SERVER, `${count}`]);
  return stdout.trim().split('\n').map(Number);
}

interface Tcp {
  readonly gbits: number;
  /** A second. */
  readonly retransmits: number;
}

async function throughput(pair: Pair, streams: number, seconds: number): Promise<Tcp> {
  const server = pair.server.start(['iperf3', '-s', '-1', '--forceflush']);
  try {
    await server.waitFor(/listening/i);
    const argv = ['iperf3', '-c', SERVER, '-t', `${seconds}`, '-P', `${streams}`, '-C', 'cubic', '-J'];
    // It says that it listens a moment before it does.
    const { stdout } = await eventually('iperf3 connects', async () => {
      const result = await pair.client.run(argv, { check: false });
      return result.code === 0 && result;
    });
    const { end } = JSON.parse(stdout) as {
      end: { sum_sent: { retransmits: number }; sum_received: { bits_per_second: number } };
    };
    return { gbits: end.sum_received.bits_per_second / 1e9, retransmits: end.sum_sent.retransmits / seconds };
  } finally {
    await server.stop();
  }
}

async function wireCounters(host: Namespace): Promise<{ packets: number; bytes: number }> {
  const { stdout } = await host.run(['ip', '-j', '-s', 'link', 'show', 'eth0']);
  const [link] = JSON.parse(stdout) as { stats64: { tx: { packets: number; bytes: number } } }[];
  return link!.stats64.tx;
}
