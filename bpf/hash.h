/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, section 4: the hash of the inner flow, for the outer source port. */
#ifndef MW_HASH_H
#define MW_HASH_H

#include "config.h"
#include "packet.h"

#define MW_HASH_SEED 0x6d617077

static __always_inline __u32 mw_hash_word(__u32 h, __u32 word)
{
	h ^= word * 0xcc9e2d51;
	h = (h << 13) | (h >> 19);
	return h * 5 + 0xe6546b64;
}

static __always_inline __u32 mw_hash_bytes(__u32 h, const __u8 *b)
{
	return mw_hash_word(h, ((__u32)b[0] << 24) | (b[1] << 16) | (b[2] << 8) | b[3]);
}

static __always_inline __u32 mw_hash_end(__u32 h)
{
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ (h >> 16);
}

static __always_inline __u32 mw_flow_hash(const struct mw_packet *p)
{
	__u32 h = MW_HASH_SEED;
	int i;

	switch (p->l3) {
	case MW_L3_IP4:
		h = mw_hash_word(h, bpf_ntohl(p->src[3]));
		h = mw_hash_word(h, bpf_ntohl(p->dst[3]));
		break;
	case MW_L3_IP6:
#pragma unroll
		for (i = 0; i < 4; i++)
			h = mw_hash_word(h, bpf_ntohl(p->src[i]));
#pragma unroll
		for (i = 0; i < 4; i++)
			h = mw_hash_word(h, bpf_ntohl(p->dst[i]));
		break;
	default:
		/* dmac, smac and EtherType are contiguous */
		h = mw_hash_bytes(h, p->dmac);
		h = mw_hash_bytes(h, p->dmac + 4);
		h = mw_hash_bytes(h, p->dmac + 8);
		h = mw_hash_word(h, bpf_ntohs(p->ethertype));
		goto end;
	}
	h = mw_hash_word(h, p->flow_proto);
	if ((p->flags & MW_PACKET_L4) && !(p->flags & MW_PACKET_FRAGMENT) &&
	    (p->proto == MW_PROTO_TCP || p->proto == MW_PROTO_UDP))
		h = mw_hash_word(h, ((__u32)bpf_ntohs(p->ports[0]) << 16) | bpf_ntohs(p->ports[1]));
end:
	return mw_hash_end(h);
}

#endif
