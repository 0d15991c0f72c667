/** A run as files: JSON, tables in Markdown, plots. */
import { type Figures, goals } from './goals.ts';
import type { Machine } from './machine.ts';
import type { PacketRow } from './packets.ts';
import { WIRES } from './pair.ts';
import { type Summary, spread } from './statistics.ts';
import { barPlot, type Line, linePlot, shortNumber } from './svg.ts';

export interface Run extends Figures {
  readonly machine: Machine;
  /** The words it was started with. */
  readonly command: string;
  readonly seconds: number;
}

/** Files by name. */
export function report(run: Run): Map<string, string> {
  const plots = plotsOf(run);
  return new Map([
    ['results.json', `${JSON.stringify({ mapwire: 'bench', version: 1, ...run }, undefined, 1)}\n`],
    ['results.md', markdown(run, [...plots.keys()])],
    ...plots,
  ]);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n');
}

function mpps(row: PacketRow | undefined): string {
  if (row === undefined) return '';
  if (row.rate === undefined) return '—';
  return `${(row.rate.median / 1e6).toFixed(2)} ± ${percent(row.rate)}`;
}

function percent(of: Summary): string {
  return `${(100 * spread(of)).toFixed(0)} %`;
}

function micro(ns: number): string {
  return `${(ns / 1000).toFixed(2)} µs`;
}

function distinct<T>(values: Iterable<T>): T[] {
  return [...new Set(values)];
}

function markdown(run: Run, plots: readonly string[]): string {
  const { machine, command, seconds } = run;
  const plot = (name: string, title: string) => (plots.includes(name) ? [`![${title}](${name})`] : []);
  return `${[
    '# Results of a run',
    `Written by \`${command}\` on ${machine.date.slice(0, 10)} in ${Math.round(seconds)} s: ${machine.processor}, ${machine.cores} cores${machine.hypervisor ? ' (a virtual machine)' : ''}, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, Node.js ${machine.node}. [README.md](README.md) says what each figure is and how to take it again; [results.json](results.json) has every sample. "±" is half the distance from the least to the greatest of the rounds.`,
    '## Goals',
    goalTable(run),
    ...packetSections(run, plot),
    ...socketSections(run, plot),
    ...updateSections(run, plot),
    ...failoverSections(run),
  ].join('\n\n')}\n`;
}

function goalTable(run: Run): string {
  const mark = (reached: boolean | undefined) => (reached === undefined ? '' : reached ? 'reached' : '**not reached**');
  return table(
    ['figure', 'goal', 'measured', ''],
    goals(run).map(({ figure, goal, text, reached }) => [figure, goal, text, mark(reached)]),
  );
}

type Plot = (name: string, title: string) => string[];

function packetSections({ packets }: Run, plot: Plot): string[] {
  if (packets.length === 0) return [];
  const sections = ['## Packets a second'];
  for (const direction of ['encap', 'decap'] as const) {
    const rows = packets.filter((row) => row.direction === direction && row.encap === 'vxlan' && row.size === 64);
    if (rows.length === 0) continue;
    const sizes = distinct(rows.map((row) => row.endpoints));
    const of = (peer: string, endpoints: number) =>
      rows.find((row) => row.peer === peer && row.endpoints === endpoints);
    sections.push(
      direction === 'encap' ? '### Encapsulating, VXLAN, 64 B' : '### Decapsulating, VXLAN, 64 B inside',
      table(
        ['Mpps', ...sizes.map((count) => `${shortNumber(count)} endpoint${count === 1 ? '' : 's'}`)],
        distinct(rows.map((row) => row.peer)).map((peer) => [peer, ...sizes.map((count) => mpps(of(peer, count)))]),
      ),
      ...plot(`packets-${direction}.svg`, `packets a second, ${direction}`),
      table(
        ['BPF ns a packet', ...sizes.map(shortNumber)],
        distinct(rows.filter((row) => row.programNs !== undefined).map((row) => row.peer)).map((peer) => [
          peer,
          ...sizes.map((count) => of(peer, count)?.programNs?.median.toFixed(0) ?? ''),
        ]),
      ),
      ...plot(`program-${direction}.svg`, `BPF nanoseconds a packet, ${direction}`),
    );
    const why = rows.filter((row) => row.absent !== undefined);
    if (why.length > 0) {
      const lines = why.map((row) => `${row.peer} at ${shortNumber(row.endpoints)}: ${row.absent}`);
      sections.push(`— : ${distinct(lines).join('; ')}.`);
    }
  }
  sections.push(...across(packets, 'size'), ...across(packets, 'encap'));
  return sections;
}

/** One endpoint, over the sizes or the encapsulations. */
function across(packets: readonly PacketRow[], by: 'size' | 'encap'): string[] {
  const rows = packets.filter(
    (row) => row.endpoints === 1 && (by === 'size' ? row.encap === 'vxlan' : row.size === 64),
  );
  const columns = distinct(rows.map((row) => row[by]));
  if (columns.length < 2) return [];
  const peers = distinct(rows.filter((row) => row.rate !== undefined).map((row) => row.peer));
  const title =
    by === 'size' ? '### By size of the frame, VXLAN, 1 endpoint' : '### By encapsulation, 64 B, 1 endpoint';
  const part = (direction: 'encap' | 'decap') =>
    table(
      [`Mpps, ${direction}`, ...columns.map((column) => (by === 'size' ? `${column} B` : `${column}`))],
      peers.map((peer) => [
        peer,
        ...columns.map((column) =>
          mpps(rows.find((row) => row.peer === peer && row.direction === direction && row[by] === column)),
        ),
      ]),
    );
  return [title, part('encap'), part('decap')];
}

function socketSections({ sockets }: Run, plot: Plot): string[] {
  if (sockets.length === 0) return [];
  const streams = distinct(sockets.flatMap((row) => Object.keys(row.tcp)));
  const sections = ['## TCP and round trips, container to container'];
  for (const wire of distinct(sockets.map((row) => row.wire))) {
    const rows = sockets.filter((row) => row.wire === wire);
    sections.push(
      `### Wire \`${wire}\`: ${WIRES[wire].what}`,
      table(
        [
          '',
          ...streams.map((count) => `Gbit/s, ${count} stream${count === '1' ? '' : 's'}`),
          ...['segments sent again a second', 'round trip', 'p99', 'frame', 'dropped by the kernel meanwhile'],
        ],
        rows.map((row) => [
          row.peer,
          ...streams.map((count) => {
            const rate = row.tcp[count]?.rate;
            return rate === undefined ? '' : `${rate.median.toFixed(2)} ± ${percent(rate)}`;
          }),
          row.tcp['1']?.retransmits.median.toFixed(0) ?? '',
          micro(row.roundTrip.median.median),
          micro(row.roundTrip.p99.median),
          row.frameSize === undefined ? '' : `${row.frameSize} B`,
          Object.entries(row.drops ?? {})
            .slice(0, 4)
            .map(([name, count]) => `${count} ${name}`)
            .join(', ') || 'nothing',
        ]),
      ),
    );
  }
  sections.push(...plot('tcp.svg', 'TCP, one stream'), ...plot('round-trip.svg', 'round trip'));
  return sections;
}

