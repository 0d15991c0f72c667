/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pushing the outer header and sending: docs/packet-rules.md, section 4. One header per encapsulation beside this. */
#ifndef MW_ENCAP_H
#define MW_ENCAP_H

#include "encap_vxlan.h"
#include "outcome.h"

#if MW_TC

/* include/uapi/linux/bpf.h has the macro only as part of an enum */
#define MW_ENCAP_FLAGS (BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | \
			BPF_F_ADJ_ROOM_ENCAP_L2(MW_ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH)

/*
 * Makes room for the outer header. For IP, bpf_skb_adjust_room() tells the stack that this is a UDP tunnel, so that
 * super-packets stay whole; it opens the room behind the Ethernet header, which is written again as the inner one. It
 * knows no other protocols and refuses a packet that is a tunnel already: those get plain headroom.
 */
static __always_inline int mw_make_room(mw_ctx *ctx, const struct mw_packet *p, __u32 size)
{
	if ((p->l3 == MW_L3_IP4 || p->l3 == MW_L3_IP6) &&
	    !bpf_skb_adjust_room(ctx, size, BPF_ADJ_ROOM_MAC, MW_ENCAP_FLAGS)) {
		struct {
			__u8 dmac[MW_ETH_ALEN];
			__u8 smac[MW_ETH_ALEN];
			__be16 ethertype;
		} inner;

		memcpy(&inner, p->dmac, sizeof(inner));
		return mw_store(ctx, size, &inner, sizeof(inner)) ? MW_REASON_INTERNAL : 0;
	}
	if (mw_gso_size(ctx))
		return MW_REASON_NESTED_GSO;
	return bpf_skb_change_head(ctx, size, 0) ? MW_REASON_HEADROOM : 0;
}

/* Writes the outer header over the room. */
__noinline int mw_write_outer(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path)
{
	struct mw_vxlan4 header;

	if (!p || !path)
		return MW_REASON_INTERNAL;

	mw_vxlan4_fill(&header, path, p->len, mw_flow_hash(p), p->ecn);
	return mw_store(ctx, 0, &header, sizeof(header)) ? MW_REASON_INTERNAL : 0;
}

__noinline int mw_push(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path)
{
	int reason;

	if (!p || !path)
		return MW_REASON_INTERNAL;
	reason = mw_make_room(ctx, p, MW_VXLAN4_SIZE);
	return reason ? reason : mw_write_outer(ctx, p, path);
}

#else

__noinline int mw_push(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path)
{
	struct mw_vxlan4 *header;

	if (!p || !path)
		return MW_REASON_INTERNAL;
	if (bpf_xdp_adjust_head(ctx, -MW_VXLAN4_SIZE))
		return MW_REASON_HEADROOM;
	header = mw_data(ctx);
	if ((void *)(header + 1) > mw_data_end(ctx))
		return MW_REASON_INTERNAL;
	mw_vxlan4_fill(header, path, p->len, mw_flow_hash(p), p->ecn);
	return 0;
}

#endif
#endif
