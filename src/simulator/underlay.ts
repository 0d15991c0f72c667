/**
 * Which IP family two nodes speak, and what that costs: packet-rules.md, "Overhead" and "Family". Written apart from
 * src/table, whose plan it is held against.
 */
import type { Encap, TableNetwork, TableNode } from '../table/model.ts';

export type Family = 4 | 6;

/** Bytes of the outer Ethernet header are not counted: they are no part of a packet's length. */
const OVERHEAD: Readonly<Record<Encap, Readonly<Record<Family, number>>>> = {
  vxlan: { 4: 50, 6: 70 },
  geneve: { 4: 50, 6: 70 },
  gre: { 4: 42, 6: 62 },
  'vxlan-gpe': { 4: 36, 6: 56 },
  lisp: { 4: 36, 6: 56 },
  flat: { 4: 0, 6: 0 },
};

/** Bytes in front of the inner layer-3 packet. */
export function overhead(encap: Encap, family: Family): number {
  return OVERHEAD[encap][family];
}

export function familyOfAddress(address: string): Family {
  return address.includes(':') ? 6 : 4;
}

/** The node's address of a family: the first one that it lists. */
export function addressOf(node: TableNode | undefined, family: Family): string | undefined {
  return node?.underlay.find((address) => familyOfAddress(address) === family);
}

function prefersIpv6(node: TableNode): boolean {
  return node.underlay[0] !== undefined && familyOfAddress(node.underlay[0]) === 6;
}

/** Undefined: they do not reach each other. */
export function pairFamily(a: TableNode, b: TableNode): Family | undefined {
  const both = (family: Family) => addressOf(a, family) !== undefined && addressOf(b, family) !== undefined;
  if (prefersIpv6(a) && prefersIpv6(b)) return 6;
  if (both(4)) return 4;
  return both(6) ? 6 : undefined;
}

/** Largest packet of a network without an `mtu` of its own; `nodes` are those with a locator in it. */
export function defaultMtu(network: TableNetwork, nodes: readonly TableNode[]): number {
  const smallest = Math.min(...nodes.map(({ mtu }) => mtu));
  return smallest - overhead(network.encap, networkFamily(network, nodes));
}

/** The family that costs more, where two of the nodes may speak it. */
function networkFamily(network: TableNetwork, nodes: readonly TableNode[]): Family {
  if (network.flood === 'multicast' && network.group !== undefined && familyOfAddress(network.group) === 6) return 6;
  if (nodes.filter(prefersIpv6).length >= 2) return 6;
  const withoutIpv4 = nodes.filter((node) => addressOf(node, 4) === undefined);
  const forced = withoutIpv4.some((node) => nodes.some((other) => other !== node && addressOf(other, 6) !== undefined));
  return forced ? 6 : 4;
}
