/** What follows from the nodes that a network is on: MTU, families, multicast groups. */

import { parseIp } from './address.ts';
import { inOrder, nodesToCheck, pathOfIp, related } from './check-places.ts';
import { quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { defaultMtu, ENCAPS, familyOfAddress, groupOf, isTunnel, overhead, underlayAddress } from './encapsulation.ts';
import type { TableAddress, TableNetwork, TableNode } from './model.ts';

/** IPv6 needs links of this MTU (RFC 8200 section 5). */
const IPV6_MIN_MTU = 1280;
const MAX_OVERHEAD = Math.max(...ENCAPS.map((encap) => overhead(encap, 6)));

/** What the nodes of a table are like, as far as it makes a difference between them. */
interface NodeFacts {
  /** Some node has an IPv6 address, and some node has only one. */
  readonly some6: boolean;
  readonly some6Only: boolean;
  /** Nodes whose MTU may be too small for IPv6 in a tunnel. */
  readonly narrow: readonly string[];
}

const cachedFacts = new WeakMap<object, NodeFacts>();

function factsOf(edit: TableEdit): NodeFacts {
  const { values } = edit.nodes;
  let facts = cachedFacts.get(values);
  if (facts === undefined) {
    const nodes = [...values.values()];
    facts = {
      some6: nodes.some((node) => underlayAddress(node, 6) !== undefined),
      some6Only: nodes.some((node) => underlayAddress(node, 4) === undefined),
      narrow: nodes.filter((node) => node.mtu < IPV6_MIN_MTU + MAX_OVERHEAD).map((node) => node.id),
    };
    cachedFacts.set(values, facts);
  }
  return facts;
}

/** Numbers of the nodes that changed, or that a network has come to or changed on. */
export function suspectNodes(edit: TableEdit): Set<number> {
  const nodes = nodesToCheck(edit);
  for (const id of edit.nodes.changed) {
    const number = edit.store.nodes.find(id);
    if (number !== undefined) nodes.add(number);
  }
  return nodes;
}

/** Network -> its nodes that are defined; of the networks asked for. */
export function nodesOf(edit: TableEdit, networks: ReadonlySet<number>): Map<TableNetwork, TableNode[]> {
  const found = new Map<TableNetwork, TableNode[]>();
  const { store } = edit;
  for (const [number, present] of store.presence) {
    const node = edit.nodes.values.get(store.nodes.name(number));
    if (node === undefined) continue;
    const [few, many] = networks.size < present.size ? [networks, present] : [present, networks];
    for (const each of few.keys()) {
      const network = many.has(each) ? edit.networks.values.get(store.networks.name(each)) : undefined;
      if (network === undefined) continue;
      const list = found.get(network);
      if (list === undefined) found.set(network, [node]);
      else list.push(node);
    }
  }
  return found;
}

function isBefore(edit: TableEdit, a: TableNode, b: TableNode): boolean {
  const { origins } = edit.nodes;
  return edit.compareOrigins(origins.get(a.id)!, origins.get(b.id)!) < 0;
}

/** The one that is written first of those that match. */
function firstOf(edit: TableEdit, nodes: readonly TableNode[], matches: (node: TableNode) => boolean) {
  let first: TableNode | undefined;
  for (const node of nodes) {
    if (matches(node) && (first === undefined || isBefore(edit, node, first))) first = node;
  }
  return first;
}

/** Networks with IPv6 addresses whose MTU, given or worked out, is too small for them. */
export function checkIpv6Mtu(edit: TableEdit): void {
  const { store } = edit;
  const suspects = new Set(store.dirtyIpv6);
  for (const id of edit.networks.changed) {
    const number = store.networks.find(id);
    if (number !== undefined) suspects.add(number);
  }
  const balanced = balancedIpv6(edit);
  for (const id of edit.addresses.changed) {
    const number = store.networks.find(edit.addresses.values.get(id)?.network ?? '');
    if (number !== undefined) suspects.add(number);
  }
  const narrow = new Set(factsOf(edit).narrow);
  if (narrow.size > 0) {
    for (const node of suspectNodes(edit))
      for (const number of store.presence.get(node)?.keys() ?? []) suspects.add(number);
  }
  /** Without an MTU of their own. */
  const open = new Set<number>();
  for (const number of suspects) {
    const network = edit.networks.values.get(store.networks.name(number));
    if (network === undefined || (store.ipv6Ports(number) === 0 && !balanced.has(network.id))) continue;
    if (network.mtu === undefined) open.add(number);
    else if (network.mtu < IPV6_MIN_MTU) smallMtu(edit, network, network.mtu);
  }
  if (narrow.size === 0 || open.size === 0) return;
  for (const [network, nodes] of nodesOf(edit, open)) {
    const mtu = nodes.some((node) => narrow.has(node.id)) ? defaultMtu(network, nodes) : IPV6_MIN_MTU;
    if (mtu < IPV6_MIN_MTU) smallMtu(edit, network, mtu, leastMtu(nodes));
  }
}

function leastMtu(nodes: readonly TableNode[]): TableNode {
  return nodes.reduce((least, node) => (node.mtu < least.mtu ? node : least));
}

/** @param least the node that the MTU follows from, where it is not given */
function smallMtu(edit: TableEdit, network: TableNetwork, mtu: number, least?: TableNode): void {
  const { id } = network;
  const why = least === undefined ? '' : `, what ${network.encap} leaves of ${least.mtu} on a node`;
  const message = `the mtu of network ${quote(id)} is ${mtu}${why}; with IPv6 addresses it must be at least ${IPV6_MIN_MTU}`;
  edit.report('MW153', edit.networks.origins.get(id)!, 'network', id, () => (least ? [] : ['mtu']), message, {
    key: least !== undefined,
    related: () => [...firstIpv6(edit, id), ...(least === undefined ? [] : [nodePlace(edit, least, 'mtu')])],
  });
}

/** Networks whose given MTU is more than their nodes leave. */
export function checkMtuFits(edit: TableEdit): void {
  const { store } = edit;
  // IPv6 is spoken only by nodes that have it, and groups are of a family that their nodes have.
  const most = factsOf(edit).some6 ? 6 : 4;
  const suspects = new Set<number>();
  for (const number of suspectNodes(edit)) {
    const node = edit.nodes.values.get(store.nodes.name(number));
    if (node === undefined) continue;
    for (const each of store.presence.get(number)?.keys() ?? []) {
      const network = edit.networks.values.get(store.networks.name(each));
      if (network?.mtu !== undefined && node.mtu < network.mtu + overhead(network.encap, most)) suspects.add(each);
    }
  }
  if (suspects.size === 0) return;
  for (const [network, nodes] of nodesOf(edit, suspects)) {
    const left = defaultMtu(network, nodes);
    if (network.mtu === undefined || network.mtu <= left) continue;
    const least = leastMtu(nodes);
    const message = `the mtu of network ${quote(network.id)} is ${network.mtu}, but ${network.encap} leaves ${left} of ${least.mtu} on a node: larger packets get lost on the way`;
    edit.report('MW206', edit.networks.origins.get(network.id)!, 'network', network.id, () => ['mtu'], message, {
      hint: `write ${left} or less, or leave 'mtu' out; or raise the 'mtu' of the nodes, if their underlay takes it`,
      related: () => [nodePlace(edit, least, 'mtu')],
    });
  }
}

/** Of the node as a whole where the key is not written. */
function nodePlace(edit: TableEdit, node: TableNode, key: 'mtu' | 'underlay') {
  const place = edit.place(edit.nodes.origins.get(node.id)!, 'node', node.id, () => [key]);
  return { ...place, message: `node ${quote(node.id)} is defined here` };
}

const cachedBalanced = new WeakMap<object, ReadonlyMap<string, TableAddress>>();

/** Network -> a balanced address of it that has an IPv6 address. */
function balancedIpv6(edit: TableEdit): ReadonlyMap<string, TableAddress> {
  const { values } = edit.addresses;
  let found = cachedBalanced.get(values);
  if (found === undefined) {
    const with6 = [...values.values()].filter(({ ips }) => ips.some((ip) => ip.includes(':')));
    found = new Map(with6.map((address) => [address.network, address]));
    cachedBalanced.set(values, found);
  }
  return found;
}

/** The first port of a network that has an IPv6 address, else a balanced address, as a related place. */
function firstIpv6(edit: TableEdit, network: string) {
  const { store } = edit;
  const rows: number[] = [];
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row) || store.network(row) !== network) continue;
    if (store.ips(row).some((ip) => typeof ip !== 'number')) rows.push(row);
  }
  const [first] = inOrder(edit, rows);
  if (first === undefined) {
    const { id, ips } = balancedIpv6(edit).get(network)!;
    const own = parseIp(ips.find((one) => one.includes(':'))!)!;
    const place = edit.place(edit.addresses.origins.get(id)!, 'address', id, (value) => pathOfIp(value, own));
    return [{ ...place, message: `address ${quote(id)} has an IPv6 address` }];
  }
  const ip = store.ips(first).find((own) => typeof own !== 'number')!;
  return related(edit, first, (value) => pathOfIp(value, ip), `port ${quote(store.id(first))} has an IPv6 address`)();
}

