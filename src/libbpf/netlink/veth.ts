import { invalidArgument } from '../system-error.ts';
import { type Attribute, encodeAttributes, text, u32 } from './attributes.ts';
import { IFLA, ifinfomsg, RTM_DELLINK, RTM_NEWLINK } from './devices.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';

/** Pairs of virtual Ethernet devices (include/uapi/linux/veth.h). */

const VETH_INFO_PEER = 1;

export interface VethPair {
  /** At most 15 bytes each, without spaces and slashes. */
  readonly name: string;
  readonly peer: string;
  /** Of both ends; the kernel's default (1500) unless said otherwise. */
  readonly mtu?: number;
  /** Of the device called `name`; the kernel's next one unless said otherwise. */
  readonly ifindex?: number;
}

/** @throws ERR_MW_INVALID_ARGUMENT */
export function checkName(name: string): void {
  const bytes = new TextEncoder().encode(name).byteLength;
  if (bytes < 1 || bytes > 15 || /[\s/:\0]/.test(name) || name === '.' || name === '..') {
    throw invalidArgument(`'${name}' is no name for a device`, '1 to 15 bytes, without spaces, slashes and colons');
  }
}

function end(name: string, mtu: number | undefined): Attribute[] {
  return [[IFLA.IFNAME, text(name)], ...(mtu === undefined ? [] : [[IFLA.MTU, u32(mtu)] as const])];
}

/** @throws ERR_MW_NETLINK with EEXIST in `details` when a name or the index is taken */
export async function addVeth(socket: NetlinkSocket, { name, peer, mtu, ifindex }: VethPair): Promise<void> {
  checkName(name);
  checkName(peer);
  const other = encodeAttributes(end(peer, mtu));
  const header = ifinfomsg(0);
  const peerInfo = new Uint8Array(header.byteLength + other.byteLength);
  peerInfo.set(header);
  peerInfo.set(other, header.byteLength);
  await socket.request(
    `add veth pair ${name}, ${peer}`,
    RTM_NEWLINK,
    MessageFlag.CREATE | MessageFlag.EXCL,
    ifinfomsg(ifindex ?? 0),
    encodeAttributes([
      ...end(name, mtu),
      [
        IFLA.LINKINFO,
        [
          [IFLA.INFO_KIND, text('veth')],
          [IFLA.INFO_DATA, [[VETH_INFO_PEER, peerInfo]]],
        ],
      ],
    ]),
  );
}

/** Removes a virtual device; of a pair both ends. @throws ERR_MW_NOT_FOUND, ERR_MW_UNSUPPORTED for a physical one */
export async function deleteDevice(socket: NetlinkSocket, ifindex: number): Promise<void> {
  await socket.request(`remove device ${ifindex}`, RTM_DELLINK, 0, ifinfomsg(ifindex));
}
