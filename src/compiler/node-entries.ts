import { NODE_WIRE, NodeFlags, VtepFlags } from '../generated/layout.ts';
import { mappedBytes } from '../table/address.ts';
import { type Family, familyOfAddress, pairFamily, underlayAddress, wantsChecksum } from '../table/encapsulation.ts';
import type { NodeState, TableNode } from '../table/model.ts';
import type { Entry } from './entries.ts';

const GUARD_FLAGS = { full: 0, open: VtepFlags.GUARD_OPEN, off: VtepFlags.GUARD_OFF } as const;

/** How this node sends to another. */
export interface Way {
  readonly family: Family;
  readonly remote: string;
  readonly local: string;
  /** Outer UDP checksums are computed. */
  readonly checksum: boolean;
}

/** Undefined: the two have no address family in common. */
export function wayTo(node: TableNode, self: TableNode): Way | undefined {
  const family = pairFamily(node, self);
  if (family === undefined) return undefined;
  const [remote, local] = [underlayAddress(node, family), underlayAddress(self, family)];
  if (remote === undefined || local === undefined) return undefined;
  return { family, remote, local, checksum: family === 6 && wantsChecksum(node) };
}

/** What an entry of `node` says of a node's state. */
export const STATE_FLAGS = NodeFlags.DOWN | NodeFlags.DRAIN;

/** The part `STATE_FLAGS` of a node's flags. */
export function stateFlags(state: NodeState | undefined): number {
  return state === 'down' ? NodeFlags.DOWN : state === 'drain' ? NodeFlags.DRAIN : 0;
}

/**
 * Entries of one node of the table: its addresses, and, when it has a port in a network of this node, how to send to it and
 * its state. This node itself has such an entry too, for its state.
 *
 * @param self this node
 */
export function nodeEntries(node: TableNode, id: number, self: TableNode, isMember: boolean): Entry[] {
  const entries: Entry[] = [];
  const flags = (node.id === self.id ? VtepFlags.SELF : 0) | GUARD_FLAGS[node.guard];
  for (const address of new Set(node.underlay)) {
    const addr = mappedBytes(address);
    entries.push({ map: 'vtep', key: { addr }, value: { node: id, flags, addr } });
  }
  if (isMember) entries.push(wayEntry(id, node.id === self.id ? undefined : wayTo(node, self), node.state));
  return entries;
}

/** Entries of a multicast group that a network of this node floods to. */
export function groupEntries(address: string, id: number, self: TableNode, checksum: boolean): Entry[] {
  const addr = mappedBytes(address);
  const entries: Entry[] = [{ map: 'vtep', key: { addr }, value: { node: id, flags: VtepFlags.GROUP, addr } }];
  const family = familyOfAddress(address);
  const local = underlayAddress(self, family);
  if (local !== undefined) {
    entries.push(wayEntry(id, { family, remote: address, local, checksum: family === 6 && checksum }, undefined));
  }
  return entries;
}

function wayEntry(id: number, way: Way | undefined, state: NodeState | undefined): Entry<'node'> {
  if (way === undefined) return nodeEntry(id, stateFlags(state), NO_ADDRESS, NO_ADDRESS);
  const { family, remote, local, checksum } = way;
  const flags = (family === 6 ? NodeFlags.IP6 : 0) | (checksum ? NodeFlags.CHECKSUM : 0);
  return nodeEntry(id, flags | stateFlags(state), mappedBytes(remote), mappedBytes(local));
}

function nodeEntry(node: number, flags: number, remote: Uint8Array, local: Uint8Array): Entry<'node'> {
  return { map: 'node', key: node, value: { node, flags, remote, local, mtu: 0, nexthop: NO_NEXTHOPS } };
}

const NO_MAC = new Uint8Array(6);
const NO_ADDRESS = new Uint8Array(16);
const NO_NEXTHOP = { ifindex: 0, flags: 0, dmac: NO_MAC, smac: NO_MAC, vlan: 0, slot: 0 };

/** As many as the C array holds: decoding gives the same. */
export const NO_NEXTHOPS = [NO_NEXTHOP, NO_NEXTHOP] as const;

/** The wire itself, where the ports of flat networks are that are not here. */
export const WIRE_ENTRY: Entry<'node'> = nodeEntry(NODE_WIRE, 0, NO_ADDRESS, NO_ADDRESS);
