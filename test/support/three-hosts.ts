/** The topology that most system tests share: two hosts of Mapwire, one of the kernel's own VXLAN, guests of every kind. */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Lab, type Namespace } from './hosts.ts';
import { Mapwire, type MapwireOptions } from './mapwire.ts';

export interface Guest {
  readonly name: string;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly namespace: Namespace;
}

/** Address number `n` (1–255) of the test network: MAC 02:00:00:00:00:NN, 10.1.0.n, fd00:1::n. */
export function addresses(n: number): { mac: string; ip4: string; ip6: string } {
  const hex = n.toString(16);
  return { mac: `02:00:00:00:00:${hex.padStart(2, '0')}`, ip4: `10.1.0.${n}`, ip6: `fd00:1::${hex}` };
}

export interface PortRecord {
  network: string;
  mac: string;
  ips: string[];
  allow?: string[];
  macs?: string[];
  role?: 'router' | 'dhcp';
  at: { node: string; interface?: string }[];
}

export interface TableRecord {
  mapwire: 1;
  nodes: Record<string, { underlay: string | string[] }>;
  networks: Record<string, Record<string, unknown>>;
  ports: Record<string, PortRecord>;
}

export class ThreeHosts {
  readonly lab: Lab;
  readonly wire: Namespace;
  readonly hosts: Readonly<Record<'a' | 'b' | 'c', Namespace>>;
  readonly table: TableRecord;
  readonly tablePath: string;
  a!: Mapwire;
  b!: Mapwire;

  private constructor(lab: Lab, wire: Namespace, hosts: Record<'a' | 'b' | 'c', Namespace>, tablePath: string) {
    this.lab = lab;
    this.wire = wire;
    this.hosts = hosts;
    this.tablePath = tablePath;
    this.table = {
      mapwire: 1,
      nodes: {
        'host-a': { underlay: '192.0.2.1' },
        'host-b': { underlay: '192.0.2.2' },
        'host-c': { underlay: '192.0.2.3' },
      },
      networks: { blue: { encap: 'vxlan', segment: 5001 } },
      ports: {},
    };
  }

  /** Hosts and switch; host-c is a kernel VTEP of network blue. No daemon yet. */
  static async build(): Promise<ThreeHosts> {
    const lab = new Lab();
    try {
      const wire = await lab.wire();
      const a = await lab.namespace('host-a');
      const b = await lab.namespace('host-b');
      const c = await lab.namespace('host-c');
      await lab.plug(wire, a, 'host-a', '192.0.2.1');
      await lab.plug(wire, b, 'host-b', '192.0.2.2');
      await lab.plug(wire, c, 'host-c', '192.0.2.3');
      await lab.kernelVtep(c, { vni: 5001, local: '192.0.2.3', peers: ['192.0.2.1', '192.0.2.2'] });
      return new ThreeHosts(lab, wire, { a, b, c }, join(await lab.folder(), 'table.yaml'));
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** A guest with address number `n` on a host, and its port in the table (not yet written). */
  async guest(host: 'a' | 'b' | 'c', name: string, n: number, kind: 'veth' | 'tap' = 'veth'): Promise<Guest> {
    const { mac, ip4, ip6 } = addresses(n);
    const options = {
      mac,
      addresses: [`${ip4}/24`, `${ip6}/64`],
      // The kernel's VTEP answers no "too big": its guests are told the MTU, as its operators do.
      ...(host === 'c' ? { mtu: 1450 } : {}),
    };
    const make = kind === 'tap' ? this.lab.tapGuest : this.lab.guest;
    const namespace = await make.call(this.lab, this.hosts[host], name, name, options);
    if (host === 'c') await this.hosts.c.ip(`link set ${name} master br0`);
    this.table.ports[name] = {
      network: 'blue',
      mac,
      ips: [ip4, ip6],
      at: [host === 'c' ? { node: 'host-c' } : { node: `host-${host}`, interface: name }],
    };
    return { name, mac, ip4, ip6, namespace };
  }

  /** Writes the table as an operator's tool does: a new file, renamed over the old one. */
  async writeTable(): Promise<void> {
    await writeFile(`${this.tablePath}.new`, stringify(this.table, { aliasDuplicateObjects: false }));
    await rename(`${this.tablePath}.new`, this.tablePath);
  }

  /** Starts the daemons of host-a and host-b. */
  async start(options: Partial<MapwireOptions> = {}): Promise<void> {
    const start = (host: 'a' | 'b') =>
      Mapwire.start(this.hosts[host], { ...options, node: `host-${host}`, table: this.tablePath });
    [this.a, this.b] = await Promise.all([start('a'), start('b')]);
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}
