/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Geneve (RFC 8926 section 3.4): sent without options, received with any but critical ones. */
#ifndef MW_ENCAP_GENEVE_H
#define MW_ENCAP_GENEVE_H

#include "tunnel.h"

#define MW_GENEVE_VERSION 0xc0
#define MW_GENEVE_WORDS 0x3f		/* length of the options, in words */
#define MW_GENEVE_CONTROL 0x80		/* flag O */
#define MW_GENEVE_OPTION_CRITICAL 0x80	/* of an option's type */
#define MW_GENEVE_OPTION_WORDS 0x1f
#define MW_GENEVE_MAX_OPTIONS 63

static __always_inline void mw_geneve_write(struct mw_tunnel *tunnel, __u32 segment)
{
	tunnel->word[0] = bpf_htonl(MW_ETH_P_TEB);
	tunnel->word[1] = bpf_htonl(segment << 8);
}

/*
 * 'words' of options from 'offset' on. None is known here: all that matters is whether the sender forbids to pass over one.
 * An option that is cut off counts first, wherever it stands.
 */
__noinline int mw_geneve_options(mw_ctx *ctx, __u32 offset, __u32 words, __u32 length)
{
	struct mw_cursor c = { .data = mw_data(ctx), .data_end = mw_data_end(ctx), .end = length };
	__u32 end = offset + words * 4;
	bool critical = false;
	int i;

	for (i = 0; i < MW_GENEVE_MAX_OPTIONS && offset < end; i++) {
		__u8 *h = mw_at(&c, offset, 4);

		if (!h)
			return c.error == MW_SHORT ? MW_SHORT : MW_REASON_TUNNEL_HEADER;
		if (h[2] & MW_GENEVE_OPTION_CRITICAL)
			critical = true;
		offset += 4 + (h[3] & MW_GENEVE_OPTION_WORDS) * 4;
	}
	if (offset != end)
		return MW_REASON_TUNNEL_HEADER;
	return critical ? MW_REASON_TUNNEL_OPTION : 0;
}

static __always_inline int mw_geneve_read(mw_ctx *ctx, struct mw_cursor *c, struct mw_outer *outer)
{
	__u8 *h = mw_at(c, outer->payload, MW_TUNNEL_SIZE);
	__u32 words;
	int reason;

	if (!h)
		return c->error;
	words = h[0] & MW_GENEVE_WORDS;
	if ((h[0] & MW_GENEVE_VERSION) || (h[1] & MW_GENEVE_CONTROL) || h[2] != (MW_ETH_P_TEB >> 8) ||
	    h[3] != (MW_ETH_P_TEB & 0xff) || outer->payload + MW_TUNNEL_SIZE + words * 4 > outer->end)
		return MW_REASON_TUNNEL_HEADER;
	outer->segment = (h[4] << 16) | (h[5] << 8) | h[6];
	if (words) {
		reason = mw_geneve_options(ctx, outer->payload + MW_TUNNEL_SIZE, words, outer->end);
		if (reason)
			return reason;
	}
	mw_payload_behind(outer, MW_TUNNEL_SIZE + words * 4);
	return 0;
}

#endif
