import { MapwireError } from '../../errors.ts';
import { addon } from '../addon.ts';
import { AttachType } from '../constants.ts';
import { objectIds } from '../kernel-object.ts';
import { type Direction, Link } from '../link.ts';
import { Program } from '../program.ts';
import { Errno, systemError } from '../system-error.ts';
import {
  type Address,
  type AddressPlace,
  addAddress,
  deleteAddress,
  listAddresses,
  type NewAddress,
} from './addresses.ts';
import { changeDevice, type Device, type DeviceChange, getDevice, listDevices } from './devices.ts';
import { addReceivedMac, deleteReceivedMac, listReceivedMacs } from './fdb.ts';
import { familyId } from './generic.ts';
import {
  deleteNeighbour,
  getNeighbour,
  listNeighbours,
  manageNeighbour,
  type Neighbour,
  type NeighbourChange,
  type NeighbourPlace,
  putNeighbour,
} from './neighbours.ts';
import { getOffloads, type Offloads, setOffloads } from './offloads.ts';
import { getRoute, listRoutes, type Route, type RouteQuestion } from './routes.ts';
import { NetlinkSocket, Protocol } from './socket.ts';
import { filters } from './tc.ts';
import { addVeth, deleteDevice, type VethPair } from './veth.ts';
import { addVxlan, type VxlanDevice } from './vxlan.ts';
import { getXdpFeatures, type XdpFeatures } from './xdp-features.ts';

/** A program found on a device. */
export interface AttachedProgram {
  readonly hook: 'xdp-native' | 'xdp-generic' | 'xdp-offloaded' | 'tcx' | 'clsact';
  /** TC only */
  readonly direction?: Direction;
  readonly programId: number;
  /** Absent when the program went meanwhile. */
  readonly programName?: string;
  /** Absent when it is attached without a bpf_link. */
  readonly linkId?: number;
  /** clsact only */
  readonly priority?: number;
  /** clsact only */
  readonly handle?: number;
}

/**
 * The network of this namespace, through rtnetlink and generic netlink. Every method is a request answered in order;
 * dumps are strict and repeated when interrupted.
 *
 * All throw ERR_MW_NETLINK with the kernel's own words in `details.kernel`, ERR_MW_NOT_FOUND for what is not there,
 * ERR_MW_PRIVILEGE, ERR_MW_CLOSED.
 */
export class Netlink implements Disposable {
  readonly #route = new NetlinkSocket(Protocol.ROUTE);
  #generic: NetlinkSocket | undefined;
  readonly #families = new Map<string, Promise<number | undefined>>();

