/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The Internet checksum's sum over any part of a packet. */
#ifndef MW_SUM_H
#define MW_SUM_H

#include "config.h"
#include "csum.h"
#include "cursor.h"
#include "packet.h"

/* what bpf_csum_diff() takes at once */
#define MW_MAX_WINDOW 512
/* bytes that XDP sums up at most */
#define MW_MAX_SUM 2048
/* where it begins at most: behind all headers */
#define MW_MAX_SUM_OFFSET 0x7fff

#if MW_TC

/* windows of the largest packet */
#define MW_MAX_WINDOWS 128

struct mw_sum_walk {
	mw_ctx *ctx;
	__u8 *window;
	__u32 offset;
	__u32 left;
	__u32 sum;
};

static long mw_sum_step(__u32 step, struct mw_sum_walk *walk)
{
	__u32 size = walk->left < MW_MAX_WINDOW ? walk->left : MW_MAX_WINDOW;

	if (!walk->left)
		return 1;
	if (size < MW_MAX_WINDOW)
		memset(walk->window, 0, MW_MAX_WINDOW);
	/* what it is anyhow: verifiers before 6.3 learn nothing from "not 0" */
	mw_hide(size);
	size = ((size - 1) & (MW_MAX_WINDOW - 1)) + 1;
	if (bpf_skb_load_bytes(walk->ctx, walk->offset, walk->window, size))
		return 1;
	walk->sum = mw_fold(bpf_csum_diff(NULL, 0, (__be32 *)walk->window, MW_MAX_WINDOW, walk->sum));
	walk->offset += size;
	walk->left -= size;
	return 0;
}

/* Sum of 'length' bytes from 'offset' of the buffer on, folded; -1: out of reach. */
__noinline int mw_sum_range(mw_ctx *ctx, __u32 offset, __u32 length)
{
	__u32 zero = 0;
	struct mw_scratch *scratch = bpf_map_lookup_elem(&MW_MAP(scratch), &zero);
	struct mw_sum_walk walk = { .ctx = ctx, .offset = offset, .left = length };

	if (!scratch)
		return -1;
	walk.window = scratch->byte;
	if (length)
		bpf_loop(MW_MAX_WINDOWS, mw_sum_step, &walk, 0);
	return walk.left ? -1 : (int)walk.sum;
}

#else

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
			words = mw_at(&c, (length & ~((size) * 2 - 1)) +		\
					  (part) * MW_MAX_WINDOW, window);		\
			if (!words)							\
				return -1;						\
			sum = (__u32)bpf_csum_diff(NULL, 0, words, window, sum);	\
		}									\
	} while (0)

/*
 * Sum of 'length' bytes, at most MW_MAX_SUM, from 'offset' of the buffer on, folded; -1: out of reach. Windows have
 * constant sizes because the verifier wants them so.
 */
__noinline int mw_sum_range(mw_ctx *ctx, __u32 offset, __u32 length)
{
	struct mw_cursor c;
	__u32 sum = 0;
	__u16 word;
	void *h;

	if (length > MW_MAX_SUM || offset > MW_MAX_SUM_OFFSET)
		return -1;
	c = (struct mw_cursor){ .data = mw_data(ctx), .data_end = mw_data_end(ctx), .base = offset, .end = length };
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
		h = mw_at(&c, length & ~3, 2);
		if (!h)
			return -1;
		memcpy(&word, h, 2);
		sum += word;
	}
	if (length & 1) {
		h = mw_at(&c, length & ~1, 1);
		if (!h)
			return -1;
		sum += bpf_htons(*(__u8 *)h << 8);	/* the first byte of a word that ends in zero */
	}
	return mw_fold(sum);
}

#endif
#endif
