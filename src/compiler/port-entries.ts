import { IpFlags, LocatorFlags, PortFlags } from '../generated/layout.ts';
import { ipBytes, macBytes, prefixBytes } from '../table/address.ts';
import type { TableLocator, TableNetwork, TableNode, TablePort } from '../table/model.ts';
import { viewOf } from '../table/view.ts';
import type { Entry, PlanMap } from './entries.ts';

/** RFC 9300 section 4: a locator of this priority is never used to send. */
export const PRIORITY_NEVER = 255;

/** What a port's entries need to know about the things it refers to. */
export interface PortContext {
  /** The port's kernel id. */
  readonly id: number;
  /** Its network's kernel id. */
  readonly network: number;
  readonly definition: TableNetwork;
  /** This node. */
  readonly self: TableNode;
  /** Kernel id of a node of the table. */
  nodeId(name: string): number;
}

/** Does the port have any locator on this node? */
export function isLocal(port: Pick<TablePort, 'at'>, node: string): boolean {
  return port.at.some((at) => at.node === node);
}

export function segmentOf(network: TableNetwork, at: TableLocator): number {
  return at.segment ?? network.segment;
}

/** A 32-bit number in host order of four bytes in network order. */
function word(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

/** Is it IPv6? Addresses and prefixes are canonical text, so a colon says it. */
export function isIpv6(text: string): boolean {
  return text.includes(':');
}

/** Maps whose entries belong to one port alone. */
export const PORT_MAPS = ['port', 'move', 'mac', 'ip4', 'ip6', 'allow4', 'allow6'] as const;
export type PortMap = (typeof PORT_MAPS)[number];

export function isPortMap(map: string): map is PortMap {
  return (PORT_MAPS as readonly string[]).includes(map);
}

/** All entries that belong to one port alone, or those of one map. Entries shared by ports (`source_mac`, `flood`) belong to the network. */
export function* portEntries(port: TablePort, context: PortContext, only?: PlanMap): IterableIterator<Entry<PortMap>> {
  const { id, network } = context;
  const wants = (map: PortMap): boolean => only === undefined || only === map;
  // Before the port's own entry, which sends the programs there.
  if (wants('move') && port.move?.activate === 'announcement') {
    yield { map: 'move', key: id, value: { heard: 0n } };
  }
  if (wants('port')) yield portEntry(port, context);
  if (wants('mac')) {
    const mac = macBytes(port.mac);
    yield { map: 'mac', key: { network, mac }, value: { port: id, network, mac, flags: 0 } };
  }
  if (wants('ip4') || wants('ip6')) {
    for (const ip of port.ips)
      if (wants(isIpv6(ip) ? 'ip6' : 'ip4')) yield addressEntry(ip, id, network, IpFlags.ANSWER);
  }
  // Only the guard of frames from the port itself reads these, and that runs where the port is.
  if (port.allow.length === 0 || !isLocal(port, context.self.id)) return;
  for (const prefix of port.allow) if (wants(isIpv6(prefix) ? 'allow6' : 'allow4')) yield allowEntry(prefix, id, 0);
}

function portEntry(port: TablePort, context: PortContext): Entry<'port'> {
  const { id, network, definition } = context;
  return {
    map: 'port',
    key: id,
    value: {
      port: id,
      network,
      mac: macBytes(port.mac),
      flags: portFlags(port),
      // Those that are not for this node stay, never used: the guard knows by them where the port may send from.
      at: viewOf(port.at, context.self).map((at) => ({
        node: context.nodeId(at.node),
        segment: segmentOf(definition, at),
        priority: at.priority,
        weight: at.weight,
        flags: at.pending === true ? LocatorFlags.PENDING : 0,
      })),
      former: 0,
      sequence: port.sequence ?? 0,
      formerUntil: 0n,
    },
  };
}

/** @param port kernel id of a port, or (`IpFlags.BALANCED`) of a balanced address */
export function addressEntry(ip: string, port: number, network: number, flags: number): Entry<'ip4' | 'ip6'> {
  const bytes = ipBytes(ip);
  if (bytes.length === 16) {
    return { map: 'ip6', key: { network, addr: bytes }, value: { port, network, addr: bytes, flags } };
  }
  const addr = word(bytes);
  return { map: 'ip4', key: { network, addr }, value: { port, network, addr, flags } };
}

export function allowEntry(prefix: string, port: number, flags: number): Entry<'allow4' | 'allow6'> {
  const { bytes, length } = prefixBytes(prefix);
  // The trie matches the port's 32 bits first.
  const prefixlen = 32 + length;
  if (bytes.length === 16) return { map: 'allow6', key: { prefixlen, port, addr: bytes }, value: { port, flags } };
  return { map: 'allow4', key: { prefixlen, port, addr: word(bytes) }, value: { port, flags } };
}

const STATES = { down: PortFlags.DOWN, drain: PortFlags.DRAIN } as const;
const SENDS = { old: 0, new: PortFlags.SEND_NEW, both: PortFlags.SEND_BOTH } as const;

function portFlags({ role, state, move }: TablePort): number {
  const ofRole = role === 'router' ? PortFlags.ROUTER : role === 'dhcp' ? PortFlags.DHCP : 0;
  const flags = ofRole | (state === undefined ? 0 : STATES[state]);
  if (move === undefined) return flags;
  const announced = move.activate === 'announcement' ? PortFlags.BY_ANNOUNCEMENT : 0;
  return flags | PortFlags.MOVING | SENDS[move.send] | announced;
}
