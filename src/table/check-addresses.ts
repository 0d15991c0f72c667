/** Balanced addresses beside the ports, nodes and networks of the table. */

import { formatMac, parseIp, parseMac } from './address.ts';
import {
  inOrder,
  originOfRow,
  pathOfIp,
  pathOfMember,
  pathOfPrefix,
  pathOfSharedMac,
  pathOfSlots,
} from './check-places.ts';
import { underlayOwner } from './checks.ts';
import { type DiagnosticCode, quote } from './diagnostics.ts';
import type { TableEdit } from './edit.ts';
import { isIpOnly } from './encapsulation.ts';
import { MAX_SLOTS, slotsFor, slotsNeeded } from './maglev.ts';
import type { TableAddress } from './model.ts';
import { NEVER_USED, type Path } from './row.ts';
import { nearest } from './suggest.ts';

/** Ids of addresses by what may clash with them. */
interface AddressIndex {
  readonly byPort: Map<string, string[]>;
  readonly byNetwork: Map<string, string[]>;
  /** `network address` */
  readonly byIp: Map<string, string[]>;
  /** `network MAC` */
  readonly byMac: Map<string, string[]>;
}

const cachedIndex = new WeakMap<object, AddressIndex>();

function indexOf(edit: TableEdit): AddressIndex {
  const { values } = edit.addresses;
  let index = cachedIndex.get(values);
  if (index === undefined) {
    index = { byPort: new Map(), byNetwork: new Map(), byIp: new Map(), byMac: new Map() };
    for (const { id, network, mac, ips, members } of values.values()) {
      push(index.byNetwork, network, id);
      push(index.byMac, `${network} ${mac}`, id);
      for (const ip of ips) push(index.byIp, `${network} ${ip}`, id);
      for (const { port } of members) push(index.byPort, port, id);
    }
    cachedIndex.set(values, index);
  }
  return index;
}

function push(map: Map<string, string[]>, key: string, id: string): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [id]);
  else list.push(id);
}

export function checkAddresses(edit: TableEdit): void {
  const { values } = edit.addresses;
  if (values.size === 0) return;
  const index = indexOf(edit);
  const reported = new Set<string>();
  for (const id of suspects(edit, index)) {
    const address = values.get(id);
    if (address === undefined) continue;
    checkNetwork(edit, address);
    checkMembers(edit, address);
    checkServed(edit, address);
    checkOwners(edit, address, index, reported);
    checkSlots(edit, address);
  }
}

/** Addresses that changed, or something that they name or might clash with did. */
function suspects(edit: TableEdit, index: AddressIndex): Iterable<string> {
  const { touchedPorts, touchedRows, store } = edit;
  if (touchedPorts === undefined || touchedRows === undefined) return edit.addresses.values.keys();
  const found = new Set(edit.addresses.changed);
  const add = (ids: readonly string[] | undefined): void => {
    for (const id of ids ?? []) found.add(id);
  };
  if (index.byPort.size > 0) for (const port of touchedPorts) add(index.byPort.get(port));
  for (const row of touchedRows) {
    if (!store.isLive(row)) continue;
    const network = store.network(row);
    if (!index.byNetwork.has(network)) continue;
    for (const mac of [store.mac(row), ...store.macs(row)]) add(index.byMac.get(`${network} ${formatMac(mac)}`));
    for (const ip of store.port(row).ips) add(index.byIp.get(`${network} ${ip}`));
  }
  for (const network of edit.networks.changed) add(index.byNetwork.get(network));
  for (const node of edit.nodes.changed) {
    for (const underlay of edit.nodes.values.get(node)?.underlay ?? []) {
      for (const network of index.byNetwork.keys()) add(index.byIp.get(`${network} ${underlay}`));
    }
  }
  return found;
}

interface Extra {
  readonly hint?: string | (() => string | undefined) | undefined;
  readonly related?: () => readonly { file: string; line: number; column: number; message: string }[];
}

function report(
  edit: TableEdit,
  code: DiagnosticCode,
  { id }: TableAddress,
  find: (value: unknown) => Path,
  message: string,
  extra: Extra = {},
): void {
  edit.report(code, edit.addresses.origins.get(id)!, 'address', id, find, message, extra);
}

