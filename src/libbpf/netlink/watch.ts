import { addon } from '../addon.ts';
import { Fd } from '../fd.ts';
import { Readiness } from '../readiness.ts';
import { checked, Errno, systemError } from '../system-error.ts';
import { type Address, decodeAddress, RTM_DELADDR, RTM_NEWADDR } from './addresses.ts';
import { type Device, decodeDevice, isDevicePayload, RTM_DELLINK, RTM_NEWLINK } from './devices.ts';
import { decodeNeighbour, isIpNeighbour, type Neighbour, RTM_DELNEIGH, RTM_NEWNEIGH } from './neighbours.ts';
import { decodeRoute, isTableRoute, type Route, RTM_DELROUTE, RTM_NEWROUTE } from './routes.ts';
import { type Message, Protocol, readMessages } from './socket.ts';

/** Groups of include/uapi/linux/rtnetlink.h. */
const GROUPS = { devices: [1], neighbours: [3], addresses: [5, 9], routes: [7, 11], nexthops: [32] } as const;
const RTM_NEWNEXTHOP = 104;
const RTM_DELNEXTHOP = 105;
export type NetlinkGroup = keyof typeof GROUPS;

export type NetlinkEvent =
  | { readonly type: 'device'; readonly action: 'new' | 'del'; readonly device: Device }
  | { readonly type: 'address'; readonly action: 'new' | 'del'; readonly address: Address }
  | { readonly type: 'route'; readonly action: 'new' | 'del'; readonly route: Route }
  | { readonly type: 'neighbour'; readonly action: 'new' | 'del'; readonly neighbour: Neighbour }
  /** A next-hop object; which one is not told. */
  | { readonly type: 'nexthop'; readonly action: 'new' | 'del' }
  /** Notifications were lost: read everything again. */
  | { readonly type: 'overrun' };

export interface WatchOptions {
  readonly groups: readonly NetlinkGroup[];
  /** Ends the watch; the iterator then finishes. */
  readonly signal?: AbortSignal;
  /** Bytes the kernel holds for a slow reader; 8 MiB unless said otherwise. */
  readonly receiveBuffer?: number;
  /** Whether a watch alone keeps the process running; no unless said otherwise. */
  readonly keepAlive?: boolean;
}

const MOST_DATAGRAMS = 64;
const BUFFER = 64 * 1024;

function decode({ type, payload }: Message): NetlinkEvent | undefined {
  switch (type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
      if (!isDevicePayload(payload)) return undefined;
      return { type: 'device', action: type === RTM_NEWLINK ? 'new' : 'del', device: decodeDevice(payload) };
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return { type: 'address', action: type === RTM_NEWADDR ? 'new' : 'del', address: decodeAddress(payload) };
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      if (!isTableRoute(payload)) return undefined;
      return { type: 'route', action: type === RTM_NEWROUTE ? 'new' : 'del', route: decodeRoute(payload) };
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      if (!isIpNeighbour(payload)) return undefined;
      return { type: 'neighbour', action: type === RTM_NEWNEIGH ? 'new' : 'del', neighbour: decodeNeighbour(payload) };
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return { type: 'nexthop', action: type === RTM_NEWNEXTHOP ? 'new' : 'del' };
    default:
      return undefined;
  }
}

/**
 * Follows changes of devices, addresses, routes and neighbours of this network namespace. It listens from the moment it is
 * made: make it, dump, then iterate, and nothing is missed. It reads only while it is iterated: a slow reader fills
 * the kernel's buffer and then gets one `overrun`, after which it must dump again. One iteration at a time.
 *
 * ```ts
 * using watch = new NetlinkWatch({ groups: ['devices'] });
 * const devices = await netlink.devices();
 * for await (const event of watch) …
 * ```
 */
export class NetlinkWatch implements AsyncIterable<NetlinkEvent>, Disposable {
  readonly #fd: Fd;
  readonly #readiness: Readiness;
  readonly #buffer = new Uint8Array(BUFFER);
  #events: NetlinkEvent[] = [];

  /** @throws ERR_MW_SYSCALL */
  constructor(options: WatchOptions) {
    const groups = options.groups.flatMap((group) => GROUPS[group]);
    const fd = addon().netlinkOpen(Protocol.ROUTE, { groups, receiveBuffer: options.receiveBuffer ?? 8 << 20 });
    this.#fd = new Fd(checked(fd, 'socket(AF_NETLINK)', 'watch netlink'), 'netlink watch');
    this.#readiness = new Readiness(this.#fd, options);
  }

  get closed(): boolean {
    return this.#readiness.closed;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<NetlinkEvent, void, undefined> {
    while (await this.#readiness.wait()) {
      this.#drain();
      yield* this.#events.splice(0);
    }
  }

  /** Idempotent; an iteration under way finishes. */
  close(): void {
    this.#readiness.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Reads what is there, some datagrams at a time so that the event loop goes on. */
  #drain(): void {
    for (let i = 0; i < MOST_DATAGRAMS; i++) {
      const length = addon().netlinkReceive(this.#fd.number, this.#buffer);
      if (length === -Errno.EAGAIN) {
        this.#readiness.rearm();
        return;
      }
      if (length === -Errno.ENOBUFS || length === -Errno.EMSGSIZE) {
        this.#events.push({ type: 'overrun' });
        continue;
      }
      if (length < 0) throw systemError(length, 'recv', 'watch netlink', { code: 'ERR_MW_NETLINK' });
      for (const message of readMessages(this.#buffer.subarray(0, length))) {
        const event = decode(message);
        if (event !== undefined) this.#events.push(event);
      }
    }
  }
}
