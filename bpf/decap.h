/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Taking the outer header off, with ECN by RFC 6040 section 4.2: docs/packet-rules.md, rules 3.7 and 3.10. */
#ifndef MW_DECAP_H
#define MW_DECAP_H

#include "csum.h"
#include "outcome.h"
#include "parse.h"
#include "tunnel.h"

#define MW_ECN_NOT 0
#define MW_ECN_1 1
#define MW_ECN_0 2
#define MW_ECN_CE 3

/* The inner ECN after decapsulation. The combination "outer CE, inner not ECN-capable" was dropped before. */
static __always_inline __u8 mw_merge_ecn(__u8 outer, __u8 inner)
{
	if (inner == MW_ECN_NOT || inner == MW_ECN_CE)
		return inner;
	if (outer == MW_ECN_CE)
		return MW_ECN_CE;
	if (inner == MW_ECN_0 && outer == MW_ECN_1)
		return MW_ECN_1;
	return inner;
}

/* Writes the merged ECN into the inner header, 'base' + p->l3_offset bytes into the buffer. */
static __always_inline int mw_apply_ecn(mw_ctx *ctx, const struct mw_packet *p, __u32 base, __u8 outer)
{
	__u8 ecn = mw_merge_ecn(outer, mw_ecn(p));
	__u32 at = base + p->l3_offset;
	__u8 bytes[2];

	if (mw_ecn(p) == ecn || !mw_is_ip(p))
		return 0;
	if (mw_load(ctx, at, bytes, 2))
		return MW_REASON_INTERNAL;
	if (p->l3 == MW_L3_IP6) {
		bytes[1] = (bytes[1] & 0xcf) | (ecn << 4);
	} else {
		__u16 before, after, checksum;

		memcpy(&before, bytes, 2);
		bytes[1] = (bytes[1] & 0xfc) | ecn;
		memcpy(&after, bytes, 2);
		if (mw_load(ctx, at + 10, &checksum, 2))
			return MW_REASON_INTERNAL;
		checksum = mw_mend(checksum, before, after);
		if (mw_store_covered(ctx, at + 10, &checksum, 2))
			return MW_REASON_INTERNAL;
	}
	return mw_store_covered(ctx, at, bytes, 2) ? MW_REASON_INTERNAL : 0;
}

#if MW_TC

/*
 * bpf_skb_adjust_room() leaves at least an IP header's worth of bytes: of the inner packet's family where that is told (6.3),
 * else of the outer one's.
 */
#define MW_MIN_SHRUNK (MW_ETH_HLEN + MW_IP6_SIZE)

/*
 * An inner frame too small for adjust_room() is copied to the front instead, after as much as possible was taken away there:
 * the tail is not cut to less than where the (outer) transport header ends, if somebody has looked for that. Only what
 * adjust_room() really refused, and no IP: a packet with an unfinished checksum must not be moved, and is not cut either where
 * a tunnel of the kernel made it (bpf_skb_change_tail() refuses skb->encapsulation).
 */
