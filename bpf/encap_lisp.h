/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The LISP data header (RFC 9300 section 5.3) with an instance id, for IP packets. */
#ifndef MW_ENCAP_LISP_H
#define MW_ENCAP_LISP_H

#include "tunnel.h"

#define MW_LISP_INSTANCE_VALID 0x08	/* flag I */

static __always_inline void mw_lisp_write(struct mw_tunnel *tunnel, __u32 segment)
{
	tunnel->word[0] = bpf_htonl(MW_LISP_INSTANCE_VALID << 24);
	tunnel->word[1] = bpf_htonl(segment << 8);
}

static __always_inline int mw_lisp_read(struct mw_cursor *c, struct mw_outer *outer)
{
	__u8 *h = mw_at(c, outer->payload, MW_TUNNEL_SIZE);

	if (!h)
		return c->error;
	if (!(h[0] & MW_LISP_INSTANCE_VALID))
		return MW_REASON_TUNNEL_HEADER;
	outer->segment = (h[4] << 16) | (h[5] << 8) | h[6];
	mw_payload_behind(outer, MW_TUNNEL_SIZE);
	return 0;
}

#endif
