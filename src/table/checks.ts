/**
 * What no record can know alone: references, duplicates, clashes. Each check looks at what an edit changed and at what
 * that touches; the table was right before.
 */

import { formatIp, formatMac, type IpNumber, parseIp } from './address.ts';
import { checkAddresses } from './check-addresses.ts';
import { checkIpNetworks, checkLocatorSegments } from './check-carried.ts';
import { checkFamilies, checkGroups, checkIpv6Mtu, checkMtuFits } from './check-families.ts';
import { checkMoves } from './check-moves.ts';
import {
  allRows,
  inOrder,
  nodesToCheck,
  originOfRow,
  pathOfIp,
  pathOfLocator,
  pathOfSharedMac,
  pathOfUnderlay,
  related,
  reportPort,
} from './check-places.ts';
import { checkLimited, checkViewNames } from './check-views.ts';
import type { Origin } from './compact-table.ts';
import { type DiagnosticCode, quote } from './diagnostics.ts';
import type { RecordKind } from './document.ts';
import type { TableEdit } from './edit.ts';
import { isTunnel } from './encapsulation.ts';
import type { Encap, TableNetwork } from './model.ts';
import { MAX_SHARED_MAC, type Path } from './row.ts';
import { nearest } from './suggest.ts';

/** Each clash of segments costs a walk over all ports; after so many the rest is left for the next run. */
const CLASHES_TRACED = 100;

export function runChecks(edit: TableEdit): void {
  if (!edit.isIncomplete) {
    checkReferences(edit);
    checkViewNames(edit);
    checkLimited(edit);
  }
  checkDuplicates(edit);
  checkUnderlays(edit);
  checkSegments(edit);
  checkLocatorSegments(edit);
  checkIpNetworks(edit);
  checkIpv6Mtu(edit);
  checkMtuFits(edit);
  checkSharedMacs(edit);
  checkFamilies(edit);
  checkGroups(edit);
  checkMoves(edit);
  checkAddresses(edit);
}

// references

/** Names that ports use and nobody defines. */
function undefinedNames(edit: TableEdit, kind: 'node' | 'network'): Set<string> {
  const definitions = kind === 'node' ? edit.nodes : edit.networks;
  const names = kind === 'node' ? edit.store.nodes : edit.store.networks;
  const missing = new Set<string>();
  for (const suspect of [names.fresh, definitions.changed]) {
    for (const name of suspect) if (names.references(name) > 0 && !definitions.isKnown(name)) missing.add(name);
  }
  return missing;
}

function checkReferences(edit: TableEdit): void {
  const nodes = undefinedNames(edit, 'node');
  const networks = undefinedNames(edit, 'network');
  if (nodes.size + networks.size === 0) return;
  const { store } = edit;
  const meant = new Map<string, string | undefined>();
  const guess = (name: string, kind: 'node' | 'network') => (): string | undefined => {
    const key = `${kind} ${name}`;
    if (!meant.has(key)) meant.set(key, nearest(name, (kind === 'node' ? edit.nodes : edit.networks).values.keys()));
    const word = meant.get(key);
    return word === undefined ? undefined : `did you mean '${word}'?`;
  };
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row)) continue;
    const network = networks.size > 0 ? store.network(row) : '';
    if (networks.has(network)) {
      const message = `port ${quote(store.id(row))} names network ${quote(network)}, which is not in 'networks'`;
      reportPort(edit, 'MW105', row, () => ['network'], message, guess(network, 'network'));
    }
    if (nodes.size === 0) continue;
    for (const { node } of store.at(row)) {
      if (!nodes.has(node)) continue;
      const message = `port ${quote(store.id(row))} names node ${quote(node)}, which is not in 'nodes'`;
      const find = (value: unknown) => pathOfLocator(value, (locator) => locator.node === node, 'node');
      reportPort(edit, 'MW104', row, find, message, guess(node, 'node'));
    }
  }
}

// duplicates between ports

function checkDuplicates(edit: TableEdit): void {
  const { store } = edit;
  const done = new Set<string>();
  for (const suspect of store.suspects) {
    if (!store.isLive(suspect)) continue;
    const network = store.network(suspect);
    const mac = store.mac(suspect);
    duplicateGroup(
      edit,
      done,
      'MW126',
      `${network} ${mac}`,
      () => store.findMac(network, mac),
      () => ['mac'],
      (id, first) => {
        return `port ${id} has the MAC address ${formatMac(mac)} of port ${first} in network ${quote(network)}`;
      },
    );
    for (const ip of store.ips(suspect)) {
      const text = formatIp(ip);
      const find = (value: unknown) => pathOfIp(value, ip);
      duplicateGroup(
        edit,
        done,
        'MW127',
        `${network} ${text}`,
        () => store.findIp(network, ip),
        find,
        (id, first) => {
          return `port ${id} has the address ${text} of port ${first} in network ${quote(network)}`;
        },
      );
    }
    for (const { node, interface: name } of store.at(suspect)) {
      if (name === undefined) continue;
      const find = (value: unknown) => pathOfLocator(value, (locator) => locator.node === node, 'interface');
      duplicateGroup(
        edit,
        done,
        'MW164',
        `${node} ${name}`,
        () => store.findInterface(node, name),
        find,
        (id, first) => {
          return `port ${id} uses interface ${quote(name)} of node ${quote(node)}, as port ${first} does`;
        },
      );
    }
  }
}

