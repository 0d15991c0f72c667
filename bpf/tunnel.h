/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every tunnel header has in common. Each encapsulation is a header file of its own, encap_*.h, with two functions:
 *
 *   mw_<name>_write(tunnel, segment, ip6)   the 8 bytes behind the outer IP or UDP header, every one of them
 *   mw_<name>_read(cursor, outer)           what they say, into *outer; gives 0, MW_SHORT or an enum mw_reason
 */
#ifndef MW_TUNNEL_H
#define MW_TUNNEL_H

#include "config.h"
#include "cursor.h"
#include "packet.h"

#define MW_ETH_P_TEB 0x6558	/* transparent Ethernet bridging */
#define MW_PROTO_GRE 47
#define MW_IP4_SIZE 20
#define MW_IP6_SIZE 40
#define MW_UDP_SIZE 8
/* as sent: none of them has options */
#define MW_TUNNEL_SIZE 8
/* beside enum mw_encap: no tunnel, but a question whether this node forwards (probe.h) */
#define MW_ENCAP_PROBE 15
#define MW_PROBE_PORT 7784

struct mw_udp_header {
	__be16 source;
	__be16 dest;
	__be16 length;
	__u16 checksum;
};

/* The 8 bytes of a tunnel header, as words in network order. */
struct mw_tunnel {
	__be32 word[2];
};

/* What the outer headers of a received frame say. Offsets count from the start of the frame. */
struct mw_outer {
	__be32 source[4];	/* IPv4 in mapped form */
	__u32 segment;
	__u32 end;		/* of the tunnel's payload */
	__u32 payload;		/* first, of what IP carries; then of what UDP does; at last the inner frame or IP packet */
	__u32 base;		/* of the inner frame; IP alone: 14 bytes in front of it */
	__u32 inner;		/* bytes from there */
	__u16 l3_offset;
	__u16 to_group;		/* the destination is no node, but a group */
	__u8 encap;		/* enum mw_encap, or MW_ENCAP_PROBE */
	__u8 tos;
	__u8 ip6;
	__u8 proto;
};

/* Is there a network of this encapsulation on this node? */
static __always_inline bool mw_uses(__u32 encap)
{
	const struct mw_live *live;
	__u32 zero = 0;

	if (!mw_config.generic)
		return mw_config.encaps & (1 << encap);
	/* a tunnel that no network uses may be another's, and is left to the stack */
	live = bpf_map_lookup_elem(&MW_MAP(live), &zero);
	return live && (*(const volatile __u32 *)&live->encaps & (1 << encap));
}

/* Carries IP packets without their Ethernet header. */
static __always_inline bool mw_carries_ip(__u32 encap)
{
	return encap == MW_ENCAP_VXLAN_GPE || encap == MW_ENCAP_LISP;
}

/* What the outer IP header carries. */
static __always_inline __u8 mw_outer_proto(__u32 encap)
{
	return encap == MW_ENCAP_GRE ? MW_PROTO_GRE : MW_PROTO_UDP;
}

/* Bytes of the outer headers behind the outer Ethernet header. */
static __always_inline __u32 mw_outer_size(__u32 encap, bool ip6)
{
	return (ip6 ? MW_IP6_SIZE : MW_IP4_SIZE) + (encap == MW_ENCAP_GRE ? 0 : MW_UDP_SIZE) + MW_TUNNEL_SIZE;
}

/* Bytes in front of the inner layer-3 packet, less the outer Ethernet header: what an MTU loses. */
static __always_inline __u32 mw_overhead(__u32 encap, bool ip6)
{
	if (encap == MW_ENCAP_FLAT)
		return 0;
	return mw_outer_size(encap, ip6) + (mw_carries_ip(encap) ? 0 : MW_ETH_HLEN);
}

static __always_inline __u16 mw_udp_port(__u32 encap)
{
	switch (encap) {
	case MW_ENCAP_VXLAN_GPE:
		return mw_config.gpe_port;
	case MW_ENCAP_GENEVE:
		return mw_config.geneve_port;
	case MW_ENCAP_LISP:
		return mw_config.lisp_port;
	default:
		return mw_config.vxlan_port;
	}
}

/* The encapsulation that is sent to this UDP port; MW_ENCAP_NONE: none of this node's. */
static __always_inline __u32 mw_encap_of_port(__be16 port)
{
	if (mw_uses(MW_ENCAP_VXLAN) && port == bpf_htons(mw_config.vxlan_port))
		return MW_ENCAP_VXLAN;
	if (mw_uses(MW_ENCAP_GENEVE) && port == bpf_htons(mw_config.geneve_port))
		return MW_ENCAP_GENEVE;
	if (mw_uses(MW_ENCAP_VXLAN_GPE) && port == bpf_htons(mw_config.gpe_port))
		return MW_ENCAP_VXLAN_GPE;
	if (mw_uses(MW_ENCAP_LISP) && port == bpf_htons(mw_config.lisp_port))
		return MW_ENCAP_LISP;
	return MW_ENCAP_NONE;
}

/* The tunnel header of 'size' bytes is read: its payload is a frame, or an IP packet. */
static __always_inline void mw_payload_behind(struct mw_outer *outer, __u32 size)
{
	outer->payload += size;
	outer->base = mw_carries_ip(outer->encap) ? outer->payload - MW_ETH_HLEN : outer->payload;
	outer->inner = outer->end - outer->base;
}

#endif
