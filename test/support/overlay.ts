/**
 * Hosts on one switch with any number of networks between them, guests in each, and the table that describes it: what the
 * tests of encapsulations and peers are built from.
 */
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { Agent } from './agent.ts';
import { Lab, type Namespace } from './hosts.ts';
import { Mapwire, type MapwireOptions } from './mapwire.ts';

export interface OverlayHost {
  readonly name: string;
  readonly namespace: Namespace;
  readonly ip4: string;
  readonly ip6: string;
}

export interface OverlayGuest {
  readonly name: string;
  /** Of its host's end: the port's interface, which is the port's id too. */
  readonly device: string;
  readonly network: string;
  readonly host: string;
  readonly mac: string;
  readonly ip4: string;
  readonly ip6: string;
  readonly namespace: Namespace;
  agent: Agent;
}

export interface NodeRecord {
  underlay: string | string[];
  [key: string]: unknown;
}

export interface OverlayPort {
  network: string;
  mac: string;
  ips: string[];
  at: { node: string; interface?: string; [key: string]: unknown }[];
  [key: string]: unknown;
}

export interface OverlayTable {
  mapwire: 1;
  nodes: Record<string, NodeRecord>;
  networks: Record<string, Record<string, unknown>>;
  ports: Record<string, OverlayPort>;
}

export interface GuestSpec {
  /** Number of the guest in its network, 1–254. */
  readonly n: number;
  readonly mtu?: number;
  /** Not in the table: a guest that it does not hold. */
  readonly unlisted?: boolean;
  /** Of the port's record. */
  readonly port?: Record<string, unknown>;
  /** No interface in the table: a guest of a host that is not Mapwire's. */
  readonly foreign?: boolean;
}

/** Guest `n` of network number `k`: 02:00:00:kk:00:nn, 10.k.0.n, fd00:k::n. */
export function guestAddresses(k: number, n: number): { mac: string; ip4: string; ip6: string } {
  const hex = (value: number) => value.toString(16).padStart(2, '0');
  return {
    mac: `02:00:00:${hex(k)}:00:${hex(n)}`,
    ip4: `10.${k}.0.${n}`,
    ip6: `fd00:${k.toString(16)}::${n.toString(16)}`,
  };
}

export class Overlay {
  readonly lab: Lab;
  readonly wire: Namespace;
  readonly table: OverlayTable = { mapwire: 1, nodes: {}, networks: {}, ports: {} };
  readonly tablePath: string;
  readonly hosts = new Map<string, OverlayHost>();
  readonly guests: OverlayGuest[] = [];
  readonly daemons = new Map<string, Mapwire>();

  private constructor(lab: Lab, wire: Namespace, tablePath: string) {
    this.lab = lab;
    this.wire = wire;
    this.tablePath = tablePath;
  }

