import { type Entry, encapNumber, keyText, type Plan, renderEntry, valueBytes } from '../../../src/compiler/index.ts';
import type {
  Table,
  TableAddress,
  TableLocator,
  TableNetwork,
  TableNode,
  TablePort,
} from '../../../src/table/model.ts';

/** The whole of a plan, key to value, for comparing two. */
export function content(entries: Iterable<Entry>): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of entries) {
    const key = keyText(entry);
    if (found.has(key)) throw new Error(`two entries of ${entry.map} with one key`);
    found.set(key, Buffer.from(valueBytes(entry)).toString('hex'));
  }
  return found;
}

/** Locators are in the order of preference. */
function isUnordered(name: string, value: unknown): value is unknown[] {
  return Array.isArray(value) && name !== 'at';
}

/** The plan with names for ids, as sorted lines. */
export function named(plan: Plan): string[] {
  return [...plan.entries()]
    .map((entry) => {
      const { id: _, ...row } = renderEntry(entry, plan.ids) as Record<string, unknown>;
      for (const [name, value] of Object.entries(row)) if (isUnordered(name, value)) row[name] = [...value].sort();
      return `${entry.map} ${JSON.stringify(row)}`;
    })
    .sort();
}

const OVERHEAD = { vxlan: 50, geneve: 50, gre: 42, 'vxlan-gpe': 36, lisp: 36, flat: 0 } as const;
const IP6 = /:/;
const IP4 = /\./;

function find(node: TableNode | undefined, family: RegExp): string | undefined {
  return node?.underlay.find((address) => family.test(address));
}

/** "Two nodes speak IPv6 if both have an IPv6 address and list it first; else …" */
function familyOf(a: TableNode, b: TableNode): RegExp | undefined {
  if ([a, b].every((node) => IP6.test(node.underlay[0] ?? ''))) return IP6;
  return [IP4, IP6].find((family) => find(a, family) !== undefined && find(b, family) !== undefined);
}

function isComputed(node: TableNode): boolean {
  return { zero: false, computed: true, auto: node.kind === 'foreign' }[node.udp6Checksum];
}

function mtuOf(network: TableNetwork, nodes: readonly TableNode[]): number {
  if (network.mtu !== undefined) return network.mtu;
  const pairs = nodes.flatMap((a) => nodes.filter((b) => b !== a).map((b) => [a, b] as const));
  const over6 =
    (network.flood === 'multicast' && IP6.test(network.group ?? '')) ||
    pairs.some(([a, b]) => IP6.test(a.underlay[0] ?? '') && IP6.test(b.underlay[0] ?? '')) ||
    pairs.some(([a, b]) => find(a, IP4) === undefined && find(b, IP6) !== undefined);
  const more = over6 && network.encap !== 'flat' ? 20 : 0;
  return Math.min(...nodes.map((node) => node.mtu)) - OVERHEAD[network.encap] - more;
}

/** "A node has the locators that are on it, and those whose `for` names it or is not there. What it prefers comes first." */
function viewOf(port: TablePort, self: TableNode): TableLocator[] {
  const names = [self.id, `region:${self.region}`];
  const named = (list: readonly string[] | undefined) => list?.some((name) => names.includes(name));
  const seen = port.at.map((at) => {
    const had = at.node === self.id || at.for === undefined || named(at.for);
    return { at: { ...at, priority: had ? at.priority : 255 }, first: had && at.priority !== 255 && named(at.prefer) };
  });
  return seen.sort((a, b) => Number(b.first ?? false) - Number(a.first ?? false)).map(({ at }) => at);
}

/** The networks of a node, with their ports and the nodes that these are at. */
function scene(table: Table, node: string) {
  const ports = [...table.ports()];
  const here = ports.filter((port) => port.at.some((at) => at.node === node));
  const networks = [...table.networks.values()].filter((network) => here.some((port) => port.network === network.id));
  const members = ports.filter((port) => networks.some((network) => network.id === port.network));
  const nodesOf = (network: TableNetwork): TableNode[] => {
    const own = members.filter((port) => port.network === network.id);
    const names = new Set(own.flatMap((port) => port.at.map((at) => at.node)));
    return [...names].map((name) => table.nodes.get(name) as TableNode);
  };
  return { self: table.nodes.get(node) as TableNode, here, networks, members, nodesOf };
}

