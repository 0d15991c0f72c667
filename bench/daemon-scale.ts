/**
 * What the daemon takes for a table of so many ports: the whole load, a restart, edits through a folder and through the
 * API until the first packet that obeys them, memory, and for how long its event loop was blocked.
 */
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Background } from '../test/support/process.ts';
import { PingStream } from '../test/support/traffic.ts';
import { addBystander, BYSTANDER, DaemonScene } from './daemon-scene.ts';
import {
  NETWORK,
  PORTS_A_FILE,
  partText,
  portOf,
  replacePart,
  type TableShape,
  underlayOf,
  writeFolder,
  writeTable,
} from './daemon-table.ts';
import type { ProcessFigures } from './loop-probe.ts';

export interface Quantiles {
  readonly count: number;
  readonly median: number;
  readonly p99: number;
  readonly max: number;
}

/** Times in milliseconds, memory in bytes. */
export interface DaemonFigures {
  readonly ports: number;
  /** Start of the process with nothing pinned to `ready`, the table being one NDJSON file. */
  readonly load: { readonly readyMs: number; readonly writes: number };
  readonly memory: { readonly empty: number; readonly rss: number; readonly peak: number; readonly above: number };
  readonly restart: { readonly readyMs: readonly number[]; readonly writes: number };
  readonly folderEdit?: Quantiles;
  readonly apiEdit?: Quantiles;
  /** Longest time for which the event loop was blocked, by what was going on. */
  readonly blockedMs: Readonly<Record<string, number>>;
  /** Pings between local guests while the whole table was read again with every port moved. */
  readonly reload?: { readonly sent: number; readonly lost: number; readonly ms: number };
}

export interface ScaleOptions extends TableShape {
  readonly restarts?: number;
  readonly edits?: number;
  readonly say?: (line: string) => void;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (part: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN;
  return { count: sorted.length, median: at(0.5), p99: at(0.99), max: sorted.at(-1) ?? Number.NaN };
}

/** Times at which a guest's packets to a port left for a node, as a capture on the wire sees them. */
class Departures {
  readonly #ping: Background;
  readonly #capture: Background;

  private constructor(ping: Background, capture: Background) {
    this.#ping = ping;
    this.#capture = capture;
  }

  static async begin(scene: DaemonScene, { mac, ip4 }: { mac: string; ip4: string }): Promise<Departures> {
    await scene.guest.ip(`neigh replace ${ip4} lladdr ${mac} dev eth0 nud permanent`);
    const capture = scene.wire.start([
      'tcpdump',
      '-i',
      'p-self',
      '-tt',
      '-l',
      '-n',
      '--immediate-mode',
      'udp dst port 4789',
    ]);
    await capture.waitFor(/listening on/);
    const ping = scene.guest.start(['ping', '-n', '-q', '-i', '0.0005', ip4]);
    return new Departures(ping, capture);
  }

  /** Milliseconds (since 1970) of the first packet to a node after a time. */
  async firstTo(node: number, after: number): Promise<number> {
    const address = underlayOf(node).replaceAll('.', '\\.');
    const line = new RegExp(`^(\\d+\\.\\d+) IP [\\d.]+ > ${address}\\.4789`, 'gm');
    for (let tries = 0; tries < 2_000; tries++) {
      // only what came since is looked through: the text grows by megabytes
      line.lastIndex = this.#from(after);
      for (const [, time] of this.#capture.stdout.matchAll(line)) {
        if (Number(time) * 1_000 >= after) return Number(time) * 1_000;
      }
      await pause(5);
    }
    throw new Error(`no packet went to node ${node}`);
  }

  #from(after: number): number {
    const index = this.#capture.stdout.lastIndexOf(`\n${Math.floor(after / 1_000) - 1}.`);
    return Math.max(0, index);
  }

  async end(): Promise<void> {
    await this.#ping.stop('SIGINT');
    await this.#capture.stop('SIGINT');
  }
}

const now = (): number => performance.timeOrigin + performance.now();

async function folderEdits(scene: DaemonScene, folder: string, shape: ScaleOptions, edits: number): Promise<Quantiles> {
  const port = Math.floor(shape.ports / 2);
  const part = Math.floor(port / PORTS_A_FILE);
  const departures = await Departures.begin(scene, portOf(port));
  const times: number[] = [];
  try {
    for (let i = 0; i < edits; i++) {
      const node = (port + 1 + (i % 2)) % shape.nodes;
      const text = partText(part, shape, new Map([[port, node]]));
      const begin = now();
      await replacePart(folder, part, text);
      times.push((await departures.firstTo(node, begin)) - begin);
      await pause(60);
    }
  } finally {
    await departures.end();
  }
  return quantiles(times);
}

async function apiEdits(scene: DaemonScene, edits: number): Promise<Quantiles> {
  const port = { mac: '02:00:00:00:01:00', ip4: '10.0.1.0' };
  const record = (node: number): string =>
    `${JSON.stringify({ port: 'edited', network: NETWORK, mac: port.mac, ips: [port.ip4], at: { node: `node-${node}` } })}\n`;
  await scene.mapwire.api('PATCH', '/v1/table', record(0));
  const departures = await Departures.begin(scene, port);
  const times: number[] = [];
  try {
    for (let i = 0; i < edits; i++) {
      const node = 1 + (i % 2);
      const begin = now();
      const { status, text } = await scene.mapwire.api('PATCH', '/v1/table', record(node));
      if (status !== 200) throw new Error(text);
      times.push((await departures.firstTo(node, begin)) - begin);
      await pause(10);
    }
  } finally {
    await departures.end();
  }
  return quantiles(times);
}

