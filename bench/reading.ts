/**
 * How a table file is read by format: the first load, which is in one go, and a change of the file, which is not: how long it takes
 * from the rename to the new version, how long at most the event loop was blocked meanwhile, and the longest step of reading by
 * processor time, which other work on the machine does not lengthen. No root, no kernel.
 *
 *   node dist/bench/reading.js [--ports 10000,100000] [--formats yaml,odd-yaml,broken-yaml,json,ndjson] [--rounds 3] [CHECKOUT …]
 *
 * CHECKOUT is a built checkout ('.' by default), for a comparison. Each measurement is a process of its own.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import type { MappingSource, Offer, SourceSetEvent, SourceSink } from '../src/sources/index.ts';
import type { Steps } from '../src/table/index.ts';
import { nodeOf, portOf, underlayOf } from './daemon-table.ts';

const NODES = 50;
const RESOLUTION_MS = 1;

/** `odd-yaml`: one text of it has an escape, so that it is not plain; `broken-yaml`: its last line is a mistake, and so is what changed. */
export const READ_FORMATS = ['yaml', 'odd-yaml', 'broken-yaml', 'json', 'ndjson'] as const;
type ReadFormat = (typeof READ_FORMATS)[number];

interface Reading {
  readonly bytes: number;
  readonly firstMs: number;
  readonly changeMs: number;
  readonly blockedMs: number;
  readonly stepMs: number;
}

/** A table; at another `offset` every port is at another node. */
function tableText(format: ReadFormat, ports: number, offset: number): string {
  const nodes = Array.from({ length: NODES }, (_, n) => [`node-${n}`, underlayOf(n)] as const);
  const each = Array.from({ length: ports }, (_, i) => ({
    ...portOf(i),
    node: `node-${nodeOf(i, { ports, nodes: NODES, offset })}`,
  }));
  if (format === 'ndjson') {
    const lines = [
      { mapwire: 1 },
      ...nodes.map(([node, underlay]) => ({ node, underlay })),
      { network: 'blue', segment: 1 },
    ];
    const records = each.map(({ id, mac, ip4, node }) => ({
      port: id,
      network: 'blue',
      mac,
      ips: [ip4],
      at: { node },
    }));
    return [...lines, ...records].map((record) => `${JSON.stringify(record)}\n`).join('');
  }
  if (format === 'json') {
    const table = {
      mapwire: 1,
      nodes: Object.fromEntries(nodes.map(([node, underlay]) => [node, { underlay }])),
      networks: { blue: { segment: 1 } },
      ports: Object.fromEntries(
        each.map(({ id, mac, ip4, node }) => [id, { network: 'blue', mac, ips: [ip4], at: { node } }]),
      ),
    };
    return JSON.stringify(table, undefined, 1);
  }
  const head = `mapwire: 1\nnodes:\n${nodes.map(([node, underlay]) => `  ${node}: { underlay: ${underlay} }\n`).join('')}`;
  const segment =
    format === 'odd-yaml' ? `networks:\n  "\\x62lue": { segment: 1 }\n` : 'networks:\n  blue: { segment: 1 }\n';
  const records = each.map(
    // An id that has the look of a number is quoted.
    ({ id, mac, ip4, node }) =>
      `  "${id}":\n    network: blue\n    mac: ${mac}\n    ips: [${ip4}]\n    at: { node: ${node} }\n`,
  );
  const end = format === 'broken-yaml' && offset > 0 ? '  last\n' : '';
  return `${head}${segment}ports:\n${records.join('')}${end}`;
}

/** Processor time of the process so far, in milliseconds. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** A source of which the longest step of reading is kept, by the processor time of the process. */
class TimedSource implements MappingSource {
  readonly name: string;
  readonly #source: MappingSource;
  longest = 0;

  constructor(source: MappingSource) {
    this.#source = source;
    this.name = source.name;
  }

  start(sink: SourceSink): Promise<void> {
    return this.#source.start({ ...sink, offerSlowly: (offer) => sink.offerSlowly(this.#timed(offer)) });
  }

  close(): Promise<void> {
    return this.#source.close();
  }

  #timed(offer: Offer): Offer {
    return { ...offer, steps: (edit) => this.#steps(offer.steps!(edit)) };
  }

