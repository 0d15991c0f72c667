/**
 * Packets a second and BPF nanoseconds a packet, peers in turn: each has hosts of its own, which stand side by side, and gets its
 * share of every round.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { Lab } from '../test/support/hosts.ts';
import { nodesOf } from './addressing.ts';
import type { Direction, Encap } from './frames.ts';
import type { Host, Peer } from './peers/peer.ts';
import { Site, type Stream } from './site.ts';
import { type Summary, summary } from './statistics.ts';
import { writeTable } from './table.ts';

export interface PacketRow {
  readonly direction: Direction;
  readonly encap: Encap;
  readonly size: number;
  readonly endpoints: number;
  readonly peer: string;
  /** Packets a second that came out. */
  readonly rate?: Summary;
  /** Of those sent, how many came out. */
  readonly delivered?: number;
  /** Of the BPF program, with about 20 ns that counting costs. */
  readonly programNs?: Summary;
  /** Why there is no figure. */
  readonly absent?: string;
}

export interface PacketPlan {
  readonly encap: Encap;
  readonly endpoints: number;
  readonly directions: readonly Direction[];
  readonly sizes: readonly number[];
}

export interface PacketOptions {
  readonly object: string;
  readonly peers: readonly Peer[];
  /** Those of the peers' names that are wanted. */
  readonly names: ReadonlySet<string>;
  readonly rounds: number;
  /** Of one measurement. */
  readonly ms: number;
  readonly say: (text: string) => void;
}

const STATS = '/proc/sys/kernel/bpf_stats_enabled';
/** Peers are set up at the same time up to this many endpoints; larger tables one after the other. */
const SIDE_BY_SIDE = 10_000;
/** Rounds of program times: they vary little. */
const TIME_ROUNDS = 3;

interface Contender {
  readonly name: string;
  readonly site: Site;
  readonly host: Host;
}

/** One scene: all peers set up, all rounds, all taken down. */
export async function measurePackets(lab: Lab, plan: PacketPlan, options: PacketOptions): Promise<PacketRow[]> {
  const { encap, endpoints } = plan;
  const rows: PacketRow[] = [];
  const streams = plan.directions.flatMap((direction) =>
    plan.sizes.map((size): Stream => ({ direction, encap, size, endpoints })),
  );
  const contenders: Contender[] = [];
  let written: Promise<string> | undefined;
  const table = () => {
    written ??= writeTable(lab, { encap, endpoints });
    return written;
  };
  const title = `${encap}, ${endpoints} endpoint${endpoints === 1 ? '' : 's'}`;
  const setUp = async (peer: Peer): Promise<void> => {
    const names = peer.names.filter((name) => options.names.has(name));
    if (names.length === 0) return;
    const none = (why: string) => {
      for (const name of names) for (const stream of streams) rows.push({ ...stream, peer: name, absent: why });
    };
    const absent = peer.refuses?.(encap, endpoints);
    if (absent !== undefined) return none(absent);
    const site = await Site.build(lab, `${names[0]}-${encap}-${endpoints}`, options.object, nodesOf(endpoints));
    try {
      const host = await peer.start({ lab, site, encap, endpoints, table });
      if (host.loadSeconds !== undefined)
        options.say(`${title}: ${names[0]} set up in ${host.loadSeconds.toFixed(1)} s`);
      for (const name of names) contenders.push({ name, site, host });
    } catch (error) {
      const lines = (error as Error).message.trim().split('\n');
      const why = lines.find((line) => / error: /.test(line))?.replace(/^.* error: /, '') ?? lines.at(-1) ?? '';
      options.say(`${title}: ${names[0]} does not start: ${(error as Error).message}`);
      none(`did not start: ${why}`);
      await site.remove();
    }
  };
  if (endpoints <= SIDE_BY_SIDE) await Promise.all(options.peers.map(setUp));
  else for (const peer of options.peers) await setUp(peer);
  const order = options.peers.flatMap(({ names }) => names);
  contenders.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  try {
    rows.push(...(await measure(lab, contenders, streams, title, options)));
  } finally {
    await Promise.all([...new Set(contenders.map((one) => one.host))].map((host) => host.stop()));
    await Promise.all([...new Set(contenders.map((one) => one.site))].map((site) => site.remove()));
  }
  return rows;
}

async function measure(
  lab: Lab,
  contenders: readonly Contender[],
  streams: readonly Stream[],
  title: string,
  options: PacketOptions,
): Promise<PacketRow[]> {
  const rates = new Map<string, number[]>();
  const times = new Map<string, number[]>();
  const shares = new Map<string, { sent: number; whole: number }>();
  const key = ({ name }: Contender, stream: Stream) => `${name} ${JSON.stringify(stream)}`;
  const add = (to: Map<string, number[]>, at: string, value: number) => to.set(at, [...(to.get(at) ?? []), value]);

  for (let round = -1; round < options.rounds; round++) {
    for (const stream of streams) {
      for (const one of contenders) {
        await one.host.activate?.(one.name);
        // The first round warms up, and shows whether anything comes through at all.
        const ms = round < 0 ? options.ms / 4 : options.ms;
        const { sent, whole, seconds } = await one.site.send(stream, ms, one.host.unchanged);
        const came = one.host.countsSent ? sent : whole;
        if (round < 0) continue;
        add(rates, key(one, stream), came / seconds);
        const share = shares.get(key(one, stream)) ?? { sent: 0, whole: 0 };
        shares.set(key(one, stream), { sent: share.sent + sent, whole: share.whole + came });
      }
    }
    if (round >= 0) options.say(`${title}: round ${round + 1} of ${options.rounds}`);
  }
  await withStats(lab, async () => {
    for (let round = 0; round < TIME_ROUNDS; round++) {
      for (const stream of streams) {
        for (const one of contenders) {
          if (one.host.programTime === undefined) continue;
          const before = one.host.programTime(stream.direction);
          await one.site.send(stream, options.ms / 2, one.host.unchanged);
          const after = one.host.programTime(stream.direction);
          add(times, key(one, stream), (after.ns - before.ns) / (after.runs - before.runs));
        }
      }
    }
  });
  return contenders.flatMap((one) =>
    streams.map((stream): PacketRow => {
      const at = key(one, stream);
      const share = shares.get(at)!;
      const row = { ...stream, peer: one.name };
      if (share.whole === 0) return { ...row, absent: 'nothing came through' };
      return {
        ...row,
        rate: summary(rates.get(at)!),
        delivered: share.whole / share.sent,
        ...(times.has(at) && { programNs: summary(times.get(at)!) }),
      };
    }),
  );
}

/** What it was when this process began. */
const statsBefore = readFileSync(STATS, 'utf8');

function restoreStats(): void {
  writeFileSync(STATS, statsBefore);
}

/** With the kernel counting the time of BPF programs, until then or until the lab closes. */
async function withStats<T>(lab: Lab, body: () => Promise<T>): Promise<T> {
  lab.atClose(async () => restoreStats());
  writeFileSync(STATS, '1');
  try {
    return await body();
  } finally {
    restoreStats();
  }
}
