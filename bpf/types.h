/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The layout of every map: the single description of it.
 *
 * TypeScript reads these structs from the object's BTF (src/generated/), nothing describes them a second
 * time. Rules: fixed-width fields, explicit padding (named pad*, always zero: hash keys compare it),
 * network order in fields named *_be, no bitfields, nothing packed. Ids are small dense integers chosen
 * by the daemon; 0 is never a valid id. Underlay and IPv6 addresses are 16 bytes in network order, IPv4
 * in mapped form (::ffff:a.b.c.d) where one field holds both families.
 *
 * A value of an address map carries the identity of its key: the kernel reuses a freed element of a hash
 * at once, so a copied value may be another key's. The reader compares, retries once, then drops.
 */
#ifndef MW_TYPES_H
#define MW_TYPES_H

#include <linux/types.h>

/* Part of every map's name. Raise it when a struct below, or what one means, changes; see docs/pin-directory.md. */
#define MW_LAYOUT_VERSION 5

#define MW_ETH_ALEN 6
#define MW_MAX_LOCATORS 4
#define MW_MAX_SHARED_MAC 4
#define MW_MAX_NEXTHOPS 2
#define MW_MAX_LEVELS 16
/* decisions that a CPU remembers: a power of 2 */
#define MW_FRONT_SIZE 1024

enum mw_encap {
	MW_ENCAP_NONE = 0,
	MW_ENCAP_VXLAN = 1,
	MW_ENCAP_VXLAN_GPE = 2,
	MW_ENCAP_GENEVE = 3,
	MW_ENCAP_GRE = 4,
	MW_ENCAP_LISP = 5,
	MW_ENCAP_FLAT = 6,
};

/* (network, IPv4) -> port, or balanced address */
struct mw_ip4_key {
	__u32 network;
	__be32 addr_be;
};

enum mw_ip_flags {
	MW_IP_ANSWER = 1 << 0,	/* authoritative: ARP and ND are answered from this entry */
	MW_IP_BALANCED = 1 << 1,	/* 'port' is the id of a balanced address, not of a port */
};

struct mw_ip4_value {
	__u32 port;
	__u32 network;		/* identity */
	__be32 addr_be;		/* identity */
	__u32 flags;		/* enum mw_ip_flags */
};

/* (network, IPv6) -> port, or balanced address */
struct mw_ip6_key {
	__u32 network;
	__u8 addr[16];
};

struct mw_ip6_value {
	__u32 port;
	__u32 network;		/* identity */
	__u8 addr[16];		/* identity */
	__u32 flags;		/* enum mw_ip_flags */
};

/* (network, MAC) -> port, or balanced address: the FDB */
struct mw_mac_key {
	__u32 network;
	__u8 mac[MW_ETH_ALEN];
	__u16 pad;
};

enum mw_mac_flags {
	MW_MAC_BALANCED = 1 << 0,	/* 'port' is the id of a balanced address, not of a port */
};

struct mw_mac_value {
	__u32 port;
	__u32 network;		/* identity */
	__u8 mac[MW_ETH_ALEN];	/* identity */
	__u16 flags;		/* enum mw_mac_flags */
};

/*
 * layout: compact. The same three mappings as arrays of buckets, which the daemon writes through mapped memory; bpf/buckets.h
 * says in which order, and how they are read.
 */
#define MW_BUCKET_SLOTS 4
#define MW_MARK_FLAGS 0x000f

struct mw_ip4_slot {
	__u32 port;		/* 0: empty, whatever the rest says */
	__u16 mark;		/* enum mw_ip_flags; above the low four bits: how often the slot was occupied */
	__u16 pad;
	__be32 addr_be;
	__u32 network;
};

struct mw_ip4_bucket {
	struct mw_ip4_slot slot[MW_BUCKET_SLOTS];
};

struct mw_ip6_slot {
	__u32 port;
	__u16 mark;
	__u16 pad;
	__u32 network;
	__u32 pad2;
	__u8 addr[16];
};

