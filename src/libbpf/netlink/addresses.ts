import { LITTLE_ENDIAN } from '../byte-order.ts';
import { AttributeMap, viewOf } from './attributes.ts';
import type { NetlinkSocket } from './socket.ts';

/** Addresses of devices (rtnetlink, struct ifaddrmsg). */

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;

export const AddressFlag = {
  SECONDARY: 0x01,
  NODAD: 0x02,
  DADFAILED: 0x08,
  DEPRECATED: 0x20,
  TENTATIVE: 0x40,
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
