import { LITTLE_ENDIAN } from '../byte-order.ts';
import { Errno, hasErrno, invalidArgument, systemError } from '../system-error.ts';
import { type Attribute, AttributeMap, encodeAttributes, u32, viewOf } from './attributes.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';

/** Addresses of devices (rtnetlink, struct ifaddrmsg). */

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const AF_INET = 2;
const AF_INET6 = 10;

export const AddressFlag = {
  SECONDARY: 0x01,
  NODAD: 0x02,
  DADFAILED: 0x08,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
  PERMANENT: 0x80,
  /** No route to its prefix is made. */
  NOPREFIXROUTE: 0x200,
  /** A group address: it is joined as long as the address is there (kernel 4.4). */
  MCAUTOJOIN: 0x400,
} as const;

export interface Address {
  readonly ifindex: number;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  /** The far end of a point-to-point address. */
  readonly peer?: Uint8Array;
  readonly prefixLength: number;
  /** 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** Bits of `AddressFlag`. */
  readonly flags: number;
}

export function decodeAddress(payload: Uint8Array): Address {
  const view = viewOf(payload);
  const attributes = new AttributeMap(payload.subarray(8));
  const address = attributes.bytes(IFA_ADDRESS)?.slice() ?? new Uint8Array(0);
  const local = attributes.bytes(IFA_LOCAL)?.slice();
  const peer = local !== undefined && Buffer.compare(local, address) !== 0 ? address : undefined;
  return {
    ifindex: view.getUint32(4, LITTLE_ENDIAN),
    address: local ?? address,
    ...(peer === undefined ? {} : { peer }),
    prefixLength: view.getUint8(1),
    scope: view.getUint8(3),
    flags: attributes.u32(IFA_FLAGS) ?? view.getUint8(2),
  };
}

/** @param ifindex only of this device; 0: of all */
export async function listAddresses(socket: NetlinkSocket, ifindex: number): Promise<Address[]> {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(4, ifindex, LITTLE_ENDIAN);
  const messages = await socket.dump('list addresses', RTM_GETADDR, new Uint8Array(view.buffer));
  return messages.filter(({ type }) => type === RTM_NEWADDR).map(({ payload }) => decodeAddress(payload));
}

export interface AddressPlace {
  readonly ifindex: number;
  /** 4 or 16 bytes, network order. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

export interface NewAddress extends AddressPlace {
  /** Bits of `AddressFlag`. */
  readonly flags?: number;
  /** IPv4: 0 global (unless said otherwise), 253 link, 254 host. IPv6 goes by the address. */
  readonly scope?: number;
}

function ifaddrmsg({ ifindex, address, prefixLength }: AddressPlace, scope: number, flags: number): Uint8Array {
  const bits = address.byteLength * 8;
  if (bits !== 32 && bits !== 128) {
    throw invalidArgument(`an IP address has 4 or 16 bytes, not ${address.byteLength}`);
  }
  if (!Number.isInteger(prefixLength) || prefixLength < 0 || prefixLength > bits) {
    throw invalidArgument(`${prefixLength} is no length of a prefix of ${bits} bits`);
  }
  const view = new DataView(new ArrayBuffer(8));
  view.setUint8(0, bits === 32 ? AF_INET : AF_INET6);
  view.setUint8(1, prefixLength);
  view.setUint8(2, flags & 0xff);
  view.setUint8(3, scope);
  view.setUint32(4, ifindex, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

function local(address: Uint8Array): Attribute[] {
  return [
    [IFA_LOCAL, address],
    [IFA_ADDRESS, address],
  ];
}

/** @throws ERR_MW_NETLINK with EEXIST in `details` when it is there, ERR_MW_NOT_FOUND without such a device */
export async function addAddress(socket: NetlinkSocket, added: NewAddress): Promise<void> {
  const flags = added.flags ?? 0;
  await socket.request(
    `add an address to device ${added.ifindex}`,
    RTM_NEWADDR,
    MessageFlag.CREATE | MessageFlag.EXCL,
    ifaddrmsg(added, added.scope ?? 0, flags),
    encodeAttributes([...local(added.address), [IFA_FLAGS, u32(flags)]]),
  );
}

/** @throws ERR_MW_NOT_FOUND */
export async function deleteAddress(socket: NetlinkSocket, place: AddressPlace): Promise<void> {
  const what = `remove an address of device ${place.ifindex}`;
  try {
    await socket.request(what, RTM_DELADDR, 0, ifaddrmsg(place, 0, 0), encodeAttributes(local(place.address)));
  } catch (error) {
    if (!hasErrno(error, Errno.EADDRNOTAVAIL)) throw error;
    throw systemError(Errno.EADDRNOTAVAIL, 'netlink', what, { code: 'ERR_MW_NOT_FOUND' });
  }
}
