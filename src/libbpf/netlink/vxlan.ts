import { encodeAttributes, text, u8, u32 } from './attributes.ts';
import { IFLA, ifinfomsg, RTM_NEWLINK } from './devices.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';
import { checkName } from './veth.ts';

/** VXLAN devices (include/uapi/linux/if_link.h, IFLA_VXLAN_*). */

const VXLAN = { ID: 1, LOCAL: 4, LEARNING: 7, PORT: 15, LOCAL6: 17 } as const;

export interface VxlanDevice {
  /** At most 15 bytes, without spaces and slashes. */
  readonly name: string;
  /** 24 bits. */
  readonly vni: number;
  /** UDP port of its socket, which opens when the device goes up. */
  readonly port: number;
  /** Own address, 4 or 16 bytes: its family is the socket's. */
  readonly local: Uint8Array;
}

/**
 * Makes a VXLAN device that is down, learns nothing and has no remote.
 *
 * @throws ERR_MW_NETLINK with EEXIST in `details` when the name, or the VNI at that port, is taken; EOPNOTSUPP without the module
 */
export async function addVxlan(socket: NetlinkSocket, { name, vni, port, local }: VxlanDevice): Promise<void> {
  checkName(name);
  await socket.request(
    `add VXLAN device ${name}`,
    RTM_NEWLINK,
    MessageFlag.CREATE | MessageFlag.EXCL,
    ifinfomsg(0),
    encodeAttributes([
      [IFLA.IFNAME, text(name)],
      [
        IFLA.LINKINFO,
        [
          [IFLA.INFO_KIND, text('vxlan')],
          [
            IFLA.INFO_DATA,
            [
              [VXLAN.ID, u32(vni)],
              [VXLAN.PORT, Uint8Array.of(port >> 8, port & 255)],
              [VXLAN.LEARNING, u8(0)],
              [local.byteLength === 4 ? VXLAN.LOCAL : VXLAN.LOCAL6, local],
            ],
          ],
        ],
      ],
    ]),
  );
}