  *#steps(steps: Steps<boolean>): Steps<boolean> {
    for (;;) {
      const start = processorMs();
      const step = steps.next();
      this.longest = Math.max(this.longest, processorMs() - start);
      if (step.done) return step.value;
      yield;
    }
  }
}

/** In a process of its own: reads the file, then what takes its place. */
async function measure(checkout: string, format: ReadFormat, ports: number): Promise<Reading> {
  const { FileSource, SourceSet } = (await import(
    pathToFileURL(join(checkout, 'dist', 'src', 'sources', 'index.js')).href
  )) as typeof import('../src/sources/index.ts');
  const folder = mkdtempSync(join(tmpdir(), 'mapwire-reading-'));
  // A source alone keeps no process alive.
  const alive = setInterval(() => {}, 60_000);
  try {
    const path = join(folder, `table.${format.replace(/^.*-/, '')}`);
    const text = tableText(format, ports, 0);
    writeFileSync(path, text, { mode: 0o600 });
    writeFileSync(`${path}.new`, tableText(format, ports, 1), { mode: 0o600 });
    const set = new SourceSet();
    const events: SourceSetEvent[] = [];
    let came = (): void => {};
    set.onEvent((event) => {
      events.push(event);
      came();
    });
    const source = new TimedSource(new FileSource(path));
    set.add(source);
    await new Promise((done) => setTimeout(done, 100));
    const start = performance.now();
    await set.start();
    const firstMs = performance.now() - start;
    if (events[0]?.type !== 'table') throw new Error('the first table is refused');
    const changed = new Promise<void>((done) => {
      came = done;
    });
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    await new Promise((done) => setTimeout(done, 500));
    delay.enable();
    const renamed = performance.now();
    renameSync(`${path}.new`, path);
    await changed;
    const changeMs = performance.now() - renamed;
    // What was blocked to the last is known only now.
    await new Promise((done) => setTimeout(done, 20));
    delay.disable();
    if (events[1]?.type !== (format === 'broken-yaml' ? 'refused' : 'table')) throw new Error('the change went wrong');
    await set.close();
    return {
      bytes: text.length,
      firstMs,
      changeMs,
      blockedMs: delay.max / 1e6 - RESOLUTION_MS,
      stepMs: source.longest,
    };
  } finally {
    clearInterval(alive);
    rmSync(folder, { recursive: true });
  }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      ports: { type: 'string', default: '10000,100000' },
      formats: { type: 'string', default: READ_FORMATS.join(',') },
      rounds: { type: 'string', default: '3' },
      one: { type: 'boolean', default: false },
    },
  });
  const checkouts = positionals.length > 0 ? positionals.map((path) => resolve(path)) : [process.cwd()];
  const ports = values.ports.split(',').map(Number);
  const formats = values.formats.split(',').map((word) => {
    const format = READ_FORMATS.find((known) => known === word);
    if (format === undefined) throw new Error(`no such format: ${word}`);
    return format;
  });
  if (values.one) {
    process.stdout.write(JSON.stringify(await measure(checkouts[0]!, formats[0]!, ports[0]!)));
    return;
  }
  const row = (cells: readonly string[]): void =>
    console.log(
      cells
        .map((cell, i) => (i < 2 ? cell.padEnd(i === 0 ? 28 : 12) : cell.padStart(12)))
        .join(' ')
        .trimEnd(),
    );
  row(['checkout', 'format', 'ports', 'MiB', 'first ms', 'change ms', 'blocked ms', 'step ms']);
  for (const checkout of checkouts) {
    for (const format of formats) {
      for (const count of ports) {
        const rounds = Array.from({ length: Number(values.rounds) }, () => {
          const words = ['--one', '--formats', format, '--ports', String(count), checkout];
          const said = execFileSync(process.execPath, [fileURLToPath(import.meta.url), ...words], { encoding: 'utf8' });
          return JSON.parse(said) as Reading;
        });
        const of = (key: keyof Reading, digits: number): string =>
          median(rounds.map((each) => each[key])).toFixed(digits);
        const size = (rounds[0]!.bytes / 2 ** 20).toFixed(1);
        row([
          checkout,
          format,
          String(count),
          size,
          of('firstMs', 0),
          of('changeMs', 0),
          of('blockedMs', 1),
          of('stepMs', 1),
        ]);
      }
    }
  }
}

await main();
