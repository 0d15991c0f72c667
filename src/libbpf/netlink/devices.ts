import { LITTLE_ENDIAN } from '../byte-order.ts';
import { type Attribute, AttributeMap, encodeAttributes, readAttributes, text, u32, viewOf } from './attributes.ts';
import type { Message, NetlinkSocket } from './socket.ts';

/** Network devices (rtnetlink, struct ifinfomsg; include/uapi/linux/if_link.h). */

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_MASTER = 10;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_IFALIAS = 20;
const IFLA_EXT_MASK = 29;
const IFLA_PROMISCUITY = 30;
const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_CARRIER = 33;
const IFLA_LINK_NETNSID = 37;
const IFLA_GSO_MAX_SEGS = 40;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_XDP = 43;
const IFLA_MIN_MTU = 50;
const IFLA_MAX_MTU = 51;
const IFLA_PROP_LIST = 52;
const IFLA_ALT_IFNAME = 53;
const IFLA_GRO_MAX_SIZE = 58;
const IFLA_AF_SPEC = 26;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const IFLA_INET6_ADDR_GEN_MODE = 8;
const AF_INET6 = 10;
/** enum in6_addr_gen_mode */
const ADDRESS_MODES = { eui64: 0, none: 1, 'stable-privacy': 2, random: 3 } as const;
const IFLA_VLAN_ID = 1;
const IFLA_VLAN_PROTOCOL = 5;
const IFLA_TUN_TYPE = 3;
const IFLA_TUN_VNET_HDR = 5;
const IFLA_TUN_PERSIST = 6;
const IFLA_TUN_NUM_QUEUES = 8;
const IFLA_XDP_ATTACHED = 2;
const IFLA_XDP_PROG_ID = 4;
const IFLA_XDP_DRV_PROG_ID = 5;
const IFLA_XDP_SKB_PROG_ID = 6;
const IFLA_XDP_HW_PROG_ID = 7;
const RTEXT_FILTER_SKIP_STATS = 1 << 3;
const IFF_TAP = 2;

export const DeviceFlag = {
  UP: 0x1,
  BROADCAST: 0x2,
  LOOPBACK: 0x8,
  POINTOPOINT: 0x10,
  RUNNING: 0x40,
  NOARP: 0x80,
  PROMISC: 0x100,
  MULTICAST: 0x1000,
  LOWER_UP: 0x10000,
} as const;

export type OperState = 'unknown' | 'notpresent' | 'down' | 'lowerlayerdown' | 'testing' | 'dormant' | 'up';
const OPER_STATES: readonly OperState[] = [
  'unknown',
  'notpresent',
  'down',
  'lowerlayerdown',
  'testing',
  'dormant',
  'up',
];

/** The XDP programs of a device, by mode: 0 where there is none. */
export interface AttachedXdp {
  readonly native: number;
  readonly generic: number;
  readonly offloaded: number;
}

export interface TunInfo {
  readonly mode: 'tun' | 'tap';
  /** Frames carry a virtio header: unfinished checksums and super-packets pass. */
  readonly vnetHeader: boolean;
  readonly persistent: boolean;
  /** Of a multi-queue device; else absent. */
  readonly queues?: number;
}

export interface Device {
  readonly ifindex: number;
  readonly name: string;
  readonly altNames: readonly string[];
  /** ARPHRD_*: 1 is Ethernet, 772 loopback. */
  readonly hardwareType: number;
  /** Six bytes for Ethernet; absent where the device has none. */
  readonly mac?: Uint8Array;
  readonly mtu: number;
  readonly minMtu?: number;
  readonly maxMtu?: number;
  /** Bits of `DeviceFlag`. */
  readonly flags: number;
  /** Administratively up. */
  readonly up: boolean;
  readonly carrier: boolean;
  readonly operState: OperState;
  /** e.g. `veth`, `tun`, `vlan`, `vxlan`, `bridge`; absent for physical devices. */
  readonly kind?: string;
  /** The peer of a veth, the lower device of a VLAN; an index in the namespace `linkNetnsid` if that is there. */
  readonly link?: number;
  /** This namespace's number for the one that `link` is in; absent when it is in this one. */
  readonly linkNetnsid?: number;
  /** The bridge or bond it is a member of. */
  readonly master?: number;
  readonly alias?: string;
  /** How many asked for promiscuous mode. */
  readonly promiscuity: number;
  readonly txQueues: number;
  readonly rxQueues: number;
  readonly gsoMaxSize?: number;
  readonly gsoMaxSegments?: number;
  readonly groMaxSize?: number;
  readonly xdp: AttachedXdp;
  readonly tun?: TunInfo;
  /** Of a `vlan` device. */
  readonly vlanId?: number;
  /** Of a `vlan` device: the EtherType of its tag, 0x8100 or 0x88a8. */
  readonly vlanProtocol?: number;
}