struct mw_ip6_bucket {
	struct mw_ip6_slot slot[MW_BUCKET_SLOTS];
};

struct mw_mac_slot {
	__u32 port;
	__u16 mark;		/* enum mw_mac_flags, and as above */
	__u8 mac[MW_ETH_ALEN];
	__u32 network;
};

struct mw_mac_bucket {
	struct mw_mac_slot slot[MW_BUCKET_SLOTS];
};

/*
 * layout: compact. port -> its locator, of a port that has one alone; beside 'port', which has the whole of every port. Written like
 * a slot: node and segment are one word, network and version the other.
 */
struct mw_place_slot {
	__u32 node;
	__u32 segment;
	__u32 network;		/* 0: look at 'port' */
	__u32 version;		/* goes up whenever 'network' changes */
};

/* (network, MAC) -> ports that may also send from it ('macs:'); never a destination */
struct mw_source_mac_value {
	__u32 network;		/* identity */
	__u8 mac[MW_ETH_ALEN];	/* identity */
	__u16 pad;
	__u32 port[MW_MAX_SHARED_MAC];	/* 0: unused */
};

/* (port, prefix) -> may send from it ('allow:'); never answered for it. LPM: prefixlen counts the port's 32 bits */
struct mw_allow4_key {
	__u32 prefixlen;
	__u32 port;
	__be32 addr_be;
};

struct mw_allow6_key {
	__u32 prefixlen;
	__u32 port;
	__u8 addr[16];
};

enum mw_allow_flags {
	MW_ALLOW_BALANCED = 1 << 0,	/* a balanced address that the port serves: a source of packets, never claimed by ARP or ND */
};

struct mw_allow_value {
	__u32 port;		/* identity */
	__u32 flags;		/* enum mw_allow_flags */
};

/*
 * balanced address -> array of 8-byte elements, replaced as one value: the head, which takes the place of the first of
 * them; as many levels as it says, and two more with MW_BALANCE_HERE; the slots of all levels. They come in pairs: a level, and
 * the roll of its members, each with one slot, where the one is found that is live while nearly all are dead.
 */
enum mw_balance_flags {
	MW_BALANCE_SOURCE = 1 << 0,	/* affinity: source */
	MW_BALANCE_HERE = 1 << 1,	/* behind the levels stand those of the members on this node */
};

struct mw_balance_head {
	__u32 address;		/* identity */
	__u32 network;
	__u8 mac[MW_ETH_ALEN];	/* what ARP and ND answer with */
	__u16 flags;		/* enum mw_balance_flags */
	__u32 levels;		/* rolls too; at most MW_MAX_LEVELS */
	__u32 pad;
};

/* Members that share the flows while one of them is live. */
struct mw_balance_level {
	__u32 start;		/* place of its first slot in the array */
	__u32 slots;
};

struct mw_balance_slot {
	__u32 first;		/* port */
	__u32 second;		/* port that has it while the first is not live; 0: none */
};

#define MW_BALANCE_HEAD (sizeof(struct mw_balance_head) / sizeof(struct mw_balance_slot))

/* port -> locators */
enum mw_locator_flags {
	MW_LOCATOR_PENDING = 1 << 0,	/* where the port moves to; its priority is 255 */
};

struct mw_locator {
	__u32 node;		/* 0: unused */
	__u32 segment;		/* host order, as addressed on that node */
	__u8 priority;		/* lower is preferred; 255: never used (RFC 9300) */
	__u8 weight;
	__u16 flags;		/* enum mw_locator_flags */
};

