import { IpFlags, PortFlags } from '../generated/layout.ts';
import { ipBytes, macBytes, prefixBytes } from '../table/address.ts';
import type { TableLocator, TableNetwork, TablePort } from '../table/model.ts';
import type { Entry } from './entries.ts';

/** RFC 9300 section 4: a locator of this priority is never used to send. */
export const PRIORITY_NEVER = 255;

/** What a port's entries need to know about the things it refers to. */
export interface PortContext {
  /** The port's kernel id. */
  readonly id: number;
  /** Its network's kernel id. */
  readonly network: number;
  readonly definition: TableNetwork;
  /** This node, by its id in the table. */
  readonly node: string;
  /** Kernel id of a node of the table. */
  nodeId(name: string): number;
}

/** Does the port have any locator on this node? */
export function isLocal(port: TablePort, node: string): boolean {
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

/** All entries that belong to one port alone. Entries shared by ports (`source_mac`, `flood`) belong to the network. */
export function* portEntries(port: TablePort, context: PortContext): IterableIterator<Entry> {
  const { id, network, definition } = context;
  const mac = macBytes(port.mac);
  yield {
    map: 'port',
    key: id,
    value: {
      port: id,
      network,
      mac,
      flags: portFlags(port),
      at: port.at.map((at) => ({
        node: context.nodeId(at.node),
        segment: segmentOf(definition, at),
        priority: at.priority,
        weight: at.weight,
        flags: 0,
      })),
      former: 0,
      formerUntil: 0n,
    },
  };
  yield { map: 'mac', key: { network, mac }, value: { port: id, network, mac } };
  for (const ip of port.ips) {
    const bytes = ipBytes(ip);
    if (bytes.length === 4) {
      const addr = word(bytes);
      yield { map: 'ip4', key: { network, addr }, value: { port: id, network, addr, flags: IpFlags.ANSWER } };
    } else {
      yield {
        map: 'ip6',
        key: { network, addr: bytes },
        value: { port: id, network, addr: bytes, flags: IpFlags.ANSWER },
      };
    }
  }
  // Only the guard of frames from the port itself reads these, and that runs where the port is.
  if (!isLocal(port, context.node)) return;
  for (const prefix of port.allow) {
    const { bytes, length } = prefixBytes(prefix);
    const prefixlen = 32 + length;
    if (bytes.length === 4) {
      yield { map: 'allow4', key: { prefixlen, port: id, addr: word(bytes) }, value: { port: id } };
    } else {
      yield { map: 'allow6', key: { prefixlen, port: id, addr: bytes }, value: { port: id } };
    }
  }
}

function portFlags(port: TablePort): number {
  return port.role === 'router' ? PortFlags.ROUTER : port.role === 'dhcp' ? PortFlags.DHCP : 0;
}
