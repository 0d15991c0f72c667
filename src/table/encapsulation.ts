/**
 * What follows from a network's encapsulation and from the families of its nodes: ranges of segments, bytes of overhead,
 * which family two nodes speak (packet-rules.md, "Encapsulations" and "Family").
 */
import type { Encap, TableNetwork, TableNode } from './model.ts';

export type Family = 4 | 6;

export const ENCAPS: readonly Encap[] = ['vxlan', 'vxlan-gpe', 'geneve', 'gre', 'lisp', 'flat'];

interface EncapFacts {
  /** Segments are 1 to this. */
  readonly maxSegment: number;
  /** What a segment is called on the wire. */
  readonly segmentName: string;
  /** Bytes of outer headers, over IPv4, in front of the inner layer-3 packet, less the outer Ethernet header. */
  readonly overhead4: number;
  /** Carries IP packets without their Ethernet headers. */
  readonly ipOnly: boolean;
  /** Tagged frames can be carried whole. */
  readonly tags: boolean;
}

const VNI = { maxSegment: 0xff_ffff, segmentName: 'VNI' } as const;
// IPv4 20, UDP 8, header 8, and the inner Ethernet header 14 where it is carried.
const UDP_FRAME = { overhead4: 50, ipOnly: false, tags: true } as const;
const UDP_PACKET = { overhead4: 36, ipOnly: true, tags: false } as const;

const FACTS: Readonly<Record<Encap, EncapFacts>> = {
  vxlan: { ...VNI, ...UDP_FRAME },
  'vxlan-gpe': { ...VNI, ...UDP_PACKET },
  geneve: { ...VNI, ...UDP_FRAME },
  // IPv4 20, GRE with key 8, inner Ethernet 14.
  gre: { maxSegment: 0xffff_ffff, segmentName: 'key', overhead4: 42, ipOnly: false, tags: true },
  lisp: { maxSegment: 0xff_ffff, segmentName: 'instance id', ...UDP_PACKET },
  flat: { maxSegment: 4094, segmentName: 'VLAN id', overhead4: 0, ipOnly: false, tags: false },
};

/** The IPv6 header is so much longer than the IPv4 header. */
const IPV6_MORE = 20;
/** A 16-bit field holds it. */
const MAX_MTU = 0xffff;

/** Largest segment of any encapsulation. */
export const MAX_SEGMENT = FACTS.gre.maxSegment;

export function maxSegment(encap: Encap): number {
  return FACTS[encap].maxSegment;
}

/** What the wire calls a segment of the encapsulation: VNI, key, instance id, VLAN id. */
export function segmentName(encap: Encap): string {
  return FACTS[encap].segmentName;
}

/** True for encapsulations that carry IP packets without their Ethernet headers. */
export function isIpOnly(encap: Encap): boolean {
  return FACTS[encap].ipOnly;
}

/** True for encapsulations that can carry frames with VLAN tags. */
export function carriesTags(encap: Encap): boolean {
  return FACTS[encap].tags;
}

/** True for encapsulations that send from node to node; `flat` uses the underlay's wire as it is. */
export function isTunnel(encap: Encap): boolean {
  return encap !== 'flat';
}

/** Bytes of outer headers in front of the inner layer-3 packet, less the outer Ethernet header and tag. */
export function overhead(encap: Encap, family: Family): number {
  const { overhead4 } = FACTS[encap];
  return family === 6 && isTunnel(encap) ? overhead4 + IPV6_MORE : overhead4;
}

export function familyOfAddress(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** The node's underlay address of a family, IPv4 when none is named. */
export function underlayAddress(node: TableNode, family: Family = 4): string | undefined {
  return node.underlay.find((address) => familyOfAddress(address) === family);
}

function prefersIpv6(node: TableNode): boolean {
  const first = node.underlay[0];
  return first !== undefined && familyOfAddress(first) === 6;
}

/** The family in which two nodes speak to each other; undefined: they have none in common. */
export function pairFamily(a: TableNode, b: TableNode): Family | undefined {
  const both = (family: Family): boolean =>
    underlayAddress(a, family) !== undefined && underlayAddress(b, family) !== undefined;
  if (prefersIpv6(a) && prefersIpv6(b)) return 6;
  if (both(4)) return 4;
  return both(6) ? 6 : undefined;
}

/** True when frames to this node need an outer UDP checksum over IPv6. */
export function wantsChecksum(node: TableNode): boolean {
  if (node.udp6Checksum === 'auto') return node.kind === 'foreign';
  return node.udp6Checksum === 'computed';
}

/** The multicast group that a network floods to. */
export function groupOf(network: TableNetwork): string | undefined {
  return network.flood === 'multicast' ? network.group : undefined;
}

/**
 * The largest layer-3 packet of a network whose table entry does not say it, in bytes.
 *
 * @param nodes those with a locator in it
 */
export function defaultMtu(network: TableNetwork, nodes: Iterable<TableNode>): number {
  let least = Number.POSITIVE_INFINITY;
  let first6 = 0;
  let any6 = 0;
  let without4 = 0;
  for (const node of nodes) {
    least = Math.min(least, node.mtu);
    if (prefersIpv6(node)) first6++;
    if (underlayAddress(node, 6) !== undefined) any6++;
    if (underlayAddress(node, 4) === undefined) without4++;
  }
  const group = groupOf(network);
  // A node without an IPv4 address is one of those with an IPv6 one.
  const over6 = first6 >= 2 || (without4 >= 1 && any6 >= 2) || (group !== undefined && familyOfAddress(group) === 6);
  return Math.max(0, Math.min(MAX_MTU, least - overhead(network.encap, over6 ? 6 : 4)));
}
