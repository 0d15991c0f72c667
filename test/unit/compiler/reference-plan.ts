import { type Entry, keyText, type Plan, renderEntry, valueBytes } from '../../../src/compiler/index.ts';
import type { Table } from '../../../src/table/model.ts';

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

/** The plan with names for ids, as sorted lines. */
export function named(plan: Plan): string[] {
  return [...plan.entries()]
    .map((entry) => {
      const { id: _, ...row } = renderEntry(entry, plan.ids) as Record<string, unknown>;
      for (const [name, value] of Object.entries(row)) if (Array.isArray(value)) row[name] = [...value].sort();
      return `${entry.map} ${JSON.stringify(row)}`;
    })
    .sort();
}

/**
 * The plan's content by the words of the design, written without the compiler: slow, from scratch, by names. What
 * `named` gives for a plan must be these lines.
 */
export function referencePlan(table: Table, node: string): string[] {
  const lines: string[] = [];
  const add = (map: string, row: Record<string, unknown>): void => {
    for (const [name, value] of Object.entries(row)) if (Array.isArray(value)) row[name] = [...value].sort();
    lines.push(`${map} ${JSON.stringify(row)}`);
  };
  const ports = [...table.ports()];
  const here = ports.filter((port) => port.at.some((at) => at.node === node));
  const networks = [...table.networks.values()].filter((network) => here.some((port) => port.network === network.id));
  const members = ports.filter((port) => networks.some((network) => network.id === port.network));
  const ip4 = (id: string): string | undefined => table.nodes.get(id)?.underlay.find((one) => !one.includes(':'));

  for (const each of table.nodes.values()) {
    for (const underlay of each.underlay) add('vtep', { underlay, node: each.id, self: each.id === node });
    const shares = each.id !== node && members.some((port) => port.at.some((at) => at.node === each.id));
    const [remote, local] = [ip4(each.id), ip4(node)];
    if (shares && remote && local) add('node', { node: each.id, remote, local, nexthops: [] });
  }
  for (const network of networks) {
    const own = members.filter((port) => port.network === network.id);
    const places = own.flatMap((port) =>
      port.at.map((at) => ({ port: port.id, ...at, segment: at.segment ?? network.segment })),
    );
    const mtus = places.map((place) => table.nodes.get(place.node)?.mtu ?? 0);
    add('network', {
      network: network.id,
      encap: network.encap,
      segment: network.segment,
      mtu: network.mtu ?? Math.min(...mtus) - 50,
      flood: network.flood === 'replicate' ? 'replicate' : 'none',
      unknown: network.unknown,
      vlan: network.vlan,
    });
    for (const segment of new Set(places.filter((place) => place.node === node).map((place) => place.segment))) {
      add('segment', { encap: network.encap, segment, network: network.id });
    }
    if (network.flood === 'replicate' || network.unknown === 'flood') {
      const usable = places.filter((place) => place.priority !== 255);
      const targets = new Set(usable.filter((place) => place.node === node).map((place) => `port ${place.port}`));
      for (const other of new Set(usable.map((place) => place.node))) {
        if (other === node) continue;
        const segments = usable.filter((place) => place.node === other).map((place) => place.segment);
        const segment = segments.includes(network.segment) ? network.segment : Math.min(...segments);
        targets.add(`node ${other}:${segment}`);
      }
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
        at: port.at.map(
          (at) => `${at.node}:${at.segment ?? network.segment} priority ${at.priority} weight ${at.weight}`,
        ),
        ...(port.role === undefined ? {} : { role: port.role }),
      });
      add('mac', { network: network.id, mac: port.mac, port: port.id });
      for (const address of port.ips) {
        add(address.includes(':') ? 'ip6' : 'ip4', { network: network.id, address, port: port.id, answer: true });
      }
      if (!here.includes(port)) continue;
      for (const prefix of port.allow) add(prefix.includes(':') ? 'allow6' : 'allow4', { port: port.id, prefix });
    }
  }
  return lines.sort();
}
