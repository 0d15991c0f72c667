/** What attachments and next hops need of the kernel's network configuration. */

/** One way of a route. */
export interface HostPath {
  readonly ifindex: number;
  /** The next hop's address (of either family), when the destination is not on-link. */
  readonly gateway: string | undefined;
  /** The kernel knows that nothing gets out there: its device is down or has no carrier. */
  readonly dead: boolean;
}

export interface HostNeighbour {
  readonly ifindex: number;
  readonly address: string;
  /** 6 bytes, once known. */
  readonly mac: Uint8Array | undefined;
  /** NUD_* (include/uapi/linux/neighbour.h). */
  readonly state: number;
  /** Kept resolved by the kernel, because somebody asked for it. */
  readonly managed: boolean;
}

export interface HostLink {
  readonly ifindex: number;
  readonly name: string;
  /** 6 bytes. */
  readonly mac: Uint8Array;
  /** Administratively. */
  readonly up: boolean;
  readonly carrier: boolean;
  readonly mtu: number;
  /** Of a device for a VLAN (802.1Q) of another one here: that one and the tag. */
  readonly vlan: { readonly of: number; readonly id: number } | undefined;
  /** Program attached by XDP, in the driver or in the stack. */
  readonly xdpProgramId: number | undefined;
}

export interface HostOffload {
  readonly active: boolean;
  readonly changeable: boolean;
}

export interface HostNetlink {
  links(): Promise<readonly HostLink[]>;
  /**
   * Every way of the route to an underlay address; none: there is no route.
   *
   * @param device only by this device
   */
  routeTo(address: string, device?: number): Promise<readonly HostPath[]>;
  neighbours(): Promise<readonly HostNeighbour[]>;
  /** Asks the kernel to resolve a neighbour and to keep it so (NTF_EXT_MANAGED, 5.16; before that NTF_USE once). */
  manageNeighbour(ifindex: number, address: string): Promise<void>;
  /** Removes an entry; absent is fine. */
  removeNeighbour(ifindex: number, address: string): Promise<void>;
  /** An offload by the kernel's name. */
  offload(ifindex: number, name: string): Promise<HostOffload>;
  /** Switches an offload. Gives whether it is so now. */
  setOffload(ifindex: number, name: string, on: boolean): Promise<boolean>;
  /** MACs (unicast and group, in text) that a device receives beside its own. */
  receivedMacs(ifindex: number): Promise<ReadonlySet<string>>;
  /** Has a device receive a MAC; one that it receives already is fine. */
  receiveMac(ifindex: number, mac: string): Promise<void>;
  /** Ends that; absent is fine. */
  forgetMac(ifindex: number, mac: string): Promise<void>;
  /** Groups that a device is in because of an address with `autojoin`. */
  joinedGroups(ifindex: number): Promise<ReadonlySet<string>>;
  /** Joins a group in a way that no process has to hold: an address with `autojoin`. One that is there is fine. */
  joinGroup(ifindex: number, group: string): Promise<void>;
  /** Ends that; absent is fine. */
  leaveGroup(ifindex: number, group: string): Promise<void>;
  /**
   * Makes a veth pair, both ends here.
   *
   * @param pair `ifindex` is that of `name`, if it can be had
   */
  addPair(pair: {
    readonly name: string;
    readonly peer: string;
    readonly mtu: number;
    readonly ifindex: number | undefined;
  }): Promise<void>;
  /** Makes a VXLAN device that is down and leads nowhere. */
  addVxlan(device: {
    readonly name: string;
    readonly vni: number;
    readonly port: number;
    readonly local: Uint8Array;
  }): Promise<void>;
  /** Removes a device; absent is fine. */
  removeDevice(ifindex: number): Promise<void>;
  /** Brings a device up without an IPv6 address of its own. */
  bringUp(ifindex: number): Promise<void>;
  /** Names of the offloads that are on and can be switched off. */
  switchable(ifindex: number): Promise<readonly string[]>;
  /** Calls back after links, addresses, routes or neighbours changed (also after an overrun). */
  onChange(listener: () => void): () => void;
}
