import { Errno, hasErrno } from '../system-error.ts';
import { encodeAttributes, u32 } from './attributes.ts';
import { genericHeader, genericMessage } from './generic.ts';
import type { NetlinkSocket } from './socket.ts';

/** What a device's driver can do with XDP (generic netlink family `netdev`, kernel 6.3). */

const NETDEV_CMD_DEV_GET = 1;
const NETDEV_A_DEV_IFINDEX = 1;
const NETDEV_A_DEV_XDP_FEATURES = 3;
const NETDEV_A_DEV_XDP_RX_METADATA_FEATURES = 5;

export interface XdpFeatures {
  /** Native XDP: ABORTED, DROP, PASS and TX. */
  readonly basic: boolean;
  readonly redirect: boolean;
  /** Can be the target of a redirect now. A veth can when its peer has NAPI (GRO on, or a program). */
  readonly redirectTarget: boolean;
  readonly zeroCopy: boolean;
  readonly hardwareOffload: boolean;
  /** Receives multi-buffer frames (programs in `xdp.frags`). */
  readonly frags: boolean;
  /** Takes redirected multi-buffer frames. */
  readonly redirectTargetFrags: boolean;
  /** What programs that are loaded for this device can ask its driver about a received frame (kernel 6.6; the tag 6.8). */
  readonly rxMetadata: RxMetadata;
}

export interface RxMetadata {
  readonly timestamp: boolean;
  readonly hash: boolean;
  /** The VLAN tag that the driver keeps beside the frame. */
  readonly vlanTag: boolean;
}

export function decodeXdpFeatures(bits: bigint, metadata = 0n): XdpFeatures {
  const isSet = (set: bigint, bit: number): boolean => ((set >> BigInt(bit)) & 1n) === 1n;
  const has = (bit: number): boolean => isSet(bits, bit);
  return {
    basic: has(0),
    redirect: has(1),
    redirectTarget: has(2),
    zeroCopy: has(3),
    hardwareOffload: has(4),
    frags: has(5),
    redirectTargetFrags: has(6),
    rxMetadata: { timestamp: isSet(metadata, 0), hash: isSet(metadata, 1), vlanTag: isSet(metadata, 2) },
  };
}

/** Undefined when the device is gone. */
export async function getXdpFeatures(
  socket: NetlinkSocket,
  family: number,
  ifindex: number,
): Promise<XdpFeatures | undefined> {
  try {
    const [message] = await socket.request(
      `XDP features of device ${ifindex}`,
      family,
      0,
      genericHeader(NETDEV_CMD_DEV_GET),
      encodeAttributes([[NETDEV_A_DEV_IFINDEX, u32(ifindex)]]),
    );
    const { attributes } = genericMessage(message!);
    const bits = attributes.u64(NETDEV_A_DEV_XDP_FEATURES);
    const metadata = attributes.u64(NETDEV_A_DEV_XDP_RX_METADATA_FEATURES) ?? 0n;
    return bits === undefined ? undefined : decodeXdpFeatures(bits, metadata);
  } catch (error) {
    if (hasErrno(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}