enum mw_port_flags {
	MW_PORT_ROUTER = 1 << 0,	/* role router */
	MW_PORT_DHCP = 1 << 1,		/* role dhcp */
	MW_PORT_DOWN = 1 << 2,		/* state down: it is not reached, wherever it is */
	MW_PORT_DRAIN = 1 << 3,		/* state drain: as a member of balanced addresses it is passed over where another is up */
	MW_PORT_MOVING = 1 << 4,	/* one of its locators is pending */
	MW_PORT_SEND_NEW = 1 << 5,	/* of one that moves: to the pending one */
	MW_PORT_SEND_BOTH = 1 << 6,	/* ... to both; without either of the two: to the old one */
	MW_PORT_BY_ANNOUNCEMENT = 1 << 7,	/* ... it is at the pending one since its guest was heard there: map move */
};

struct mw_port {
	__u32 port;		/* identity */
	__u32 network;
	__u8 mac[MW_ETH_ALEN];
	__u16 flags;		/* enum mw_port_flags */
	struct mw_locator at[MW_MAX_LOCATORS];	/* in order of preference */
	__u32 former;		/* node this port was at before its last move; 0: none */
	__u32 sequence;		/* of its moves; 0: not given */
	__u64 former_until;	/* CLOCK_MONOTONIC ns until which 'former' is accepted as its place (guard-grace) */
};

/*
 * port that moves by its guest's announcement -> whether that was heard. Made by the daemon, with 0; written by the programs. The
 * value names port and sequence itself, and is one word: a write that comes late, into an element that is another's by then, says
 * nothing there, and nobody has to take it back.
 */
struct mw_move {
	__u64 heard;		/* MW_HEARD(port, sequence) */
};

#define MW_HEARD(port, sequence) (((__u64)(port) << 32) | (sequence))

/* network -> how it behaves */
enum mw_network_flags {
	MW_NETWORK_FLOOD = 1 << 0,	/* broadcast and multicast are sent to the flood list */
	MW_NETWORK_UNKNOWN_FLOOD = 1 << 1,	/* unknown unicast is flooded */
	MW_NETWORK_VLAN_TRANSPARENT = 1 << 2,	/* tagged frames are carried whole */
};

struct mw_network {
	__u32 network;		/* identity */
	__u32 flags;		/* enum mw_network_flags */
	__u32 segment;		/* default segment, host order */
	__u16 mtu;		/* largest layer-3 packet */
	__u8 encap;		/* enum mw_encap */
	__u8 pad;
};

/* (encapsulation, segment) that this node is addressed with -> network */
struct mw_segment_key {
	__u32 encap;		/* enum mw_encap */
	__u32 segment;		/* host order */
};

struct mw_segment_value {
	__u32 network;
	__u32 encap;		/* identity */
	__u32 segment;		/* identity */
};

/* underlay address -> node, of every node in the table */
enum mw_vtep_flags {
	MW_VTEP_SELF = 1 << 0,
	MW_VTEP_GUARD_OPEN = 1 << 1,	/* node with guard: open: inner sources that no port has are accepted */
	MW_VTEP_GUARD_OFF = 1 << 2,	/* node with guard: off: any inner source is accepted */
	MW_VTEP_GROUP = 1 << 3,		/* a multicast group that a network of this node floods to: a destination, no node */
};

struct mw_vtep_key {
	__u8 addr[16];
};

struct mw_vtep_value {
	__u32 node;
	__u32 flags;		/* enum mw_vtep_flags */
	__u8 addr[16];		/* identity */
};

/*
 * node -> how to send to it, and whether it is live: every node that has a port in a network of this one, this one
 * included; multicast groups; the wire. A node that dies or comes back is one write here.
 */
enum mw_device_flags {
	MW_DEVICE_XDP_REDIRECT = 1 << 0,	/* takes frames redirected by XDP (ndo_xdp_xmit, peer with NAPI) */
	MW_DEVICE_XDP_FRAGS = 1 << 1,		/* takes multi-buffer frames too */
	MW_DEVICE_REDIRECT_PEER = 1 << 2,	/* TC: bpf_redirect_peer works (peer in another namespace) */
	MW_DEVICE_PARTIAL_CHECKSUM = 1 << 3,	/* frames may come with unfinished checksums (veth, tap) */
};

