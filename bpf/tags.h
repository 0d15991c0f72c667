/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VLAN tags in and out of frames, and the Ethernet header in front of them. */
#ifndef MW_TAGS_H
#define MW_TAGS_H

#include "parse.h"

#if MW_TC

/* Takes tags off, beside the frame and in it. What they were is in struct mw_packet. */
static __always_inline int mw_pop_tags(mw_ctx *ctx, __u32 count)
{
	int i;

#pragma unroll
	for (i = 0; i < MW_MAX_TAGS; i++)
		if (i < count && bpf_skb_vlan_pop(ctx))
			return -1;
	return 0;
}

/* Writes the frame's Ethernet header, with 'tags' tags, 'offset' bytes into the buffer. Gives 0 or an enum mw_reason. */
static __always_inline int mw_write_ethernet(mw_ctx *ctx, const struct mw_packet *p, __u32 offset, __u32 tags)
{
	__u8 header[MW_ETH_HLEN + 4 * MW_MAX_TAGS];
	long error;

	memcpy(header, p->dmac, MW_ETH_ALEN);
	memcpy(header + MW_ETH_ALEN, p->smac, MW_ETH_ALEN);
	switch (tags) {
	case 0:
		memcpy(header + 12, &p->ethertype, 2);
		error = mw_store(ctx, offset, header, MW_ETH_HLEN);
		break;
	case 1:
		memcpy(header + 12, &p->tag[0], 4);
		memcpy(header + 16, &p->ethertype, 2);
		error = mw_store(ctx, offset, header, MW_ETH_HLEN + 4);
		break;
	default:
		memcpy(header + 12, &p->tag[0], 4);
		memcpy(header + 16, &p->tag[1], 4);
		memcpy(header + 20, &p->ethertype, 2);
		error = mw_store(ctx, offset, header, MW_ETH_HLEN + 8);
	}
	return error ? MW_REASON_INTERNAL : 0;
}

#endif
#endif