function updateSections({ updates }: Run, plot: Plot): string[] {
  if (updates === undefined) return [];
  const number = (value: number | undefined, digits: number) => value?.toFixed(digits) ?? '';
  return [
    '## Updates',
    '### A whole table',
    table(
      [
        'ports',
        '',
        'to forwarding, s',
        'restart, s',
        'writes',
        'resident, MiB',
        'peak',
        'kernel, MiB',
        'addresses alone',
      ],
      updates.tables.map((row) => [
        shortNumber(row.endpoints),
        row.peer,
        number(row.loadSeconds, 2),
        number(row.restartSeconds, 2),
        number(row.restartWrites, 0),
        number(row.residentMiB, 0),
        number(row.peakMiB, 0),
        number(row.kernelMiB, 0),
        number(row.addressMiB, 1),
      ]),
    ),
    ...plot('load.svg', 'seconds to forwarding'),
    '### One edit, until the first packet that obeys it',
    table(
      ['ports', 'how', 'edits', 'median, ms', 'p99', 'most'],
      updates.edits.map((row) => [
        shortNumber(row.endpoints),
        row.how === 'file' ? 'a file of 1,000 ports rewritten' : 'API',
        `${row.count}`,
        number(row.medianMs, 2),
        number(row.p99Ms, 2),
        number(row.mostMs, 2),
      ]),
    ),
    ...updates.streams.map(
      (row) =>
        `A stream of ${row.edits} edits by the API, one port each, from ${row.clients} clients that each wait for the answer: ${row.seconds.toFixed(2)} s, ${(row.edits / row.seconds).toFixed(0)} a second.`,
    ),
    '### A bystander: a guest that sends to an endpoint which does not change',
    table(
      ['during', 'ports', 's', 'sent', 'lost', 'median, µs', 'p99', 'most'],
      updates.bystanders.map((row) => [
        { nothing: 'nothing', edits: 'the stream of edits', reload: 'a reload of every port', restart: 'a restart' }[
          row.during
        ],
        shortNumber(row.endpoints),
        number(row.seconds, 1),
        `${row.sent}`,
        `${row.lost}`,
        number(row.medianUs, 1),
        number(row.p99Us, 1),
        number(row.mostUs, 0),
      ]),
    ),
    '### How long the daemon’s event loop was blocked in one go',
    table(
      ['during', 'ports', 'p99, ms', 'most'],
      updates.loops.map((row) => [
        {
          ready: 'the seconds after `ready`',
          'file edits': 'edits by file',
          'API edits': 'edits by the API',
          stream: 'the stream of edits',
          reload: 'a reload of every port',
        }[row.during],
        shortNumber(row.endpoints),
        number(row.p99Ms, 1),
        number(row.mostMs, 1),
      ]),
    ),
  ];
}

