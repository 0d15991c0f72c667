/** Figures for the terminal, as they come in. */
import type { FailoverRow } from './failover.ts';
import type { PacketRow } from './packets.ts';
import type { SocketRow } from './sockets.ts';
import { spread } from './statistics.ts';
import type { UpdateResults } from './updates.ts';

export function printPackets(rows: readonly PacketRow[]): string {
  const lines = rows.map((row) => {
    const what = [
      row.direction.padEnd(6),
      row.encap.padEnd(10),
      `${row.size} B`.padStart(7),
      `${row.endpoints}`.padStart(8),
      row.peer.padEnd(18),
    ];
    if (row.rate === undefined) return [...what, `— (${row.absent})`].join(' ');
    const mpps = `${(row.rate.median / 1e6).toFixed(3)} Mpps ±${(100 * spread(row.rate)).toFixed(0)} %`;
    const ns = row.programNs === undefined ? '' : `${row.programNs.median.toFixed(0)} ns`;
    const lost =
      row.delivered !== undefined && row.delivered < 0.999 ? `${(100 * row.delivered).toFixed(1)} % came out` : '';
    return [...what, mpps.padEnd(18), ns.padStart(7), lost].join(' ').trimEnd();
  });
  return `${lines.join('\n')}\n`;
}

export function printSockets(rows: readonly SocketRow[]): string {
  const lines = rows.map(({ wire, peer, tcp, roundTrip, drops, frameSize }) => {
    const rates = Object.entries(tcp).map(
      ([streams, { rate, retransmits }]) =>
        `${streams}: ${rate.median.toFixed(2)} Gbit/s ±${(100 * spread(rate)).toFixed(0)} % (${retransmits.median.toFixed(0)} again/s)`,
    );
    const micro = (ns: number) => `${(ns / 1000).toFixed(2)} µs`;
    const trip = `round trip ${micro(roundTrip.median.median)}, p99 ${micro(roundTrip.p99.median)}`;
    const lost = Object.entries(drops ?? {})
      .slice(0, 4)
      .map(([name, count]) => `${name} ${count}`);
    return `${wire.padEnd(8)} ${peer.padEnd(16)} ${rates.join('  ')}  ${trip}  frames of ${frameSize} B  dropped: ${lost.join(', ') || 'none'}`;
  });
  return `${lines.join('\n')}\n`;
}

export function printUpdates({ tables, edits, streams, bystanders, loops }: UpdateResults): string {
  const fixed = (value: number | undefined, digits: number, unit: string) =>
    value === undefined ? '' : `${value.toFixed(digits)} ${unit}`;
  return [
    ...tables.map(
      (row) =>
        `table ${`${row.endpoints}`.padStart(8)} ${row.peer.padEnd(18)} load ${fixed(row.loadSeconds, 2, 's')}  restart ${fixed(row.restartSeconds, 2, 's')} (${row.restartWrites ?? ''} writes)  resident ${fixed(row.residentMiB, 0, 'MiB')} peak ${fixed(row.peakMiB, 0, 'MiB')}  kernel ${fixed(row.kernelMiB, 0, 'MiB')}, addresses ${fixed(row.addressMiB, 0, 'MiB')}`,
    ),
    ...edits.map(
      (row) =>
        `edit by ${row.how.padEnd(4)} in ${row.endpoints}: median ${fixed(row.medianMs, 2, 'ms')}, p99 ${fixed(row.p99Ms, 2, 'ms')}, most ${fixed(row.mostMs, 2, 'ms')} of ${row.count}`,
    ),
    ...streams.map((row) => `${row.edits} edits by ${row.clients} clients in ${fixed(row.seconds, 2, 's')}`),
    ...bystanders.map(
      (row) =>
        `bystander during ${row.during.padEnd(8)} ${fixed(row.seconds, 1, 's')}: ${row.sent} sent, ${row.lost} lost, median ${fixed(row.medianUs, 1, 'µs')}, p99 ${fixed(row.p99Us, 1, 'µs')}, most ${fixed(row.mostUs, 0, 'µs')}`,
    ),
    ...loops.map(
      (row) =>
        `event loop during ${row.during.padEnd(10)} blocked for p99 ${fixed(row.p99Ms, 1, 'ms')}, most ${fixed(row.mostMs, 1, 'ms')}`,
    ),
    '',
  ].join('\n');
}

export function printFailover(rows: readonly FailoverRow[]): string {
  const lines = rows.map(
    ({ peer, endpoints, count, writes, medianMs, p99Ms, mostMs, requestMs }) =>
      `failover of ${endpoints} ${peer.padEnd(18)} map writes ${writes}; write to first packet: median ${medianMs.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms, most ${mostMs.toFixed(2)} ms of ${count}; from the request ${requestMs.toFixed(2)} ms`,
  );
  return `${lines.join('\n')}\n`;
}