struct mw_nexthop {
	__u32 ifindex;		/* 0: not resolved */
	__u32 flags;		/* enum mw_device_flags of the device */
	__u8 dmac[MW_ETH_ALEN];
	__u8 smac[MW_ETH_ALEN];
	__u16 vlan;		/* 0: untagged underlay */
	__u16 slot;		/* the device's index into traffic */
};

enum mw_node_flags {
	MW_NODE_DOWN = 1 << 0,		/* its locators are passed over */
	MW_NODE_IP6 = 1 << 1,		/* reached over IPv6 */
	MW_NODE_CHECKSUM = 1 << 2,	/* over IPv6: the outer UDP checksum is computed */
	MW_NODE_DRAIN = 1 << 3,		/* its locators are passed over where the port has another live one */
};

/* The wire itself as a "node": where the ports of flat networks are that are not here. Never the id of a node. */
#define MW_NODE_WIRE 0xffffffff

struct mw_node {
	__u32 node;		/* identity */
	__u32 flags;		/* enum mw_node_flags */
	__u8 remote[16];	/* outer destination: the node's address, or a multicast group; zero: no way to it, or this node */
	__u8 local[16];		/* outer source */
	__u16 mtu;		/* largest outer packet that gets there, where less than its uplinks take; 0: not known */
	__u16 pad;
	struct mw_nexthop nexthop[MW_MAX_NEXTHOPS];	/* those that are resolved share the flows */
};

/* ifindex -> what is attached there */
enum mw_link_role {
	MW_LINK_PORT = 1,
	MW_LINK_UNDERLAY = 2,
	MW_LINK_SEGMENTER = 3,	/* the far end of the pair that cuts super-packets: its frames carry the port's ifindex as mark */
};

enum mw_link_flags {
	MW_LINK_HAS_ALLOW = 1 << 0,	/* the port has 'allow:' prefixes */
	MW_LINK_HAS_MACS = 1 << 1,	/* the port has 'macs:' */
	MW_LINK_ROUTER = 1 << 2,
	MW_LINK_DHCP = 1 << 3,
	MW_LINK_LOCAL_ANY = 1 << 4,	/* link-local: any (else eui64) */
	MW_LINK_TRANSPARENT = 1 << 5,	/* the port's network has vlan: transparent */
	MW_LINK_IP = 1 << 6,	/* the port's network carries IP alone (vxlan-gpe, lisp) */
};

enum mw_guard {
	MW_GUARD_OFF = 0,
	MW_GUARD_MAC = 1,
	MW_GUARD_FULL = 2,
};

struct mw_link {
	__u32 ifindex;		/* identity */
	__u32 port;		/* role port */
	__u32 network;		/* role port */
	__u32 slot;		/* index into traffic and limit */
	__u32 device;		/* enum mw_device_flags of this device */
	__u16 flags;		/* enum mw_link_flags */
	__u8 role;		/* enum mw_link_role */
	__u8 guard;		/* enum mw_guard */
	__u8 mac[MW_ETH_ALEN];	/* role port: the port's; role underlay: the device's own */
	__u16 vlan;		/* role underlay: tag of the tunnels' frames; 0: untagged */
};

/* port -> its interface on this node */
struct mw_local {
	__u32 port;		/* identity */
	__u32 ifindex;
	__u32 slot;
	__u32 device;		/* enum mw_device_flags */
	__u32 mtu;		/* of the interface */
	__u32 network;
};

/* network -> array of these, replaced as one value; element 0 holds the count in 'id' */
enum mw_flood_kind {
	MW_FLOOD_COUNT = 0,
	MW_FLOOD_PORT = 1,
	MW_FLOOD_NODE = 2,
};

enum mw_flood_flags {
	MW_FLOOD_IP6 = 1 << 0,	/* kind node: reached over IPv6, as its entry says too */
	MW_FLOOD_OWN = 1 << 1,	/* kind port: of this node alone; gets nothing that comes from the underlay */
};

