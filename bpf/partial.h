/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * XDP: frames from a veth or tap may carry an unfinished TCP or UDP checksum (CHECKSUM_PARTIAL): the field then holds the
 * folded pseudo-header sum, and a redirect forgets that somebody was to finish it. See docs/packet-rules.md, section 5.
 */
#ifndef MW_PARTIAL_H
#define MW_PARTIAL_H

#include "csum.h"
#include "parse.h"

#define MW_MAX_PARTIAL 2048

static __always_inline bool mw_unfinished(const struct mw_packet *p)
{
	__u32 length = p->l3_len + MW_ETH_HLEN - p->l4_offset;

	if (!(p->flags & MW_PACKET_L4) || (p->flags & MW_PACKET_FRAGMENT) ||
	    (p->proto != MW_PROTO_TCP && p->proto != MW_PROTO_UDP))
		return false;
	return p->checksum == mw_pseudo(p->src, p->dst, p->l3 == MW_L3_IP6, p->proto, length);
}

#define MW_SUM_WINDOW(size)								\
	do {										\
		if (left >= (size)) {							\
			h = mw_at(&c, offset, (size));					\
			if (!h)								\
				return -1;						\
			sum = bpf_csum_diff(NULL, 0, h, (size), sum);			\
			offset += (size);						\
			left -= (size);							\
		}									\
	} while (0)

/*
 * Completes the checksum in place. The field holds the pseudo-header's sum, so the sum over layer 4 as it stands is the
 * whole sum. Windows have constant sizes because the verifier wants them so. Gives 0, or -1 when a part is out of reach.
 */
__noinline int mw_complete(mw_ctx *ctx, const struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 offset, left;
	__s64 sum = 0;
	__u16 checksum;
	void *h;
	int i;

	if (!p || base > MW_MAX_BASE)
		return -1;
	c = (struct mw_cursor)MW_CURSOR(ctx, base, MW_ETH_HLEN + p->l3_len);
	offset = p->l4_offset;
	left = p->l3_len + MW_ETH_HLEN - offset;
	if (left > MW_MAX_PARTIAL)
		return -1;
	for (i = 0; i < MW_MAX_PARTIAL / 512; i++)
		MW_SUM_WINDOW(512);
	MW_SUM_WINDOW(256);
	MW_SUM_WINDOW(128);
	MW_SUM_WINDOW(64);
	MW_SUM_WINDOW(32);
	MW_SUM_WINDOW(16);
	MW_SUM_WINDOW(8);
	MW_SUM_WINDOW(4);
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff);
	if (left >= 2) {
		__u16 word;

		h = mw_at(&c, offset, 2);
		if (!h)
			return -1;
		memcpy(&word, h, 2);
		sum += word;
		offset += 2;
		left -= 2;
	}
	if (left) {
		h = mw_at(&c, offset, 1);
		if (!h)
			return -1;
		sum += *(__u8 *)h;	/* the first byte of a word that ends in zero */
	}
	checksum = ~mw_fold(sum);
	if (p->proto == MW_PROTO_UDP && checksum == 0)
		checksum = 0xffff;
	h = mw_at(&c, p->l4_offset + (p->proto == MW_PROTO_UDP ? 6 : 16), 2);
	if (!h)
		return -1;
	memcpy(h, &checksum, 2);
	return 0;
}

#endif
