/**
 * What goes into the reference model and what comes out of it. Everything is named as the table names it (ids of ports,
 * nodes and networks; names of devices): the model knows no kernel id.
 */

import type { NodeState } from '../table/model.ts';

/** The program that looks at the packet: the two differ in what XDP leaves to TC (packet-rules.md §5). */
export type Hook = 'xdp' | 'tc';

/** Which of the two programs of a hook: the one on local ports or the one on underlay devices. */
export type Program = 'port' | 'underlay';

export type Guard = 'off' | 'mac' | 'full';

/** Names of `enum mw_verdict_kind`, lower case. */
export type VerdictName = 'drop' | 'stack' | 'left' | 'deliver' | 'encap' | 'answer' | 'flood';

/**
 * Names of `enum mw_reason`, in the form that commands print. A test binds this list to bpf/reasons.h.
 */
export const REASON_NAMES = [
  'none',
  'malformed',
  'link-control',
  'source-multicast',
  'tagged',
  'stale',
  'unknown-unicast',
  'flood-off',
  'no-locator',
  'no-interface',
  'internal',
  'not-active',
  'no-port',
  'underlay-source',
  'guard-mac',
  'guard-ip',
  'guard-arp',
  'guard-nd',
  'guard-router',
  'guard-dhcp',
  'hairpin',
  'no-node',
  'no-nexthop',
  'too-big',
  'headroom',
  'nested-gso',
  'not-ip',
  'flood-rate',
  'flood-copy',
  'no-segmenter',
  'balanced-fragment',
  'outer-malformed',
  'tunnel-header',
  'unknown-segment',
  'unknown-node',
  'guard-remote',
  'not-local',
  'port-mtu',
  'ecn',
  'tunnel-option',
  'probe-malformed',
  'probe-ttl',
  'probe-discriminator',
] as const;

export type ReasonName = (typeof REASON_NAMES)[number];

/** A network device of the node, as far as the packet rules care. */
export interface Device {
  readonly name: string;
  /** Its own MAC: what the underlay program accepts. */
  readonly mac: string;
  /** Largest layer-3 packet it takes, in bytes. */
  readonly mtu: number;
  /** Takes frames redirected by XDP. */
  readonly xdpRedirect: boolean;
  /** Takes multi-buffer frames redirected by XDP. */
  readonly xdpFrags: boolean;
  /** What comes from it may have unfinished TCP and UDP checksums (veth, tap). */
  readonly partialChecksum: boolean;
}

/** Where packets for a node go. */
export interface NextHop {
  /** Name of the underlay device; undefined: not resolved. */
  readonly device: string | undefined;
  /** MAC of the next hop. */
  readonly destination: string;
  /** MAC of the device. */
  readonly source: string;
}

/** By which device, and with which MAC, flat frames and copies for groups leave. */
export interface Uplink {
  readonly device: string;
  readonly source: string;
}

/** UDP port of each encapsulation over UDP. */
export interface TunnelPorts {
  readonly vxlan: number;
  readonly 'vxlan-gpe': number;
  readonly geneve: number;
  readonly lisp: number;
}

/** A VLAN tag beside the frame: EtherType 0x8100 or 0x88a8, and priority, drop eligibility and VLAN id as one word. */
export interface Tag {
  readonly etherType: number;
  readonly tci: number;
}

/** The place of a port before its last move. */
export interface Former {
  readonly node: string;
  /** The grace after the move is over. */
  readonly past: boolean;
}

/** Map entries that a {@link Fault} can spoil. The key is written as the trace writes it. */
export type FaultTarget =
  | 'ip' // '<network> <address>'
  | 'mac' // '<network> <mac>'
  | 'source-mac' // '<network> <mac>'
  | 'allow' // '<port> <prefix>'
  | 'port' // '<port>'
  | 'network' // '<network>'
  | 'segment' // '<encap> <segment>'; '<segment>' alone: of VXLAN
  | 'vtep' // '<address>', also of a group
  | 'node' // '<node>', 'group <address>' or 'the wire'
  | 'link' // '<device>'
  | 'local' // '<port>'
  | 'flood' // '<network>'
  | 'balance'; // '<address>'

