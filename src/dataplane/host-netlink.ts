/** What attachments and next hops need of the kernel's network configuration. */

export interface HostRoute {
  readonly ifindex: number;
  /** The next hop's address, when the destination is not on-link. */
  readonly gateway: string | undefined;
}

export interface HostNeighbour {
  readonly ifindex: number;
  readonly address: string;
  /** 6 bytes, once known. */
  readonly mac: Uint8Array | undefined;
  /** NUD_* (include/uapi/linux/neighbour.h). */
  readonly state: number;
}

export interface HostLink {
  readonly ifindex: number;
  readonly name: string;
  /** 6 bytes. */
  readonly mac: Uint8Array;
  readonly up: boolean;
  /** Program attached by XDP, in the driver or in the stack. */
  readonly xdpProgramId: number | undefined;
}

export interface HostOffload {
  readonly active: boolean;
  readonly changeable: boolean;
}

export interface HostNetlink {
  links(): Promise<readonly HostLink[]>;
  /** The route to an underlay address; undefined: there is none. */
  routeTo(address: string): Promise<HostRoute | undefined>;
  neighbours(): Promise<readonly HostNeighbour[]>;
  /** Asks the kernel to resolve a neighbour and to keep it so (NTF_EXT_MANAGED, 5.16; before that NTF_USE once). */
  manageNeighbour(ifindex: number, address: string): Promise<void>;
  /** Removes an entry; absent is fine. */
  removeNeighbour(ifindex: number, address: string): Promise<void>;
  /** An offload by the kernel's name. */
  offload(ifindex: number, name: string): Promise<HostOffload>;
  /** Switches an offload. Gives whether it is so now. */
  setOffload(ifindex: number, name: string, on: boolean): Promise<boolean>;
  /** Calls back after links, addresses, routes or neighbours changed (also after an overrun). */
  onChange(listener: () => void): () => void;
}