/** What a plan tells beside its entries, in the same manner. */
export function referenceFacts(table: Table, node: string) {
  const { self, here, networks, nodesOf } = scene(table, node);
  const peers = [...table.nodes.values()]
    .filter((each) => each.id !== node && networks.some((network) => nodesOf(network).includes(each)))
    .map((each) => {
      const family = familyOf(each, self);
      return {
        node: each.id,
        remote: family && find(each, family),
        local: family && find(self, family),
        family: family && (family === IP6 ? 6 : 4),
        checksum: family === IP6 && isComputed(each),
        tunnels: networks.some((network) => network.encap !== 'flat' && nodesOf(network).includes(each)),
      };
    });
  const casts = networks.filter((network) => network.flood === 'multicast');
  const groups = [...new Set(casts.map((network) => network.group as string))].map((address) => ({
    address,
    local: find(self, IP6.test(address) ? IP6 : IP4),
    networks: casts.filter((network) => network.group === address).map((network) => network.id),
  }));
  const locals = here.map((port) => {
    const network = table.networks.get(port.network) as TableNetwork;
    return [port.id, network.vlan === 'transparent', ['vxlan-gpe', 'lisp'].includes(network.encap)];
  });
  return {
    peers: peers.sort((a, b) => (a.node < b.node ? -1 : 1)),
    groups: groups.sort((a, b) => (a.address < b.address ? -1 : 1)),
    group: groups.length > 0,
    wire: networks.some((network) => network.encap === 'flat'),
    locals: locals.sort(),
    encaps: [...new Set(networks.map((network) => network.encap))].sort(),
    transparent: networks.some((network) => network.vlan === 'transparent'),
    unknownFlood: networks.some((network) => network.unknown === 'flood'),
  };
}

/** Of a plan, what `referenceFacts` says it must be. */
export function facts(plan: Plan): ReturnType<typeof referenceFacts> {
  const { features } = plan;
  const groups = [...plan.groups()].map(({ id: _, ...group }) => ({ ...group, networks: [...group.networks] }));
  return {
    peers: [...plan.peers()].map(({ id: _, ...peer }) => peer).sort((a, b) => (a.node < b.node ? -1 : 1)),
    groups: groups.sort((a, b) => (a.address < b.address ? -1 : 1)),
    group: features.group,
    wire: plan.wire,
    locals: [...plan.localPorts()].map((port) => [port.port, port.transparent, port.ipOnly]).sort(),
    encaps: [...Object.keys(OVERHEAD)].filter((name) => features.encaps & (1 << encapNumber(name as never))).sort(),
    transparent: features.transparent,
    unknownFlood: features.unknownFlood,
  } as ReturnType<typeof referenceFacts>;
}

/** The slots of each member, level by level: shares by weight, what is left over to the largest remainders. */
function levels(table: Table, node: string, id: string): string[] {
  const { members, prefer, slots } = table.addresses.get(id) as TableAddress;
  const self = table.nodes.get(node) as TableNode;
  const { region } = self;
  const far = (port: string): boolean => {
    const [at] = viewOf(table.port(port) as TablePort, self).filter(({ priority }) => priority !== 255);
    if (prefer === 'none') return false;
    if (at === undefined) return true;
    if (at.node === node) return false;
    return prefer === 'local' || region === undefined || table.nodes.get(at.node)?.region !== region;
  };
  const up = members.filter((member) => member.state === 'up');
  const ranks = [...new Set(up.map((member) => `${member.priority}${far(member.port) ? 'b' : 'a'}`))].sort();
  return ranks.map((rank) => {
    const level = up.filter((member) => `${member.priority}${far(member.port) ? 'b' : 'a'}` === rank);
    const sum = level.reduce((total, { weight }) => total + weight, 0);
    // who is alone needs one; else what the address says, whoever its members are
    const size =
      level.length === 1 ? 1 : ([4093, 16381, 65521, 262139, 1048573].find((one) => one >= (slots ?? 16381)) as number);
    const shares = level.map(({ port, weight }) => ({ port, exact: (size * weight) / sum }));
    const order = [...shares].sort((a, b) => (b.exact % 1) - (a.exact % 1) || (a.port < b.port ? -1 : 1));
    const left = size - shares.reduce((total, { exact }) => total + Math.floor(exact), 0);
    return shares
      .map(
        ({ port, exact }) =>
          `${port} ${Math.floor(exact) + (order.slice(0, left).some((one) => one.port === port) ? 1 : 0)}/${size}`,
      )
      .sort()
      .join(' ');
  });
}

/**
 * The plan's content by the words of the design, written without the compiler: slow, from scratch, by names. What
 * `named` gives for a plan must be these lines.
 */