static __always_inline int mw_pop_small(mw_ctx *ctx, __u32 size, __u32 base)
{
	__u8 frame[MW_MIN_SHRUNK];
	__u32 at = base;

	if (base + size > MW_MIN_SHRUNK) {
		__s32 surplus = base + size - MW_MIN_SHRUNK;

		if (bpf_skb_adjust_room(ctx, -surplus, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
			return MW_REASON_INTERNAL;
		at -= surplus;
	}
	/* two comparisons, which the compiler must not merge into one: verifiers before 6.18 do not follow that */
	if (size > sizeof(frame))
		return MW_REASON_INTERNAL;
	mw_hide(size);
	if (size < MW_ETH_HLEN)
		return MW_REASON_INTERNAL;
	if (bpf_skb_load_bytes(ctx, at, frame, size) || bpf_skb_change_tail(ctx, size, 0) ||
	    mw_store(ctx, 0, frame, size))
		return MW_REASON_INTERNAL;
	return 0;
}

/*
 * IPv4 in IPv6, smaller than an IPv6 header: the kernel takes 20 bytes off as for a translation, and the packet for IPv4, whose
 * header adjust_room() leaves room for. What is inside stays where it is, and so does a checksum that is unfinished.
 */
static __always_inline int mw_pop_ip4_of_ip6(mw_ctx *ctx, __u32 base)
{
	if (bpf_skb_change_proto(ctx, bpf_htons(MW_ETH_P_IP), 0) ||
	    bpf_skb_adjust_room(ctx, MW_IP6_SIZE - MW_IP4_SIZE - (__s32)base, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return MW_REASON_INTERNAL;
	return 0;
}

/* An inner frame for which there is no room for an IPv6 header. */
static __always_inline int mw_pop_tiny(mw_ctx *ctx, const struct mw_packet *p, __u32 base)
{
	if (p->l3 == MW_L3_IP4 && ctx->protocol == bpf_htons(MW_ETH_P_IPV6))
		return mw_pop_ip4_of_ip6(ctx, base);
	return mw_pop_small(ctx, p->len, base);
}

/* The frame's first 14 bytes: of a tagged one the tag's EtherType is there, and the rest of the tag behind. */
static __always_inline int mw_write_front(mw_ctx *ctx, const struct mw_packet *p)
{
	struct {
		__u8 dmac[MW_ETH_ALEN];
		__u8 smac[MW_ETH_ALEN];
		__be16 ethertype;
	} inner;

	memcpy(inner.dmac, p->dmac, MW_ETH_ALEN);
	memcpy(inner.smac, p->smac, MW_ETH_ALEN);
	inner.ethertype = p->tags_inside ? p->tag[0].tpid : p->ethertype;
	return mw_store(ctx, 0, &inner, sizeof(inner)) ? MW_REASON_INTERNAL : 0;
}

/*
 * Leaves the inner frame alone in the buffer. bpf_skb_adjust_room() takes the bytes behind the outer Ethernet header,
 * which is then written as the inner one. The DECAP flags (6.3) also set the packet's protocol, which redirect_peer needs;
 * gives MW_POPPED_PLAIN where that was not done.
 */
#define MW_POPPED 0
#define MW_POPPED_PLAIN (-1)

__noinline int mw_pop(mw_ctx *ctx, const struct mw_packet *p, __u32 base, __u32 outer_ecn)
{
	__u64 protocol = 0;
	int result = MW_POPPED;
	int reason;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	if (mw_tag_beside(ctx) && bpf_skb_vlan_pop(ctx))
		return MW_REASON_INTERNAL;
	reason = mw_apply_ecn(ctx, p, base, outer_ecn);
	if (reason)
		return reason;
	if (!mw_gso_size(ctx) && ctx->len > base + p->len && bpf_skb_change_tail(ctx, base + p->len, 0))
		return MW_REASON_INTERNAL;
	if (!p->tags)
		protocol = p->l3 == MW_L3_IP4 ? MW_F_ADJ_ROOM_DECAP_L3_IPV4 :
			   p->l3 == MW_L3_IP6 ? MW_F_ADJ_ROOM_DECAP_L3_IPV6 : 0;
	if (!protocol || bpf_skb_adjust_room(ctx, -(__s32)base, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO | protocol)) {
		result = MW_POPPED_PLAIN;
		if (bpf_skb_adjust_room(ctx, -(__s32)base, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO) &&
		    (p->len >= MW_MIN_SHRUNK || mw_pop_tiny(ctx, p, base)))
			return MW_REASON_INTERNAL;
	}
	reason = mw_write_front(ctx, p);
	return reason ? reason : result;
}

#else

__noinline int mw_pop(mw_ctx *ctx, const struct mw_packet *p, __u32 base, __u32 outer_ecn)
{
	__u32 whole;
	int reason;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	reason = mw_apply_ecn(ctx, p, base, outer_ecn);
	if (reason)
		return reason;
	whole = mw_len(ctx);
	if (whole > base + p->len && bpf_xdp_adjust_tail(ctx, (int)(base + p->len) - (int)whole))
		return MW_REASON_INTERNAL;
	return bpf_xdp_adjust_head(ctx, base) ? MW_REASON_INTERNAL : 0;
}

/* Of an IP network: the Ethernet header in front of the packet. */
static __always_inline int mw_write_front(mw_ctx *ctx, const struct mw_packet *p)
{
	__u8 *h = mw_data(ctx);

	if ((void *)(h + MW_ETH_HLEN) > mw_data_end(ctx))
		return MW_REASON_INTERNAL;
	memcpy(h, p->dmac, MW_ETH_ALEN);
	memcpy(h + MW_ETH_ALEN, p->smac, MW_ETH_ALEN);
	memcpy(h + 2 * MW_ETH_ALEN, &p->ethertype, 2);
	return 0;
}

#endif
#endif