/** For what makes devices. */
export const IFLA = {
  IFNAME: IFLA_IFNAME,
  MTU: IFLA_MTU,
  LINKINFO: IFLA_LINKINFO,
  INFO_KIND: IFLA_INFO_KIND,
  INFO_DATA: IFLA_INFO_DATA,
} as const;

export function ifinfomsg(ifindex: number, flags = 0, change = 0): Uint8Array {
  const view = new DataView(new ArrayBuffer(16));
  view.setInt32(4, ifindex, LITTLE_ENDIAN);
  view.setUint32(8, flags, LITTLE_ENDIAN);
  view.setUint32(12, change, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

function decodeXdp(xdp: AttributeMap | undefined): AttachedXdp {
  const mode = xdp?.u8(IFLA_XDP_ATTACHED) ?? 0;
  const id = xdp?.u32(IFLA_XDP_PROG_ID) ?? 0;
  return {
    native: xdp?.u32(IFLA_XDP_DRV_PROG_ID) ?? (mode === 1 ? id : 0),
    generic: xdp?.u32(IFLA_XDP_SKB_PROG_ID) ?? (mode === 2 ? id : 0),
    offloaded: xdp?.u32(IFLA_XDP_HW_PROG_ID) ?? (mode === 3 ? id : 0),
  };
}

function decodeTun(data: AttributeMap): TunInfo {
  const queues = data.u32(IFLA_TUN_NUM_QUEUES);
  return {
    mode: data.u8(IFLA_TUN_TYPE) === IFF_TAP ? 'tap' : 'tun',
    vnetHeader: data.u8(IFLA_TUN_VNET_HDR) === 1,
    persistent: data.u8(IFLA_TUN_PERSIST) === 1,
    ...(queues === undefined ? {} : { queues }),
  };
}

function be16(bytes: Uint8Array | undefined): number | undefined {
  return bytes === undefined || bytes.byteLength < 2 ? undefined : viewOf(bytes).getUint16(0);
}

/** `object` without the members that are undefined. */
function present<T extends object>(object: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as T;
}

/** A device of an RTM_NEWLINK or RTM_DELLINK message. */
export function decodeDevice(payload: Uint8Array): Device {
  const view = viewOf(payload);
  const bytes = payload.subarray(16);
  const attributes = new AttributeMap(bytes);
  const info = attributes.nested(IFLA_LINKINFO);
  const kind = info?.text(IFLA_INFO_KIND);
  const data = info?.nested(IFLA_INFO_DATA);
  const flags = view.getUint32(8, LITTLE_ENDIAN);
  const mac = attributes.bytes(IFLA_ADDRESS)?.slice();
  const link = attributes.i32(IFLA_LINK);
  const properties = attributes.bytes(IFLA_PROP_LIST);
  const altNames: string[] = [];
  if (properties !== undefined) {
    for (const [type, value] of readAttributes(properties)) {
      if (type === IFLA_ALT_IFNAME) altNames.push(new TextDecoder().decode(value).replace(/\0.*$/s, ''));
    }
  }
  return present<Device>({
    ifindex: view.getInt32(4, LITTLE_ENDIAN),
    name: attributes.text(IFLA_IFNAME) ?? '',
    altNames,
    hardwareType: view.getUint16(2, LITTLE_ENDIAN),
    mac: mac === undefined || mac.byteLength === 0 ? undefined : mac,
    mtu: attributes.u32(IFLA_MTU) ?? 0,
    minMtu: attributes.u32(IFLA_MIN_MTU),
    maxMtu: attributes.u32(IFLA_MAX_MTU),
    flags,
    up: (flags & DeviceFlag.UP) !== 0,
    carrier: attributes.u8(IFLA_CARRIER) === 1,
    operState: OPER_STATES[attributes.u8(IFLA_OPERSTATE) ?? 0] ?? 'unknown',
    kind,
    link: link === undefined || link === 0 ? undefined : link,
    linkNetnsid: attributes.i32(IFLA_LINK_NETNSID),
    master: attributes.u32(IFLA_MASTER),
    alias: attributes.text(IFLA_IFALIAS),
    promiscuity: attributes.u32(IFLA_PROMISCUITY) ?? 0,
    txQueues: attributes.u32(IFLA_NUM_TX_QUEUES) ?? 1,
    rxQueues: attributes.u32(IFLA_NUM_RX_QUEUES) ?? 1,
    gsoMaxSize: attributes.u32(IFLA_GSO_MAX_SIZE),
    gsoMaxSegments: attributes.u32(IFLA_GSO_MAX_SEGS),
    groMaxSize: attributes.u32(IFLA_GRO_MAX_SIZE),
    xdp: decodeXdp(attributes.nested(IFLA_XDP)),
    tun: kind === 'tun' && data !== undefined ? decodeTun(data) : undefined,
    vlanId: kind === 'vlan' ? data?.u16(IFLA_VLAN_ID) : undefined,
    vlanProtocol: kind === 'vlan' ? be16(data?.bytes(IFLA_VLAN_PROTOCOL)) : undefined,
  });
}

function isDevice({ type, payload }: Message): boolean {
  return type === RTM_NEWLINK && payload.byteLength >= 16;
}

/** Dumps of other families (bridge ports, IPv6) come as RTM_NEWLINK too: only AF_UNSPEC is a device. */
export function isDevicePayload(payload: Uint8Array): boolean {
  return payload.byteLength >= 16 && payload[0] === 0;
}

const WITHOUT_STATISTICS: Attribute = [IFLA_EXT_MASK, u32(RTEXT_FILTER_SKIP_STATS)];

export async function listDevices(socket: NetlinkSocket): Promise<Device[]> {
  const messages = await socket.dump('list devices', RTM_GETLINK, ifinfomsg(0), encodeAttributes([WITHOUT_STATISTICS]));
  return messages.filter(isDevice).map(({ payload }) => decodeDevice(payload));
}

export async function getDevice(socket: NetlinkSocket, which: number | string): Promise<Device> {
  const byName: Attribute[] = typeof which === 'string' ? [[IFLA_IFNAME, text(which)]] : [];
  const [message] = await socket.request(
    `device ${typeof which === 'string' ? `'${which}'` : which}`,
    RTM_GETLINK,
    0,
    ifinfomsg(typeof which === 'number' ? which : 0),
    encodeAttributes([...byName, WITHOUT_STATISTICS]),
  );
  return decodeDevice(message!.payload);
}

export interface DeviceChange {
  readonly mtu?: number;
  readonly up?: boolean;
  readonly promisc?: boolean;
  /** At most 255 bytes; empty removes it. */
  readonly alias?: string;
  /** How its IPv6 link-local address is made when it comes up; `none`: it gets none. */
  readonly ip6Address?: keyof typeof ADDRESS_MODES;
}

export async function changeDevice(socket: NetlinkSocket, ifindex: number, change: DeviceChange): Promise<void> {
  let flags = 0;
  let mask = 0;
  const flag = (bit: number, wanted: boolean | undefined): void => {
    if (wanted === undefined) return;
    mask |= bit;
    if (wanted) flags |= bit;
  };
  flag(DeviceFlag.UP, change.up);
  flag(DeviceFlag.PROMISC, change.promisc);
  const attributes: Attribute[] = [];
  if (change.mtu !== undefined) attributes.push([IFLA_MTU, u32(change.mtu)]);
  if (change.alias !== undefined) attributes.push([IFLA_IFALIAS, new TextEncoder().encode(change.alias)]);
  if (change.ip6Address !== undefined) {
    const mode = [IFLA_INET6_ADDR_GEN_MODE, Uint8Array.of(ADDRESS_MODES[change.ip6Address])] as const;
    attributes.push([IFLA_AF_SPEC, [[AF_INET6, [mode]]]]);
  }
  const said = Object.entries(change)
    .map(([name, value]) => `${name} ${value}`)
    .join(', ');
  await socket.request(
    `set ${said} of device ${ifindex}`,
    RTM_SETLINK,
    0,
    ifinfomsg(ifindex, flags, mask),
    encodeAttributes(attributes),
  );
}
