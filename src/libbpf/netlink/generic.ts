import { LITTLE_ENDIAN } from '../byte-order.ts';
import { Errno, hasErrno } from '../system-error.ts';
import { AttributeMap, encodeAttributes, text, viewOf } from './attributes.ts';
import type { Message, NetlinkSocket } from './socket.ts';

/** Generic netlink: families are found by name (include/uapi/linux/genetlink.h). */

const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;

/** struct genlmsghdr: u8 command, u8 version, u16 reserved */
export const GENERIC_HEADER = 4;

export function genericHeader(command: number): Uint8Array {
  return Uint8Array.of(command, 1, 0, 0);
}

/** The command of an answer and its attributes. */
export function genericMessage({ payload }: Message): { readonly command: number; readonly attributes: AttributeMap } {
  return { command: viewOf(payload).getUint8(0), attributes: new AttributeMap(payload.subarray(GENERIC_HEADER)) };
}

/** The number of a family; undefined when the kernel does not have it. */
export async function familyId(socket: NetlinkSocket, name: string): Promise<number | undefined> {
  try {
    const [message] = await socket.request(
      `generic netlink family '${name}'`,
      GENL_ID_CTRL,
      0,
      genericHeader(CTRL_CMD_GETFAMILY),
      encodeAttributes([[CTRL_ATTR_FAMILY_NAME, text(name)]]),
    );
    const id = genericMessage(message!).attributes.bytes(CTRL_ATTR_FAMILY_ID);
    return id === undefined ? undefined : viewOf(id).getUint16(0, LITTLE_ENDIAN);
  } catch (error) {
    if (hasErrno(error, Errno.ENOENT)) return undefined;
    throw error;
  }
}
