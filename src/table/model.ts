/**
 * The mapping table as everything else sees it. Addresses are canonical text here (MAC lower-case with colons, IPv4
 * dotted, IPv6 by RFC 5952, prefixes with host bits zero); `address.ts` turns them into bytes. Objects are made on
 * demand from the compact store: do not keep them by the million.
 */

/** Is a node to be used? `drain`: only for ports that are at no other live node. */
export type NodeState = 'up' | 'down' | 'drain';

/** How it is found out whether a node lives; what is not given follows from the daemon's configuration. */
export interface TableProbe {
  /** BFD (RFC 5880), Seamless BFD (RFC 7880; nodes of ours only), or not at all. */
  readonly kind?: 'none' | 'bfd' | 's-bfd';
  /** Milliseconds between packets, 10 to 60,000. */
  readonly intervalMs?: number;
  /** Packets in a row that may be lost, 1 to 255. */
  readonly multiplier?: number;
}

/** Is a port to be reached? `drain`: as a member of balanced addresses only where no other is up. */
export type PortState = 'up' | 'down' | 'drain';

export type Encap = 'vxlan' | 'vxlan-gpe' | 'geneve' | 'gre' | 'lisp' | 'flat';

export interface TableNode {
  readonly id: string;
  /** Underlay addresses, in the order of the table; at most one of each family is used. */
  readonly underlay: readonly string[];
  readonly region?: string;
  /** MTU of the node's underlay in bytes (default 1500). */
  readonly mtu: number;
  /** `foreign`: terminates tunnels, and is not ours (a kernel VXLAN device, Open vSwitch, a hardware VTEP). */
  readonly kind: 'mapwire' | 'foreign';
  /** Of a foreign node: which inner sources are accepted from it. */
  readonly guard: 'full' | 'open' | 'off';
  /** Outer UDP checksums over IPv6 to this node; `auto`: zero to our own kind, computed to a foreign node. */
  readonly udp6Checksum: 'auto' | 'zero' | 'computed';
  /** For the whole fleet; undefined: the table does not say. */
  readonly state?: NodeState;
  readonly probe?: TableProbe;
}

export interface TableNetwork {
  readonly id: string;
  readonly encap: Encap;
  /** Segmentation id on the wire: VNI, GRE key, LISP instance id, VLAN id. Of a flat network 0: untagged. */
  readonly segment: number;
  /** Largest layer-3 packet; undefined: it follows from the network's nodes. */
  readonly mtu?: number;
  readonly flood: 'replicate' | 'multicast' | 'none';
  /** Underlay multicast group: given exactly with `flood: multicast`. */
  readonly group?: string;
  readonly unknown: 'drop' | 'flood';
  readonly vlan: 'drop' | 'transparent';
  /** Which link-local sources guard `full` accepts beside the EUI-64 one. */
  readonly linkLocal: 'any' | 'eui64';
}

export interface TableLocator {
  readonly node: string;
  /** The port's interface on that node, when the table names it. */
  readonly interface?: string;
  /** Overrides the network's segment on that node. */
  readonly segment?: number;
  /** Lower is preferred; 255 is never used (RFC 9300). */
  readonly priority: number;
  readonly weight: number;
  /** Nodes (ids, or `region:ID`) that have this locator, beside its own node; undefined: all. */
  readonly for?: readonly string[];
  /** Nodes that prefer it to the port's others. */
  readonly prefer?: readonly string[];
  /** Where the port moves to: not yet its place. Its priority is 255, so that nothing else takes it for one. */
  readonly pending?: true;
}

/** How a move goes on. */
export interface TableMove {
  /** Where frames go meanwhile. */
  readonly send: 'old' | 'new' | 'both';
  /** What makes the new place the port's: the next table, or the guest's own announcement from there. */
  readonly activate: 'table' | 'announcement';
}

export interface TablePort {
  readonly id: string;
  readonly network: string;
  readonly mac: string;
  readonly macs: readonly string[];
  readonly ips: readonly string[];
  /** Further source prefixes, e.g. `10.9.0.0/24`. */
  readonly allow: readonly string[];
  readonly role?: 'router' | 'dhcp';
  /** At most 4, in order of preference (priority, then order in the table); during a move the pending one is the last. */
  readonly at: readonly TableLocator[];
  /** Undefined: it is up. */
  readonly state?: Exclude<PortState, 'up'>;
  /** Rises with every move: what tells of an older one counts no more. Undefined: 0. */
  readonly sequence?: number;
  /** Given exactly while a locator is pending. */
  readonly move?: TableMove;
}

/** A port that serves a balanced address. */
export interface TableMember {
  readonly port: string;
  /** 1–100: its part of the flows, beside others of its priority. */
  readonly weight: number;
  /** 0–254: lower is preferred; the next is used while nobody of this one is live. */
  readonly priority: number;
  /** `down`: gets no flows; it may still send from the address. */
  readonly state: 'up' | 'down';
}

/** An address that several ports serve: each flow goes to one of them. */
export interface TableAddress {
  readonly id: string;
  readonly network: string;
  /** What ARP and neighbour discovery answer with; no port's. */
  readonly mac: string;
  readonly ips: readonly string[];
  /** `source`: all that one source address sends goes to one member. */
  readonly affinity: 'flow' | 'source';
  /** Of equal priority first: members at the sender's node, or in its region. */
  readonly prefer: 'none' | 'local' | 'region';
  /** At least so many slots, whoever the members are; `DEFAULT_SLOTS` when left out. */
  readonly slots?: number;
  /** In the order of their ports' ids. */
  readonly members: readonly TableMember[];
}

/** A complete, valid table at one revision. Immutable: an edit makes a new one that shares what did not change. */
export interface Table {
  readonly revision: number;
  readonly nodes: ReadonlyMap<string, TableNode>;
  readonly networks: ReadonlyMap<string, TableNetwork>;
  readonly addresses: ReadonlyMap<string, TableAddress>;
  readonly portCount: number;
  port(id: string): TablePort | undefined;
  ports(): IterableIterator<TablePort>;
}
