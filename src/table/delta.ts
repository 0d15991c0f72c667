/** Changes of a table: applied, found, written. */

import { bytesOf } from './byte-source.ts';
import { CompactTable, type TableChanges } from './compact-table.ts';
import type { TableFile } from './document.ts';
import { type EditOptions, type EditResult, TableEdit } from './edit.ts';
import type { Table, TableAddress, TableLocator, TableNetwork, TableNode, TablePort } from './model.ts';
import { readNdjson } from './read-ndjson.ts';
import { DEFAULT_NODE_MTU, DEFAULT_PRIORITY, DEFAULT_WEIGHT, isMapping } from './row.ts';
import { atOnce, type Steps } from './steps.ts';

/** Ports that are compared between two pauses. */
const STEP = 256;

/** One record as a program has it: what NDJSON holds on a line. */
export type DeltaRecord = Readonly<Record<string, unknown>>;

export interface DeltaOptions extends EditOptions {
  /** As diagnostics name the deltas. */
  readonly name?: string;
  /**
   * The source that makes the change: it may not touch what another one has given. Without one everything may be
   * changed.
   */
  readonly source?: string;
  /** Place of the source among others: of two definitions of one thing the later one is the mistake (files have 0). */
  readonly rank?: number;
  /** The changes bring back what was before: sequences do not count. */
  readonly restoring?: boolean;
}

/**
 * Applies changes: NDJSON text, or records. A record like those of a table adds or replaces what has its id, as a
 * whole; `{"delete": "port", "id": "web-1"}` (or `{"port": "web-1", "delete": true}`) removes. They count in their order,
 * and the table is checked once, after the last. The cost is that of what changes. The table itself stays as it is.
 */
export function applyDelta(
  table: CompactTable,
  deltas: string | Uint8Array | readonly DeltaRecord[],
  options: DeltaOptions = {},
): EditResult {
  const edit = new TableEdit(table, options);
  edit.fill(() => readDeltas(edit, deltas, options));
  return edit.finish();
}

/** Reads changes into an edit. */
export function readDeltas(
  edit: TableEdit,
  deltas: string | Uint8Array | readonly DeltaRecord[],
  options: Pick<DeltaOptions, 'name' | 'source' | 'rank' | 'restoring'> = {},
): void {
  const content = deltaBytes(deltas);
  const source = bytesOf(content);
  const file: TableFile = { name: options.name ?? 'delta', source: options.source ?? '', rank: options.rank ?? 1 };
  edit.applyDeltas(file, options.restoring);
  readNdjson(source, edit, edit.show, { deltas: true });
}

function deltaBytes(deltas: string | Uint8Array | readonly DeltaRecord[]): Uint8Array {
  if (typeof deltas === 'string') return Buffer.from(deltas);
  if (deltas instanceof Uint8Array) return deltas;
  return Buffer.from(deltas.map((record) => `${JSON.stringify(record)}\n`).join(''));
}

/**
 * The ids that were added, changed or removed from one table to another. When one was made from the other by edits this
 * costs what was edited (and may name an id that is the same again); otherwise everything is compared.
 */
export function diffTables(before: Table, after: Table): TableChanges {
  return atOnce(diffTableSteps(before, after));
}

/** `diffTables` with pauses, in which the tables may be edited. */
export function* diffTableSteps(before: Table, after: Table): Steps<TableChanges> {
  if (before instanceof CompactTable && after instanceof CompactTable) {
    const known = (yield* before.changeSteps(after)) ?? (yield* after.changeSteps(before));
    if (known !== undefined) return known;
  }
  const ports = new Set<string>();
  let count = 0;
  for (const port of after.ports()) {
    const old = before.port(port.id);
    if (old === undefined || !equalValues(old, port)) ports.add(port.id);
    if (++count % STEP === 0) yield;
  }
  for (const port of before.ports()) {
    if (after.port(port.id) === undefined) ports.add(port.id);
    if (++count % STEP === 0) yield;
  }
  return {
    nodes: differences(before.nodes, after.nodes),
    networks: differences(before.networks, after.networks),
    ports,
    addresses: differences(before.addresses, after.addresses),
  };
}

/** True when the tables hold the same, whatever their revisions. */
export function equalTables(a: Table, b: Table): boolean {
  if (a.portCount !== b.portCount) return false;
  for (const port of a.ports()) {
    const other = b.port(port.id);
    if (other === undefined || !equalValues(port, other)) return false;
  }
  return (
    differences(a.nodes, b.nodes).size === 0 &&
    differences(a.networks, b.networks).size === 0 &&
    differences(a.addresses, b.addresses).size === 0
  );
}

function differences<T>(before: ReadonlyMap<string, T>, after: ReadonlyMap<string, T>): Set<string> {
  const ids = new Set<string>();
  for (const [id, value] of after) {
    const old = before.get(id);
    if (old === undefined || (old !== value && !equalValues(old, value))) ids.add(id);
  }
  for (const id of before.keys()) if (!after.has(id)) ids.add(id);
  return ids;
}

function equalValues(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((item, index) => equalValues(item, b[index]));
  }
  if (!isMapping(a) || !isMapping(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && equalValues(a[key], b[key]));
}

// writing