struct mw_flood_target {
	__u32 kind;		/* enum mw_flood_kind */
	__u32 id;		/* port or node (also a multicast group, or MW_NODE_WIRE); kind count: the number of targets that follow */
	__u32 segment;		/* kind node: the segment on that node */
	__u32 flags;		/* enum mw_flood_flags */
};

/* counters, per CPU */
struct mw_counter {
	__u64 packets;
	__u64 bytes;
};

struct mw_traffic {
	__u64 rx_packets;	/* received from the device and accepted */
	__u64 rx_bytes;
	__u64 tx_packets;	/* sent to the device */
	__u64 tx_bytes;
	__u64 drops;		/* received from the device and dropped */
	__u64 answers;		/* received from the device and answered */
};

/* slot -> what is limited by the second: ICMP too-big answers, flooded frames */
struct mw_limit {
	__u64 window;		/* CLOCK_MONOTONIC seconds */
	__u64 flood_window;
	__u32 count;
	__u32 flood_count;
};

/* one element: what this generation of maps is */
struct mw_meta {
	__u32 magic;		/* MW_META_MAGIC */
	__u32 layout;		/* MW_LAYOUT_VERSION */
	__u32 generation;
	__u32 state;		/* enum mw_meta_state */
	__u64 revision;		/* of the plan last applied */
	__u32 self;		/* this node's id */
	__u32 pad;
	__u8 instance[16];	/* random, of this pin directory */
};

/* one element: what changes with every edit; written through mapped memory */
struct mw_live {
	__u32 epoch;		/* raised after every write of a map that programs read: what was remembered before is void; 0: nothing may be */
	__u32 encaps;		/* 1 << enum mw_encap of every network of the plan: for programs with config.generic */
};

#define MW_META_MAGIC 0x4d415057	/* "MAPW" */

enum mw_meta_state {
	MW_META_BUILDING = 0,
	MW_META_COMPLETE = 1,
};

/* what the programs tell the daemon; lost when the ring is full */
enum mw_event_kind {
	MW_EVENT_TOO_BIG = 1,	/* a router's "too big" that quotes a tunnel of ours */
	MW_EVENT_HEARD = 2,	/* a guest announced itself where its port moves to */
};

struct mw_event {
	__u32 kind;		/* enum mw_event_kind */
	__u32 mtu;		/* too big: that the message tells */
	__u8 remote[16];	/* too big: the quoted destination, the underlay address of a node */
	__u32 port;		/* heard */
	__u32 sequence;		/* heard: of the move */
};

/* scratch memory of the CPU */
struct mw_scratch {
	__u8 byte[1280];	/* an answer that is being built */
	__u64 state[64];	/* struct mw_state of the packet at work: too much for the stack */
};

/*
 * What a CPU remembers of a decision, so that the next packet of the same kind asks no map (front.h): a copy, good while 'epoch' is
 * that of struct mw_live. The key is the first 32 bytes.
 */
struct mw_front {
	__u32 epoch;		/* 0: nothing */
	__u32 ifindex;		/* device it came from */
	__u8 dmac[MW_ETH_ALEN];	/* of the (inner) frame */
	__u8 smac[MW_ETH_ALEN];
	__be32 source_be;	/* from a port: the packet's; from the underlay: the outer one */
	__u32 tunnel;		/* from the underlay: encapsulation << 24 | segment; from a port: 0 */
	__u32 pad;
	/* the decision */
	__u32 network;
	__u32 port;		/* deliver: the target */
	__u32 node;		/* encap: the target */
	__u32 segment;
	__u32 mtu;		/* largest layer-3 packet */
	__u32 ifindex_out;
	__u32 device_out;	/* enum mw_device_flags */
	__u32 slot;		/* of the device it came from */
	/* the second cache line */
	__u32 slot_out;
	__u8 verdict;		/* enum mw_verdict_kind: deliver or encap */
	__u8 encap;		/* enum mw_encap */
	__u8 partial;		/* 1: frames from this device may have unfinished checksums */
	__u8 pad2;
	__u8 outer[50];		/* encap: the outer headers, Ethernet, IPv4, UDP, tunnel, without lengths, DSCP and ECN, source port */
	__u8 own[MW_ETH_ALEN];	/* from the underlay: the device's own MAC */
};