function duplicateGroup(
  edit: TableEdit,
  done: Set<string>,
  code: DiagnosticCode,
  key: string,
  rows: () => readonly number[],
  find: (value: unknown) => Path,
  message: (id: string, first: string) => string,
): void {
  const mark = `${code} ${key}`;
  if (done.has(mark)) return;
  done.add(mark);
  const [first, ...others] = inOrder(edit, rows());
  const firstId = edit.store.id(first!);
  for (const row of others) {
    const id = edit.store.id(row);
    edit.report(code, originOfRow(edit, row), 'port', id, find, message(quote(id), quote(firstId)), {
      related: related(edit, first!, find, `${quote(firstId)} has it here`),
    });
  }
}

// underlay addresses

/** Underlay address -> nodes that have it. IPv4 addresses are numbers here, IPv6 addresses text. */
function underlayOwners(edit: TableEdit): Map<number | string, string[]> {
  const owners = new Map<number | string, string[]>();
  for (const node of edit.nodes.values.values()) {
    for (const address of node.underlay) {
      const key = underlayKey(parseIp(address)!);
      const list = owners.get(key);
      if (list === undefined) owners.set(key, [node.id]);
      else list.push(node.id);
    }
  }
  return owners;
}

function underlayKey(ip: IpNumber): number | string {
  return typeof ip === 'number' ? ip : formatIp(ip);
}

const cachedOwners = new WeakMap<object, Map<number | string, string[]>>();

function ownersOf(edit: TableEdit): Map<number | string, string[]> {
  let owners = cachedOwners.get(edit.nodes.values);
  if (owners === undefined) {
    owners = underlayOwners(edit);
    cachedOwners.set(edit.nodes.values, owners);
  }
  return owners;
}

/** A node that has the address. */
export function underlayOwner(edit: TableEdit, ip: IpNumber): string | undefined {
  return ownersOf(edit).get(underlayKey(ip))?.[0];
}

function checkUnderlays(edit: TableEdit): void {
  const owners = ownersOf(edit);
  const reported = new Set<string>();
  const { store } = edit;
  for (const row of edit.touchedRows ?? allRows(edit)) {
    if (!store.isLive(row)) continue;
    for (const ip of store.ips(row)) {
      const nodes = owners.get(underlayKey(ip));
      if (nodes !== undefined) underlayIp(edit, reported, row, ip, nodes[0]!);
    }
  }
  for (const id of edit.nodes.changed) {
    const node = edit.nodes.values.get(id);
    for (const address of node?.underlay ?? []) {
      const ip = parseIp(address)!;
      const nodes = owners.get(underlayKey(ip))!;
      if (nodes.length > 1) duplicateUnderlay(edit, reported, address, nodes);
      for (const network of store.networks.names()) {
        for (const row of store.findIp(network, ip)) underlayIp(edit, reported, row, ip, nodes[0]!);
      }
    }
  }
}

function underlayIp(edit: TableEdit, reported: Set<string>, row: number, ip: IpNumber, node: string): void {
  const address = formatIp(ip);
  const id = edit.store.id(row);
  const mark = `${id} ${address}`;
  if (reported.has(mark)) return;
  reported.add(mark);
  const message = `port ${quote(id)} has ${address}, the underlay address of node ${quote(node)}`;
  const place = () =>
    edit.place(edit.nodes.origins.get(node)!, 'node', node, (value) => pathOfUnderlay(value, address));
  edit.report('MW128', originOfRow(edit, row), 'port', id, (value) => pathOfIp(value, ip), message, {
    hint: 'a guest with an address of the underlay could forge tunnels; number one of the two anew',
    related: () => [{ ...place(), message: `${quote(node)} has it here` }],
  });
}

function duplicateUnderlay(edit: TableEdit, reported: Set<string>, address: string, nodes: readonly string[]): void {
  const mark = `underlay ${address}`;
  if (reported.has(mark)) return;
  reported.add(mark);
  const { origins } = edit.nodes;
  const ordered = nodes.toSorted((a, b) => edit.compareOrigins(origins.get(a)!, origins.get(b)!));
  const [first, ...others] = ordered;
  const find = (value: unknown) => pathOfUnderlay(value, address);
  for (const id of others) {
    const message = `node ${quote(id)} has the underlay address ${address} of node ${quote(first!)}`;
    edit.report('MW141', origins.get(id)!, 'node', id, find, message, {
      related: () => [
        { ...edit.place(origins.get(first!)!, 'node', first!, find), message: `${quote(first!)} has it here` },
      ],
    });
  }
}

