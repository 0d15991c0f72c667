import { LITTLE_ENDIAN } from '../byte-order.ts';
import { invalidArgument } from '../system-error.ts';
import { type Attribute, AttributeMap, encodeAttributes, u32, viewOf } from './attributes.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';

/** The neighbour table: ARP and ND (rtnetlink, struct ndmsg; include/uapi/linux/neighbour.h). */

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
const RTM_GETNEIGH = 30;
const NDA_DST = 1;
const NDA_LLADDR = 2;
const NDA_PROTOCOL = 12;
const NDA_FLAGS_EXT = 15;
const NTF_EXT_MANAGED = 1;
const AF_INET = 2;
const AF_INET6 = 10;

export const NeighbourState = {
  NONE: 0,
  INCOMPLETE: 0x01,
  REACHABLE: 0x02,
  STALE: 0x04,
  DELAY: 0x08,
  PROBE: 0x10,
  FAILED: 0x20,
  NOARP: 0x40,
  PERMANENT: 0x80,
} as const;

export const NeighbourFlag = { USE: 0x01, SELF: 0x02, PROXY: 0x08, EXT_LEARNED: 0x10, ROUTER: 0x80 } as const;

export interface Neighbour {
  readonly ifindex: number;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** Absent while unresolved. */
  readonly mac?: Uint8Array;
  /** Bits of `NeighbourState`. */
  readonly state: number;
  /** Its MAC may be used: REACHABLE, STALE, DELAY, PROBE, NOARP or PERMANENT. */
  readonly valid: boolean;
  /** Bits of `NeighbourFlag`. */
  readonly flags: number;
  /** The kernel keeps it resolved (NTF_EXT_MANAGED, kernel 5.16). */
  readonly managed: boolean;
  /** RTPROT_* of who made it; 0 unless said. */
  readonly protocol: number;
}

const VALID =
  NeighbourState.REACHABLE |
  NeighbourState.STALE |
  NeighbourState.DELAY |
  NeighbourState.PROBE |
  NeighbourState.NOARP |
  NeighbourState.PERMANENT;

export function decodeNeighbour(payload: Uint8Array): Neighbour {
  const view = viewOf(payload);
  const attributes = new AttributeMap(payload.subarray(12));
  const state = view.getUint16(8, LITTLE_ENDIAN);
  const mac = attributes.bytes(NDA_LLADDR)?.slice();
  return {
    ifindex: view.getInt32(4, LITTLE_ENDIAN),
    address: attributes.bytes(NDA_DST)?.slice() ?? new Uint8Array(0),
    ...(mac === undefined ? {} : { mac }),
    state,
    valid: (state & VALID) !== 0,
    flags: view.getUint8(10),
    managed: ((attributes.u32(NDA_FLAGS_EXT) ?? 0) & NTF_EXT_MANAGED) !== 0,
    protocol: attributes.u8(NDA_PROTOCOL) ?? 0,
  };
}

/** IPv4 and IPv6: bridges put their FDB into the same messages. */
export function isIpNeighbour(payload: Uint8Array): boolean {
  return payload.byteLength >= 12 && (payload[0] === AF_INET || payload[0] === AF_INET6);
}

function familyOf(address: Uint8Array): number {
  if (address.byteLength === 4) return AF_INET;
  if (address.byteLength === 16) return AF_INET6;
  throw invalidArgument(`an IP address has 4 or 16 bytes, not ${address.byteLength}`);
}

function ndmsg(family: number, ifindex: number, state = 0, flags = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(12));
  view.setUint8(0, family);
  view.setInt32(4, ifindex, LITTLE_ENDIAN);
  view.setUint16(8, state, LITTLE_ENDIAN);
  view.setUint8(10, flags);
  return new Uint8Array(view.buffer);
}

export async function listNeighbours(socket: NetlinkSocket): Promise<Neighbour[]> {
  const messages = await socket.dump('list neighbours', RTM_GETNEIGH, ndmsg(0, 0));
  return messages
    .filter(({ type, payload }) => type === RTM_NEWNEIGH && isIpNeighbour(payload))
    .map(({ payload }) => decodeNeighbour(payload));
}

/** @throws ERR_MW_NOT_FOUND */
export async function getNeighbour(socket: NetlinkSocket, ifindex: number, address: Uint8Array): Promise<Neighbour> {
  const [message] = await socket.request(
    `neighbour on device ${ifindex}`,
    RTM_GETNEIGH,
    0,
    ndmsg(familyOf(address), ifindex),
    encodeAttributes([[NDA_DST, address]]),
  );
  return decodeNeighbour(message!.payload);
}

export interface NeighbourPlace {
  readonly ifindex: number;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
}

export interface NeighbourChange extends NeighbourPlace {
  readonly mac?: Uint8Array;
  /** One of `NeighbourState`; PERMANENT with a MAC and NONE without, unless said otherwise. */
  readonly state?: number;
  /** Bits of `NeighbourFlag`. */
  readonly flags?: number;
  readonly managed?: boolean;
  /** RTPROT_*, to recognise one's own. */
  readonly protocol?: number;
}

export async function putNeighbour(socket: NetlinkSocket, change: NeighbourChange): Promise<void> {
  const state = change.state ?? (change.mac === undefined ? NeighbourState.NONE : NeighbourState.PERMANENT);
  const attributes: Attribute[] = [[NDA_DST, change.address]];
  if (change.mac !== undefined) attributes.push([NDA_LLADDR, change.mac]);
  if (change.protocol !== undefined) attributes.push([NDA_PROTOCOL, Uint8Array.of(change.protocol)]);
  if (change.managed === true) attributes.push([NDA_FLAGS_EXT, u32(NTF_EXT_MANAGED)]);
  await socket.request(
    `set neighbour on device ${change.ifindex}`,
    RTM_NEWNEIGH,
    MessageFlag.CREATE | MessageFlag.REPLACE,
    ndmsg(familyOf(change.address), change.ifindex, state, change.flags ?? 0),
    encodeAttributes(attributes),
  );
}

/**
 * Has the kernel resolve a neighbour and, from 5.16 on, keep it resolved. Older kernels pass over the wish in silence, so
 * the entry is read back: `probed` means that it was only resolved once and the caller has to ask again from time to time.
 */
export async function manageNeighbour(
  socket: NetlinkSocket,
  place: NeighbourPlace & { readonly protocol?: number },
): Promise<'managed' | 'probed'> {
  await putNeighbour(socket, { ...place, managed: true, flags: NeighbourFlag.USE });
  const { managed } = await getNeighbour(socket, place.ifindex, place.address);
  return managed ? 'managed' : 'probed';
}

/** @throws ERR_MW_NOT_FOUND */
export async function deleteNeighbour(socket: NetlinkSocket, place: NeighbourPlace): Promise<void> {
  await socket.request(
    `delete neighbour of device ${place.ifindex}`,
    RTM_DELNEIGH,
    0,
    ndmsg(familyOf(place.address), place.ifindex),
    encodeAttributes([[NDA_DST, place.address]]),
  );
}
