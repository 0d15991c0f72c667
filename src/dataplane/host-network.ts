import { constants } from 'node:os';
import { MapwireError } from '../errors.ts';
import {
  AddressFlag,
  type AddressPlace,
  type Device,
  hasErrno,
  Netlink,
  NetlinkWatch,
  type VxlanDevice,
} from '../libbpf/index.ts';
import { ipBytes, ipFromBytes, macBytes, macFromBytes } from '../table/address.ts';
import type { XdpAbilities } from './device-rules.ts';
import type { HostDevice } from './device-table.ts';
import type { HostLink, HostNeighbour, HostNetlink, HostOffload, HostPath } from './host-netlink.ts';

const { errno } = constants;

/** The tag that tunnels have (802.1Q); not that of providers (802.1ad). */
const ETH_P_8021Q = 0x8100;

/** What the kernel says where no packet gets through: no route, or one that says so (unreachable, blackhole, prohibit). */
const NO_ROUTE = [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL, errno.EACCES];

/** A route goes with its source address, and with its next-hop object, and nothing tells of the route. */
const WATCHED = ['devices', 'addresses', 'routes', 'nexthops', 'neighbours'] as const;

/** RT_SCOPE_HOST */
const SCOPE_HOST = 254;

/** How many abilities of devices that were seen before are asked for again at a time: a request each. */
const ASK_AGAIN = 64;

/** The network of this host, through netlink. */
export class HostNetwork implements HostNetlink, Disposable {
  readonly #netlink = new Netlink();
  readonly #listeners = new Set<() => void>();
  readonly #ended = new AbortController();
  /** By `ifindex`. Drivers tell of changes by no route message. */
  readonly #abilities = new Map<number, XdpAbilities | undefined>();
  #round = 0;
  #watching: Promise<void> | undefined;

