/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* GRE with Ethernet inside and a key (RFC 2784, RFC 2890; protocol 0x6558). */
#ifndef MW_ENCAP_GRE_H
#define MW_ENCAP_GRE_H

#include "tunnel.h"

#define MW_GRE_CHECKSUM 0x80	/* flag C, of the first byte */
#define MW_GRE_KEY 0x20		/* flag K */
#define MW_GRE_SEQUENCE 0x10	/* flag S */
#define MW_GRE_UNKNOWN 0x4c	/* of the first six bits, the others: RFC 2784 section 2.3 */
#define MW_GRE_VERSION 0x07	/* of the second byte */

static __always_inline void mw_gre_write(struct mw_tunnel *tunnel, __u32 segment)
{
	tunnel->word[0] = bpf_htonl((MW_GRE_KEY << 24) | MW_ETH_P_TEB);
	tunnel->word[1] = bpf_htonl(segment);
}

/* Rule 3.1: a frame with a key, in version 0. */
static __always_inline bool mw_gre_is_ours(const __u8 *h)
{
	return (h[0] & MW_GRE_KEY) && !(h[1] & MW_GRE_VERSION) && h[2] == (MW_ETH_P_TEB >> 8) &&
	       h[3] == (MW_ETH_P_TEB & 0xff);
}

static __always_inline int mw_gre_read(struct mw_cursor *c, struct mw_outer *outer)
{
	__u32 size = MW_TUNNEL_SIZE;
	__u8 flags, *h;
	__u32 key;

	/* what IP says is shorter than the header that rule 3.1 saw */
	if (outer->payload + size > outer->end)
		return MW_REASON_OUTER_MALFORMED;
	h = mw_at(c, outer->payload, 4);
	if (!h)
		return c->error;
	flags = h[0];
	if (flags & MW_GRE_CHECKSUM)
		size += 4;
	if (flags & MW_GRE_SEQUENCE)
		size += 4;
	if (outer->payload + size > outer->end)
		return MW_REASON_OUTER_MALFORMED;
	if (flags & MW_GRE_UNKNOWN)
		return MW_REASON_TUNNEL_HEADER;
	h = mw_at(c, outer->payload + (flags & MW_GRE_CHECKSUM ? 8 : 4), 4);
	if (!h)
		return c->error;
	memcpy(&key, h, 4);
	outer->segment = bpf_ntohl(key);
	mw_payload_behind(outer, size);
	return 0;
}

#endif
