/** Tables of tests as objects of the file format, typed; `tableFromObject` reads them and refuses what is wrong in them. */
import { tableFromObject } from '../../src/table/index.ts';
import type { Table } from '../../src/table/model.ts';

export interface TableObject {
  readonly nodes: Readonly<Record<string, NodeObject>>;
  readonly networks: Readonly<Record<string, NetworkObject>>;
  readonly ports: Readonly<Record<string, PortObject>>;
  readonly addresses?: Readonly<Record<string, AddressObject>>;
}

/** Keys as the format writes them. */
export interface NodeObject {
  readonly underlay: string | readonly string[];
  readonly mtu?: number;
  readonly kind?: 'mapwire' | 'foreign';
  readonly guard?: 'full' | 'open' | 'off';
  readonly 'udp6-checksum'?: 'auto' | 'zero' | 'computed';
  readonly region?: string;
  readonly state?: 'up' | 'down' | 'drain';
  readonly probe?: string | { readonly kind?: string; readonly interval?: string; readonly multiplier?: number };
}

export interface NetworkObject {
  readonly encap?: 'vxlan' | 'vxlan-gpe' | 'geneve' | 'gre' | 'lisp' | 'flat';
  readonly segment?: number;
  readonly mtu?: number;
  readonly flood?: 'replicate' | 'multicast' | 'none';
  readonly group?: string;
  readonly unknown?: 'drop' | 'flood';
  readonly vlan?: 'drop' | 'transparent';
  readonly 'link-local'?: 'any' | 'eui64';
}

export interface PortObject {
  readonly network: string;
  readonly mac: string;
  readonly macs?: readonly string[];
  readonly ips?: readonly string[];
  readonly allow?: readonly string[];
  readonly role?: 'router' | 'dhcp';
  readonly state?: 'up' | 'down' | 'drain';
  readonly sequence?: number;
  readonly move?: {
    readonly to: { readonly node: string; readonly interface?: string; readonly segment?: number };
    readonly send?: 'old' | 'new' | 'both';
    readonly activate?: 'table' | 'announcement';
  };
  readonly at: readonly {
    node: string;
    interface?: string;
    segment?: number;
    priority?: number;
    weight?: number;
    for?: readonly string[];
    prefer?: readonly string[];
  }[];
}

export interface AddressObject {
  readonly network: string;
  readonly mac: string;
  readonly ips?: readonly string[];
  readonly affinity?: 'flow' | 'source';
  readonly prefer?: 'none' | 'local' | 'region';
  readonly slots?: number;
  readonly members: readonly { port: string; weight?: number; priority?: number; state?: 'up' | 'down' }[];
}

/** @throws ERR_MW_TABLE with all mistakes */
export function tableOf(object: TableObject): Table {
  return tableFromObject({ mapwire: 1, ...object });
}
