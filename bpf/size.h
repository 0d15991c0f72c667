/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, rule 2.10: the layer-3 size that counts against an MTU. */
#ifndef MW_SIZE_H
#define MW_SIZE_H

#include "packet.h"
#include "ctx.h"

static __always_inline __u32 mw_size(const mw_ctx *ctx, const struct mw_packet *p)
{
	__u32 segment = mw_gso_size(ctx);
	__u32 header = 0;

	if (!segment || !mw_is_ip(p))
		return p->l3_len;
	if ((p->flags & MW_PACKET_L4) && !(p->flags & MW_PACKET_FRAGMENT) &&
	    (p->proto == MW_PROTO_TCP || p->proto == MW_PROTO_UDP))
		header = p->l4_header;
	return p->l4_offset - p->l3_offset + header + segment;
}

#endif
