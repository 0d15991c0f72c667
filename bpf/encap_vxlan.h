/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VXLAN over IPv4 (RFC 7348 section 5): the 50 bytes in front of the inner frame, every one of them written. */
#ifndef MW_ENCAP_VXLAN_H
#define MW_ENCAP_VXLAN_H

#include "csum.h"
#include "hash.h"
#include "parse.h"
#include "resolve.h"

struct mw_udp_header {
	__be16 source;
	__be16 dest;
	__be16 length;
	__u16 checksum;
};

struct mw_vxlan_header {
	__u8 flags;		/* 0x08: the segment is valid */
	__u8 reserved[3];
	__be32 segment;		/* in the upper 24 bits */
};

#define MW_VXLAN_SEGMENT_VALID 0x08

struct mw_vxlan4 {
	__u8 dmac[MW_ETH_ALEN];
	__u8 smac[MW_ETH_ALEN];
	__be16 ethertype;
	struct {
		/* not struct mw_ip4_header: it would be misaligned behind 14 bytes */
		__be16 word[10];
	} ip;
	struct mw_udp_header udp;
	__u8 vxlan_flags;
	__u8 vxlan_reserved[3];
	__be16 segment[2];
};

#define MW_VXLAN4_SIZE 50

_Static_assert(sizeof(struct mw_vxlan4) == MW_VXLAN4_SIZE, "the outer header has no holes");

/* 'inner' is the length of the inner frame. TC: of a super-packet; the stack mends the lengths of each segment. */
static __always_inline void mw_vxlan4_fill(struct mw_vxlan4 *h, const struct mw_path *path, __u32 inner, __u32 hash,
					   __u8 ecn)
{
	__u32 segment = bpf_htonl(path->segment << 8);
	__u32 sum;

	memcpy(h->dmac, path->nexthop.dmac, MW_ETH_ALEN);
	memcpy(h->smac, path->nexthop.smac, MW_ETH_ALEN);
	h->ethertype = bpf_htons(MW_ETH_P_IP);
	h->ip.word[0] = bpf_htons(0x4500 | ecn);
	h->ip.word[1] = bpf_htons(20 + 8 + 8 + inner);
	h->ip.word[2] = 0;
	h->ip.word[3] = bpf_htons(0x4000);	/* DF: RFC 6864 lets id be 0 */
	h->ip.word[4] = bpf_htons((64 << 8) | MW_PROTO_UDP);
	h->ip.word[5] = 0;
	memcpy(&h->ip.word[6], &path->local_be, 4);
	memcpy(&h->ip.word[8], &path->remote_be, 4);
	sum = mw_sum_ip4(&h->ip);
	h->ip.word[5] = ~mw_fold(sum);
	h->udp.source = bpf_htons(49152 + (hash & 0x3fff));
	h->udp.dest = bpf_htons(mw_config.vxlan_port);
	h->udp.length = bpf_htons(8 + 8 + inner);
	h->udp.checksum = 0;
	h->vxlan_flags = MW_VXLAN_SEGMENT_VALID;
	h->vxlan_reserved[0] = 0;
	h->vxlan_reserved[1] = 0;
	h->vxlan_reserved[2] = 0;
	memcpy(h->segment, &segment, 4);
}

#endif
