/** How long the endpoints of a node that goes down are sent to it: from the map write to the first packet for their standby. */
import { join } from 'node:path';
import { mapWrites, underStrace, writesRest } from '../test/support/bpf-trace.ts';
import type { Lab } from '../test/support/hosts.ts';
import { nodesOf } from './addressing.ts';
import type { MapwireVariant } from './peers/mapwire.ts';
import { Probe } from './probe.ts';
import { Site } from './site.ts';
import { quantile } from './statistics.ts';
import { standbyLine, writeTable } from './table.ts';
import { configure, start } from './updates.ts';

export interface FailoverRow {
  readonly peer: string;
  /** Behind the node that goes down. */
  readonly endpoints: number;
  readonly count: number;
  /** Calls of bpf(2) that write to a map, counted by strace: the most of one failover. */
  readonly writes: number;
  /** Milliseconds from such a call to the first packet that goes to the standby. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** The same from the operator's request. */
  readonly requestMs: number;
}

export interface FailoverOptions {
  readonly object: string;
  readonly variants: readonly MapwireVariant[];
  readonly names: ReadonlySet<string>;
  readonly endpoints: readonly number[];
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

/** Microseconds between two packets of the guest. */
const GAP = 100;
/** A node and its standby. */
const LEAST_ENDPOINTS = 2;

const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

/** In the largest of the sizes. */
export async function measureFailover(lab: Lab, options: FailoverOptions): Promise<FailoverRow[]> {
  const endpoints = Math.max(LEAST_ENDPOINTS, ...options.endpoints);
  const rows: FailoverRow[] = [];
  for (const variant of options.variants) {
    if (!options.names.has(variant.name)) continue;
    rows.push(await failover(lab, variant, endpoints, options));
    options.say(`failover of ${endpoints}: ${variant.name}, median ${rows.at(-1)!.medianMs.toFixed(2)} ms`);
  }
  return rows;
}

async function failover(
  lab: Lab,
  variant: MapwireVariant,
  endpoints: number,
  { object, quick }: FailoverOptions,
): Promise<FailoverRow> {
  const site = await Site.build(lab, `f-${variant.name}`, object, nodesOf(endpoints), false);
  const table = await writeTable(lab, { encap: 'vxlan', endpoints }, standbyLine);
  const instance = await configure(site, table, variant);
  const trace = join(await lab.folder(), 'bpf');
  const written = async () => (await mapWrites(trace)).lines;
  const say = async (state: 'down' | 'clear') => {
    const { status, text } = await instance.api('POST', '/v1/node-state', JSON.stringify({ node: 'n0', state }));
    if (status !== 200) throw new Error(`${status} ${text}`);
  };
  try {
    await start(instance, [...underStrace(trace), '-ttt']);
    await instance.settled();
    await writesRest(trace);
    // before the daemon and strace, which run on the same few processors
    const probe = await Probe.start(site, await Probe.compile(lab), GAP, ['chrt', '-f', '1']);
    const fromWrite: number[] = [];
    const fromRequest: number[] = [];
    let writes = 0;
    for (let i = 0; i < (quick ? 5 : 50); i++) {
      probe.talkTo((i * 7919) % endpoints);
      await probe.seen(0);
      await wait(20);
      const before = (await written()).length;
      const real = realtimeOfMonotonic();
      const seen = probe.seen(1);
      const asked = process.hrtime.bigint();
      await say('down');
      const first = await seen;
      await wait(50);
      const lines = (await written()).slice(before);
      writes = Math.max(writes, lines.length);
      const time = /\b(\d{10})\.(\d{6})\b/.exec(lines[0] ?? '');
      if (time === null) throw new Error(`no map write of the failover in the trace: ${lines.join('; ')}`);
      fromWrite.push(Number(first + real - BigInt(`${time[1]}${time[2]}000`)) / 1e6);
      fromRequest.push(Number(first - asked) / 1e6);
      await say('clear');
    }
    await probe.stop();
    return {
      ...{ peer: variant.name, endpoints, count: fromWrite.length, writes },
      ...{ medianMs: quantile(fromWrite, 0.5), p99Ms: quantile(fromWrite, 0.99), mostMs: quantile(fromWrite, 1) },
      requestMs: quantile(fromRequest, 0.5),
    };
  } finally {
    await instance.down();
    await site.remove();
  }
}

/**
 * What is added to CLOCK_MONOTONIC to get CLOCK_REALTIME, which strace tells, in nanoseconds. Node tells that one in whole milliseconds: it is
 * exact when it has just changed.
 */
function realtimeOfMonotonic(): bigint {
  let most: bigint | undefined;
  for (let i = 0; i < 5; i++) {
    const before = Date.now();
    let after = before;
    while (after === before) after = Date.now();
    const difference = BigInt(after) * 1_000_000n - process.hrtime.bigint();
    // a look that came late gives less
    if (most === undefined || difference > most) most = difference;
  }
  return most!;
}
