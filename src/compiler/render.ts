import {
  AllowFlags,
  BalanceFlags,
  type BalanceLevel,
  ENCAP_NAMES,
  type EncapName,
  encapName,
  FloodFlags,
  FloodKind,
  IpFlags,
  LocatorFlags,
  MacFlags,
  NetworkFlags,
  NODE_WIRE,
  type Node,
  nodeFlagsNames,
  PortFlags,
  VtepFlags,
} from '../generated/layout.ts';
import { formatIpv4, ipFromBytes, ipFromMappedBytes, macFromBytes } from '../table/address.ts';
import { type Entry, type PlanMap, WRITE_ORDER } from './entries.ts';
import type { Features, Plan } from './plan.ts';

/** Names of kernel ids; undefined where the table has none (any more). An IdBook is one. */
export interface Names {
  nodeName(id: number): string | undefined;
  /** Is it the id of a multicast group? */
  isGroup(id: number): boolean;
  networkName(id: number): string | undefined;
  portName(id: number): string | undefined;
  /** Of a balanced address. */
  addressName(id: number): string | undefined;
}

export type RowValue = string | number | boolean | readonly string[];

/** A map entry with its ids joined to names: plain data, columns in the order of reading. */
export type Row = Readonly<Record<string, RowValue>>;

export interface RenderedPlan {
  readonly node: string;
  readonly revision: number;
  readonly features: RenderedFeatures;
  readonly entries: Readonly<Record<PlanMap, readonly Row[]>>;
}

/** The features, with names for the encapsulations. */
export type RenderedFeatures = Omit<Features, 'encaps'> & { readonly encaps: readonly EncapName[] };

/** An id that has no name here. */
export function unnamed(id: number): string {
  return `#${id}`;
}

