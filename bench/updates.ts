/** What a change of the table costs: loading all of it, restarting on it, one edit, many, and what others notice meanwhile. */
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ask } from '../test/support/api.ts';
import type { Lab } from '../test/support/hosts.ts';
import type { Mapwire } from '../test/support/mapwire.ts';
import { run } from '../test/support/process.ts';
import { endpointAddress, endpointId, endpointMac, nodesOf } from './addressing.ts';
import { LoopProbe } from './loop-probe.ts';
import { fdbCommands, kernelHost } from './peers/kernel.ts';
import { configure, type MapwireVariant, start } from './peers/mapwire.ts';
import { Probe } from './probe.ts';
import { Site } from './site.ts';
import { quantile } from './statistics.ts';
import { TableDirectory, writeTable } from './table.ts';

/** A table of one size. */
export interface TableRow {
  readonly peer: string;
  readonly endpoints: number;
  /** Seconds from nothing to forwarding: start of the daemon to `ready`, or `bridge -batch`. */
  readonly loadSeconds: number;
  /** Seconds of a restart on what is pinned, to `ready`. */
  readonly restartSeconds?: number;
  /** Map elements that the restart wrote. */
  readonly restartWrites?: number;
  /** MiB of the process: resident 10 s after `ready`, and its peak. */
  readonly residentMiB?: number;
  readonly peakMiB?: number;
  /** MiB in the kernel: of the pinned maps, and of the two address mappings alone; or by which free memory shrank. */
  readonly kernelMiB?: number;
  readonly addressMiB?: number;
}

/** Milliseconds from the change to the first packet that obeys it. */
export interface EditRow {
  readonly how: 'file' | 'api';
  readonly endpoints: number;
  readonly count: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

export interface StreamRow {
  readonly endpoints: number;
  readonly edits: number;
  readonly clients: number;
  readonly seconds: number;
}

/** For how long the daemon's event loop was blocked in one go. */
export interface LoopRow {
  readonly during: 'ready' | 'file edits' | 'API edits' | 'stream' | 'reload';
  readonly endpoints: number;
  readonly p99Ms: number;
  readonly mostMs: number;
}

/** What a guest noticed that talks to somebody else. */
export interface BystanderRow {
  readonly during: 'nothing' | 'reload' | 'edits' | 'restart';
  readonly endpoints: number;
  readonly seconds: number;
  readonly sent: number;
  readonly lost: number;
  /** Microseconds from the guest to the wire. */
  readonly medianUs: number;
  readonly p99Us: number;
  readonly mostUs: number;
}

export interface UpdateResults {
  readonly tables: TableRow[];
  readonly edits: EditRow[];
  readonly streams: StreamRow[];
  readonly bystanders: BystanderRow[];
  readonly loops: LoopRow[];
}

export interface UpdateOptions {
  readonly object: string;
  readonly variants: readonly MapwireVariant[];
  readonly names: ReadonlySet<string>;
  readonly endpoints: readonly number[];
  readonly quick: boolean;
  readonly say: (text: string) => void;
}

const MIB = 2 ** 20;
const PER_FILE = 1000;
/** Microseconds between a bystander's packets. */
const GAP = 200;

export const wait = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));

export async function measureTables(lab: Lab, options: UpdateOptions): Promise<TableRow[]> {
  const rows: TableRow[] = [];
  for (const endpoints of options.endpoints) {
    for (const variant of options.variants) {
      if (!options.names.has(variant.name)) continue;
      const row = await mapwireTable(lab, variant, endpoints, options);
      options.say(`table of ${endpoints}: ${variant.name} in ${row.loadSeconds.toFixed(2)} s`);
      rows.push(row);
    }
    if (!options.names.has('kernel')) continue;
    const row = await kernelTable(lab, endpoints, options);
    options.say(`table of ${endpoints}: kernel in ${row.loadSeconds.toFixed(2)} s`);
    rows.push(row);
  }
  return rows;
}

async function mapwireTable(
  lab: Lab,
  variant: MapwireVariant,
  endpoints: number,
  { object, quick }: UpdateOptions,
): Promise<TableRow> {
  const site = await Site.build(lab, `t-${variant.name}-${endpoints}`, object, nodesOf(endpoints));
  const table = await writeTable(lab, { encap: 'vxlan', endpoints });
  const instance = await configure(site, table, variant);
  try {
    const loadSeconds = await start(instance);
    // Resident sizes are compared at 1 and at the largest; others show the way between.
    await wait(quick || (endpoints > 1 && endpoints < 1_000_000) ? 2000 : 10_000);
    const memory = processMemory(instance);
    const maps = await mapMemory(instance.pinDir);
    await instance.stop();
    const restartSeconds = await start(instance);
    const { lastApply } = await instance.json<{ lastApply?: { total: number } }>('status');
    return {
      peer: variant.name,
      endpoints,
      loadSeconds,
      restartSeconds,
      restartWrites: lastApply?.total ?? 0,
      ...memory,
      ...maps,
    };
  } finally {
    await instance.down();
    await site.remove();
  }
}

