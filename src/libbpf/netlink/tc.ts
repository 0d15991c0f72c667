import { LITTLE_ENDIAN } from '../byte-order.ts';
import type { Direction } from '../link.ts';
import { Errno, hasErrno } from '../system-error.ts';
import { AttributeMap, encodeAttributes, text, u32, viewOf } from './attributes.ts';
import { MessageFlag, type NetlinkSocket } from './socket.ts';

/** The clsact qdisc and its BPF filters (rtnetlink, struct tcmsg). */

const RTM_NEWQDISC = 36;
const RTM_DELQDISC = 37;
const RTM_GETQDISC = 38;
const RTM_NEWTFILTER = 44;
const RTM_DELTFILTER = 45;
const RTM_GETTFILTER = 46;

const TCA_KIND = 1;
const TCA_OPTIONS = 2;
const TCA_BPF_FD = 6;
const TCA_BPF_NAME = 7;
const TCA_BPF_FLAGS = 8;
const TCA_BPF_ID = 11;
const TCA_BPF_FLAG_ACT_DIRECT = 1;

const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
const PARENT: Readonly<Record<Direction, number>> = { ingress: 0xfffffff2, egress: 0xfffffff3 };
/** ETH_P_ALL in network order, as tcm_info carries it. */
const PROTOCOL_ALL = LITTLE_ENDIAN ? 0x0300 : 0x0003;

export interface FilterPlace {
  readonly ifindex: number;
  readonly direction: Direction;
  /** Lower runs first; 1 to 65535. */
  readonly priority: number;
  readonly handle: number;
}

export interface Filter extends FilterPlace {
  /** e.g. `bpf`, `flower` */
  readonly kind: string;
  readonly name?: string;
  readonly programId?: number;
}

function tcmsg(ifindex: number, handle: number, parent: number, info: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(20));
  view.setInt32(4, ifindex, LITTLE_ENDIAN);
  view.setUint32(8, handle, LITTLE_ENDIAN);
  view.setUint32(12, parent, LITTLE_ENDIAN);
  view.setUint32(16, info, LITTLE_ENDIAN);
  return new Uint8Array(view.buffer);
}

function filterMessage(place: FilterPlace): Uint8Array {
  const info = ((place.priority << 16) | PROTOCOL_ALL) >>> 0;
  return tcmsg(place.ifindex, place.handle, PARENT[place.direction], info);
}

/** Gives the device a clsact qdisc. False if it had one. */
export async function addClsact(socket: NetlinkSocket, ifindex: number): Promise<boolean> {
  try {
    await socket.request(
      `add clsact to device ${ifindex}`,
      RTM_NEWQDISC,
      MessageFlag.CREATE | MessageFlag.EXCL,
      tcmsg(ifindex, CLSACT_HANDLE, TC_H_CLSACT, 0),
      encodeAttributes([[TCA_KIND, text('clsact')]]),
    );
    return true;
  } catch (error) {
    if (hasErrno(error, Errno.EEXIST)) return false;
    throw error;
  }
}

export async function hasClsact(socket: NetlinkSocket, ifindex: number): Promise<boolean> {
  const messages = await socket.dump('list qdiscs', RTM_GETQDISC, tcmsg(ifindex, 0, 0, 0));
  return messages.some(
    ({ payload }) =>
      viewOf(payload).getInt32(4, LITTLE_ENDIAN) === ifindex &&
      new AttributeMap(payload.subarray(20)).text(TCA_KIND) === 'clsact',
  );
}

export async function removeClsact(socket: NetlinkSocket, ifindex: number): Promise<void> {
  await socket.request(
    `remove clsact of device ${ifindex}`,
    RTM_DELQDISC,
    0,
    tcmsg(ifindex, CLSACT_HANDLE, TC_H_CLSACT, 0),
    encodeAttributes([[TCA_KIND, text('clsact')]]),
  );
}

/** Puts a BPF program there; without `create` in place of the one that is there. */
export async function putBpfFilter(
  socket: NetlinkSocket,
  place: FilterPlace,
  program: { readonly fd: number; readonly name: string },
  create: boolean,
): Promise<void> {
  await socket.request(
    `put BPF filter on device ${place.ifindex} (${place.direction}, priority ${place.priority})`,
    RTM_NEWTFILTER,
    create ? MessageFlag.CREATE | MessageFlag.EXCL : MessageFlag.REPLACE,
    filterMessage(place),
    encodeAttributes([
      [TCA_KIND, text('bpf')],
      [
        TCA_OPTIONS,
        [
          [TCA_BPF_FD, u32(program.fd)],
          [TCA_BPF_NAME, text(program.name)],
          [TCA_BPF_FLAGS, u32(TCA_BPF_FLAG_ACT_DIRECT)],
        ],
      ],
    ]),
  );
}

export async function removeFilter(socket: NetlinkSocket, place: FilterPlace): Promise<void> {
  await socket.request(
    `remove filter of device ${place.ifindex} (${place.direction}, priority ${place.priority})`,
    RTM_DELTFILTER,
    0,
    filterMessage(place),
    encodeAttributes([[TCA_KIND, text('bpf')]]),
  );
}

/** The filters of a device's clsact qdisc, of every kind; none without one. */
export async function filters(socket: NetlinkSocket, ifindex: number, direction: Direction): Promise<Filter[]> {
  const messages = await socket.dump('list filters', RTM_GETTFILTER, tcmsg(ifindex, 0, PARENT[direction], 0));
  const found: Filter[] = [];
  for (const { payload } of messages) {
    if (payload.byteLength < 20) continue;
    const view = viewOf(payload);
    const attributes = new AttributeMap(payload.subarray(20));
    const handle = view.getUint32(8, LITTLE_ENDIAN);
    if (handle === 0) continue; // the head of a priority, not a filter
    const options = attributes.nested(TCA_OPTIONS);
    const kind = attributes.text(TCA_KIND) ?? '';
    const bpf = kind === 'bpf' ? options : undefined;
    const name = bpf?.text(TCA_BPF_NAME);
    const programId = bpf?.u32(TCA_BPF_ID);
    found.push({
      ifindex: view.getInt32(4, LITTLE_ENDIAN),
      direction,
      handle,
      priority: view.getUint32(16, LITTLE_ENDIAN) >>> 16,
      kind,
      ...(name === undefined ? {} : { name }),
      ...(programId === undefined ? {} : { programId }),
    });
  }
  return found;
}
