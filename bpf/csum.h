/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Internet checksums (RFC 1071, RFC 1624). Sums are of 16-bit words as they stand in memory. */
#ifndef MW_CSUM_H
#define MW_CSUM_H

#include "ctx.h"

static __always_inline __u16 mw_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Sum of a 20-byte IPv4 header; a right one folds to 0xffff. */
static __always_inline __u32 mw_sum_ip4(const void *header)
{
	const __u16 *word = header;
	__u32 sum = 0;
	int i;

#pragma unroll
	for (i = 0; i < 10; i++)
		sum += word[i];
	return sum;
}

/* RFC 1624 equation 3: the checksum after a 16-bit word changed from 'before' to 'after'. */
static __always_inline __u16 mw_mend(__u16 checksum, __u16 before, __u16 after)
{
	return ~mw_fold((__u32)(__u16)~checksum + (__u16)~before + after);
}

/* Pseudo-header of IPv4 (addresses in mapped form) and IPv6; folded, not inverted. RFC 9293 section 3.1, RFC 8200 section 8.1. */
static __always_inline __u16 mw_pseudo(const __be32 *src, const __be32 *dst, bool ip6, __u8 proto, __u32 length)
{
	__u64 sum = (__u64)bpf_htonl(length) + bpf_htonl(proto);
	int i;

	if (ip6) {
#pragma unroll
		for (i = 0; i < 4; i++)
			sum += (__u64)src[i] + dst[i];
	} else {
		sum += (__u64)src[3] + dst[3];
	}
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return mw_fold((sum & 0xffff) + (sum >> 16));
}

#endif
