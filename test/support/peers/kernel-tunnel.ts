/**
 * The kernel's own tunnel devices as peers: a bridge with guests and a VXLAN, Geneve or GRE device, or a device that carries IP alone
 * (VXLAN with `gpe`: no bridge, and routes that say where to). Geneve, GRE and `gpe` need modules that this machine's kernel may lack: `npm run test:kernels` has them.
 */
import type { Namespace } from '../hosts.ts';

export interface KernelTunnel {
  readonly kind: 'vxlan' | 'vxlan-gpe' | 'geneve' | 'gretap' | 'ip6gretap';
  readonly segment: number;
  /** Own underlay address; its family is the tunnel's. */
  readonly local: string;
  /** Where broadcast goes, and what is not known: with VXLAN any number (head-end replication), else one. */
  readonly peers?: readonly string[];
  /** VXLAN only: a multicast group instead of `peers`; unicast is then learnt. */
  readonly group?: string;
  /** Device of the underlay. Default eth0. */
  readonly underlay?: string;
  /** Names of the bridge (none for `vxlan-gpe`, which has no Ethernet) and of the tunnel device. */
  readonly bridge?: string;
  readonly device?: string;
  readonly port?: number | undefined;
  readonly mtu?: number | undefined;
  /** More words of `ip link add`, e.g. `udp6zerocsumrx`. */
  readonly options?: readonly string[];
}

const PORT = { vxlan: 4789, 'vxlan-gpe': 4790, geneve: 6081 } as const;

/** Bytes of the outer headers around an inner layer-3 packet (docs/packet-rules.md, "Overhead"). */
function overhead(kind: KernelTunnel['kind'], six: boolean): number {
  const four = { vxlan: 50, geneve: 50, gretap: 42, ip6gretap: 42, 'vxlan-gpe': 36 }[kind];
  return four + (six ? 20 : 0);
}

/** Makes the devices; guests are put into the bridge by the caller (`link set DEVICE master BRIDGE`). */
export async function kernelTunnel(host: Namespace, options: KernelTunnel): Promise<void> {
  const { kind, segment, local, peers = [], group, underlay = 'eth0' } = options;
  const { bridge = 'br0', device = 'vx0' } = options;
  const six = local.includes(':');
  const mtu = options.mtu ?? 1500 - overhead(kind, six);
  const more = (options.options ?? []).join(' ');
  const remote = group === undefined ? '' : ` group ${group}`;
  const port = kind === 'gretap' || kind === 'ip6gretap' ? undefined : (options.port ?? PORT[kind]);
  const one = () => {
    if (peers.length !== 1) throw new Error(`a ${kind} device has one peer`);
    return peers[0];
  };
  const type = {
    vxlan: () => `vxlan id ${segment} dstport ${port} local ${local} dev ${underlay}${remote}`,
    // The kernel has GPE only as a device whose routes say where to (`gpeRoute`).
    'vxlan-gpe': () => `vxlan dstport ${port} gpe external`,
    geneve: () => `geneve id ${segment} remote ${one()} dstport ${port}`,
    gretap: () => `gretap key ${segment} local ${local} remote ${one()}`,
    // Without a limit of encapsulation (RFC 2473) the device adds no destination option, which nobody else reads.
    ip6gretap: () => `ip6gretap key ${segment} local ${local} remote ${one()} encaplimit none`,
  }[kind]();
  if (kind === 'vxlan-gpe') {
    await host.ip(`link add ${device} mtu ${mtu} type ${type} ${more}`, `link set ${device} up`);
    return;
  }
  // The bridge is quiet: no addresses, so that nothing but the guests speaks.
  await host.ip(
    `link add ${bridge} type bridge forward_delay 0 mcast_snooping 0`,
    `link set ${bridge} addrgenmode none`,
    `link add ${device} mtu ${mtu} type ${type} ${more}`,
    `link set ${device} master ${bridge} addrgenmode none`,
    `link set ${device} up`,
    `link set ${bridge} up`,
  );
  if (kind !== 'vxlan') return;
  for (const peer of peers) {
    await host.run(['bridge', 'fdb', 'append', '00:00:00:00:00:00', 'dev', device, 'dst', peer]);
  }
}

/** A route by a `vxlan-gpe` device to a prefix behind `remote`. */
export async function gpeRoute(
  host: Namespace,
  prefix: string,
  { segment, local, remote, device = 'vx0' }: { segment: number; local: string; remote: string; device?: string },
): Promise<void> {
  const outside = local.includes(':') ? 'ip6' : 'ip';
  await host.ip(`route add ${prefix} encap ${outside} id ${segment} src ${local} dst ${remote} dev ${device}`);
}
