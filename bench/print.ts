/** Figures for the terminal, as they come in. */
import type { PacketRow } from './packets.ts';
import { spread } from './statistics.ts';

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