/** Reads the whole table again with every port at another node, while local guests ping each other. */
async function reload(
  scene: DaemonScene,
  path: string,
  shape: TableShape,
): Promise<{ sent: number; lost: number; ms: number }> {
  const before = await scene.lastApply();
  const stream = new PingStream(scene.guest, BYSTANDER.ip4, 0.001);
  await stream.flowing();
  const moved = `${path}.moved`;
  await writeTable(moved, { ...shape, offset: 1 });
  await addBystander(moved);
  const begin = now();
  await rename(moved, path);
  for (;;) {
    await pause(200);
    if ((await scene.lastApply()).revision > before.revision) break;
    if (now() - begin > 300_000) throw new Error('the table was not applied again');
  }
  const ms = now() - begin;
  const { sent, received } = await stream.stop();
  return { sent, lost: sent - received, ms };
}

/** All figures of one size. Nothing else should run meanwhile. */
export async function measureDaemon(
  options: ScaleOptions,
  what: readonly string[] = ['load', 'restart', 'reload', 'edits'],
): Promise<DaemonFigures> {
  const say = options.say ?? (() => {});
  const scene = await DaemonScene.build();
  const blockedMs: Record<string, number> = {};
  try {
    // the empty daemon
    const empty = join(scene.folder, 'empty.ndjson');
    await writeTable(empty, { ...options, ports: 0 });
    await addBystander(empty);
    await scene.configure(empty);
    await scene.start();
    await pause(10_000);
    const bare: ProcessFigures = await scene.figures();
    say(`empty: ${(bare.rss / 1e6).toFixed(1)} MB, heap ${(bare.heapTotal / 1e6).toFixed(0)}`);

    const table = join(scene.folder, 'table.ndjson');
    await writeTable(table, options);
    await addBystander(table);
    await scene.configure(table);
    const readyMs = await scene.start();
    const { total } = await scene.lastApply();
    say(`load: ready after ${readyMs.toFixed(0)} ms, ${total} writes`);
    await scene.figures();
    await pause(10_000);
    const full = await scene.figures();
    blockedMs.afterReady = full.maxMs;
    const memory = { empty: bare.rss, rss: full.rss, peak: full.peak, above: full.rss - bare.rss };
    say(
      `memory: ${(memory.rss / 1e6).toFixed(1)} MB, ${(memory.above / 1e6).toFixed(1)} above empty, peak ${(memory.peak / 1e6).toFixed(0)}; heap ${(full.heapTotal / 1e6).toFixed(0)} buffers ${(full.arrayBuffers / 1e6).toFixed(0)}; blocked ${full.maxMs.toFixed(0)} ms`,
    );

    const restarts: number[] = [];
    let writes = 0;
    if (what.includes('restart')) {
      for (let i = 0; i < (options.restarts ?? 3); i++) {
        await scene.stop();
        restarts.push(await scene.start());
        writes = (await scene.lastApply()).total;
        await scene.figures();
        await pause(8_000);
        const figures = await scene.figures();
        blockedMs.afterRestart = Math.max(blockedMs.afterRestart ?? 0, figures.maxMs);
        say(
          `restart: ready after ${restarts.at(-1)!.toFixed(0)} ms, ${writes} writes; ${(figures.rss / 1e6).toFixed(1)} MB, blocked ${figures.maxMs.toFixed(0)} ms`,
        );
      }
    }
    let reloaded: DaemonFigures['reload'];
    if (what.includes('reload')) {
      await scene.figures();
      reloaded = await reload(scene, table, options);
      blockedMs.reload = (await scene.figures()).maxMs;
      say(
        `reload: ${reloaded.ms.toFixed(0)} ms, ${reloaded.lost} of ${reloaded.sent} pings lost, blocked ${blockedMs.reload.toFixed(0)} ms`,
      );
    }
    let folderEdit: Quantiles | undefined;
    let apiEdit: Quantiles | undefined;
    if (what.includes('edits')) {
      const folder = join(scene.folder, 'parts');
      await writeFolder(folder, options);
      await addBystander(join(folder, 'head.ndjson'));
      await scene.configure(folder);
      say(`folder: ready after ${(await scene.start()).toFixed(0)} ms`);
      await pause(5_000);
      await scene.figures();
      folderEdit = await folderEdits(scene, folder, options, options.edits ?? 100);
      blockedMs.folderEdits = (await scene.figures()).maxMs;
      say(`edits by folder: ${show(folderEdit)}, blocked ${blockedMs.folderEdits.toFixed(0)} ms`);
      apiEdit = await apiEdits(scene, options.edits ?? 100);
      blockedMs.apiEdits = (await scene.figures()).maxMs;
      say(`edits by API: ${show(apiEdit)}, blocked ${blockedMs.apiEdits.toFixed(0)} ms`);
    }
    return {
      ports: options.ports,
      load: { readyMs, writes: total },
      memory,
      restart: { readyMs: restarts, writes },
      ...(folderEdit !== undefined && { folderEdit }),
      ...(apiEdit !== undefined && { apiEdit }),
      ...(reloaded !== undefined && { reload: reloaded }),
      blockedMs,
    };
  } finally {
    await scene.close();
  }
}

const show = ({ median, p99, max }: Quantiles): string =>
  `median ${median.toFixed(2)} ms, p99 ${p99.toFixed(2)}, max ${max.toFixed(2)}`;
