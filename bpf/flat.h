/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flat networks: frames on the underlay's wire as they are, or with a VLAN tag. docs/packet-rules.md, rule 3.11, section 4. */
#ifndef MW_FLAT_H
#define MW_FLAT_H

#include "parse.h"
#include "tags.h"

/* Puts the network's tag on the frame. Gives 0 or an enum mw_reason. */
static __always_inline int mw_flat_push(mw_ctx *ctx, __u32 vlan)
{
#if MW_TC
	if (vlan && bpf_skb_vlan_push(ctx, bpf_htons(MW_ETH_P_8021Q), vlan))
		return MW_REASON_INTERNAL;
#else
	__u8 macs[2 * MW_ETH_ALEN];
	__u8 *h;

	if (!vlan)
		return 0;
	if (bpf_xdp_load_bytes(ctx, 0, macs, sizeof(macs)))
		return MW_REASON_INTERNAL;
	if (bpf_xdp_adjust_head(ctx, -4))
		return MW_REASON_HEADROOM;
	h = mw_data(ctx);
	if ((void *)(h + MW_ETH_HLEN + 2) > mw_data_end(ctx))
		return MW_REASON_INTERNAL;
	memcpy(h, macs, sizeof(macs));
	*(__be16 *)(h + 12) = bpf_htons(MW_ETH_P_8021Q);
	*(__be16 *)(h + 14) = bpf_htons(vlan);
#endif
	return 0;
}

/* Takes it off, if there is one. */
static __always_inline int mw_flat_pop(mw_ctx *ctx, const struct mw_packet *p)
{
#if MW_TC
	if (p->tags && bpf_skb_vlan_pop(ctx))
		return MW_REASON_INTERNAL;
#else
	__u8 macs[2 * MW_ETH_ALEN];
	__u8 *h;

	if (!p->tags)
		return 0;
	memcpy(macs, p->dmac, MW_ETH_ALEN);
	memcpy(macs + MW_ETH_ALEN, p->smac, MW_ETH_ALEN);
	if (bpf_xdp_adjust_head(ctx, 4))
		return MW_REASON_INTERNAL;
	h = mw_data(ctx);
	if ((void *)(h + sizeof(macs)) > mw_data_end(ctx))
		return MW_REASON_INTERNAL;
	memcpy(h, macs, sizeof(macs));
#endif
	return 0;
}

#endif
