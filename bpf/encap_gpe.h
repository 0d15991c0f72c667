/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe section 3), for IP packets. */
#ifndef MW_ENCAP_GPE_H
#define MW_ENCAP_GPE_H

#include "tunnel.h"

#define MW_GPE_VERSION 0x30
#define MW_GPE_SEGMENT_VALID 0x08	/* flag I */
#define MW_GPE_NEXT_VALID 0x04		/* flag P */
#define MW_GPE_OAM 0x01			/* flag O */
#define MW_GPE_NEXT_IP4 1
#define MW_GPE_NEXT_IP6 2

static __always_inline void mw_gpe_write(struct mw_tunnel *tunnel, __u32 segment, bool inner_ip6)
{
	tunnel->word[0] = bpf_htonl(((MW_GPE_SEGMENT_VALID | MW_GPE_NEXT_VALID) << 24) |
				    (inner_ip6 ? MW_GPE_NEXT_IP6 : MW_GPE_NEXT_IP4));
	tunnel->word[1] = bpf_htonl(segment << 8);
}

static __always_inline int mw_gpe_read(struct mw_cursor *c, struct mw_outer *outer)
{
	__u8 *h = mw_at(c, outer->payload, MW_TUNNEL_SIZE);

	if (!h)
		return c->error;
	if ((h[0] & (MW_GPE_VERSION | MW_GPE_SEGMENT_VALID | MW_GPE_NEXT_VALID | MW_GPE_OAM)) !=
		    (MW_GPE_SEGMENT_VALID | MW_GPE_NEXT_VALID) ||
	    (h[3] != MW_GPE_NEXT_IP4 && h[3] != MW_GPE_NEXT_IP6))
		return MW_REASON_TUNNEL_HEADER;
	outer->segment = (h[4] << 16) | (h[5] << 8) | h[6];
	mw_payload_behind(outer, MW_TUNNEL_SIZE);
	return 0;
}

#endif