  /**
   * All devices.
   *
   * @param interesting those whose XDP abilities are wanted: asked for when new, and again, in turns, later
   */
  async devices(interesting: (name: string) => boolean): Promise<HostDevice[]> {
    const devices = await this.#netlink.devices();
    const ours = devices.filter((device) => interesting(device.name));
    const fresh = ours.filter((device) => !this.#abilities.has(device.ifindex));
    const known = ours.filter((device) => this.#abilities.has(device.ifindex));
    const start = known.length === 0 ? 0 : (this.#round * ASK_AGAIN) % known.length;
    this.#round++;
    const again = [...known.slice(start), ...known.slice(0, start)].slice(0, ASK_AGAIN);
    for (const { ifindex } of [...fresh, ...again]) {
      this.#abilities.set(ifindex, await this.#netlink.xdpFeatures(ifindex));
    }
    const present = new Set(devices.map((device) => device.ifindex));
    for (const ifindex of this.#abilities.keys()) if (!present.has(ifindex)) this.#abilities.delete(ifindex);
    return devices.map((device) => ({
      ifindex: device.ifindex,
      name: device.name,
      mac: device.mac,
      mtu: device.mtu,
      up: device.up,
      vlan: vlanOf(device),
      facts: {
        kind: device.kind,
        peerElsewhere: device.kind === 'veth' && device.linkNetnsid !== undefined,
        xdp: this.#abilities.get(device.ifindex),
      },
    }));
  }

  async links(): Promise<HostLink[]> {
    return (await this.#netlink.devices()).map((device) => ({
      ifindex: device.ifindex,
      name: device.name,
      mac: device.mac ?? new Uint8Array(6),
      up: device.up,
      carrier: device.carrier,
      mtu: device.mtu,
      vlan: vlanOf(device),
      xdpProgramId: device.xdp.native || device.xdp.generic || device.xdp.offloaded || undefined,
    }));
  }

  async routeTo(address: string, device?: number): Promise<HostPath[]> {
    const question = device === undefined ? {} : { ifindex: device };
    try {
      let route = await this.#netlink.routeTo(ipBytes(address), { ...question, entry: true });
      // With nexthop_compat_mode 0 an entry names an object instead of its hops; the way of one packet is told anyway.
      if (route.type === 'unicast' && route.nextHops.length === 0) {
        route = await this.#netlink.routeTo(ipBytes(address), question);
      }
      if (route.type !== 'unicast') return [];
      return route.nextHops.map(({ ifindex, gateway, dead }) => ({
        ifindex,
        gateway: gateway === undefined ? undefined : ipFromBytes(gateway),
        dead: dead === true,
      }));
    } catch (error) {
      if (NO_ROUTE.some((number) => hasErrno(error, number))) return [];
      if (error instanceof MapwireError && error.code === 'ERR_MW_NOT_FOUND') return [];
      throw error;
    }
  }

  async neighbours(): Promise<HostNeighbour[]> {
    return (await this.#netlink.neighbours())
      .filter((one) => one.address.length === 4 || one.address.length === 16)
      .map((one) => ({
        ifindex: one.ifindex,
        address: ipFromBytes(one.address),
        mac: one.mac,
        state: one.state,
        managed: one.managed,
      }));
  }

  async manageNeighbour(ifindex: number, address: string): Promise<void> {
    await this.#netlink.manageNeighbour({ ifindex, address: ipBytes(address) });
  }

  async removeNeighbour(ifindex: number, address: string): Promise<void> {
    await unlessAbsent(this.#netlink.deleteNeighbour({ ifindex, address: ipBytes(address) }));
  }

  async offload(ifindex: number, name: string): Promise<HostOffload> {
    const { active, changeable } = await this.#netlink.offloads(ifindex);
    return { active: active.has(name), changeable: changeable.has(name) };
  }

  async setOffload(ifindex: number, name: string, on: boolean): Promise<boolean> {
    return (await this.#netlink.setOffloads(ifindex, { [name]: on })).length === 0;
  }

  async receivedMacs(ifindex: number): Promise<ReadonlySet<string>> {
    return new Set((await this.#netlink.receivedMacs(ifindex)).map((mac) => macFromBytes(mac)));
  }

  async receiveMac(ifindex: number, mac: string): Promise<void> {
    await unless([errno.EEXIST], this.#netlink.addReceivedMac(ifindex, macBytes(mac)));
  }

  async forgetMac(ifindex: number, mac: string): Promise<void> {
    await unlessAbsent(this.#netlink.deleteReceivedMac(ifindex, macBytes(mac)));
  }

  async joinedGroups(ifindex: number): Promise<ReadonlySet<string>> {
    const joined = (await this.#netlink.addresses(ifindex)).filter(
      ({ flags }) => (flags & AddressFlag.MCAUTOJOIN) !== 0,
    );
    return new Set(joined.map(({ address }) => ipFromBytes(address)));
  }

  async joinGroup(ifindex: number, group: string): Promise<void> {
    const flags = AddressFlag.MCAUTOJOIN | AddressFlag.NOPREFIXROUTE | AddressFlag.NODAD;
    // Of host scope: never taken for the source of anything.
    // IPv6 loses the address when the device goes down, and stays in the group (EADDRINUSE): then it is joined.
    const joined = this.#netlink.addAddress({ ...place(ifindex, group), flags, scope: SCOPE_HOST });
    await unless([errno.EEXIST, errno.EADDRINUSE], joined);
  }

  async leaveGroup(ifindex: number, group: string): Promise<void> {
    try {
      await this.#netlink.deleteAddress(place(ifindex, group));
    } catch (error) {
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
      if (!group.includes(':')) return;
      // Only the removal of its address leaves a group, and Linux 6.18 does not take the address a second time: the device
      // then stays in the group as long as it is there.
      try {
        await this.joinGroup(ifindex, group);
        await this.#netlink.deleteAddress(place(ifindex, group));
      } catch (refused) {
        if (!(refused instanceof MapwireError)) throw refused;
      }
    }
  }

  async addPair({ ifindex, ...pair }: Parameters<HostNetlink['addPair']>[0]): Promise<void> {
    if (ifindex !== undefined) {
      try {
        await this.#netlink.addVeth({ ...pair, ifindex });
        return;
      } catch (error) {
        if (!hasErrno(error, errno.EEXIST)) throw error;
      }
    }
    await this.#netlink.addVeth(pair);
  }

  async addVxlan(device: VxlanDevice): Promise<void> {
    await this.#netlink.addVxlan(device);
  }

  async removeDevice(ifindex: number): Promise<void> {
    await unlessAbsent(this.#netlink.deleteDevice(ifindex));
  }

  async bringUp(ifindex: number): Promise<void> {
    await this.#netlink.changeDevice(ifindex, { ip6Address: 'none' });
    await this.#netlink.changeDevice(ifindex, { up: true });
  }

  async switchable(ifindex: number): Promise<readonly string[]> {
    const { active, changeable } = await this.#netlink.offloads(ifindex);
    return [...active].filter((name) => changeable.has(name));
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    this.#watching ??= this.#watch();
    return () => this.#listeners.delete(listener);
  }

  /** Idempotent. */
  close(): void {
    this.#ended.abort();
    this.#listeners.clear();
    this.#netlink.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        using watch = new NetlinkWatch({ groups: WATCHED, signal });
        // What was lost in an overrun is found by reading everything again, which listeners do anyway.
        for await (const _ of watch) for (const listener of this.#listeners) listener();
      } catch {
        // Out of descriptors or memory: the callers' own periodic look goes on; listen again a little later.
        await new Promise((done) => setTimeout(done, 1000).unref());
      }
    }
  }
}

/** The one address of a group. */
function place(ifindex: number, group: string): AddressPlace {
  const address = ipBytes(group);
  return { ifindex, address, prefixLength: 8 * address.length };
}

async function unless(numbers: readonly number[], work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!numbers.some((number) => hasErrno(error, number))) throw error;
  }
}

/** What is to be removed, or its device with all that it had, is gone. */
async function unlessAbsent(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
  }
}

function vlanOf(device: Device): HostLink['vlan'] {
  const { link, linkNetnsid, vlanId, vlanProtocol } = device;
  if (link === undefined || linkNetnsid !== undefined || vlanId === undefined || vlanProtocol !== ETH_P_8021Q)
    return undefined;
  return { of: link, id: vlanId };
}
