/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pushing the outer header: docs/packet-rules.md, section 4. */
#ifndef MW_ENCAP_H
#define MW_ENCAP_H

#include "cursor.h"
#include "encap_vxlan.h"

#define ENCAP_LENGTH VXLAN_LENGTH

static __always_inline void fill_link_header(struct link_header *link, const struct target *to)
{
	copy_mac(link->dst, to->dmac);
	copy_mac(link->src, to->smac);
	link->type_be = bpf_htons(ETH_P_IP);
}

#if MW_IS_TC

/* the outer header and the link header of the inner frame, as one piece to store */
struct encap_header {
	__u16 lead;	/* layer 3 at a multiple of four, as the stack demands */
	struct link_header link;
	struct vxlan_outer outer;
	struct link_header inner;
	__u16 tail;
};

#define ENCAP_STORED (ENCAP_LENGTH + sizeof(struct link_header))

/*
 * Writes the header over the room that encap_room() made. 'flags' is what that returned: after
 * adjust_room everything behind the first link header is covered by a receive checksum.
 */
static __always_inline int encap_store(struct mw_ctx *ctx, const struct encap_header *header, __u64 flags)
{
	if (bpf_skb_store_bytes(ctx, 0, &header->link, sizeof(header->link), 0) ||
	    bpf_skb_store_bytes(ctx, sizeof(header->link), &header->outer,
				ENCAP_STORED - sizeof(header->link), flags))
		return MW_REASON_INTERNAL;
	return 0;
}

/*
 * Makes room in front. bpf_skb_adjust_room() keeps segmentation and checksum offload going, but takes only IP, and
 * refuses what is encapsulated already (skb->encapsulation, which a program cannot read): then
 * bpf_skb_change_head(), which knows nothing of tunnels and so must not be used on a super-packet.
 */
static __always_inline int encap_room(struct mw_ctx *ctx, const struct packet *p, __u64 *flags)
{
	const __u64 how = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 |
			  BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2_ETH |
			  BPF_F_ADJ_ROOM_ENCAP_L2(sizeof(struct link_header));

	*flags = BPF_F_RECOMPUTE_CSUM;
	if (is_ip(p) && !bpf_skb_adjust_room(ctx, ENCAP_LENGTH, BPF_ADJ_ROOM_MAC, how))
		return 0;
	if (ctx_gso_size(ctx))
		return MW_REASON_NESTED_GSO;
	*flags = 0;
	return bpf_skb_change_head(ctx, ENCAP_LENGTH, 0) ? MW_REASON_HEADROOM : 0;
}

static __always_inline void encap_fill(struct encap_header *header, const struct packet *p,
				       const struct target *to)
{
	header->lead = 0;
	header->tail = 0;
	fill_link_header(&header->link, to);
	vxlan_fill(&header->outer, p, to);
	copy_mac(header->inner.dst, p->dst);
	copy_mac(header->inner.src, p->src);
	header->inner.type_be = bpf_htons(p->ether_type);
}

static __always_inline int encap(struct mw_ctx *ctx, const struct run *r)
{
	struct encap_header header;
	__u64 flags;
	int why;

	encap_fill(&header, &r->packet, &r->target);
	why = encap_room(ctx, &r->packet, &flags);
	return why ? why : encap_store(ctx, &header, flags);
}

#else

/* MW_LEAVE: nothing was changed */
static __always_inline int encap_room(struct mw_ctx *ctx)
{
	return bpf_xdp_adjust_head(ctx, -(int)ENCAP_LENGTH) ? MW_LEAVE : 0;
}

static __always_inline int encap(struct mw_ctx *ctx, const struct run *r)
{
	void *header = cursor(ctx, 0, ENCAP_LENGTH);

	if (!header)
		return MW_REASON_INTERNAL;
	fill_link_header(header, &r->target);
	vxlan_fill(header + sizeof(struct link_header), &r->packet, &r->target);
	return 0;
}

#endif
#endif