/** A record of the format, without its id. What has its default is left out. */
export function nodeRecord(node: TableNode): Record<string, unknown> {
  return {
    underlay: node.underlay.length === 1 ? node.underlay[0] : node.underlay,
    ...(node.region !== undefined && { region: node.region }),
    ...(node.mtu !== DEFAULT_NODE_MTU && { mtu: node.mtu }),
    ...(node.kind !== 'mapwire' && { kind: node.kind }),
    ...(node.guard !== 'full' && { guard: node.guard }),
    ...(node.udp6Checksum !== 'auto' && { 'udp6-checksum': node.udp6Checksum }),
    ...(node.state !== undefined && { state: node.state }),
    ...(node.probe !== undefined && {
      probe: {
        ...(node.probe.kind !== undefined && { kind: node.probe.kind }),
        ...(node.probe.intervalMs !== undefined && { interval: `${node.probe.intervalMs}ms` }),
        ...(node.probe.multiplier !== undefined && { multiplier: node.probe.multiplier }),
      },
    }),
  };
}

export function networkRecord(network: TableNetwork): Record<string, unknown> {
  return {
    encap: network.encap,
    // 0 is no segment: a flat network without a tag.
    ...(network.segment !== 0 && { segment: network.segment }),
    ...(network.mtu !== undefined && { mtu: network.mtu }),
    ...(network.flood !== 'replicate' && { flood: network.flood }),
    ...(network.group !== undefined && { group: network.group }),
    ...(network.unknown !== 'drop' && { unknown: network.unknown }),
    ...(network.vlan !== 'drop' && { vlan: network.vlan }),
    ...(network.linkLocal !== 'any' && { 'link-local': network.linkLocal }),
  };
}

export function portRecord(port: TablePort): Record<string, unknown> {
  const pending = port.at.find((locator) => locator.pending);
  const at = port.at
    .filter((locator) => locator !== pending)
    .map((locator) => ({
      ...placeRecord(locator),
      ...(locator.priority !== DEFAULT_PRIORITY && { priority: locator.priority }),
      ...(locator.weight !== DEFAULT_WEIGHT && { weight: locator.weight }),
      ...(locator.for !== undefined && { for: locator.for }),
      ...(locator.prefer !== undefined && { prefer: locator.prefer }),
    }));
  const { send, activate } = port.move ?? {};
  return {
    network: port.network,
    mac: port.mac,
    ...(port.macs.length > 0 && { macs: port.macs }),
    ...(port.ips.length > 0 && { ips: port.ips }),
    ...(port.allow.length > 0 && { allow: port.allow }),
    ...(port.role !== undefined && { role: port.role }),
    ...(port.state !== undefined && { state: port.state }),
    ...(port.sequence !== undefined && { sequence: port.sequence }),
    at: at.length === 1 ? at[0] : at,
    ...(pending !== undefined && {
      move: {
        to: placeRecord(pending),
        ...(send !== 'old' && { send }),
        ...(activate !== 'table' && { activate }),
      },
    }),
  };
}

function placeRecord(locator: TableLocator): Record<string, unknown> {
  return {
    node: locator.node,
    ...(locator.interface !== undefined && { interface: locator.interface }),
    ...(locator.segment !== undefined && { segment: locator.segment }),
  };
}

export function addressRecord(address: TableAddress): Record<string, unknown> {
  const members = address.members.map((member) => ({
    port: member.port,
    ...(member.weight !== DEFAULT_WEIGHT && { weight: member.weight }),
    ...(member.priority !== DEFAULT_PRIORITY && { priority: member.priority }),
    ...(member.state !== 'up' && { state: member.state }),
  }));
  return {
    network: address.network,
    mac: address.mac,
    ...(address.ips.length > 0 && { ips: address.ips }),
    ...(address.affinity !== 'flow' && { affinity: address.affinity }),
    ...(address.prefer !== 'none' && { prefer: address.prefer }),
    ...(address.slots !== undefined && { slots: address.slots }),
    members,
  };
}

/** The whole table as lines of NDJSON, each with its newline. */
export function* formatTable(table: Table): Generator<string> {
  yield '{"mapwire":1}\n';
  for (const node of table.nodes.values()) yield `${JSON.stringify({ node: node.id, ...nodeRecord(node) })}\n`;
  for (const network of table.networks.values()) {
    yield `${JSON.stringify({ network: network.id, ...networkRecord(network) })}\n`;
  }
  for (const port of table.ports()) yield `${JSON.stringify({ port: port.id, ...portRecord(port) })}\n`;
  for (const address of table.addresses.values()) {
    yield `${JSON.stringify({ address: address.id, ...addressRecord(address) })}\n`;
  }
}

/** The whole table as an object that a JSON or YAML file may hold. */
export function tableToObject(table: Table): Record<string, unknown> {
  const nodes = Object.fromEntries([...table.nodes.values()].map((node) => [node.id, nodeRecord(node)]));
  const networks = Object.fromEntries([...table.networks.values()].map((net) => [net.id, networkRecord(net)]));
  const ports = Object.fromEntries([...table.ports()].map((port) => [port.id, portRecord(port)]));
  const addresses = Object.fromEntries([...table.addresses.values()].map((one) => [one.id, addressRecord(one)]));
  return { mapwire: 1, nodes, networks, ports, ...(table.addresses.size > 0 && { addresses }) };
}
