/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VXLAN (RFC 7348 section 5). */
#ifndef MW_ENCAP_VXLAN_H
#define MW_ENCAP_VXLAN_H

#include "tunnel.h"

#define MW_VXLAN_SEGMENT_VALID 0x08	/* flag I */

static __always_inline void mw_vxlan_write(struct mw_tunnel *tunnel, __u32 segment)
{
	tunnel->word[0] = bpf_htonl(MW_VXLAN_SEGMENT_VALID << 24);
	tunnel->word[1] = bpf_htonl(segment << 8);
}

static __always_inline int mw_vxlan_read(struct mw_cursor *c, struct mw_outer *outer)
{
	__u8 *h = mw_at(c, outer->payload, MW_TUNNEL_SIZE);

	if (!h)
		return c->error;
	if (!(h[0] & MW_VXLAN_SEGMENT_VALID))
		return MW_REASON_TUNNEL_HEADER;
	outer->segment = (h[4] << 16) | (h[5] << 8) | h[6];
	mw_payload_behind(outer, MW_TUNNEL_SIZE);
	return 0;
}

#endif
