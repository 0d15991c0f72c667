/** What follows from the nodes that a network is on: MTU, families, multicast groups. */

import { inOrder, nodesToCheck, pathOfIp, related } from './check-places.ts';
import { quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { defaultMtu, ENCAPS, familyOfAddress, groupOf, isTunnel, overhead, underlayAddress } from './encapsulation.ts';
import type { TableNetwork, TableNode } from './model.ts';

/** IPv6 needs links of this MTU (RFC 8200 section 5). */
const IPV6_MIN_MTU = 1280;
const MAX_OVERHEAD = Math.max(...ENCAPS.map((encap) => overhead(encap, 6)));

/** What the nodes of a table are like, as far as it makes a difference between them. */
interface NodeFacts {
  /** Some node has only an IPv6 address. */
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
      some6Only: nodes.some((node) => underlayAddress(node, 4) === undefined),
      narrow: nodes.filter((node) => node.mtu < IPV6_MIN_MTU + MAX_OVERHEAD).map((node) => node.id),
    };
    cachedFacts.set(values, facts);
  }
  return facts;
}

/** Numbers of the nodes that changed, or that a network has come to or changed on. */
function suspectNodes(edit: TableEdit): Set<number> {
  const nodes = nodesToCheck(edit);
  for (const id of edit.nodes.changed) {
    const number = edit.store.nodes.find(id);
    if (number !== undefined) nodes.add(number);
  }
  return nodes;
}

/** Network -> its nodes that are defined, as they are written; of the networks asked for. */
function nodesOf(edit: TableEdit, networks: ReadonlySet<number>): Map<TableNetwork, TableNode[]> {
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
  const { origins } = edit.nodes;
  for (const list of found.values()) {
    list.sort((a, b) => edit.compareOrigins(origins.get(a.id)!, origins.get(b.id)!));
  }
  return found;
}

/** Networks with IPv6 addresses whose MTU, given or worked out, is too small for them. */
export function checkIpv6Mtu(edit: TableEdit): void {
  const { store } = edit;
  const suspects = new Set(store.dirtyIpv6);
  for (const id of edit.networks.changed) {
    const number = store.networks.find(id);
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
    if (store.ipv6Ports(number) === 0) continue;
    const network = edit.networks.values.get(store.networks.name(number));
    if (network === undefined) continue;
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
    related: () => [...firstIpv6Port(edit, id), ...(least === undefined ? [] : [nodePlace(edit, least, 'mtu')])],
  });
}

/** Of the node as a whole where the key is not written. */
function nodePlace(edit: TableEdit, node: TableNode, key: 'mtu' | 'underlay') {
  const place = edit.place(edit.nodes.origins.get(node.id)!, 'node', node.id, () => [key]);
  return { ...place, message: `node ${quote(node.id)} is defined here` };
}

/** The first port of a network that has an IPv6 address, as a related place. */
function firstIpv6Port(edit: TableEdit, network: string) {
  const { store } = edit;
  const rows: number[] = [];
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row) || store.network(row) !== network) continue;
    if (store.ips(row).some((ip) => typeof ip !== 'number')) rows.push(row);
  }
  const first = inOrder(edit, rows)[0]!;
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
    const only4 = nodes.findIndex((node) => underlayAddress(node, 6) === undefined);
    const only6 = nodes.findIndex((node) => underlayAddress(node, 4) === undefined);
    if (only4 < 0 || only6 < 0) continue;
    const first = nodes[Math.min(only4, only6)]!;
    const clash = nodes[Math.max(only4, only6)]!;
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
  const { origins } = edit.nodes;
  for (const [network, nodes] of lacking) {
    nodes.sort((a, b) => edit.compareOrigins(origins.get(a.id)!, origins.get(b.id)!));
    const [first] = nodes;
    const more = nodes.length > 1 ? ` (and ${nodes.length - 1} more)` : '';
    const group = groupOf(network)!;
    const message = `network ${quote(network.id)} floods to group ${group}, but node ${quote(first!.id)}${more} has no IPv${familyOfAddress(group)} underlay address`;
    edit.report('MW156', edit.networks.origins.get(network.id)!, 'network', network.id, () => ['group'], message, {
      hint: 'every node of the network needs an underlay address of the family of its group',
      related: () => [nodePlace(edit, first!, 'underlay')],
    });
  }
}