  static async build(): Promise<Overlay> {
    const lab = new Lab();
    try {
      return new Overlay(lab, await lab.wire(), join(await lab.folder(), 'table.yaml'));
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  /** A namespace that is no node yet: number `n` gives it 192.0.2.n and 2001:db8::n, which it has on eth0 unless told not to. */
  async host(name: string, n: number, { addressed = true, mtu = 1500 } = {}): Promise<OverlayHost> {
    const namespace = await this.lab.namespace(name);
    const host = { name, namespace, ip4: `192.0.2.${n}`, ip6: `2001:db8::${n.toString(16)}` };
    await this.lab.plug(this.wire, namespace, name, addressed ? [host.ip4, host.ip6] : [], { mtu });
    this.hosts.set(name, host);
    return host;
  }

  /** Makes a host a node of the table, with the families in this order. */
  node(name: string, families: readonly (4 | 6)[] = [4], more: Record<string, unknown> = {}): void {
    const host = this.#host(name);
    const underlay = families.map((family) => (family === 4 ? host.ip4 : host.ip6));
    this.table.nodes[name] = { underlay: underlay.length === 1 ? underlay[0]! : underlay, ...more };
  }

  #host(name: string): OverlayHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  /** Adds a network to the table. Its number is its place in it, from 1. */
  network(name: string, record: Record<string, unknown>): void {
    this.table.networks[name] = record;
  }

  numberOf(network: string): number {
    return Object.keys(this.table.networks).indexOf(network) + 1;
  }

  /** A guest of a network on a host, with an agent in it, and its port in the table (which is not yet written). */
  async guest(host: string, network: string, spec: GuestSpec): Promise<OverlayGuest> {
    const k = this.numberOf(network);
    const { mac, ip4, ip6 } = guestAddresses(k, spec.n);
    const device = `g${k}-${spec.n}`;
    const addresses = [`${ip4}/24`, `${ip6}/64`];
    const options = { mac, addresses, ...(spec.mtu === undefined ? {} : { mtu: spec.mtu }) };
    const namespace = await this.lab.guest(this.#host(host).namespace, device, device, options);
    // Groups and 255.255.255.255 leave by the only device there is; no address of its own accord speaks later.
    await namespace.ip('route add 224.0.0.0/4 dev eth0');
    const guest = { name: `${network}-${host}-${spec.n}`, device, network, host, mac, ip4, ip6, namespace };
    if (spec.unlisted !== true) {
      this.table.ports[device] = {
        network,
        mac,
        ips: [ip4, ip6],
        at: [spec.foreign === true ? { node: host } : { node: host, interface: device }],
        ...spec.port,
      };
    }
    const whole = { ...guest, agent: await Agent.start(namespace) };
    this.guests.push(whole);
    return whole;
  }

  /**
   * A second foot of a guest, on another host: `eth1` with the same MAC, by a device with the name of the first one's. What comes
   * there for the guest's addresses is taken; nothing is sent by it.
   */
  async secondFoot(host: string, { device, mac, namespace }: OverlayGuest): Promise<void> {
    await this.#host(host).namespace.ip(
      `link add ${device} type veth peer name eth1 address ${mac} netns ${namespace.name}`,
      `link set ${device} up`,
    );
    await namespace.sysctl({ 'net.ipv4.conf.all.rp_filter': 0, 'net.ipv4.conf.eth1.rp_filter': 0 });
    await namespace.ip('link set eth1 up');
  }

  /**
   * A host that is a guest itself: `device` of it is an end of the network's tunnel and gets the guest's addresses, without a prefix
   * (a device that carries IP alone has no bridge to put guests into).
   */
  async itself(host: string, network: string, n: number, device: string): Promise<OverlayGuest> {
    const { namespace } = this.#host(host);
    const { mac, ip4, ip6 } = guestAddresses(this.numberOf(network), n);
    await namespace.ip(`addr add ${ip4}/32 dev ${device}`, `addr add ${ip6}/128 dev ${device} nodad`);
    const name = `${network}-${host}-${n}`;
    this.table.ports[name] = { network, mac, ips: [ip4, ip6], at: [{ node: host }] };
    const guest = { name, device, network, host, mac, ip4, ip6, namespace, agent: await Agent.start(namespace) };
    this.guests.push(guest);
    return guest;
  }

  /** Guests of a network, in the order in which they were made. */
  of(network: string): OverlayGuest[] {
    return this.guests.filter((guest) => guest.network === network);
  }

  /** Writes the table as an operator's tool does: a new file, renamed over the old one. */
  async writeTable(): Promise<void> {
    await writeFile(`${this.tablePath}.new`, stringify(this.table, { aliasDuplicateObjects: false }));
    await rename(`${this.tablePath}.new`, this.tablePath);
  }

  /** Writes the table and waits until the daemons have it in force. */
  async applyTable(): Promise<void> {
    const before = new Map<Mapwire, number>();
    for (const daemon of this.daemons.values()) before.set(daemon, await daemon.applied());
    await this.writeTable();
    await Promise.all([...before].map(([daemon, revision]) => daemon.appliedAfter(revision)));
  }

  /** Starts daemons on hosts. */
  async start(names: readonly string[], options: Partial<MapwireOptions> = {}): Promise<void> {
    await this.writeTable();
    const started = await Promise.all(
      names.map((name) => Mapwire.start(this.#host(name).namespace, { ...options, node: name, table: this.tablePath })),
    );
    names.forEach((name, index) => {
      this.daemons.set(name, started[index]!);
    });
  }

  daemon(name: string): Mapwire {
    const daemon = this.daemons.get(name);
    if (daemon === undefined) throw new Error(`no daemon on ${name}`);
    return daemon;
  }

  /** Takes Mapwire off all hosts: programs, pins, daemons. */
  async down(): Promise<void> {
    await Promise.all([...this.daemons.values()].map((daemon) => daemon.down()));
    this.daemons.clear();
  }

  /** Drops of a host by reason, those that are not 0. */
  async drops(name: string): Promise<Record<string, number>> {
    const rows = await this.daemon(name).json<{ reason: string; packets: number }[]>('drops');
    return Object.fromEntries(rows.filter(({ packets }) => packets > 0).map((row) => [row.reason, row.packets]));
  }

  close(): Promise<void> {
    return this.lab.close();
  }
}