// segments

function checkSegments(edit: TableEdit): void {
  const { store } = edit;
  const reported = new Set<string>();
  for (const node of nodesToCheck(edit)) {
    const claims = new Map<string, string[]>();
    for (const [number, presence] of store.presence.get(node) ?? []) {
      const network = edit.networks.values.get(store.networks.name(number));
      if (network === undefined) continue;
      // A flat network has no segments but its own; what names one is a mistake of its own.
      const segments = new Set(isTunnel(network.encap) ? presence.overrides?.keys() : undefined);
      if (presence.plain > 0) segments.add(network.segment);
      for (const segment of segments) {
        const key = `${network.encap} ${segment}`;
        const claim = claims.get(key);
        if (claim === undefined) claims.set(key, [network.id]);
        else claim.push(network.id);
      }
    }
    for (const [key, networks] of claims) {
      if (networks.length > 1) segmentClash(edit, reported, store.nodes.name(node), key, networks);
    }
  }
}

/** Where a network got its segment on a node: its own definition, or the first locator that names the segment. */
interface SegmentSource {
  readonly kind: RecordKind;
  readonly id: string;
  readonly origin: Origin;
  readonly find: (value: unknown) => Path;
}

function segmentSource(edit: TableEdit, network: TableNetwork, node: string, segment: number): SegmentSource {
  const { store } = edit;
  const rows: number[] = [];
  let plain = false;
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row) || store.network(row) !== network.id) continue;
    const locator = store.at(row).find((at) => at.node === node);
    if (locator === undefined) continue;
    if (locator.segment === segment) rows.push(row);
    else if (locator.segment === undefined && network.segment === segment) plain = true;
  }
  if (plain || rows.length === 0) {
    const origin = edit.networks.origins.get(network.id)!;
    return { kind: 'network', id: network.id, origin, find: () => ['segment'] };
  }
  const row = inOrder(edit, rows)[0]!;
  const find = (value: unknown) => pathOfLocator(value, (locator) => locator.node === node, 'segment');
  return { kind: 'port', id: store.id(row), origin: originOfRow(edit, row), find };
}

function describeSegment(encap: Encap, segment: number): string {
  if (isTunnel(encap)) return `${encap} segment ${segment}`;
  return segment === 0 ? 'untagged frames' : `VLAN ${segment}`;
}

function segmentClash(
  edit: TableEdit,
  reported: Set<string>,
  node: string,
  key: string,
  networks: readonly string[],
): void {
  if (reported.size >= CLASHES_TRACED) return;
  const space = key.indexOf(' ');
  const segment = Number(key.slice(space + 1));
  const sources = networks
    .map((id) => ({ network: id, ...segmentSource(edit, edit.networks.values.get(id)!, node, segment) }))
    .sort((a, b) => edit.compareOrigins(a.origin, b.origin));
  const [first, ...others] = sources;
  for (const other of others) {
    // Two networks that meet on many nodes are one mistake, unless locators make it.
    const mark = `${other.kind} ${other.id} ${other.kind === 'port' ? node : ''} ${segment} ${first!.network}`;
    if (reported.has(mark)) continue;
    reported.add(mark);
    const what = describeSegment(key.slice(0, space) as Encap, segment);
    const message = `network ${quote(other.network)} is addressed by ${what} on node ${quote(node)}, as network ${quote(first!.network)} is`;
    edit.report('MW151', other.origin, other.kind, other.id, other.find, message, {
      hint: 'give one of them another segment',
      related: () => [
        {
          ...edit.place(first!.origin, first!.kind, first!.id, first!.find),
          message: `${quote(first!.network)} has it here`,
        },
      ],
    });
  }
}

// the rest

function checkSharedMacs(edit: TableEdit): void {
  const { store } = edit;
  /** Network and MAC -> the rows that list it, for those that too many list. */
  const crowded = new Map<string, { readonly mac: number; readonly rows: number[] }>();
  for (const [number, mac] of store.dirtyShared) {
    if (store.sharedMacPorts(number, mac) <= MAX_SHARED_MAC) continue;
    crowded.set(`${store.networks.name(number)} ${mac}`, { mac, rows: [] });
  }
  if (crowded.size === 0) return;
  for (let row = 0; row < store.limit; row++) {
    if (!store.isLive(row)) continue;
    for (const mac of store.macs(row)) crowded.get(`${store.network(row)} ${mac}`)?.rows.push(row);
  }
  for (const { mac, rows } of crowded.values()) {
    for (const row of inOrder(edit, rows).slice(MAX_SHARED_MAC)) {
      const message = `port ${quote(store.id(row))} is one more than the ${MAX_SHARED_MAC} ports of network ${quote(store.network(row))} that may share ${formatMac(mac)} under 'macs'`;
      reportPort(edit, 'MW130', row, (value) => pathOfSharedMac(value, mac), message);
    }
  }
}
