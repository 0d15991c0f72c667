/** How long the endpoints of a node that goes down are sent to it: from the map write to the first packet for their standby. */
import type { Lab } from '../test/support/hosts.ts';
import { nodesOf } from './addressing.ts';
import { MapWriteWatch } from './map-writes.ts';
import { configure, type MapwireVariant, start } from './peers/mapwire.ts';
import { Probe } from './probe.ts';
import { Site } from './site.ts';
import { quantile } from './statistics.ts';
import { standbyLine, writeTable } from './table.ts';
import { type UpdateOptions, wait } from './updates.ts';

export interface FailoverRow {
  readonly peer: string;
  /** Behind the node that goes down. */
  readonly endpoints: number;
  readonly count: number;
  /** Calls of bpf(2) that write to a map, counted by its tracepoint: the most of one failover. */
  readonly writes: number;
  /** Milliseconds from such a call to the first packet that goes to the standby. */
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly mostMs: number;
  /** The same from the operator's request. */
  readonly requestMs: number;
}

/** Microseconds between two packets of the guest. */
const GAP = 100;
/** A node and its standby. */
const LEAST_ENDPOINTS = 2;

/** In the largest of the sizes. */
export async function measureFailover(lab: Lab, options: UpdateOptions): Promise<FailoverRow[]> {
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
  { object, quick }: UpdateOptions,
): Promise<FailoverRow> {
  const site = await Site.build(lab, `f-${variant.name}`, object, nodesOf(endpoints), false);
  const table = await writeTable(lab, { encap: 'vxlan', endpoints }, standbyLine);
  const instance = await configure(site, table, variant);
  const watch = await MapWriteWatch.start(`${site.here.name}-writes`);
  const say = async (state: 'down' | 'clear') => {
    const { status, text } = await instance.api('POST', '/v1/node-state', JSON.stringify({ node: 'n0', state }));
    if (status !== 200) throw new Error(`${status} ${text}`);
  };
  try {
    await start(instance);
    await instance.settled();
    const { pid } = await instance.json<{ pid: number }>('status');
    // before the daemon, which runs on the same few processors
    const probe = await Probe.start(site, await Probe.compile(lab), GAP, ['chrt', '-f', '1']);
    const fromWrite: number[] = [];
    const fromRequest: number[] = [];
    let writes = 0;
    for (let i = 0; i < (quick ? 5 : 50); i++) {
      probe.talkTo((i * 7919) % endpoints);
      await probe.seen(0);
      await wait(20);
      watch.take(pid);
      const seen = probe.seen(1);
      const asked = process.hrtime.bigint();
      await say('down');
      const first = await seen;
      await wait(50);
      const times = watch.take(pid);
      writes = Math.max(writes, times.length);
      if (times[0] === undefined || times[0] > first)
        throw new Error('a packet went to the standby before the map write');
      fromWrite.push(Number(first - times[0]) / 1e6);
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
    watch.close();
    await instance.down();
    await site.remove();
  }
}