/** Nodes of one network that cannot send to each other. A flat network does not send from node to node. */
export function checkFamilies(edit: TableEdit): void {
  if (!factsOf(edit).some6Only) return;
  const { store } = edit;
  const suspects = new Set<number>();
  for (const number of suspectNodes(edit)) {
    const node = edit.nodes.values.get(store.nodes.name(number));
    if (node?.underlay.length !== 1) continue;
    for (const network of store.presence.get(number)?.keys() ?? []) suspects.add(network);
  }
  if (suspects.size === 0) return;
  for (const [network, nodes] of nodesOf(edit, suspects)) {
    if (!isTunnel(network.encap)) continue;
    const only4 = firstOf(edit, nodes, (node) => underlayAddress(node, 6) === undefined);
    const only6 = firstOf(edit, nodes, (node) => underlayAddress(node, 4) === undefined);
    if (only4 === undefined || only6 === undefined) continue;
    const [first, clash] = isBefore(edit, only4, only6) ? [only4, only6] : [only6, only4];
    const message = `node ${quote(clash.id)} and node ${quote(first.id)} of network ${quote(network.id)} have no underlay address family in common: they cannot reach each other`;
    edit.report('MW143', edit.nodes.origins.get(clash.id)!, 'node', clash.id, () => ['underlay'], message, {
      related: () => [nodePlace(edit, first, 'underlay')],
    });
  }
}

