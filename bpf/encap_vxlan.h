/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * VXLAN over IPv4 (RFC 7348): what encap.h, decap.h and flood.h need to know of it. Another encapsulation is
 * another header of this shape.
 */
#ifndef MW_ENCAP_VXLAN_H
#define MW_ENCAP_VXLAN_H

#include <linux/ip.h>
#include <linux/udp.h>
#include "config.h"
#include "csum.h"
#include "ecn.h"
#include "hash.h"

struct vxlan_header {
	__be32 flags_be;
	__be32 segment_be;	/* in the upper 24 bits */
};

#define VXLAN_FLAG_SEGMENT 0x08000000	/* the I flag */
#define VXLAN_SOURCE_PORTS 49152
#define VXLAN_TTL 64

/* behind the outer Ethernet header; the same wherever it is written */
struct vxlan_outer {
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan_header vxlan;
};

/* link header of either side, written as halves because it lies at even addresses only */
struct link_header {
	__u16 dst[3];
	__u16 src[3];
	__be16 type_be;
};

#define VXLAN_LENGTH (sizeof(struct link_header) + sizeof(struct vxlan_outer))

static __always_inline void vxlan_address(struct vxlan_outer *outer, const struct target *to)
{
	outer->ip.saddr = to->local_be;
	outer->ip.daddr = to->remote_be;
	outer->ip.check = 0;
	outer->ip.check = ~csum_fold(csum_ip4(&outer->ip));
	outer->vxlan.segment_be = bpf_htonl(to->segment << 8);
}

/*
 * Every byte of the outer header for 'p'. The length fields of a super-packet of more than 65,535 bytes
 * wrap: segmentation writes them anew, and decap.h does not believe them.
 */
static __always_inline void vxlan_fill(struct vxlan_outer *outer, const struct packet *p,
				       const struct target *to)
{
	outer->ip.version = 4;
	outer->ip.ihl = sizeof(outer->ip) / 4;
	outer->ip.tos = ecn_outer(p);
	outer->ip.tot_len = bpf_htons(sizeof(*outer) + p->length);
	outer->ip.id = 0;
	outer->ip.frag_off = bpf_htons(IP_DF);
	outer->ip.ttl = VXLAN_TTL;
	outer->ip.protocol = IPPROTO_UDP;
	outer->udp.source = bpf_htons(VXLAN_SOURCE_PORTS + (hash_flow(p) & 0x3fff));
	outer->udp.dest = bpf_htons(mw_config.vxlan_port);
	outer->udp.len = bpf_htons(sizeof(*outer) - sizeof(outer->ip) + p->length);
	outer->udp.check = 0;
	outer->vxlan.flags_be = bpf_htonl(VXLAN_FLAG_SEGMENT);
	vxlan_address(outer, to);
}

#endif