function processMemory({ daemon }: Mapwire): { residentMiB: number; peakMiB: number } {
  // nsenter becomes the daemon: same process
  const status = readFileSync(`/proc/${daemon!.pid}/status`, 'utf8');
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024;
  return { residentMiB: field('VmRSS'), peakMiB: field('VmHWM') };
}

interface ShownMap {
  readonly id: number;
  readonly name: string;
  readonly bytes_memlock: number;
}

/** Of the maps pinned below a folder, each once. */
async function mapMemory(pinDir: string): Promise<{ kernelMiB: number; addressMiB: number }> {
  const { stdout } = await run(['find', pinDir, '-path', '*/maps/*', '-type', 'f']);
  const seen = new Map<number, ShownMap>();
  for (const path of stdout.trim().split('\n').filter(Boolean)) {
    const shown = await run(['bpftool', '-j', 'map', 'show', 'pinned', path], { check: false });
    if (shown.code !== 0) continue;
    const map = JSON.parse(shown.stdout) as ShownMap;
    seen.set(map.id, map);
  }
  const sum = (maps: readonly ShownMap[]) => maps.reduce((total, map) => total + map.bytes_memlock, 0) / MIB;
  const all = [...seen.values()];
  return {
    kernelMiB: sum(all),
    addressMiB: sum(all.filter(({ name }) => /^mw\d+_(ip4|mac)(_bucket)?$/.test(name))),
  };
}

async function kernelTable(lab: Lab, endpoints: number, { object }: UpdateOptions): Promise<TableRow> {
  const site = await Site.build(lab, `t-kernel-${endpoints}`, object, nodesOf(endpoints));
  try {
    await kernelHost(site.here);
    const batch = join(await lab.folder(), 'fdb');
    await writeFile(batch, fdbCommands(endpoints));
    const before = available();
    const began = performance.now();
    await site.here.run(['bridge', '-batch', batch], { timeout: 300_000 });
    const loadSeconds = (performance.now() - began) / 1000;
    return { peer: 'kernel', endpoints, loadSeconds, kernelMiB: Math.max(0, before - available()) };
  } finally {
    await site.remove();
  }
}

/** MiB */
function available(): number {
  return Number(/^MemAvailable:\s+(\d+) kB/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]) / 1024;
}

