import type { Row } from '../compiler/index.ts';
import type { ErrorCode } from '../errors.ts';
import type { TableLayout } from './table-layout.ts';

export type HookSetting = 'auto' | 'xdp' | 'tc';
export type GuardSetting = 'full' | 'mac' | 'off';
/** `segmenter`: the far end of the pair that cuts super-packets for nodes that want outer checksums. */
export type DeviceRole = 'port' | 'underlay' | 'segmenter';

/** What an earlier process knew of the kernel when it last wrote: as long as that is so, its maps of ports need not be read at once. */
export interface KernelState {
  /** Hex. */
  readonly instance: string;
  readonly generation: number;
  readonly layout: number;
  /** Of the plan last written. */
  readonly revision: number;
  /** Ids and their natural keys. */
  readonly addresses: readonly (readonly [number, string])[];
  readonly networks: readonly (readonly [number, string])[];
  readonly nodes: readonly (readonly [number, string])[];
}

export interface DataplaneOptions {
  /** Read the maps of ports (for their ids, and to compare them) only if this is not so. */
  readonly known?: KernelState;
  /** Folder in a bpffs; made (mode 0700) when absent. One per instance. */
  readonly pinDir: string;
  /** Folder for device settings to put back; made (mode 0700) when absent. */
  readonly stateDir: string;
  /** The underlay devices; a name alone is an untagged one. */
  readonly underlay: readonly (string | UnderlayDevice)[];
  /** Default `auto`. */
  readonly hook?: HookSetting;
  /** Default `full`. */
  readonly guard?: GuardSetting;
  /** How long a port's former node is still accepted as its place, in milliseconds. Default 5000. */
  readonly guardGraceMs?: number;
  /** UDP ports that tunnels are sent to and taken from. Default: those that IANA assigned. */
  readonly ports?: Partial<TunnelPorts>;
  /** TTL (hop limit) of outer headers. Default 64. */
  readonly ttl?: number;
  /** DSCP of outer headers, 0 to 63, or that of the inner packet. Default 0. */
  readonly dscp?: number | 'uniform';
  /** Frames a second and port that are flooded; 0: no limit. Default 1000. */
  readonly floodRate?: number;
  /** Default `drop`. */
  readonly unknownSegment?: 'drop' | 'stack';
  /** ICMP too-big answers a second and port; 0: no limit. Default 10. */
  readonly tooBigRate?: number;
  /**
   * Programs are made for what the plan contains, and made anew behind it when that changes (`auto`, the default), or are the same
   * for any plan and read the maps for every packet (`off`).
   */
  readonly specialise?: 'auto' | 'off';
  /** How long after the last edit programs are made anew, in milliseconds. Default 5000. */
  readonly specialiseAfterMs?: number;
  /** Hops between nodes, 1 to 255: probes that came over more are not answered. Default 1. */
  readonly probeHops?: number;
  /** Where the address mappings are. Default `hash`. */
  readonly layout?: TableLayout;
  /** The compiled objects; default: those in `dist/bpf` of this package. */
  readonly objects?: ObjectFiles;
  /**
   * Called before each step of a switch of generations, of an attachment and of `down`, by name; awaited. For tests that
   * end the process there.
   */
  readonly onStep?: (step: string) => void | Promise<void>;
}

/** A device that tunnels leave by. */
export interface UnderlayDevice {
  readonly device: string;
  /** VLAN id of the tunnels' 802.1Q tag; absent or 0: untagged. */
  readonly vlan?: number;
}

/** UDP port of each encapsulation over UDP. */
export interface TunnelPorts {
  readonly vxlan: number;
  readonly 'vxlan-gpe': number;
  readonly geneve: number;
  readonly lisp: number;
}

export interface ObjectFiles {
  /** Paths. */
  readonly xdp: string;
  readonly tc: string;
  /** XDP for devices that keep VLAN tags beside the frame; without it they get TC alone. */
  readonly bound?: string;
}

/** Something that is not as it should be, and what to do about it. The rest goes on. */
export interface Problem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string | undefined;
  /** What it is about, e.g. `device eth0`, `port web-1`, `node host-b`, `map ip4`. */
  readonly subject: string;
}

/** What one `apply` did. */
export interface ApplyReport {
  readonly revision: number;
  /** Elements written and removed, by map; maps without any are absent. */
  readonly writes: Readonly<Record<string, number>>;
  readonly total: number;
  /** The generation in force, and why it was made now; undefined reason: it was there already. */
  readonly generation: number;
  readonly switched: string | undefined;
  readonly milliseconds: number;
}

/** A device that this instance knows of. */
export interface DeviceStatus {
  readonly name: string;
  readonly role: DeviceRole;
  /** Table id; role `port`. */
  readonly port: string | undefined;
  /** Role `underlay`: the tag of the tunnels; 0: none. */
  readonly vlan: number;
  /** 0: the device is absent. */
  readonly ifindex: number;
  readonly kind: string | undefined;
  readonly mtu: number;
  /** What is attached. */
  readonly hook: 'xdp' | 'tc' | 'none';
  /** Which rule led to it. */
  readonly why: string;
  /** Names of `enum mw_device_flags`, lower case. */
  readonly capabilities: readonly string[];
  readonly slot: number | undefined;
}