  /** All devices. */
  devices(): Promise<Device[]> {
    return listDevices(this.#route);
  }

  /** One device by index or name. @throws ERR_MW_NOT_FOUND */
  device(which: number | string): Promise<Device> {
    return getDevice(this.#route, which);
  }

  /** Changes MTU, state, promiscuous mode, alias, or how the IPv6 address is made. */
  changeDevice(ifindex: number, change: DeviceChange): Promise<void> {
    return changeDevice(this.#route, ifindex, change);
  }

  /** What the driver can do with XDP; undefined before kernel 6.3 or when the device is gone. */
  async xdpFeatures(ifindex: number): Promise<XdpFeatures | undefined> {
    const family = await this.#family('netdev');
    return family === undefined ? undefined : await getXdpFeatures(this.#genericSocket(), family, ifindex);
  }

  /** Offload features (GRO, checksums, segmentation …) by the kernel's names. @throws ERR_MW_UNSUPPORTED */
  async offloads(ifindex: number): Promise<Offloads> {
    return await getOffloads(this.#genericSocket(), await this.#ethtool(), ifindex);
  }

  /**
   * Switches offloads, e.g. `{ 'rx-gro': true }`.
   *
   * @returns the names of those that did not become what was wanted
   * @throws ERR_MW_NETLINK for an unknown name
   */
  async setOffloads(ifindex: number, wanted: Readonly<Record<string, boolean>>): Promise<string[]> {
    return await setOffloads(this.#genericSocket(), await this.#ethtool(), ifindex, wanted);
  }

  /** @param ifindex only of this device */
  addresses(ifindex = 0): Promise<Address[]> {
    return listAddresses(this.#route, ifindex);
  }

  /**
   * Adds an address, e.g. a group with `AddressFlag.MCAUTOJOIN`, which the kernel joins as long as it is there.
   *
   * @throws ERR_MW_NETLINK with EEXIST in `details` when it is there
   */
  addAddress(address: NewAddress): Promise<void> {
    return addAddress(this.#route, address);
  }

  /** @throws ERR_MW_NOT_FOUND */
  deleteAddress(place: AddressPlace): Promise<void> {
    return deleteAddress(this.#route, place);
  }

  /** MACs that a device receives beside its own, whoever asked for them. */
  receivedMacs(ifindex: number): Promise<Uint8Array[]> {
    return listReceivedMacs(this.#route, ifindex);
  }

  /** Has a device receive a further MAC. @throws ERR_MW_NETLINK with EEXIST in `details` when it does already */
  addReceivedMac(ifindex: number, mac: Uint8Array): Promise<void> {
    return addReceivedMac(this.#route, ifindex, mac);
  }

  /** @throws ERR_MW_NOT_FOUND */
  deleteReceivedMac(ifindex: number, mac: Uint8Array): Promise<void> {
    return deleteReceivedMac(this.#route, ifindex, mac);
  }

  /** Makes a veth pair, both ends here and down. @throws ERR_MW_NETLINK with EEXIST in `details` when a name is taken */
  addVeth(pair: VethPair): Promise<void> {
    return addVeth(this.#route, pair);
  }

  /**
   * Makes a VXLAN device that is down, learns nothing and has no remote.
   *
   * @throws ERR_MW_NETLINK with EEXIST in `details` when the name, or the VNI at that port, is taken; EOPNOTSUPP without the module
   */
  addVxlan(device: VxlanDevice): Promise<void> {
    return addVxlan(this.#route, device);
  }

  /** Removes a virtual device; of a veth pair both ends. @throws ERR_MW_NOT_FOUND, ERR_MW_UNSUPPORTED for a physical one */
  deleteDevice(ifindex: number): Promise<void> {
    return deleteDevice(this.#route, ifindex);
  }

  /** Routes of all tables, IPv4 and IPv6. */
  routes(): Promise<Route[]> {
    return listRoutes(this.#route);
  }

  /**
   * How this host would send to an address.
   *
   * @param destination 4 or 16 bytes
   * @throws ERR_MW_NETLINK with ENETUNREACH and the like in `details` when there is no route
   */
  routeTo(destination: Uint8Array, question: RouteQuestion = {}): Promise<Route> {
    return getRoute(this.#route, destination, question);
  }

  neighbours(): Promise<Neighbour[]> {
    return listNeighbours(this.#route);
  }

  /** @throws ERR_MW_NOT_FOUND */
  neighbour(place: NeighbourPlace): Promise<Neighbour> {
    return getNeighbour(this.#route, place.ifindex, place.address);
  }

  /** Makes or changes a neighbour entry. */
  putNeighbour(change: NeighbourChange): Promise<void> {
    return putNeighbour(this.#route, change);
  }

  /**
   * Has the kernel resolve a neighbour and keep it resolved (kernel 5.16). On older ones `probed`: it was asked for once, call
   * again from time to time.
   *
   * @param place.protocol RTPROT_* that marks the entry as one's own
   */
  manageNeighbour(place: NeighbourPlace & { readonly protocol?: number }): Promise<'managed' | 'probed'> {
    return manageNeighbour(this.#route, place);
  }

  /** @throws ERR_MW_NOT_FOUND */
  deleteNeighbour(place: NeighbourPlace): Promise<void> {
    return deleteNeighbour(this.#route, place);
  }

  /** Every XDP and TC program on a device, with the links that hold them. */
  async attachedPrograms(ifindex: number): Promise<AttachedProgram[]> {
    const found: AttachedProgram[] = [];
    const { xdp } = await this.device(ifindex);
    const add = (entry: Omit<AttachedProgram, 'programName'>): void => {
      const programName = nameOf(entry.programId);
      found.push({ ...entry, ...(programName === undefined ? {} : { programName }) });
    };
    for (const [hook, programId] of [
      ['xdp-native', xdp.native],
      ['xdp-generic', xdp.generic],
      ['xdp-offloaded', xdp.offloaded],
    ] as const) {
      if (programId === 0) continue;
      const linkId = xdpLinkOf(ifindex, programId);
      add({ hook, programId, ...(linkId === undefined ? {} : { linkId }) });
    }
    for (const direction of ['ingress', 'egress'] as const) {
      for (const { programId, linkId } of tcxPrograms(ifindex, direction)) {
        add({ hook: 'tcx', direction, programId, ...(linkId === 0 ? {} : { linkId }) });
      }
      for (const filter of await filters(this.#route, ifindex, direction)) {
        if (filter.programId === undefined) continue;
        const { programId, priority, handle } = filter;
        add({ hook: 'clsact', direction, programId, priority, handle });
      }
    }
    return found;
  }

  close(): void {
    this.#route.close();
    this.#generic?.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #genericSocket(): NetlinkSocket {
    if (this.#route.closed) throw new MapwireError('ERR_MW_CLOSED', 'netlink is closed');
    this.#generic ??= new NetlinkSocket(Protocol.GENERIC);
    return this.#generic;
  }

  #family(name: string): Promise<number | undefined> {
    let id = this.#families.get(name);
    if (id === undefined) {
      id = familyId(this.#genericSocket(), name);
      this.#families.set(name, id);
      // A failure is not remembered; the one who asked gets it.
      id.catch(() => this.#families.delete(name));
    }
    return id;
  }

  async #ethtool(): Promise<number> {
    const family = await this.#family('ethtool');
    if (family !== undefined) return family;
    throw new MapwireError('ERR_MW_UNSUPPORTED', 'this kernel has no ethtool netlink', {
      hint: 'it needs CONFIG_ETHTOOL_NETLINK (kernel 5.7)',
    });
  }
}

function nameOf(programId: number): string | undefined {
  try {
    using program = Program.fromId(programId);
    return program.name;
  } catch (error) {
    if (error instanceof MapwireError && error.code === 'ERR_MW_NOT_FOUND') return undefined;
    throw error;
  }
}

/** Links tell their device's index but not its namespace; the program's id makes it certain enough. */
function xdpLinkOf(ifindex: number, programId: number): number | undefined {
  for (const id of objectIds('link')) {
    try {
      using link = Link.fromId(id);
      const info = link.info();
      if (info.kind === 'xdp' && info.ifindex === ifindex && info.programId === programId) return id;
    } catch (error) {
      if (!(error instanceof MapwireError) || error.code !== 'ERR_MW_NOT_FOUND') throw error;
    }
  }
  return undefined;
}

function tcxPrograms(
  ifindex: number,
  direction: Direction,
): readonly { readonly programId: number; readonly linkId: number }[] {
  const result = addon().programQuery(
    ifindex,
    direction === 'ingress' ? AttachType.TCX_INGRESS : AttachType.TCX_EGRESS,
  );
  if (typeof result !== 'number') return result.programs;
  // Before 6.6 the attach type is unknown; from then on a device without programs may answer ENOENT.
  if (result === -Errno.EINVAL || result === -Errno.ENOENT) return [];
  throw systemError(result, 'bpf(BPF_PROG_QUERY)', `TCX programs of device ${ifindex}`);
}