/** One entry for people. Ids without a name are shown as `#7`. */
export function renderEntry(entry: Entry, names: Names): Row {
  const network = (id: number): string => names.networkName(id) ?? unnamed(id);
  const port = (id: number): string => names.portName(id) ?? unnamed(id);
  const node = (id: number): string => names.nodeName(id) ?? unnamed(id);
  const address = (id: number): string => names.addressName(id) ?? unnamed(id);
  const owner = (id: number, balanced: boolean): Row => (balanced ? { balanced: address(id) } : { port: port(id) });
  switch (entry.map) {
    case 'ip4': {
      const { key, value } = entry;
      return {
        network: network(key.network),
        address: formatIpv4(key.addr),
        ...owner(value.port, (value.flags & IpFlags.BALANCED) !== 0),
        answer: (value.flags & IpFlags.ANSWER) !== 0,
      };
    }
    case 'ip6': {
      const { key, value } = entry;
      return {
        network: network(key.network),
        address: ipFromBytes(key.addr),
        ...owner(value.port, (value.flags & IpFlags.BALANCED) !== 0),
        answer: (value.flags & IpFlags.ANSWER) !== 0,
      };
    }
    case 'mac':
      return {
        network: network(entry.key.network),
        mac: macFromBytes(entry.key.mac),
        ...owner(entry.value.port, (entry.value.flags & MacFlags.BALANCED) !== 0),
      };
    case 'source_mac':
      return {
        network: network(entry.key.network),
        mac: macFromBytes(entry.key.mac),
        ports: entry.value.port.filter((id) => id !== 0).map(port),
      };
    case 'allow4':
      return {
        port: port(entry.key.port),
        prefix: `${formatIpv4(entry.key.addr)}/${entry.key.prefixlen - 32}`,
        ...served(entry.value.flags),
      };
    case 'allow6':
      return {
        port: port(entry.key.port),
        prefix: `${ipFromBytes(entry.key.addr)}/${entry.key.prefixlen - 32}`,
        ...served(entry.value.flags),
      };
    case 'balance': {
      const { head, levels, slots } = entry.value;
      return {
        balanced: address(entry.key),
        id: entry.key,
        network: network(head.network),
        mac: macFromBytes(head.mac),
        affinity: (head.flags & BalanceFlags.SOURCE) !== 0 ? 'source' : 'flow',
        // Behind each stands the roll of its members, which says nothing more.
        levels: levels
          .slice(0, head.levels)
          .filter((_, i) => i % 2 === 0)
          .map((level) => sharesOf(level, levels, slots, port)),
      };
    }
    case 'port': {
      const { value } = entry;
      const role =
        (value.flags & PortFlags.ROUTER) !== 0 ? 'router' : (value.flags & PortFlags.DHCP) !== 0 ? 'dhcp' : undefined;
      return {
        port: port(entry.key),
        id: entry.key,
        network: network(value.network),
        mac: macFromBytes(value.mac),
        at: value.at
          .filter((at) => at.node !== 0)
          .map((at) => {
            const place = `${node(at.node)}:${at.segment}`;
            if ((at.flags & LocatorFlags.PENDING) !== 0) return `${place} pending`;
            return `${place} priority ${at.priority} weight ${at.weight}`;
          }),
        ...(role === undefined ? {} : { role }),
        ...stateOfPort(value.flags),
        ...(value.sequence === 0 ? {} : { sequence: value.sequence }),
        ...moveOfPort(value.flags),
        ...(value.former === 0 ? {} : { former: node(value.former) }),
      };
    }
    case 'move': {
      const { heard } = entry.value;
      // Of the port, or of another that had this place in the map before.
      const own = heard >> 32n === BigInt(entry.key);
      return { port: port(entry.key), heard: own ? `sequence ${heard & 0xffff_ffffn}` : 'no' };
    }
    case 'network': {
      const { value } = entry;
      return {
        network: network(entry.key),
        id: entry.key,
        encap: encapName(value.encap),
        segment: value.segment,
        mtu: value.mtu,
        // Where to, the flood list says.
        flood: (value.flags & NetworkFlags.FLOOD) !== 0,
        unknown: (value.flags & NetworkFlags.UNKNOWN_FLOOD) !== 0 ? 'flood' : 'drop',
        vlan: (value.flags & NetworkFlags.VLAN_TRANSPARENT) !== 0 ? 'transparent' : 'drop',
      };
    }
    case 'segment':
      return {
        encap: encapName(entry.key.encap),
        segment: entry.key.segment,
        network: network(entry.value.network),
      };
    case 'vtep':
      return {
        underlay: ipFromMappedBytes(entry.key.addr),
        node: node(entry.value.node),
        self: (entry.value.flags & VtepFlags.SELF) !== 0,
        ...guardColumn(entry.value.flags),
      };
    case 'node':
      return { node: node(entry.key), id: entry.key, ...nodeColumns(entry.value) };
    case 'flood':
      return {
        network: network(entry.key),
        targets: entry.value
          .filter((target) => target.kind !== FloodKind.COUNT)
          .map(({ kind, id, segment, flags }) => {
            if (kind === FloodKind.PORT) return `${(flags & FloodFlags.OWN) === 0 ? 'port' : 'own port'} ${port(id)}`;
            if (id === NODE_WIRE) return segment === 0 ? 'wire' : `wire:${segment}`;
            // A group's name says itself that it is one.
            return `${names.isGroup(id) ? '' : 'node '}${node(id)}:${segment}`;
          }),
      };
  }
}

function served(flags: number): Row {
  return (flags & AllowFlags.BALANCED) !== 0 ? { balanced: true } : {};
}

/** The slots of each member of a level. */
function sharesOf(
  { start, slots: size }: BalanceLevel,
  levels: readonly BalanceLevel[],
  slots: Uint32Array,
  port: (id: number) => string,
): string {
  const first = Math.min(...levels.map((level) => level.start));
  const counts = new Map<number, number>();
  for (let slot = 0; slot < size; slot++) {
    const id = slots[2 * (start - first + slot)] ?? 0;
    counts.set(id, (counts.get(id) ?? 0) + 1);
  }
  const shares = [...counts].map(([id, count]) => `${port(id)} ${count}/${size}`);
  return shares.sort().join(' ');
}

