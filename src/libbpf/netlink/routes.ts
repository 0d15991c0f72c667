import { LITTLE_ENDIAN } from '../byte-order.ts';
import { invalidArgument } from '../system-error.ts';
import { type Attribute, AttributeMap, align4, encodeAttributes, u32, viewOf } from './attributes.ts';
import type { NetlinkSocket } from './socket.ts';

/** Routes (rtnetlink, struct rtmsg). */

export const RTM_NEWROUTE = 24;
export const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;
const RTA_PREFSRC = 7;
const RTA_METRICS = 8;
const RTA_MULTIPATH = 9;
const RTA_TABLE = 15;
const RTA_VIA = 18;
const RTAX_MTU = 2;
const RTM_F_CLONED = 0x200;
const RTM_F_FIB_MATCH = 0x2000;
const RTM_F_LOOKUP_TABLE = 0x1000;

const RTNH_F_DEAD = 1;
const RTNH_F_LINKDOWN = 16;

const AF_INET = 2;
const AF_INET6 = 10;

const TYPES = ['unspec', 'unicast', 'local', 'broadcast', 'anycast', 'multicast', 'blackhole', 'unreachable'] as const;
export type RouteType = (typeof TYPES)[number] | 'prohibit' | 'other';

export interface NextHop {
  readonly ifindex: number;
  /** 4 or 16 bytes (its family may differ from the destination's); absent when the destination is on the link. */
  readonly gateway?: Uint8Array;
  readonly weight: number;
  /** The device is down, or has no carrier. */
  readonly dead?: true;
}

export interface Route {
  readonly type: RouteType;
  /** 254 main, 255 local. */
  readonly table: number;
  /** RTPROT_*: 2 kernel, 3 boot, 4 static, 16 dhcp */
  readonly protocol: number;
  /** 4 or 16 bytes; absent for a default route. */
  readonly destination?: Uint8Array;
  readonly prefixLength: number;
  /** Metric: lower wins. */
  readonly priority: number;
  readonly source?: Uint8Array;
  /** Bytes, from the route's metrics; absent when it follows the device. */
  readonly mtu?: number;
  readonly nextHops: readonly NextHop[];
}

function gatewayOf(attributes: AttributeMap): Uint8Array | undefined {
  const via = attributes.bytes(RTA_VIA); // u16 family, address
  return (attributes.bytes(RTA_GATEWAY) ?? via?.subarray(2))?.slice();
}

function nextHop(ifindex: number, weight: number, gateway: Uint8Array | undefined, flags: number): NextHop {
  return {
    ifindex,
    weight,
    ...(gateway === undefined ? {} : { gateway }),
    ...((flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN)) === 0 ? {} : { dead: true }),
  };
}

/** struct rtnexthop: u16 length, u8 flags, u8 hops (weight - 1), s32 ifindex, attributes */
function multipath(bytes: Uint8Array): NextHop[] {
  const view = viewOf(bytes);
  const hops: NextHop[] = [];
  for (let at = 0; at + 8 <= bytes.byteLength; ) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < 8 || at + length > bytes.byteLength) break;
    const attributes = new AttributeMap(bytes.subarray(at + 8, at + length));
    const [ifindex, flags] = [view.getInt32(at + 4, LITTLE_ENDIAN), view.getUint8(at + 2)];
    hops.push(nextHop(ifindex, view.getUint8(at + 3) + 1, gatewayOf(attributes), flags));
    at += align4(length);
  }
  return hops;
}

export function decodeRoute(payload: Uint8Array): Route {
  const view = viewOf(payload);
  const attributes = new AttributeMap(payload.subarray(12));
  const destination = attributes.bytes(RTA_DST)?.slice();
  const source = attributes.bytes(RTA_PREFSRC)?.slice();
  const mtu = attributes.nested(RTA_METRICS)?.u32(RTAX_MTU);
  const several = attributes.bytes(RTA_MULTIPATH);
  const ifindex = attributes.u32(RTA_OIF);
  const type = view.getUint8(7);
  return {
    type: type === 8 ? 'prohibit' : (TYPES[type] ?? 'other'),
    table: attributes.u32(RTA_TABLE) ?? view.getUint8(4),
    protocol: view.getUint8(5),
    ...(destination === undefined ? {} : { destination }),
    prefixLength: view.getUint8(1),
    priority: attributes.u32(RTA_PRIORITY) ?? 0,
    ...(source === undefined ? {} : { source }),
    ...(mtu === undefined ? {} : { mtu }),
    nextHops:
      several !== undefined
        ? multipath(several)
        : ifindex === undefined
          ? []
          : [nextHop(ifindex, 1, gatewayOf(attributes), view.getUint32(8, LITTLE_ENDIAN))],
  };
}

/** Whether a message is of a table, not of a cache entry. */
export function isTableRoute(payload: Uint8Array): boolean {
  return payload.byteLength >= 12 && (viewOf(payload).getUint32(8, LITTLE_ENDIAN) & RTM_F_CLONED) === 0;
}

export async function listRoutes(socket: NetlinkSocket): Promise<Route[]> {
  const messages = await socket.dump('list routes', RTM_GETROUTE, new Uint8Array(12));
  return messages
    .filter(({ type, payload }) => type === RTM_NEWROUTE && isTableRoute(payload))
    .map(({ payload }) => decodeRoute(payload));
}

export interface RouteQuestion {
  /** Only out of this device. */
  readonly ifindex?: number;
  /** The entry of the table, with all of its next hops, and not the one that a packet would take. */
  readonly entry?: boolean;
}

export async function getRoute(
  socket: NetlinkSocket,
  destination: Uint8Array,
  question: RouteQuestion,
): Promise<Route> {
  const family = destination.byteLength === 4 ? AF_INET : AF_INET6;
  if (destination.byteLength !== 4 && destination.byteLength !== 16) {
    throw invalidArgument(`an IP address has 4 or 16 bytes, not ${destination.byteLength}`);
  }
  const rtmsg = new DataView(new ArrayBuffer(12));
  rtmsg.setUint8(0, family);
  rtmsg.setUint8(1, destination.byteLength * 8);
  // else an IPv4 answer names table main whatever it was; IPv6 refuses the flag and needs none
  const flags = (family === AF_INET ? RTM_F_LOOKUP_TABLE : 0) | (question.entry === true ? RTM_F_FIB_MATCH : 0);
  rtmsg.setUint32(8, flags, LITTLE_ENDIAN);
  const attributes: Attribute[] = [[RTA_DST, destination]];
  if (question.ifindex !== undefined) attributes.push([RTA_OIF, u32(question.ifindex)]);
  const [message] = await socket.request(
    'look up a route',
    RTM_GETROUTE,
    0,
    new Uint8Array(rtmsg.buffer),
    encodeAttributes(attributes),
  );
  return decodeRoute(message!.payload);
}
