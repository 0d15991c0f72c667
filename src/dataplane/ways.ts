import type { HostLink, HostNeighbour, HostPath } from './host-netlink.ts';
import { outage, type Uplink, uplinkOf } from './underlay.ts';

/** Where frames for a node go next. */
export interface Hop {
  /** The underlay device. */
  readonly ifindex: number;
  /** Destination MAC: the node's, its gateway's, or that of a multicast group. */
  readonly dmac: Uint8Array;
  /** Source MAC: the underlay device's. */
  readonly smac: Uint8Array;
  /** Tag on the underlay; 0: none. */
  readonly vlan: number;
}

/** One way of the route to a node. */
export interface Way {
  /** Undefined: it leaves by a device that is none of the underlay. */
  readonly uplink: Uplink | undefined;
  /** The gateway, or the node's own address. */
  readonly via: string;
  /** Why it cannot be used whatever the neighbour says. */
  readonly why: string | undefined;
}

/** What has become of a way. */
export interface WayState extends Way {
  readonly hop: Hop | undefined;
}

/** NUD states in which a neighbour's MAC may be used (include/net/neighbour.h, NUD_VALID). */
const NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80;
const NUD_FAILED = 0x20;
/** Entries that the kernel resolves no more: NOARP and PERMANENT. */
const NUD_FIXED = 0x40 | 0x80;

/** The ways of a route, in a stable order: by the underlay device's index, then by the neighbour's. */
export function waysOf(
  remote: string,
  paths: readonly HostPath[],
  links: ReadonlyMap<number, HostLink>,
  uplinks: readonly Uplink[],
): Way[] {
  const ways: Way[] = [];
  for (const { ifindex, gateway, dead } of paths) {
    const link = links.get(ifindex);
    if (link === undefined) continue;
    const via = gateway ?? remote;
    const uplink = uplinkOf(uplinks, link);
    if (uplink === undefined) ways.push({ uplink, via, why: notUnderlay(remote, link, links) });
    else ways.push({ uplink, via, why: outage(uplink) ?? (dead ? `the route by ${link.name} is down` : undefined) });
  }
  const order = ({ uplink }: Way): number => uplink?.link.ifindex ?? 0;
  return ways.sort((a, b) => order(a) - order(b) || (a.via < b.via ? -1 : 1));
}

function notUnderlay(remote: string, { name, vlan }: HostLink, links: ReadonlyMap<number, HostLink>): string {
  const leaves = `the route to ${remote} leaves by ${name}, which is no underlay device`;
  const lower = vlan === undefined ? undefined : links.get(vlan.of)?.name;
  return lower === undefined ? leaves : `${leaves} (it would be {device: ${lower}, vlan: ${vlan?.id}})`;
}

/** `ifindex/address` */
export function neighbourName(one: { readonly ifindex: number; readonly address: string }): string {
  return `${one.ifindex}/${one.address}`;
}

/** The neighbour that a way needs; undefined: it cannot be used. */
export function neighbourOf(way: Way): { readonly ifindex: number; readonly address: string } | undefined {
  if (way.uplink === undefined || way.why !== undefined) return undefined;
  return { ifindex: way.uplink.face.ifindex, address: way.via };
}

/** Does the kernel keep it as it is, or resolved, by itself? Asking for a fixed entry would make it an ordinary one. */
export function isKept(neighbour: HostNeighbour | undefined): boolean {
  return neighbour !== undefined && (neighbour.managed || isFixed(neighbour));
}

/** Made by somebody who knows the MAC. */
export function isFixed({ state }: HostNeighbour): boolean {
  return (state & NUD_FIXED) !== 0;
}

/** A way with its neighbour. */
export function resolve(way: Way, neighbour: HostNeighbour | undefined): WayState {
  const { uplink, via } = way;
  if (uplink === undefined || way.why !== undefined) return { ...way, hop: undefined };
  if (neighbour?.mac === undefined || (neighbour.state & NUD_VALID) === 0) {
    const failed = neighbour !== undefined && (neighbour.state & NUD_FAILED) !== 0;
    return { ...way, hop: undefined, why: failed ? `${via} does not answer` : `${via} is being resolved` };
  }
  const { link, face, vlan } = uplink;
  return { ...way, hop: { ifindex: link.ifindex, dmac: neighbour.mac, smac: face.mac, vlan } };
}

export function sameHops(a: readonly Hop[], b: readonly Hop[]): boolean {
  return a.length === b.length && a.every((hop, i) => sameHop(hop, b[i] as Hop));
}

function sameHop(a: Hop, b: Hop): boolean {
  return a.ifindex === b.ifindex && a.vlan === b.vlan && sameBytes(a.dmac, b.dmac) && sameBytes(a.smac, b.smac);
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