export function referencePlan(table: Table, node: string): string[] {
  const lines: string[] = [];
  const add = (map: string, row: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(row)) if (isUnordered(name, value)) row[name] = [...value].sort();
    lines.push(`${map} ${JSON.stringify(row)}`);
  };
  const { self, here, networks, members, nodesOf } = scene(table, node);
  const { peers, groups, wire } = referenceFacts(table, node);

  for (const each of table.nodes.values()) {
    const guard = each.guard === 'full' ? {} : { guard: each.guard };
    for (const underlay of each.underlay) add('vtep', { underlay, node: each.id, self: each.id === node, ...guard });
  }
  const way = (name: string, remote: string | undefined, local: string | undefined, checksum: boolean): void => {
    const state = table.nodes.get(name)?.state ?? 'up';
    const flags = [
      ...(IP6.test(remote ?? '') ? ['ip6'] : []),
      ...(checksum ? ['checksum'] : []),
      ...(state === 'up' ? [] : [state]),
    ];
    const reached = remote !== undefined && local !== undefined;
    add('node', { node: name, ...(reached ? { remote, local } : {}), flags, nexthops: [] });
  };
  for (const { node: name, remote, local, checksum } of peers) way(name, remote, local, checksum);
  if (networks.length > 0) way(node, undefined, undefined, false);
  for (const { address, local, networks: own } of groups) {
    const receivers = networks.filter((network) => own.includes(network.id)).flatMap(nodesOf);
    const checksum = IP6.test(address) && receivers.some((receiver) => receiver !== self && isComputed(receiver));
    way(`group ${address}`, address, local as string, checksum);
    add('vtep', { underlay: address, node: `group ${address}`, self: false });
  }
  if (wire) add('node', { node: 'wire', flags: [], nexthops: [] });
  for (const network of networks) {
    const own = members.filter((port) => port.network === network.id);
    const places = own.flatMap((port) =>
      viewOf(port, self).map((at) => ({ port: port.id, ...at, segment: at.segment ?? network.segment })),
    );
    add('network', {
      network: network.id,
      encap: network.encap,
      segment: network.segment,
      mtu: mtuOf(network, nodesOf(network)),
      flood: network.flood !== 'none',
      unknown: network.unknown,
      vlan: network.vlan,
    });
    for (const segment of new Set(places.filter((place) => place.node === node).map((place) => place.segment))) {
      add('segment', { encap: network.encap, segment, network: network.id });
    }
    if (network.flood !== 'none' || network.unknown === 'flood') {
      const usable = places.filter((place) => place.priority !== 255 || place.pending === true);
      const here = usable.filter((place) => place.node === node);
      const alone = (named: readonly string[] | undefined) => named?.every((name) => name === node) ?? false;
      const targets = new Set(here.map((place) => `${alone(place.for) ? 'own ' : ''}port ${place.port}`));
      for (const other of new Set(usable.map((place) => place.node))) {
        if (other === node || network.encap === 'flat' || network.flood === 'multicast') continue;
        const segments = usable.filter((place) => place.node === other).map((place) => place.segment);
        const segment = segments.includes(network.segment) ? network.segment : Math.min(...segments);
        targets.add(`node ${other}:${segment}`);
      }
      if (network.encap === 'flat') targets.add(network.segment === 0 ? 'wire' : `wire:${network.segment}`);
      else if (network.flood === 'multicast') targets.add(`group ${network.group}:${network.segment}`);
      add('flood', { network: network.id, targets: [...targets] });
    }
    for (const mac of new Set(own.flatMap((port) => port.macs))) {
      add('source_mac', {
        network: network.id,
        mac,
        ports: own.filter((port) => port.macs.includes(mac)).map((port) => port.id),
      });
    }
    for (const port of own) {
      add('port', {
        port: port.id,
        network: network.id,
        mac: port.mac,
        at: viewOf(port, self).map(
          (at) =>
            `${at.node}:${at.segment ?? network.segment} ${at.pending ? 'pending' : `priority ${at.priority} weight ${at.weight}`}`,
        ),
        ...(port.role === undefined ? {} : { role: port.role }),
        ...(port.state === undefined ? {} : { state: port.state }),
        ...(port.sequence === undefined ? {} : { sequence: port.sequence }),
        ...(port.move === undefined ? {} : { send: port.move.send, activate: port.move.activate }),
      });
      if (port.move?.activate === 'announcement') add('move', { port: port.id, heard: 'no' });
      add('mac', { network: network.id, mac: port.mac, port: port.id });
      for (const address of port.ips) {
        add(address.includes(':') ? 'ip6' : 'ip4', { network: network.id, address, port: port.id, answer: true });
      }
      if (!here.includes(port)) continue;
      for (const prefix of port.allow) add(prefix.includes(':') ? 'allow6' : 'allow4', { port: port.id, prefix });
    }
    for (const address of [...table.addresses.values()].filter((one) => one.network === network.id)) {
      const { id, mac, ips, members: served } = address;
      add('mac', { network: network.id, mac, balanced: id });
      for (const ip of ips) {
        add(ip.includes(':') ? 'ip6' : 'ip4', { network: network.id, address: ip, balanced: id, answer: true });
        for (const { port } of served) {
          if (!here.some((one) => one.id === port)) continue;
          const prefix = ip.includes(':') ? `${ip}/128` : `${ip}/32`;
          add(ip.includes(':') ? 'allow6' : 'allow4', { port, prefix, balanced: true });
        }
      }
      add('balance', {
        balanced: id,
        network: network.id,
        mac,
        affinity: address.affinity,
        levels: levels(table, node, id),
      });
    }
  }
  return lines.sort();
}
