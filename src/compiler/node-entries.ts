import { VtepFlags } from '../generated/layout.ts';
import { mappedBytes } from '../table/address.ts';
import type { TableNode } from '../table/model.ts';
import type { Entry } from './entries.ts';
import { isIpv6 } from './port-entries.ts';

/** The address that tunnels of this version use: the node's first IPv4 one. */
export function underlayAddress(node: TableNode): string | undefined {
  return node.underlay.find((address) => !isIpv6(address));
}

/**
 * Entries of one node of the table: its addresses, and how to send to it when it shares a network with this one.
 *
 * @param self this node
 */
export function nodeEntries(node: TableNode, id: number, self: TableNode, isPeer: boolean): Entry[] {
  const entries: Entry[] = [];
  const flags = node.id === self.id ? VtepFlags.SELF : 0;
  for (const address of new Set(node.underlay)) {
    const addr = mappedBytes(address);
    entries.push({ map: 'vtep', key: { addr }, value: { node: id, flags, addr } });
  }
  const remote = underlayAddress(node);
  const local = underlayAddress(self);
  if (isPeer && remote !== undefined && local !== undefined) {
    const value = {
      node: id,
      flags: 0,
      remote: mappedBytes(remote),
      local: mappedBytes(local),
      mtu: 0,
      nexthop: NO_NEXTHOPS,
    };
    entries.push({ map: 'node', key: id, value });
  }
  return entries;
}

const NO_MAC = new Uint8Array(6);
const NO_NEXTHOP = { ifindex: 0, flags: 0, dmac: NO_MAC, smac: NO_MAC, vlan: 0, slot: 0 };

/** As many as the C array holds: decoding gives the same. */
export const NO_NEXTHOPS = [NO_NEXTHOP, NO_NEXTHOP] as const;