function checkNetwork(edit: TableEdit, address: TableAddress): void {
  const { id, network } = address;
  const found = edit.networks.values.get(network);
  if (found === undefined) {
    if (edit.isIncomplete || edit.networks.isKnown(network)) return;
    const meant = nearest(network, edit.networks.values.keys());
    const message = `address ${quote(id)} names network ${quote(network)}, which is not in 'networks'`;
    report(edit, 'MW105', address, () => ['network'], message, { hint: meant && `did you mean '${meant}'?` });
  } else if (isIpOnly(found.encap)) {
    const message = `address ${quote(id)} is in network ${quote(network)}, which is ${found.encap} and carries no MAC addresses: it cannot be balanced there`;
    report(edit, 'MW186', address, () => ['network'], message, {
      hint: 'choose an encapsulation that carries Ethernet: vxlan, geneve, gre, flat',
    });
  }
}

function checkMembers(edit: TableEdit, address: TableAddress): void {
  const { store } = edit;
  const { id, network } = address;
  for (const { port } of address.members) {
    const row = store.findId(port);
    const find = (value: unknown) => pathOfMember(value, port);
    if (row < 0) {
      if (edit.isIncomplete || edit.isKnownPort(port)) continue;
      const message = `address ${quote(id)} names port ${quote(port)}, which is not in 'ports'`;
      report(edit, 'MW180', address, find, message, { hint: () => nearestPort(edit, port) });
      continue;
    }
    const place = (at: (value: unknown) => Path, message: string) => () => [
      { ...edit.place(originOfRow(edit, row), 'port', port, at), message },
    ];
    if (store.network(row) !== network) {
      const message = `port ${quote(port)} is in network ${quote(store.network(row))}, not in network ${quote(network)} of address ${quote(id)}`;
      report(edit, 'MW181', address, find, message, { related: place(() => ['network'], 'the port is defined here') });
      continue;
    }
    const own = store.port(row);
    for (const ip of address.ips) {
      const prefix = `${ip}/${ip.includes(':') ? 128 : 32}`;
      const at = own.allow.indexOf(prefix);
      if (at < 0) continue;
      const message = `port ${quote(port)} has ${prefix} under 'allow', and address ${quote(id)} lets it send from there`;
      report(edit, 'MW187', address, find, message, {
        hint: "remove it from 'allow'",
        related: place((value) => pathOfPrefix(value, prefix), 'it stands here'),
      });
    }
  }
}

/** Members that are up, and none of their ports. What they say of themselves was looked at when the record was read. */
function checkServed(edit: TableEdit, address: TableAddress): void {
  const { store } = edit;
  const up = address.members.filter(({ state }) => state === 'up');
  if (up.length === 0) return;
  for (const { port } of up) {
    const row = store.findId(port);
    if (row < 0) return;
    const { state, at } = store.port(row);
    if (state !== 'down' && at.some(({ priority, pending }) => pending === true || priority !== NEVER_USED)) return;
  }
  const others = up.length < address.members.length ? ' that are up' : '';
  const message = `the ports of all members of address ${quote(address.id)}${others} are down, or never reached: nobody serves it`;
  report(edit, 'MW210', address, () => ['members'], message);
}

function nearestPort(edit: TableEdit, port: string): string | undefined {
  function* ids(): Generator<string> {
    for (let row = 0; row < edit.store.limit; row++) if (edit.store.isLive(row)) yield edit.store.id(row);
  }
  const meant = nearest(port, ids());
  return meant === undefined ? undefined : `did you mean '${meant}'?`;
}