function failoverSections({ failover }: Run): string[] {
  if (failover.length === 0) return [];
  return [
    '## Failover: a node goes down, until the first packet for its standby',
    table(
      [
        'ports behind it',
        '',
        'rounds',
        'map writes',
        'from the write: median, ms',
        'p99',
        'most',
        'from the request, ms',
      ],
      failover.map((row) => [
        shortNumber(row.endpoints),
        row.peer,
        `${row.count}`,
        `${row.writes}`,
        ...[row.medianMs, row.p99Ms, row.mostMs, row.requestMs].map((ms) => ms.toFixed(2)),
      ]),
    ),
  ];
}

function plotsOf(run: Run): Map<string, string> {
  const plots = new Map<string, string>();
  const { packets, sockets, updates } = run;
  for (const direction of ['encap', 'decap'] as const) {
    const rows = packets.filter((row) => row.direction === direction && row.encap === 'vxlan' && row.size === 64);
    const lines = (of: (row: PacketRow) => Summary | undefined, unit: number): Line[] =>
      distinct(rows.map((row) => row.peer))
        .map((peer) => ({
          name: peer,
          points: rows
            .filter((row) => row.peer === peer && of(row) !== undefined)
            .map((row) => {
              const { median, least, most } = of(row)!;
              return { x: row.endpoints, y: median / unit, low: least / unit, high: most / unit };
            }),
        }))
        .filter(({ points }) => points.length > 0);
    if (new Set(rows.map((row) => row.endpoints)).size < 2) continue;
    const doing = direction === 'encap' ? 'encapsulating' : 'decapsulating';
    const axes = { x: 'endpoints, drawn at random' };
    plots.set(
      `packets-${direction}.svg`,
      linePlot({
        ...axes,
        title: `VXLAN ${doing}, 64 B, one core`,
        y: 'million packets a second',
        lines: lines((row) => row.rate, 1e6),
      }),
    );
    plots.set(
      `program-${direction}.svg`,
      linePlot({ ...axes, title: `Time in BPF, ${doing}`, y: 'ns a packet', lines: lines((row) => row.programNs, 1) }),
    );
  }
  if (sockets.length > 0) {
    const groups = (bar: (row: (typeof sockets)[number]) => Summary | undefined, unit: number) =>
      distinct(sockets.map((row) => row.wire)).map((wire) => ({
        name: wire,
        bars: sockets
          .filter((row) => row.wire === wire)
          .flatMap((row) => {
            const one = bar(row);
            return one === undefined
              ? []
              : [{ name: row.peer, y: one.median / unit, low: one.least / unit, high: one.most / unit }];
          }),
      }));
    plots.set(
      'tcp.svg',
      barPlot({ title: 'TCP, one stream, by the wire', y: 'Gbit/s', groups: groups((row) => row.tcp['1']?.rate, 1) }),
    );
    plots.set(
      'round-trip.svg',
      barPlot({ title: 'Round trip, by the wire', y: 'µs', groups: groups((row) => row.roundTrip.median, 1000) }),
    );
  }
  const sizes = distinct(updates?.tables.map((row) => row.endpoints) ?? []);
  if (updates !== undefined && sizes.length > 1) {
    const lines = distinct(updates.tables.map((row) => row.peer)).map((peer) => ({
      name: peer,
      points: updates.tables
        .filter((row) => row.peer === peer)
        .map((row) => ({ x: row.endpoints, y: row.loadSeconds })),
    }));
    plots.set(
      'load.svg',
      linePlot({ title: 'From a table to forwarding', x: 'ports', y: 'seconds', lines, logarithmic: true }),
    );
  }
  return plots;
}
