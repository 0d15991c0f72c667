/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP: frames from a veth or tap may carry an unfinished TCP or UDP checksum (CHECKSUM_PARTIAL): the field then holds the
 * folded pseudo-header sum, and a redirect forgets that somebody was to finish it. See docs/packet-rules.md, section 5.
 */
#ifndef MW_PARTIAL_H
#define MW_PARTIAL_H

#include "deliver.h"
#include "parse.h"
#include "sum.h"

static __always_inline bool mw_unfinished(const struct mw_packet *p)
{
	__u32 length = mw_l3_end(p) - p->l4_offset;

	if (!(p->flags & MW_PACKET_L4) || (p->flags & MW_PACKET_FRAGMENT) ||
	    (p->proto != MW_PROTO_TCP && p->proto != MW_PROTO_UDP))
		return false;
	return p->checksum == mw_pseudo(p->src, p->dst, p->l3 == MW_L3_IP6, p->proto, length);
}

#if !MW_TC

/*
 * Completes the checksum in place. The field holds the pseudo-header's sum, so the sum over layer 4 as it stands is the
 * whole sum. Gives 0, or -1 when a part is out of reach.
 */
__noinline int mw_complete(mw_ctx *ctx, const struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 start, length;
	__u16 checksum;
	int sum;
	void *h;

	if (!p || base > MW_MAX_BASE)
		return -1;
	start = p->l4_offset;
	length = mw_l3_end(p) - start;
	sum = mw_sum_range(ctx, base + start, length);
	if (sum < 0)
		return -1;
	checksum = ~sum;
	if (p->proto == MW_PROTO_UDP && checksum == 0)
		checksum = 0xffff;
	c = (struct mw_cursor)MW_CURSOR(ctx, base, mw_l3_end(p));
	h = mw_at(&c, start + (p->proto == MW_PROTO_UDP ? 6 : 16), 2);
	if (!h)
		return -1;
	memcpy(h, &checksum, 2);
	return 0;
}

/* Must the frame be left to TC, which knows of tags beside it and leaves checksums to the stack? */
static __always_inline bool mw_xdp_must_leave(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					      __u32 base, bool tags)
{
	if (tags)
		return true;
	if ((link->device & MW_DEVICE_PARTIAL_CHECKSUM) && mw_unfinished(p))
		return mw_multi_buffer(ctx) || mw_complete(ctx, p, base);
	return false;
}

#endif
#endif