/** Somebody else has the address, or the MAC. */
function checkOwners(edit: TableEdit, address: TableAddress, index: AddressIndex, reported: Set<string>): void {
  const { store } = edit;
  const { id, network, mac } = address;
  const number = parseMac(mac)!;
  const [macOwner] = inOrder(edit, [...store.findMac(network, number), ...sharers(edit, network, number)]);
  if (macOwner !== undefined) {
    const port = store.id(macOwner);
    const message = `address ${quote(id)} has the MAC address ${mac} of port ${quote(port)} in network ${quote(network)}`;
    const find = (value: unknown): Path => (store.mac(macOwner) === number ? ['mac'] : pathOfSharedMac(value, number));
    report(edit, 'MW185', address, () => ['mac'], message, {
      hint: 'a balanced address needs a MAC address of its own',
      related: () => [
        { ...edit.place(originOfRow(edit, macOwner), 'port', port, find), message: `${quote(port)} has it here` },
      ],
    });
  }
  twice(edit, reported, network, index.byMac.get(`${network} ${mac}`), 'MW185', `the MAC address ${mac}`, () => [
    'mac',
  ]);
  for (const text of address.ips) {
    const ip = parseIp(text)!;
    const find = (value: unknown) => pathOfIp(value, ip);
    const [row] = inOrder(edit, store.findIp(network, ip));
    if (row !== undefined) {
      const port = store.id(row);
      const message = `address ${quote(id)} has ${text}, which port ${quote(port)} of network ${quote(network)} owns`;
      report(edit, 'MW184', address, find, message, {
        hint: "remove it from the port's 'ips': members may send from a balanced address anyway",
        related: () => [
          { ...edit.place(originOfRow(edit, row), 'port', port, find), message: `${quote(port)} has it here` },
        ],
      });
    }
    twice(edit, reported, network, index.byIp.get(`${network} ${text}`), 'MW184', text, find);
    const node = underlayOwner(edit, ip);
    if (node !== undefined) {
      const message = `address ${quote(id)} has ${text}, the underlay address of node ${quote(node)}`;
      report(edit, 'MW128', address, find, message, {
        hint: 'a guest with an address of the underlay could forge tunnels; number one of the two anew',
      });
    }
  }
}

/** Ports that list the MAC under `macs`. */
function sharers(edit: TableEdit, network: string, mac: number): number[] {
  const { store } = edit;
  const number = store.networks.find(network);
  if (number === undefined || store.sharedMacPorts(number, mac) === 0) return [];
  const rows: number[] = [];
  for (let row = 0; row < store.limit; row++) {
    if (store.isLive(row) && store.network(row) === network && store.macs(row).includes(mac)) rows.push(row);
  }
  return rows;
}

/** Two addresses have the same: told of all but the first. */
function twice(
  edit: TableEdit,
  reported: Set<string>,
  network: string,
  owners: readonly string[] | undefined,
  code: DiagnosticCode,
  what: string,
  find: (value: unknown) => Path,
): void {
  if (owners === undefined || owners.length < 2) return;
  const { origins, values } = edit.addresses;
  const [first, ...others] = owners.toSorted((a, b) => edit.compareOrigins(origins.get(a)!, origins.get(b)!));
  for (const other of others) {
    const mark = `${other} ${what}`;
    if (reported.has(mark)) continue;
    reported.add(mark);
    const message = `address ${quote(other)} has ${what} of address ${quote(first!)} in network ${quote(network)}`;
    report(edit, code, values.get(other)!, find, message, {
      related: () => [
        { ...edit.place(origins.get(first!)!, 'address', first!, find), message: `${quote(first!)} has it here` },
      ],
    });
  }
}

/** More members, or weights further apart, than its slots serve. Who is down counts: it must be able to come back. */
function checkSlots(edit: TableEdit, address: TableAddress): void {
  const size = slotsFor(address.slots);
  for (const priority of new Set(address.members.map((member) => member.priority))) {
    const level = address.members.filter((member) => member.priority === priority);
    const needed = slotsNeeded(level);
    if (needed <= size) continue;
    const message = `the ${level.length} members of address ${quote(address.id)} with priority ${priority} need ${needed} slots, and it has ${size}`;
    const hint =
      needed <= MAX_SLOTS
        ? `write 'slots: ${slotsFor(needed)}'; most connections move once, with this change`
        : 'take larger weights for the least: no table of slots is large enough for its share';
    report(edit, 'MW189', address, pathOfSlots, message, { hint });
  }
}