/**
 * A state of the maps that no table produces: an entry that is missing, that carries another key's identity, or that
 * belongs to another network. All happen for an instant while maps change; tests hold them still.
 */
export interface Fault {
  readonly target: FaultTarget;
  readonly key: string;
  /** `foreign` (of `port` and `local`): the entry belongs to another network. */
  readonly effect: 'missing' | 'stale' | 'foreign';
}

/** What the packet rules depend on beside the table: this node, its devices and its configuration. */
export interface Environment {
  /** Id of this node in the table. */
  readonly node: string;
  readonly devices: ReadonlyMap<string, Device>;
  /** Port id -> name of its device, for the ports whose interface is present. */
  readonly interfaces: ReadonlyMap<string, string>;
  /** Names of the underlay devices. */
  readonly underlay: ReadonlySet<string>;
  /** Node id -> next hops, in order; the first two count. */
  readonly nextHops: ReadonlyMap<string, readonly NextHop[]>;
  /** Undefined: not resolved. */
  readonly uplink: Uplink | undefined;
  /** VLAN id of the tunnels' frames on the underlay; 0: untagged. */
  readonly underlayVlan: number;
  /** Node id -> largest outer packet that gets there, as routers told. */
  readonly nodeMtu: ReadonlyMap<string, number>;
  /** Node id -> its state, where that is another than the table says. */
  readonly states: ReadonlyMap<string, NodeState>;
  /** Port id -> its former place. */
  readonly former: ReadonlyMap<string, Former>;
  /** Ids of ports whose guests announced themselves where they move to. */
  readonly heard: ReadonlySet<string>;
  readonly guard: Guard;
  readonly unknownSegment: 'drop' | 'stack';
  readonly ports: TunnelPorts;
  /** Of outer headers. */
  readonly ttl: number;
  /** Of outer headers, 0 to 63; `uniform`: the inner packet's. */
  readonly dscp: number | 'uniform';
  /** The rate of too-big answers is used up. */
  readonly tooBigSpent: boolean;
  /** The rate of flooded frames is used up. */
  readonly floodSpent: boolean;
  /** This node's discriminator of S-BFD; 0: probes are not answered. */
  readonly discriminator: number;
  /** Hops that a probe may have made, 1 to 255. */
  readonly probeHops: number;
  /** There is a device that cuts super-packets. */
  readonly segmenter: boolean;
  /** The programs were loaded with every encapsulation and feature, also those that no network of the node uses. */
  readonly allFeatures?: boolean;
  readonly faults: readonly Fault[];
}

/** What became of a packet: packet-rules.md §6, with names for numbers. Fields that are not set are absent. */
export interface VerdictRecord {
  readonly verdict: VerdictName;
  readonly reason: ReasonName;
  readonly network?: string;
  readonly port?: string;
  readonly node?: string;
  readonly device?: string;
  readonly segment?: number;
  readonly copies?: number;
}

/** Stands for the segmenting pair in records and outputs: no device of the environment. */
export const SEGMENTER_DEVICE = 'segmenter';

/** A frame and the device it leaves by. */
export interface OutputFrame {
  readonly device: string;
  readonly frame: Uint8Array;
  /** TC: the tag beside the frame, its 16 bits (with priority 0 the VLAN id). */
  readonly tag?: number;
}

/** One check: the rule it belongs to, what was looked at, what was found. */
export interface Step {
  /** Section and rule of packet-rules.md, e.g. `2.9`. */
  readonly rule: string;
  readonly asked: string;
  readonly found: string;
}

export interface Simulation {
  readonly record: VerdictRecord;
  /** One frame for deliver, encap and answer; one a copy for flood, in no particular order; none for drop, stack, left. Behind it that for the place a port moves to. */
  readonly outputs: readonly OutputFrame[];
  /** Of a flood from the wire: the packet itself goes on to the host's stack too. */
  readonly toStack?: true;
  /** The port whose guest announces itself by this where it moves to: it is there from now on. */
  readonly heard?: string;
  readonly steps: readonly Step[];
}
