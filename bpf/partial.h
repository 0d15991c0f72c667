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

/* what bpf_csum_diff() takes at once */
#define MW_MAX_WINDOW 512

/*
 * Adds the window of 'size' bytes (part 0, 1 … of it, at most MW_MAX_WINDOW each) if 'length' has that bit. The larger
 * windows lie before it, so its place follows from 'length' alone: nothing is carried from window to window but the sum, and
 * the ways to one place look the same to the verifier.
 */
#define MW_SUM_WINDOW(size, part)							\
	do {										\
		const __u32 window = (size) < MW_MAX_WINDOW ? (size) : MW_MAX_WINDOW;	\
		__be32 *words;								\
											\
		if (length & (size)) {							\
			words = mw_at(&c, start + (length & ~((size) * 2 - 1)) +	\
					  (part) * MW_MAX_WINDOW, window);		\
			if (!words)							\
				return -1;						\
			sum = (__u32)bpf_csum_diff(NULL, 0, words, window, sum);	\
		}									\
	} while (0)

/*
 * Completes the checksum in place. The field holds the pseudo-header's sum, so the sum over layer 4 as it stands is the
 * whole sum. Windows have constant sizes because the verifier wants them so. Gives 0, or -1 when a part is out of reach.
 */
__noinline int mw_complete(mw_ctx *ctx, const struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 start, length;
	__u16 checksum;
	__u32 sum = 0;
	__u16 word;
	void *h;

	if (!p || base > MW_MAX_BASE)
		return -1;
	c = (struct mw_cursor)MW_CURSOR(ctx, base, MW_ETH_HLEN + p->l3_len);
	start = p->l4_offset;
	length = p->l3_len + MW_ETH_HLEN - start;
	if (length > MW_MAX_PARTIAL)
		return -1;
	MW_SUM_WINDOW(2048, 0);
	MW_SUM_WINDOW(2048, 1);
	MW_SUM_WINDOW(2048, 2);
	MW_SUM_WINDOW(2048, 3);
	MW_SUM_WINDOW(1024, 0);
	MW_SUM_WINDOW(1024, 1);
	MW_SUM_WINDOW(512, 0);
	MW_SUM_WINDOW(256, 0);
	MW_SUM_WINDOW(128, 0);
	MW_SUM_WINDOW(64, 0);
	MW_SUM_WINDOW(32, 0);
	MW_SUM_WINDOW(16, 0);
	MW_SUM_WINDOW(8, 0);
	MW_SUM_WINDOW(4, 0);
	sum = mw_fold(sum);
	if (length & 2) {
		h = mw_at(&c, start + (length & ~3), 2);
		if (!h)
			return -1;
		memcpy(&word, h, 2);
		sum += word;
	}
	if (length & 1) {
		h = mw_at(&c, start + (length & ~1), 1);
		if (!h)
			return -1;
		sum += bpf_htons(*(__u8 *)h << 8);	/* the first byte of a word that ends in zero */
	}
	checksum = ~mw_fold(sum);
	if (p->proto == MW_PROTO_UDP && checksum == 0)
		checksum = 0xffff;
	h = mw_at(&c, start + (p->proto == MW_PROTO_UDP ? 6 : 16), 2);
	if (!h)
		return -1;
	memcpy(h, &checksum, 2);
	return 0;
}

#endif
