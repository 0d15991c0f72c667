/** A table from an object of the file format, without its diagnostics: for fixtures and generated tables. */
import { formatMac, parseMac } from '../../src/table/address.ts';
import type { Table, TableLocator, TableNetwork, TableNode, TablePort } from '../../src/table/model.ts';

export interface TableObject {
  readonly nodes: Readonly<Record<string, { underlay: string | readonly string[]; mtu?: number }>>;
  readonly networks: Readonly<Record<string, Partial<Omit<TableNetwork, 'id'>> & { segment: number }>>;
  readonly ports: Readonly<
    Record<
      string,
      {
        network: string;
        mac: string;
        macs?: readonly string[];
        ips?: readonly string[];
        allow?: readonly string[];
        role?: 'router' | 'dhcp';
        at: readonly { node: string; interface?: string; segment?: number; priority?: number; weight?: number }[];
      }
    >
  >;
}

export function smallTable(object: TableObject): Table {
  const nodes = new Map<string, TableNode>();
  for (const [id, { underlay, mtu }] of Object.entries(object.nodes)) {
    nodes.set(id, { id, underlay: typeof underlay === 'string' ? [underlay] : underlay, mtu: mtu ?? 1500 });
  }
  const networks = new Map<string, TableNetwork>();
  for (const [id, network] of Object.entries(object.networks)) {
    networks.set(id, {
      id,
      encap: 'vxlan',
      flood: 'replicate',
      unknown: 'drop',
      vlan: 'drop',
      linkLocal: 'any',
      ...network,
    });
  }
  const ports = new Map<string, TablePort>();
  for (const [id, port] of Object.entries(object.ports)) {
    const at: TableLocator[] = port.at.map((locator) => ({ priority: 1, weight: 1, ...locator }));
    ports.set(id, {
      id,
      network: port.network,
      mac: formatMac(parseMac(port.mac)!),
      macs: port.macs ?? [],
      ips: port.ips ?? [],
      allow: port.allow ?? [],
      ...(port.role !== undefined && { role: port.role }),
      at: at.sort((one, other) => one.priority - other.priority),
    });
  }
  return {
    revision: 1,
    nodes,
    networks,
    portCount: ports.size,
    port: (id) => ports.get(id),
    ports: () => ports.values(),
  };
}
