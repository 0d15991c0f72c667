/** Tables of tests as objects of the file format, typed; `tableFromObject` reads them and refuses what is wrong in them. */
import { tableFromObject } from '../../src/table/index.ts';
import type { Table, TableNetwork, TableNode } from '../../src/table/model.ts';

export interface TableObject {
  readonly nodes: Readonly<Record<string, NodeObject>>;
  readonly networks: Readonly<Record<string, NetworkObject>>;
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

// Keys as the format writes them.

type NodeObject = Partial<Pick<TableNode, 'mtu' | 'kind' | 'guard'>> & {
  underlay: string | readonly string[];
  'udp6-checksum'?: TableNode['udp6Checksum'];
};

/** A flat network may have no segment. */
type NetworkObject = Partial<Omit<TableNetwork, 'id' | 'linkLocal'>> & {
  'link-local'?: TableNetwork['linkLocal'];
};

/** @throws ERR_MW_TABLE with all mistakes */
export function tableOf(object: TableObject): Table {
  return tableFromObject({ mapwire: 1, ...object });
}