function guardColumn(flags: number): Row {
  if ((flags & VtepFlags.GUARD_OFF) !== 0) return { guard: 'off' };
  return (flags & VtepFlags.GUARD_OPEN) !== 0 ? { guard: 'open' } : {};
}

function nodeColumns(value: Node): Row {
  const nexthops = value.nexthop
    .filter((hop) => hop.ifindex !== 0)
    .map((hop) => {
      const tag = hop.vlan === 0 ? '' : ` vlan ${hop.vlan}`;
      return `${macFromBytes(hop.dmac)} dev ${hop.ifindex}${tag}`;
    });
  return {
    // The wire has no addresses, nor has this node, nor one that cannot be reached.
    ...(value.remote.every((byte) => byte === 0)
      ? {}
      : { remote: ipFromMappedBytes(value.remote), local: ipFromMappedBytes(value.local) }),
    flags: nodeFlagsNames(value.flags),
    ...(value.mtu === 0 ? {} : { mtu: value.mtu }),
    nexthops,
  };
}

function stateOfPort(flags: number): Row {
  if ((flags & PortFlags.DOWN) !== 0) return { state: 'down' };
  return (flags & PortFlags.DRAIN) !== 0 ? { state: 'drain' } : {};
}

function moveOfPort(flags: number): Row {
  if ((flags & PortFlags.MOVING) === 0) return {};
  const send = (flags & PortFlags.SEND_BOTH) !== 0 ? 'both' : (flags & PortFlags.SEND_NEW) !== 0 ? 'new' : 'old';
  return { send, activate: (flags & PortFlags.BY_ANNOUNCEMENT) !== 0 ? 'announcement' : 'table' };
}

/** The whole plan as plain data, rows sorted by their text. */
export function renderPlan(plan: Plan): RenderedPlan {
  const entries = Object.fromEntries(WRITE_ORDER.map((map) => [map, [] as Row[]])) as Record<PlanMap, Row[]>;
  for (const entry of plan.entries()) entries[entry.map].push(renderEntry(entry, plan.ids));
  for (const rows of Object.values(entries)) rows.sort(byText);
  const encaps = [...ENCAP_NAMES].filter(([number]) => (plan.features.encaps & (1 << number)) !== 0);
  const features = { ...plan.features, encaps: encaps.map(([, name]) => name) };
  return { node: plan.node, revision: plan.revision, features, entries };
}

function byText(a: Row, b: Row): number {
  const left = rowText(a);
  const right = rowText(b);
  return left < right ? -1 : left > right ? 1 : 0;
}

function rowText(row: Row): string {
  return Object.values(row).map(cell).join('\t');
}

function cell(value: RowValue): string {
  if (value === true) return 'yes';
  if (value === false) return 'no';
  return Array.isArray(value) ? value.join(', ') : String(value);
}

/** A plan, or a dump of maps, as text: a table for each map. */
export function formatRows(title: string, rows: readonly Row[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = rows.map((row) => columns.map((column) => (column in row ? cell(row[column] as RowValue) : '')));
  const widths = columns.map((column, i) =>
    Math.max(column.length, ...lines.map((line) => (line[i] as string).length)),
  );
  const show = (cells: readonly string[]): string =>
    `  ${cells.map((text, i) => text.padEnd(widths[i] as number)).join('  ')}`.trimEnd();
  const head = `${title} (${rows.length})`;
  return rows.length === 0 ? `${head}\n` : `${[head, show(columns), ...lines.map(show)].join('\n')}\n`;
}

export function formatPlan(rendered: RenderedPlan): string {
  const { encaps, ...switches } = rendered.features;
  const features = Object.entries(switches)
    .filter(([, on]) => on)
    .map(([name]) => name);
  const head = [
    `plan of node ${rendered.node} at revision ${rendered.revision}`,
    `encapsulations: ${encaps.join(', ') || 'none'}`,
    `features: ${features.join(', ') || 'none'}\n`,
  ].join('; ');
  return [head, ...WRITE_ORDER.map((map) => formatRows(map, rendered.entries[map]))].join('\n');
}
