/** What a network's encapsulation can carry, held against its ports and their locators. */

import { allRows, nodesToCheck, originOfRow, pathOfLocator, reportPort, STEP_ROWS } from './check-places.ts';
import { quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { groupOf, isIpOnly, isTunnel, maxSegment } from './encapsulation.ts';
import type { TableNetwork } from './model.ts';
import type { Steps } from './steps.ts';

/** Segments of locators: those that their network's encapsulation does not have, and those that a group does not reach. */
export function checkLocatorSegments(edit: TableEdit): void {
  const { store } = edit;
  const bad = new Set<string>();
  for (const node of nodesToCheck(edit)) {
    for (const [number, { plain, overrides }] of store.presence.get(node) ?? []) {
      if (overrides === undefined) continue;
      const network = edit.networks.values.get(store.networks.name(number));
      if (network === undefined) continue;
      for (const segment of overrides.keys()) if (!canHave(network, segment)) bad.add(network.id);
      const group = groupOf(network);
      if (group !== undefined && plain === 0 && !overrides.has(network.segment)) {
        unreachedByGroup(edit, network, group, store.nodes.name(node));
      }
    }
  }
  if (bad.size === 0) return;
  for (const row of allRows(edit)) {
    if (!store.isLive(row) || !bad.has(store.network(row))) continue;
    const network = edit.networks.values.get(store.network(row))!;
    for (const { node, segment } of store.at(row)) {
      if (segment !== undefined && !canHave(network, segment)) badSegment(edit, row, network, node, segment);
    }
  }
}

function canHave(network: TableNetwork, segment: number): boolean {
  return isTunnel(network.encap) && segment <= maxSegment(network.encap);
}

function badSegment(edit: TableEdit, row: number, network: TableNetwork, node: string, segment: number): void {
  const subject = `a locator of port ${quote(edit.store.id(row))}`;
  const find = (value: unknown) => pathOfLocator(value, (locator) => locator.node === node, 'segment');
  if (!isTunnel(network.encap)) {
    const message = `${subject} has a segment of its own, and network ${quote(network.id)} is flat`;
    reportPort(edit, 'MW165', row, find, message, () => 'a flat network has one VLAN id everywhere: its own');
    return;
  }
  const message = `the segment of ${subject} is ${segment}; with ${network.encap}, the encapsulation of network ${quote(network.id)}, it must be 1–${maxSegment(network.encap)}`;
  reportPort(edit, 'MW150', row, find, message);
}

function unreachedByGroup(edit: TableEdit, network: TableNetwork, group: string, node: string): void {
  const message = `network ${quote(network.id)} floods to group ${group} with segment ${network.segment}, by which node ${quote(node)} is not addressed: broadcast does not reach it`;
  edit.report('MW205', edit.networks.origins.get(network.id)!, 'network', network.id, () => ['group'], message, {
    hint: `a locator on ${quote(node)} without a segment of its own would do`,
  });
}

/**
 * Networks that carry IP packets without MAC addresses: the far end finds the sending port again by its source address. So
 * a port needs one, and sources that nobody owns cannot be.
 */
export function* checkIpNetworks(edit: TableEdit): Steps<void> {
  const { store, networks } = edit;
  const isIp = (id: string): boolean => {
    const network = networks.values.get(id);
    return network !== undefined && isIpOnly(network.encap);
  };
  const touched = edit.touchedRows;
  // Ports that are as before matter when their network was another before.
  const turned = [...networks.changed].some((id) => {
    const before = networks.before.get(id);
    return isIp(id) && !(before !== undefined && isIpOnly(before.encap)) && store.networks.references(id) > 0;
  });
  let rows = 0;
  for (const row of touched === undefined || turned ? allRows(edit) : touched) {
    if (++rows % STEP_ROWS === 0) yield;
    if (store.isLive(row) && isIp(store.network(row))) ipPort(edit, row);
  }
}

function ipPort(edit: TableEdit, row: number): void {
  const { store } = edit;
  const [port, network] = [`port ${quote(store.id(row))}`, quote(store.network(row))];
  if (store.hasAllow(row)) {
    const message = `${port} has 'allow', which network ${network} cannot have: the far end finds the sender by its own address`;
    const hint = "list the addresses under 'ips', or choose an encapsulation that carries Ethernet: vxlan, geneve, gre";
    reportPort(
      edit,
      'MW131',
      row,
      () => ['allow'],
      message,
      () => hint,
    );
  }
  if (store.ips(row).length === 0) {
    const message = `${port} has no IP address: in network ${network}, which carries IP packets alone, it is reached by its link-local address only`;
    edit.report('MW204', originOfRow(edit, row), 'port', store.id(row), () => [], message, {
      key: true,
      hint: "add 'ips: [ADDRESS]'",
    });
  }
}
