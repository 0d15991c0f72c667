/** Prometheus text exposition (version 0.0.4): values are read from the kernel's maps when they are asked for. */

import type { DropCount, TrafficCount } from '../dataplane/index.ts';
import { Reason, reasonName } from '../generated/layout.ts';
import type { StatusView } from './views.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number | bigint];

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function family(name: string, type: 'counter' | 'gauge', help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => {
    const text = Object.entries(labels).map(([label, content]) => `${label}="${escapeLabel(content)}"`);
    return `${name}${text.length === 0 ? '' : `{${text.join(',')}}`} ${value}`;
  });
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines].join('\n');
}

/** Every reason, also those that have not occurred: a series that begins at 0 can be watched for its first increase. */
function everyReason(drops: readonly DropCount[]): DropCount[] {
  const counted = new Map(drops.map((one) => [one.reason, one]));
  const known = Object.values(Reason).filter((number) => number !== Reason.NONE && number !== Reason.COUNT);
  for (const name of known.map(reasonName)) {
    if (!counted.has(name)) counted.set(name, { reason: name, packets: 0n, bytes: 0n });
  }
  return [...counted.values()];
}

/** Every counter and reason, map fill, planned and applied revision. */
export function metricsText(status: StatusView, drops: readonly DropCount[], traffic: readonly TrafficCount[]): string {
  const perDevice = (value: (one: TrafficCount) => bigint): Sample[] =>
    traffic.map((one) => [{ device: one.device, role: one.role, port: one.port ?? '' }, value(one)]);
  const { dataplane } = status;
  const reasons = everyReason(drops);
  const parts = [
    family('mapwire_info', 'gauge', 'Version and node.', [[{ version: status.version, node: status.node }, 1]]),
    family('mapwire_ready', 'gauge', '1 when the newest table is in force.', [[{}, status.state === 'ready' ? 1 : 0]]),
    family('mapwire_planned_revision', 'gauge', 'Revision of the newest good table.', [
      [{}, status.revision.table ?? 0],
    ]),
    family('mapwire_applied_revision', 'gauge', 'Revision in force in the kernel.', [
      [{}, status.revision.applied ?? 0],
    ]),
    family('mapwire_generation', 'gauge', 'Generation of maps in force.', [[{}, dataplane.generation]]),
    family(
      'mapwire_source_good',
      'gauge',
      '1 when what the source holds is in force.',
      status.sources.map((one) => [{ source: one.name }, one.state === 'good' ? 1 : 0]),
    ),
    family(
      'mapwire_nodes_not_up',
      'gauge',
      'Nodes that are passed over: down, or drained.',
      (['down', 'drain'] as const).map((state) => [
        { state },
        status.nodes.filter((node) => node.state === state).length,
      ]),
    ),
    family('mapwire_problems', 'gauge', 'Problems that status lists.', [[{}, dataplane.problems.length]]),
    family('mapwire_ports', 'gauge', 'Ports in the table, local ones, attached ones.', [
      [{ kind: 'table' }, status.ports.table],
      [{ kind: 'local' }, status.ports.local],
      [{ kind: 'attached' }, status.ports.attached],
    ]),
    family(
      'mapwire_next_hop_resolved',
      'gauge',
      '1 when the next hop of a peer is resolved.',
      dataplane.nextHops.map((one) => [{ node: one.node }, one.resolved ? 1 : 0]),
    ),
    family(
      'mapwire_next_hops',
      'gauge',
      'Ways to a peer that are in use: 0, 1, or 2 that share the flows.',
      dataplane.nextHops.map((one) => [
        { node: one.node, family: String(one.family ?? '') },
        one.ways.filter(({ used }) => used).length,
      ]),
    ),
    family(
      'mapwire_path_mtu_bytes',
      'gauge',
      'Largest outer packet that gets to a peer, as far as is known.',
      dataplane.nextHops.flatMap((one) => (one.mtu === undefined ? [] : [[{ node: one.node }, one.mtu] as const])),
    ),
    family(
      'mapwire_map_entries',
      'gauge',
      'Entries in a map.',
      dataplane.maps.map((one) => [{ map: one.map }, one.entries]),
    ),
    family(
      'mapwire_map_capacity',
      'gauge',
      'Room of a map.',
      dataplane.maps.map((one) => [{ map: one.map }, one.capacity]),
    ),
    family(
      'mapwire_drop_packets_total',
      'counter',
      'Dropped packets by reason (docs/drop-reasons.md).',
      reasons.map((one) => [{ reason: one.reason }, one.packets]),
    ),
    family(
      'mapwire_drop_bytes_total',
      'counter',
      'Dropped bytes by reason.',
      reasons.map((one) => [{ reason: one.reason }, one.bytes]),
    ),
    family(
      'mapwire_device_rx_packets_total',
      'counter',
      'Accepted from a device.',
      perDevice((one) => one.rxPackets),
    ),
    family(
      'mapwire_device_rx_bytes_total',
      'counter',
      'Accepted from a device.',
      perDevice((one) => one.rxBytes),
    ),
    family(
      'mapwire_device_tx_packets_total',
      'counter',
      'Sent to a device.',
      perDevice((one) => one.txPackets),
    ),
    family(
      'mapwire_device_tx_bytes_total',
      'counter',
      'Sent to a device.',
      perDevice((one) => one.txBytes),
    ),
    family(
      'mapwire_device_drops_total',
      'counter',
      'From a device and dropped.',
      perDevice((one) => one.drops),
    ),
    family(
      'mapwire_device_answers_total',
      'counter',
      'From a device and answered.',
      perDevice((one) => one.answers),
    ),
  ];
  return `${parts.join('\n')}\n`;
}
