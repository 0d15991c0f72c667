/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the parser found in a frame. Offsets count from the frame's Ethernet header; addresses are in network order. */
#ifndef MW_PACKET_H
#define MW_PACKET_H

#include "types.h"

#define MW_ETH_HLEN 14
#define MW_ETH_P_IP 0x0800
#define MW_ETH_P_ARP 0x0806
#define MW_ETH_P_IPV6 0x86dd
#define MW_ETH_P_RARP 0x8035
#define MW_ETH_P_8021Q 0x8100
#define MW_ETH_P_8021AD 0x88a8
#define MW_ETH_P_PAUSE 0x8808

#define MW_PROTO_ICMP 1
#define MW_PROTO_TCP 6
#define MW_PROTO_UDP 17
#define MW_PROTO_ICMPV6 58

enum mw_l3 {
	MW_L3_OPAQUE = 0,
	MW_L3_IP4 = 4,
	MW_L3_IP6 = 6,
	MW_L3_ARP = 8,
};

enum mw_packet_flags {
	MW_PACKET_FRAGMENT = 1 << 0,	/* of a datagram, first or later; IPv6: any fragment header */
	MW_PACKET_LATER = 1 << 1,	/* not the first: no layer 4 */
	MW_PACKET_L4 = 1 << 2,		/* TCP, UDP or ICMP header present */
	MW_PACKET_ND = 1 << 3,		/* neighbour discovery, checked, not in a fragment */
	MW_PACKET_EXTENSIONS = 1 << 4,	/* IPv6 extension headers */
	MW_PACKET_GROUP = 1 << 5,	/* destination MAC is a group address */
	MW_PACKET_BALANCED = 1 << 6,	/* 'dmac' is that of a member, other than in the frame */
};

#define MW_MAX_TAGS 2

/* A VLAN tag (IEEE 802.1Q) as it stands on the wire. */
struct mw_tag {
	__be16 tpid;
	__be16 tci;
};

struct mw_packet {
	__be32 src[4];		/* IPv4 in mapped form; ARP: sender protocol address */
	__be32 dst[4];		/* ARP: target protocol address */
	__u8 dmac[MW_ETH_ALEN];	/* contiguous: the inner Ethernet header */
	__u8 smac[MW_ETH_ALEN];
	__be16 ethertype;	/* behind the tags */
	__u16 flags;		/* enum mw_packet_flags */
	__u32 len;		/* bytes of the frame, without what follows it */
	__u32 l3_len;		/* layer-3 length by the header; opaque: what is left of the frame */
	__u16 l3_offset;	/* 14, and 4 for each tag in the frame */
	__u16 l4_offset;
	__u16 l4_header;	/* bytes of the TCP or UDP header */
	__be16 ports[2];	/* TCP, UDP: source, destination */
	__u16 checksum;		/* TCP, UDP: the field, as it stands in memory */
	__u8 l3;		/* enum mw_l3 */
	__u8 proto;		/* IPv4: protocol; IPv6: final next header */
	__u8 flow_proto;	/* the same for the flow hash: in fragments of IPv6, of the first fragment header */
	__u8 icmp_type;
	__u8 icmp_code;
	__u8 hop_limit;
	__u8 tos;		/* traffic class: DSCP and ECN */
	__u8 tags;		/* that were skipped: beside the frame and in it */
	__u8 tags_inside;	/* in the frame */
	__u8 nd_flags;		/* NA: R, S, O in the highest bits; others: undefined */
	__u16 arp_op;		/* host order */
	__u8 arp_sha[MW_ETH_ALEN];
	__be32 nd_target[4];	/* NS, NA, redirect */
	struct mw_tag tag[MW_MAX_TAGS];	/* outermost first */
};

#define MW_ECN_MASK 3

static __always_inline __u8 mw_ecn(const struct mw_packet *p)
{
	return p->tos & MW_ECN_MASK;
}

static __always_inline bool mw_is_ip(const struct mw_packet *p)
{
	return p->l3 == MW_L3_IP4 || p->l3 == MW_L3_IP6;
}

/* Where the IP packet ends; opaque: the frame. */
static __always_inline __u32 mw_l3_end(const struct mw_packet *p)
{
	return p->l3_offset + p->l3_len;
}

static __always_inline bool mw_is_group(const __u8 *mac)
{
	return mac[0] & 1;
}

static __always_inline bool mw_same_mac(const __u8 *a, const __u8 *b)
{
	return a[0] == b[0] && a[1] == b[1] && a[2] == b[2] && a[3] == b[3] && a[4] == b[4] && a[5] == b[5];
}

static __always_inline bool mw_same_ip6(const __be32 *a, const __be32 *b)
{
	return !((a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]));
}

static __always_inline bool mw_zero_ip6(const __be32 *a)
{
	return !(a[0] | a[1] | a[2] | a[3]);
}

static __always_inline void mw_map_ip4(__be32 *to, __be32 addr)
{
	to[0] = 0;
	to[1] = 0;
	to[2] = bpf_htonl(0xffff);
	to[3] = addr;
}

/* ff02::1:ff00:0/104 */
static __always_inline bool mw_solicited_node(const __be32 *a)
{
	return a[0] == bpf_htonl(0xff020000) && !a[1] && a[2] == bpf_htonl(1) &&
	       (a[3] & bpf_htonl(0xff000000)) == bpf_htonl(0xff000000);
}

static __always_inline bool mw_link_local(const __be32 *a)
{
	return (a[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* fe80::/64 with an interface identifier in EUI-64 form: gives its MAC (RFC 4291 appendix A) */
static __always_inline bool mw_eui64_mac(const __be32 *a, __u8 *mac)
{
	const __u8 *b = (const __u8 *)a;

	if (a[0] != bpf_htonl(0xfe800000) || a[1] || b[11] != 0xff || b[12] != 0xfe)
		return false;
	mac[0] = b[8] ^ 2;
	mac[1] = b[9];
	mac[2] = b[10];
	mac[3] = b[13];
	mac[4] = b[14];
	mac[5] = b[15];
	return true;
}

#endif