/** Nodes of a network that cannot send to its multicast group. */
export function checkGroups(edit: TableEdit): void {
  const { store } = edit;
  const lacking = new Map<TableNetwork, TableNode[]>();
  for (const number of suspectNodes(edit)) {
    const node = edit.nodes.values.get(store.nodes.name(number));
    if (node === undefined || node.underlay.length === 2) continue;
    for (const each of store.presence.get(number)?.keys() ?? []) {
      const network = edit.networks.values.get(store.networks.name(each));
      const group = network && groupOf(network);
      if (group === undefined || underlayAddress(node, familyOfAddress(group)) !== undefined) continue;
      const list = lacking.get(network!);
      if (list === undefined) lacking.set(network!, [node]);
      else list.push(node);
    }
  }
  for (const [network, nodes] of lacking) {
    const first = firstOf(edit, nodes, () => true)!;
    const more = nodes.length > 1 ? ` (and ${nodes.length - 1} more)` : '';
    const group = groupOf(network)!;
    const message = `network ${quote(network.id)} floods to group ${group}, but node ${quote(first.id)}${more} has no IPv${familyOfAddress(group)} underlay address`;
    edit.report('MW156', edit.networks.origins.get(network.id)!, 'network', network.id, () => ['group'], message, {
      hint: 'every node of the network needs an underlay address of the family of its group',
      related: () => [nodePlace(edit, first, 'underlay')],
    });
  }
}
