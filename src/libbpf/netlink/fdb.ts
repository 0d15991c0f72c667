import { LITTLE_ENDIAN } from '../byte-order.ts';
import { invalidArgument } from '../system-error.ts';
import { AttributeMap, encodeAttributes, viewOf } from './attributes.ts';
import { NeighbourFlag, NeighbourState, RTM_DELNEIGH, RTM_NEWNEIGH } from './neighbours.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';

/**
 * Further MACs that a device receives (`bridge fdb add MAC dev DEVICE self`; rtnetlink, struct ndmsg of family AF_BRIDGE):
 * its unicast filter, or promiscuous mode where the driver has none.
 */

const RTM_GETNEIGH = 30;
const NDA_LLADDR = 2;
const AF_BRIDGE = 7;
const HEADER = 12;

function ndmsg(ifindex: number, state: number, flags: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(HEADER));
  view.setUint8(0, AF_BRIDGE);
  view.setInt32(4, ifindex, LITTLE_ENDIAN);
  view.setUint16(8, state, LITTLE_ENDIAN);
  view.setUint8(10, flags);
  return new Uint8Array(view.buffer);
}

function checkMac(mac: Uint8Array): void {
  if (mac.byteLength !== 6) throw invalidArgument(`a MAC has 6 bytes, not ${mac.byteLength}`);
}

function textOf(mac: Uint8Array): string {
  return Buffer.from(mac)
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');
}

/** @throws ERR_MW_NETLINK with EEXIST in `details` when it is received already; ERR_MW_NOT_FOUND without such a device */
export async function addReceivedMac(socket: NetlinkSocket, ifindex: number, mac: Uint8Array): Promise<void> {
  checkMac(mac);
  await socket.request(
    `receive ${textOf(mac)} on device ${ifindex}`,
    RTM_NEWNEIGH,
    MessageFlag.CREATE | MessageFlag.EXCL,
    ndmsg(ifindex, NeighbourState.PERMANENT, NeighbourFlag.SELF),
    encodeAttributes([[NDA_LLADDR, mac]]),
  );
}

/** @throws ERR_MW_NOT_FOUND */
export async function deleteReceivedMac(socket: NetlinkSocket, ifindex: number, mac: Uint8Array): Promise<void> {
  checkMac(mac);
  await socket.request(
    `receive ${textOf(mac)} no more on device ${ifindex}`,
    RTM_DELNEIGH,
    0,
    ndmsg(ifindex, NeighbourState.PERMANENT, NeighbourFlag.SELF),
    encodeAttributes([[NDA_LLADDR, mac]]),
  );
}

/** Unicast and group MACs that a device receives beside its own, whoever asked for them. */
export async function listReceivedMacs(socket: NetlinkSocket, ifindex: number): Promise<Uint8Array[]> {
  const messages = await socket.dump(`MACs of device ${ifindex}`, RTM_GETNEIGH, ndmsg(ifindex, 0, 0));
  const macs: Uint8Array[] = [];
  for (const { type, payload } of messages) {
    if (type !== RTM_NEWNEIGH || payload.byteLength < HEADER || payload[0] !== AF_BRIDGE) continue;
    const view = viewOf(payload);
    if (view.getInt32(4, LITTLE_ENDIAN) !== ifindex || (view.getUint8(10) & NeighbourFlag.SELF) === 0) continue;
    const mac = new AttributeMap(payload.subarray(HEADER)).bytes(NDA_LLADDR);
    if (mac?.byteLength === 6) macs.push(mac.slice());
  }
  return macs;
}