/* what became of a packet: written only by a load with config.record */
struct mw_verdict {
	__u32 verdict;		/* enum mw_verdict_kind */
	__u32 reason;		/* enum mw_reason; with ANSWER by "too big": MW_REASON_TOO_BIG */
	__u32 network;
	__u32 port;		/* deliver: target; encap: the member of a balanced address; answer: the port asked for, 0 for too big */
	__u32 node;		/* encap: target */
	__u32 ifindex;		/* deliver, encap, answer: device it leaves by */
	__u32 segment;		/* encap */
	__u32 copies;		/* flood; encap, deliver: 1 when a copy goes to where the port moves to */
};

#define MW_DSCP_UNIFORM 0xff

/*
 * Constants of a load, set in .rodata before the verifier sees the program: what a node does not
 * use is removed from its program.
 */
struct mw_config {
	__u32 self;		/* this node's id */
	__be32 self4_be;	/* own underlay IPv4; 0: none */
	__u8 self6[16];		/* own underlay IPv6; zero: none */
	__u16 vxlan_port;	/* UDP ports, host order */
	__u16 gpe_port;
	__u16 geneve_port;
	__u16 lisp_port;
	__u8 encaps;		/* 1 << enum mw_encap of every network of the plan */
	__u8 unknown_segment_stack;	/* 1: unknown-segment: stack */
	__u8 guard_remote;	/* check the inner source of what comes from the underlay */
	__u8 record;		/* write struct mw_verdict */
	__u8 quiet;		/* no counters, no limiter, no transmission: for trace and tests */
	__u8 has_ip6;		/* some address of the plan is IPv6 */
	__u8 has_allow;		/* some port has allow: */
	__u8 has_macs;		/* some port has macs: */
	__u8 has_unknown_flood;	/* some network has unknown: flood */
	__u8 has_transparent;	/* some network has vlan: transparent */
	__u8 has_group;		/* some network floods to a multicast group */
	__u8 has_checksum;	/* some node wants outer UDP checksums */
	__u8 has_balance;	/* some address is balanced */
	__u8 has_move;		/* some port moves */
	__u8 ttl;		/* of outer headers */
	__u8 dscp;		/* of outer headers; MW_DSCP_UNIFORM: that of the inner packet */
	__u8 compact;		/* addresses are in tables of buckets (struct mw_tables), not in hashes */
	__u8 leave;		/* XDP: every frame is left to TC */
	__u8 front;		/* remember decisions: 0: no; else one of so many (a power of 2) that are not remembered yet is */
	__u8 generic;		/* right for any plan: which encapsulations are in use is asked of struct mw_live */
	__u32 segmenter;	/* ifindex of the near end of the segmenting pair; 0: none */
	__u32 flood_rate;	/* flooded frames a second and port; 0: unlimited */
	__u16 too_big_rate;	/* answers a second and port; 0: unlimited */
	__u8 probe_ttl;		/* least TTL of a probe that is answered */
	__u8 pad2;
	__u32 discriminator;	/* this node's, of S-BFD; 0: no probe is answered */
};

/* Of a load with mw_config.compact: constants like mw_config, but of the maps that it is loaded on. */
struct mw_tables {
	__u64 seed;		/* of the tables' hash: the first 8 bytes of mw_meta.instance */
	__u32 ip4;		/* buckets */
	__u32 ip6;
	__u32 mac;
	__u32 places;		/* elements */
};

#endif
