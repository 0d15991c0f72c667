/** Prometheus text exposition (version 0.0.4): values are read from the kernel's maps when they are asked for. */

import { SessionState, type SessionStatus } from '../bfd/index.ts';
import type { DropCount, TrafficCount } from '../dataplane/index.ts';
import { Reason, reasonName } from '../generated/layout.ts';
import type { ProbesLook } from './probes.ts';
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

function probeFamilies({ sessions, totals }: ProbesLook): string[] {
  const each = (value: (status: SessionStatus) => number): Sample[] =>
    [...sessions].map(([node, { kind, status }]) => [{ node, kind }, value(status)]);
  return [
    family(
      'mapwire_probe_up',
      'gauge',
      '1 when the session with a node is up.',
      each(({ state }) => (state === SessionState.UP ? 1 : 0)),
    ),
    family(
      'mapwire_probe_interval_seconds',
      'gauge',
      'Time between probes of a node.',
      each(({ txMs }) => txMs / 1000),
    ),
    family(
      'mapwire_probe_losses_total',
      'counter',
      'Times that a session failed because nothing came.',
      each(({ expired }) => expired),
    ),
    family(
      'mapwire_probe_sent_total',
      'counter',
      'Packets sent to a node.',
      each(({ sent }) => sent),
    ),
    family(
      'mapwire_probe_received_total',
      'counter',
      'Packets received from a node.',
      each(({ received }) => received),
    ),
    family('mapwire_probe_discarded_total', 'counter', 'Packets that were not looked at.', [
      [{ why: 'ttl' }, totals.discardedTtl],
      [{ why: 'malformed' }, totals.discardedMalformed],
      [{ why: 'unknown' }, totals.discardedUnknown],
    ]),
    family('mapwire_probe_unsent_total', 'counter', 'Packets that the kernel did not take.', [[{}, totals.unsent]]),
  ];
}

/** Every counter and reason, map fill, planned and applied revision. */
export function metricsText(
  status: StatusView,
  drops: readonly DropCount[],
  traffic: readonly TrafficCount[],
  probes: ProbesLook,
): string {
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
    ...probeFamilies(probes),
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