/** One way of the route to a node. */
export interface NextHopWay {
  /** The underlay device; undefined: it leaves by another one. */
  readonly device: string | undefined;
  /** The tag on it; 0: none. */
  readonly vlan: number;
  /** The gateway, or the node's own address. */
  readonly via: string;
  readonly mac: string | undefined;
  /** At most two are; they share the flows. */
  readonly used: boolean;
  /** Why it is not used. */
  readonly why: string | undefined;
}

export interface NextHopStatus {
  readonly node: string;
  readonly address: string;
  /** Of the underlay address; undefined: the two have none in common. */
  readonly family: 4 | 6 | undefined;
  /** There is a way. */
  readonly resolved: boolean;
  /** Of the first way in use. */
  readonly device: string | undefined;
  readonly via: string | undefined;
  readonly mac: string | undefined;
  readonly ways: readonly NextHopWay[];
  /** The largest outer packet that gets there, as far as is known; undefined: there is no way. */
  readonly mtu: number | undefined;
  /** What a router told, if that is less than the uplinks take; forgotten after ten minutes. */
  readonly pathMtu: number | undefined;
  /** Why it is not resolved. */
  readonly why: string | undefined;
}

/** A multicast group that this node sends copies to. */
export interface GroupStatus {
  /** Its address. */
  readonly group: string;
  readonly networks: readonly string[];
  /** The first underlay device that is up; undefined: none is. */
  readonly device: string | undefined;
  readonly vlan: number;
  readonly mac: string;
}

export interface MapFill {
  readonly map: string;
  readonly entries: number;
  readonly capacity: number;
}

export interface DataplaneStatus {
  /** Of the plan in force; undefined: none was applied by this process. */
  readonly revision: number | undefined;
  /** 0: nothing is pinned. */
  readonly generation: number;
  readonly layout: number;
  readonly programs: ProgramsStatus;
  /** Where the address mappings in force are; undefined: nothing is pinned, or another version made it. */
  readonly tableLayout: TableLayout | undefined;
  readonly devices: readonly DeviceStatus[];
  readonly nextHops: readonly NextHopStatus[];
  readonly groups: readonly GroupStatus[];
  readonly maps: readonly MapFill[];
  readonly problems: readonly Problem[];
}

/** What the programs in force were made for. */
export interface ProgramsStatus {
  /**
   * `plan`: for what the plan contains. `generic`: for any, by `specialise: off`. `meanwhile`: for any, on TC alone, until those for a
   * plan of another shape are loaded. `none`: nothing is in force, or another layout is.
   */
  readonly made: 'plan' | 'generic' | 'meanwhile' | 'none';
  readonly encaps: readonly string[];
  /** Beside the encapsulations, e.g. `ip6`, `allow`. */
  readonly features: readonly string[];
}

export interface DropCount {
  readonly reason: string;
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface TrafficCount {
  readonly device: string;
  readonly role: DeviceRole;
  readonly port: string | undefined;
  readonly rxPackets: bigint;
  readonly rxBytes: bigint;
  readonly txPackets: bigint;
  readonly txBytes: bigint;
  readonly drops: bigint;
  readonly answers: bigint;
}

/** What the live program did with a frame, ids joined to names. */
export interface TraceResult {
  /** The program that decided. */
  readonly hook: 'xdp' | 'tc';
  readonly verdict: string;
  readonly reason: string;
  readonly network: string | undefined;
  readonly port: string | undefined;
  readonly node: string | undefined;
  readonly device: string | undefined;
  readonly segment: number | undefined;
  readonly copies: number | undefined;
  /** The frame as it left the program. */
  readonly frame: Uint8Array;
}

export type DataplaneEvent =
  /** A device appeared, vanished, or is attached otherwise now. */
  | { readonly type: 'device'; readonly device: DeviceStatus }
  | { readonly type: 'nexthop'; readonly nextHop: NextHopStatus }
  /** The guest of a port announced itself at the node it moves to: there it is now. */
  | { readonly type: 'heard'; readonly port: string; readonly sequence: number }
  | { readonly type: 'problem'; readonly problem: Problem }
  /** Something that happened by itself could not be applied; the data plane tries again. */
  | { readonly type: 'error'; readonly error: unknown };

export interface DownReport {
  readonly links: number;
  readonly generations: number;
  readonly neighbours: number;
  /** MACs and groups that underlay devices were made to receive. */
  readonly receptions: number;
  readonly settings: number;
  /** Pairs of devices. */
  readonly pairs: number;
  /** Other devices. */
  readonly devices: number;
}

/** A dump of one kernel map, ids joined to names. */
export interface MapDump {
  readonly map: string;
  readonly entries: readonly Row[];
}
