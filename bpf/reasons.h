/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Verdicts and drop reasons: the one table of each.
 *
 * Numbers are stable: append only, never reuse, so that a historical series keeps its meaning.
 * src/generated/ takes the enums from the object's BTF; docs/drop-reasons.md has a row for each
 * (a test binds them). A drop always has a reason other than MW_REASON_NONE.
 */
#ifndef MW_REASONS_H
#define MW_REASONS_H

enum mw_verdict_kind {
	MW_VERDICT_NONE = 0,
	MW_VERDICT_DROP = 1,	/* consumed; 'reason' says why */
	MW_VERDICT_STACK = 2,	/* not ours: to the host's stack, untouched */
	MW_VERDICT_LEFT = 3,	/* XDP only: left untouched to the TC program behind it, which counts it */
	MW_VERDICT_DELIVER = 4,	/* to a local port: 'port', 'ifindex' */
	MW_VERDICT_ENCAP = 5,	/* to another node: 'node', 'segment', 'ifindex' of the underlay device */
	MW_VERDICT_ANSWER = 6,	/* turned into an answer to the sender (ARP, ND, too big) */
	MW_VERDICT_FLOOD = 7,	/* 'copies' copies were made, local and remote */
};

enum mw_reason {
	MW_REASON_NONE = 0,
	/* any frame */
	MW_REASON_MALFORMED = 1,		/* a header is cut off, or its length or version is impossible */
	MW_REASON_LINK_CONTROL = 2,		/* 01:80:c2:00:00:0x or PAUSE: never forwarded */
	MW_REASON_SOURCE_MULTICAST = 3,		/* the source MAC is a group address */
	MW_REASON_TAGGED = 4,			/* VLAN-tagged, and the network says vlan: drop */
	MW_REASON_STALE = 5,			/* a map element was reused under the reader, twice in a row */
	MW_REASON_UNKNOWN_UNICAST = 6,		/* destination MAC not in the network, unknown: drop */
	MW_REASON_FLOOD_OFF = 7,		/* broadcast or multicast, flood: none */
	MW_REASON_NO_LOCATOR = 8,		/* the destination port has no live location */
	MW_REASON_NO_INTERFACE = 9,		/* the destination port is here, but its interface is absent */
	MW_REASON_INTERNAL = 10,		/* a helper or a map that must be there failed */
	MW_REASON_NOT_ACTIVE = 11,		/* the destination port is moving, and is not at this end of the move */
	/* from a local port */
	MW_REASON_NO_PORT = 16,			/* the device is not (or no longer) a port */
	MW_REASON_UNDERLAY_SOURCE = 17,		/* source IP is a node's underlay address */
	MW_REASON_GUARD_MAC = 18,		/* source MAC is not the port's */
	MW_REASON_GUARD_IP = 19,		/* source IP is not the port's */
	MW_REASON_GUARD_ARP = 20,		/* ARP sender fields are not the port's */
	MW_REASON_GUARD_ND = 21,		/* ND target or link-layer option is not the port's, or ND in fragments */
	MW_REASON_GUARD_ROUTER = 22,		/* router advertisement or redirect from a port without role router */
	MW_REASON_GUARD_DHCP = 23,		/* DHCP-server frame from a port without role dhcp */
	MW_REASON_HAIRPIN = 24,			/* the destination is the sender itself */
	MW_REASON_NO_NODE = 25,			/* the locator's node is not in the node map */
	MW_REASON_NO_NEXTHOP = 26,		/* the node's next hop is not resolved */
	MW_REASON_TOO_BIG = 27,			/* larger than the network's MTU; no answer possible, or over the limit */
	MW_REASON_HEADROOM = 28,		/* no room to push the outer header */
	MW_REASON_NESTED_GSO = 29,		/* TC: a super-packet that is already encapsulated */
	MW_REASON_NOT_IP = 30,			/* the network carries IP alone (vxlan-gpe, lisp), and this is none */
	MW_REASON_FLOOD_RATE = 31,		/* more flooded frames a second than the port may send */
	MW_REASON_FLOOD_COPY = 32,		/* counts copies: one of a flooded frame could not be made or sent */
	MW_REASON_NO_SEGMENTER = 33,		/* TC: a super-packet for a node that wants checksums, and nothing to cut it */
	MW_REASON_BALANCED_FRAGMENT = 34,	/* a fragment to a balanced address whose flows are told apart by their ports */
	/* from the underlay */
	MW_REASON_OUTER_MALFORMED = 40,		/* a tunnel packet with options, impossible lengths or a wrong IP checksum */
	MW_REASON_TUNNEL_HEADER = 41,		/* a tunnel header that cannot be: flags, version, protocol, length of options */
	MW_REASON_UNKNOWN_SEGMENT = 42,		/* a segment this node is not addressed with, unknown-segment: drop */
	MW_REASON_UNKNOWN_NODE = 43,		/* the outer source is no node of the table */
	MW_REASON_GUARD_REMOTE = 44,		/* the inner source is not behind that node */
	MW_REASON_NOT_LOCAL = 45,		/* the destination port is not on this node */
	MW_REASON_PORT_MTU = 46,		/* larger than the destination port's MTU */
	MW_REASON_ECN = 47,			/* outer CE, inner not ECN-capable (RFC 6040 section 4.2) */
	MW_REASON_TUNNEL_OPTION = 48,		/* Geneve: a critical option, and none is known here */
	/* probes, from the underlay */
	MW_REASON_PROBE_MALFORMED = 56,		/* no S-BFD control packet of an initiator that is answered here */
	MW_REASON_PROBE_TTL = 57,		/* it came over more hops than nodes are apart */
	MW_REASON_PROBE_DISCRIMINATOR = 58,	/* it asks for another node */
	MW_REASON_COUNT = 64,			/* size of the counter map */
};

#endif
