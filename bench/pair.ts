/**
 * Two hosts on one wire with a container on each, for what sockets see.
 *
 *     client ── veth ── c0 [a] eth0 ── veth ── eth0 [b] c0 ── veth ── server
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Lab, Namespace } from '../test/support/hosts.ts';
import { Mapwire } from '../test/support/mapwire.ts';
import { kernelTunnel } from '../test/support/peers/kernel-tunnel.ts';
import { SEGMENT } from './addressing.ts';
import type { MapwireVariant } from './peers/mapwire.ts';

/** Of the wire between the hosts. */
export const WIRES = {
  gso: { mtu: 1500, segmented: false, what: 'carries super-packets, MTU 1500' },
  mtu: { mtu: 1500, segmented: true, what: 'MTU-sized frames, 1500' },
  'mtu-gro': {
    mtu: 1500,
    segmented: true,
    what: 'MTU-sized frames, 1500, the hosts merge what they receive, as with a network card',
  },
  jumbo: { mtu: 9000, segmented: true, what: 'MTU-sized frames, 9000' },
} as const;
export type Wire = keyof typeof WIRES;

/** Offloads with which a device takes super-packets. */
const SEGMENTATION = {
  gso: 'off',
  tso: 'off',
  'tx-udp_tnl-segmentation': 'off',
  'tx-udp_tnl-csum-segmentation': 'off',
  'tx-gre-segmentation': 'off',
  'tx-udp-segmentation': 'off',
} as const;

const GUESTS = {
  client: { mac: '02:00:00:00:00:01', address: '10.0.0.1' },
  server: { mac: '02:00:00:00:00:02', address: '10.0.0.2' },
} as const;
export const SERVER = GUESTS.server.address;

/** What the hosts are. */
type Role = 'kernel' | 'bridge' | MapwireVariant;

export class Pair {
  readonly client: Namespace;
  readonly server: Namespace;
  readonly hosts: readonly [Namespace, Namespace];
  readonly #lab: Lab;
  readonly #stop: () => Promise<void>;

  private constructor(
    lab: Lab,
    hosts: readonly [Namespace, Namespace],
    guests: readonly [Namespace, Namespace],
    stop: () => Promise<void>,
  ) {
    this.#lab = lab;
    this.hosts = hosts;
    [this.client, this.server] = guests;
    this.#stop = stop;
  }

  static async build(lab: Lab, name: string, wire: Wire, peer: Role): Promise<Pair> {
    const { mtu, segmented } = WIRES[wire];
    const hosts = [await lab.namespace(`${name}-a`), await lab.namespace(`${name}-b`)] as const;
    const [a, b] = hosts;
    for (const host of hosts) await host.sysctl({ 'net.ipv6.conf.default.disable_ipv6': 1 });
    await a.ip(`link add eth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${b.name}`);
    for (const [i, host] of hosts.entries()) {
      await host.ip(`addr add 192.0.2.${i + 1}/24 dev eth0`, 'link set eth0 up');
      if (segmented) await host.offload('eth0', SEGMENTATION);
      if (wire === 'mtu-gro') await host.offload('eth0', { gro: 'on' });
    }
    const inner = mtu - 50;
    const guest = async (host: Namespace, which: keyof typeof GUESTS) => {
      const { mac, address } = GUESTS[which];
      const namespace = await lab.guest(host, `${name}-${which}`, 'c0', {
        mac,
        addresses: [`${address}/24`],
        mtu: inner,
      });
      await host.ip(`link set c0 mtu ${inner}`);
      return namespace;
    };
    const guests = [await guest(a, 'client'), await guest(b, 'server')] as const;
    const stop = await setUp(lab, hosts, mtu, peer);
    return new Pair(lab, hosts, guests, stop);
  }

  /** Bridge netfilter of the kernel's bridge. */
  async netfilter(on: boolean): Promise<void> {
    for (const host of this.hosts) await bridgeNetfilter(host, on);
  }

  async remove(): Promise<void> {
    await this.#stop();
    for (const namespace of [this.client, this.server, ...this.hosts]) await this.#lab.remove(namespace);
  }
}

/** What a bridge's frames meet of iptables and its like (`bridge-nf-call-*`). */
export function bridgeNetfilter(host: Namespace, on: boolean): Promise<void> {
  const value = on ? 1 : 0;
  return host.sysctl({
    'net.bridge.bridge-nf-call-iptables': value,
    'net.bridge.bridge-nf-call-ip6tables': value,
    'net.bridge.bridge-nf-call-arptables': value,
  });
}

async function setUp(lab: Lab, hosts: readonly Namespace[], mtu: number, role: Role): Promise<() => Promise<void>> {
  if (role === 'kernel') await asKernel(hosts, mtu);
  else if (role === 'bridge') await asBridge(hosts);
  else return asMapwire(lab, hosts, mtu, role);
  return async () => {};
}

/** No tunnel: containers and wire in one bridge. What any tunnel can reach at most. */
async function asBridge(hosts: readonly Namespace[]): Promise<void> {
  for (const host of hosts) {
    await host.ip(
      'link add br0 type bridge forward_delay 0 mcast_snooping 0',
      'link set c0 master br0',
      'link set eth0 master br0',
      'link set br0 up',
    );
    await bridgeNetfilter(host, false);
  }
}

async function asKernel(hosts: readonly Namespace[], mtu: number): Promise<void> {
  for (const [i, host] of hosts.entries()) {
    const local = `192.0.2.${i + 1}`;
    await kernelTunnel(host, { kind: 'vxlan', segment: SEGMENT, local, peers: [`192.0.2.${2 - i}`], mtu: mtu - 50 });
    await host.ip('link set c0 master br0');
  }
}

async function asMapwire(
  lab: Lab,
  hosts: readonly Namespace[],
  mtu: number,
  variant: MapwireVariant,
): Promise<() => Promise<void>> {
  const path = join(await lab.folder(), 'table.json');
  const port = ({ mac, address }: { mac: string; address: string }, node: string) => ({
    network: 'blue',
    mac,
    ips: [address],
    at: { node, interface: 'c0' },
  });
  const table = {
    mapwire: 1,
    nodes: { a: { underlay: '192.0.2.1', mtu }, b: { underlay: '192.0.2.2', mtu } },
    networks: { blue: { encap: 'vxlan', segment: SEGMENT } },
    ports: { client: port(GUESTS.client, 'a'), server: port(GUESTS.server, 'b') },
  };
  await writeFile(path, JSON.stringify(table));
  const { hook, settings = [], checkout } = variant;
  const instances = await Promise.all(
    hosts.map((host, i) =>
      Mapwire.start(host, {
        node: i === 0 ? 'a' : 'b',
        table: path,
        hook,
        extra: settings.join('\n'),
        ...(checkout === undefined ? {} : { launcher: `${checkout}/bin/mapwire` }),
      }),
    ),
  );
  return async () => {
    for (const instance of instances) await instance.down();
  };
}