/** Edits, streams of them and bystanders, in one table: the largest of the sizes, in a directory. */
export async function measureEdits(
  lab: Lab,
  variant: MapwireVariant,
  options: UpdateOptions,
): Promise<Omit<UpdateResults, 'tables'>> {
  const endpoints = Math.max(...options.endpoints);
  const { say, quick } = options;
  const site = await Site.build(lab, `e-${endpoints}`, options.object, nodesOf(endpoints), false);
  const directory = await TableDirectory.write(lab, { encap: 'vxlan', endpoints }, PER_FILE);
  const instance = await configure(site, directory.path, variant);
  const edits: EditRow[] = [];
  const streams: StreamRow[] = [];
  const bystanders: BystanderRow[] = [];
  const loops: LoopRow[] = [];
  const loop = new LoopProbe(join(await lab.folder(), 'loop'));
  const blocked = async (during: LoopRow['during']) => {
    const { p99Ms, maxMs } = await loop.figures(instance.daemon!.pid!);
    loops.push({ during, endpoints, p99Ms, mostMs: maxMs });
    say(`event loop during ${during}: blocked for ${maxMs.toFixed(1)} ms at most`);
  };
  const program = await Probe.compile(lab);
  try {
    say(`edits: directory of ${directory.files} files loaded in ${(await start(instance, loop.prefix)).toFixed(1)} s`);
    // Up to here it may be: nothing is asked of it before it is ready.
    await loop.figures(instance.daemon!.pid!);
    await instance.settled();
    await blocked('ready');
    const probe = await Probe.start(site, program, GAP);
    const count = quick ? 5 : 50;

    const byFile: number[] = [];
    for (let i = 0; i < count; i++) {
      const endpoint = (i * 7919) % endpoints;
      const node = directory.next(endpoint);
      probe.talkTo(endpoint);
      const put = await directory.move(endpoint, node);
      await wait(20);
      const seen = probe.seen(node);
      const began = process.hrtime.bigint();
      await put();
      byFile.push(Number((await seen) - began) / 1e6);
    }
    edits.push(editRow('file', endpoints, byFile));
    say(`edits: a file of ${PER_FILE} rewritten, median ${edits.at(-1)!.medianMs.toFixed(1)} ms`);

    await blocked('file edits');

    const byApi: number[] = [];
    const many = quick ? 50 : 500;
    let node = 0;
    await patch(instance, apiRecord(endpoints, node));
    probe.talkTo(endpoints);
    for (let i = 0; i < many; i++) {
      node = (node + 1) % nodesOf(endpoints);
      await wait(5);
      const seen = probe.seen(node);
      const began = process.hrtime.bigint();
      await patch(instance, apiRecord(endpoints, node));
      byApi.push(Number((await seen) - began) / 1e6);
    }
    edits.push(editRow('api', endpoints, byApi));
    say(`edits: by the API, median ${edits.at(-1)!.medianMs.toFixed(1)} ms`);
    await blocked('API edits');

    const bystander = async (during: BystanderRow['during'], body: () => Promise<void>) => {
      await probe.report();
      const began = performance.now();
      await body();
      const seconds = (performance.now() - began) / 1000;
      probe.pause();
      await wait(50);
      const { sent, received, delays } = await probe.report();
      probe.resume();
      const us = delays.map((ns) => ns / 1000);
      bystanders.push({
        ...{ during, endpoints, seconds, sent, lost: sent - received },
        ...{ medianUs: quantile(us, 0.5), p99Us: quantile(us, 0.99), mostUs: quantile(us, 1) },
      });
      say(`bystander during ${during}: ${sent} packets in ${seconds.toFixed(1)} s, ${sent - received} lost`);
    };
    // Endpoint 0 was moved by the first edit: a shift leaves it where it is.
    probe.talkTo(0);
    await bystander('nothing', () => wait(quick ? 500 : 3000));
    await bystander('edits', async () => {
      streams.push(await stream(instance, endpoints, quick ? 1000 : 10_000));
      say(`edits: ${streams.at(-1)!.edits} in ${streams.at(-1)!.seconds.toFixed(2)} s`);
    });
    await blocked('stream');
    await bystander('reload', async () => {
      const before = await instance.applied();
      directory.shift();
      await writeFile(join(directory.path, '.mapwire-hold'), '');
      await directory.writeAll();
      await run(['rm', join(directory.path, '.mapwire-hold')]);
      await instance.appliedAfter(before, 120_000);
    });
    await blocked('reload');
    await bystander('restart', async () => {
      await instance.stop();
      await start(instance);
    });
    await probe.stop();
    return { edits, streams, bystanders, loops };
  } finally {
    await instance.down();
    await site.remove();
  }
}

function editRow(how: EditRow['how'], endpoints: number, ms: readonly number[]): EditRow {
  return {
    ...{ how, endpoints, count: ms.length, medianMs: quantile(ms, 0.5), p99Ms: quantile(ms, 0.99) },
    mostMs: quantile(ms, 1),
  };
}

function apiRecord(endpoint: number, node: number): object {
  return {
    port: endpointId(endpoint),
    network: 'blue',
    mac: endpointMac(endpoint),
    ips: [endpointAddress(endpoint)],
    at: { node: `n${node}` },
  };
}

async function patch(instance: Mapwire, ...records: object[]): Promise<void> {
  const body = records.map((record) => `${JSON.stringify(record)}\n`).join('');
  const { status, text } = await ask(instance.socket, 'PATCH', '/v1/table', { body });
  if (status !== 200) throw new Error(`${status} ${text}`);
}

/** Edits of one record each, from several clients, each of which waits for its answer. */
async function stream(instance: Mapwire, endpoints: number, edits: number): Promise<StreamRow> {
  const clients = 8;
  const nodes = nodesOf(endpoints);
  let left = edits;
  const began = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      while (left > 0) {
        const n = left--;
        await patch(instance, apiRecord(endpoints + 1 + client * 1000 + (n % 1000), n % nodes));
      }
    }),
  );
  return { endpoints, edits, clients, seconds: (performance.now() - began) / 1000 };
}

export async function measureUpdates(lab: Lab, options: UpdateOptions): Promise<UpdateResults> {
  const tables = await measureTables(lab, options);
  const variant = options.variants.find(({ name }) => options.names.has(name));
  if (variant === undefined) return { tables, edits: [], streams: [], bystanders: [], loops: [] };
  return { tables, ...(await measureEdits(lab, variant, options)) };
}
