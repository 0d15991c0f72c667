import { Errno, hasErrno } from '../system-error.ts';
import { encodeAttributes, u32 } from './attributes.ts';
import { genericHeader, genericMessage } from './generic.ts';
import type { NetlinkSocket } from './socket.ts';

/** What a device's driver can do with XDP (generic netlink family `netdev`, kernel 6.3). */

const NETDEV_CMD_DEV_GET = 1;
const NETDEV_A_DEV_IFINDEX = 1;
const NETDEV_A_DEV_XDP_FEATURES = 3;

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
}

export function decodeXdpFeatures(bits: bigint): XdpFeatures {
  const has = (bit: number): boolean => ((bits >> BigInt(bit)) & 1n) === 1n;
  return {
    basic: has(0),
    redirect: has(1),
    redirectTarget: has(2),
    zeroCopy: has(3),
    hardwareOffload: has(4),
    frags: has(5),
    redirectTargetFrags: has(6),
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
    const bits = genericMessage(message!).attributes.u64(NETDEV_A_DEV_XDP_FEATURES);
    return bits === undefined ? undefined : decodeXdpFeatures(bits);
  } catch (error) {
    if (hasErrno(error, Errno.ENODEV)) return undefined;
    throw error;
  }
}
