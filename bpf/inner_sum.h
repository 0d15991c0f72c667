/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, section 4 "Checksum": the part of an outer UDP checksum that is the inner frame's. */
#ifndef MW_INNER_SUM_H
#define MW_INNER_SUM_H

#include "parse.h"
#include "partial.h"
#include "sum.h"
#include "tunnel.h"

/* Its own checksum makes layer 4 and the pseudo-header add up to 0xffff, now or once the stack has finished it. */
static __always_inline bool mw_sums_up(const struct mw_packet *p)
{
	if (!(p->flags & MW_PACKET_L4) || (p->flags & MW_PACKET_FRAGMENT))
		return false;
	if ((p->flags & MW_PACKET_EXTENSIONS) && !mw_unfinished(p))
		return false;
	return p->proto == MW_PROTO_TCP || (p->proto == MW_PROTO_UDP && p->checksum != 0);
}

static __always_inline __u32 mw_sum_ethernet(const struct mw_packet *p)
{
	__u32 sum = p->ethertype;
	__u16 word;
	int i;

#pragma unroll
	for (i = 0; i < MW_ETH_ALEN; i += 2) {
		memcpy(&word, p->dmac + i, 2);
		sum += word;
		memcpy(&word, p->smac + i, 2);
		sum += word;
	}
#pragma unroll
	for (i = 0; i < MW_MAX_TAGS; i++)
		if (i < p->tags)
			sum += (__u32)p->tag[i].tpid + p->tag[i].tci;
	return sum;
}

/* Of the frame at the start of the buffer, as it will stand behind a tunnel header of 'encap'; folded. -1: out of reach. */
__noinline int mw_inner_sum(mw_ctx *ctx, const struct mw_packet *p, __u32 encap)
{
	__u32 sum, end, rest;
	int part;

	if (!p)
		return -1;
#if !MW_TC
	if (!mw_sums_up(p) && p->len > MW_MAX_SUM)
		return -1;
#endif
	sum = mw_carries_ip(encap) ? 0 : mw_sum_ethernet(p);
	if (!mw_sums_up(p)) {
		part = mw_sum_range(ctx, p->l3_offset, p->len - p->l3_offset);
		return part < 0 ? -1 : mw_fold(sum + part);
	}
	part = mw_sum_range(ctx, p->l3_offset, p->l4_offset - p->l3_offset);
	if (part < 0)
		return -1;
	end = mw_l3_end(p);
	sum += part;
	sum += (__u16)~mw_pseudo(p->src, p->dst, p->l3 == MW_L3_IP6, p->proto, end - p->l4_offset);
	rest = p->len - end;
	if (rest) {
		__u16 padding;

		part = mw_sum_range(ctx, end, rest);
		if (part < 0)
			return -1;
		padding = part;
		/* it begins in the middle of a word */
		if ((end - p->l3_offset) & 1)
			padding = __builtin_bswap16(padding);
		sum += padding;
	}
	return mw_fold(sum);
}

#endif
