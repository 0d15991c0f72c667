/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pushing the outer headers: docs/packet-rules.md, section 4. The tunnel headers have files of their own, encap_*.h. */
#ifndef MW_ENCAP_H
#define MW_ENCAP_H

#include "csum.h"
#include "encap_geneve.h"
#include "encap_gpe.h"
#include "encap_gre.h"
#include "encap_lisp.h"
#include "encap_vxlan.h"
#include "hash.h"
#include "inner_sum.h"
#include "parse.h"
#include "resolve.h"
#include "state.h"
#include "tags.h"

/* Bytes that a frame grows by; TC: and 4 for each tag that was beside it. */
static __always_inline __u32 mw_growth(const struct mw_path *path)
{
	__u32 size = MW_ETH_HLEN + mw_outer_size(path->encap, path->flags & MW_NODE_IP6);

#if !MW_TC
	if (path->nexthop.vlan)
		size += 4;
#endif
	return mw_carries_ip(path->encap) ? size - MW_ETH_HLEN : size;
}

static __always_inline void mw_write_tunnel(struct mw_tunnel *tunnel, const struct mw_packet *p,
					    const struct mw_path *path)
{
	switch (path->encap) {
	case MW_ENCAP_VXLAN_GPE:
		mw_gpe_write(tunnel, path->segment, p->l3 == MW_L3_IP6);
		break;
	case MW_ENCAP_GENEVE:
		mw_geneve_write(tunnel, path->segment);
		break;
	case MW_ENCAP_GRE:
		mw_gre_write(tunnel, path->segment);
		break;
	case MW_ENCAP_LISP:
		mw_lisp_write(tunnel, path->segment);
		break;
	default:
		mw_vxlan_write(tunnel, path->segment);
	}
}

static __always_inline __u8 mw_outer_tos(const struct mw_packet *p)
{
	__u8 tos = mw_is_ip(p) ? p->tos : 0;

	return mw_config.dscp == MW_DSCP_UNIFORM ? tos : (mw_config.dscp << 2) | (tos & MW_ECN_MASK);
}

/* Words and not larger fields: the header begins 14 bytes into the frame. */
static __always_inline void mw_write_ip4(__be16 *word, const struct mw_packet *p, const struct mw_path *path,
					 __u32 payload)
{
	word[0] = bpf_htons(0x4500 | mw_outer_tos(p));
	word[1] = bpf_htons(MW_IP4_SIZE + payload);
	word[2] = 0;
	word[3] = bpf_htons(0x4000);	/* DF: RFC 6864 lets id be 0 */
	word[4] = bpf_htons((mw_config.ttl << 8) | mw_outer_proto(path->encap));
	word[5] = 0;
	memcpy(&word[6], &path->local[3], 4);
	memcpy(&word[8], &path->remote[3], 4);
	word[5] = ~mw_fold(mw_sum_ip4(word));
}

static __always_inline void mw_write_ip6(__be16 *word, const struct mw_packet *p, const struct mw_path *path,
					 __u32 payload, __u32 hash)
{
	__u32 first = bpf_htonl((6 << 28) | (mw_outer_tos(p) << 20) | (hash >> 12));	/* flow label: RFC 6438 */

	memcpy(&word[0], &first, 4);
	word[2] = bpf_htons(payload);
	word[3] = bpf_htons((mw_outer_proto(path->encap) << 8) | mw_config.ttl);
	memcpy(&word[4], path->local, 16);
	memcpy(&word[12], path->remote, 16);
}

/* The UDP checksum over IPv6: 'inner' is the sum behind the tunnel header. */
static __always_inline __u16 mw_udp_checksum(const struct mw_path *path, const struct mw_udp_header *udp,
					     const struct mw_tunnel *tunnel, __u32 length, __u32 inner)
{
	__u32 sum = inner + mw_pseudo(path->local, path->remote, true, MW_PROTO_UDP, length);
	__u16 checksum;
	int i;

	sum += udp->source;
	sum += udp->dest;
	sum += udp->length;
#pragma unroll
	for (i = 0; i < 2; i++) {
		sum += tunnel->word[i] & 0xffff;
		sum += tunnel->word[i] >> 16;
	}
	checksum = ~mw_fold(sum);
	return checksum ? checksum : 0xffff;
}

/*
 * Writes all outer headers over the room at the front of the buffer. 'inner' is what mw_inner_sum() gave, if the node
 * asks for a checksum. TC: lengths are those of the super-packet; the stack mends each segment's.
 */
__noinline int mw_write_outer(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path, __u32 inner)
{
	struct mw_cursor c;
	struct mw_tunnel tunnel;
	__u32 hash, payload, at;
	bool ip6;
	void *h;

	if (!p || !path)
		return MW_REASON_INTERNAL;
	ip6 = path->flags & MW_NODE_IP6;
	hash = path->hash;
	payload = p->len + 4 * (p->tags - p->tags_inside) - (mw_carries_ip(path->encap) ? MW_ETH_HLEN : 0) +
		  MW_TUNNEL_SIZE + (path->encap == MW_ENCAP_GRE ? 0 : MW_UDP_SIZE);
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, MW_MAX_BASE);

	h = mw_at(&c, 0, MW_ETH_HLEN);
	if (!h)
		return MW_REASON_INTERNAL;
	memcpy(h, path->nexthop.dmac, MW_ETH_ALEN);
	memcpy(h + MW_ETH_ALEN, path->nexthop.smac, MW_ETH_ALEN);
	*(__be16 *)(h + 12) = bpf_htons(ip6 ? MW_ETH_P_IPV6 : MW_ETH_P_IP);
	at = MW_ETH_HLEN;
#if !MW_TC
	if (path->nexthop.vlan) {
		*(__be16 *)(h + 12) = bpf_htons(MW_ETH_P_8021Q);
		h = mw_at(&c, at, 4);
		if (!h)
			return MW_REASON_INTERNAL;
		*(__be16 *)h = bpf_htons(path->nexthop.vlan);
		*(__be16 *)(h + 2) = bpf_htons(ip6 ? MW_ETH_P_IPV6 : MW_ETH_P_IP);
		at += 4;
	}
#endif
	if (ip6) {
		h = mw_at(&c, at, MW_IP6_SIZE);
		if (!h)
			return MW_REASON_INTERNAL;
		mw_write_ip6(h, p, path, payload, hash);
		at += MW_IP6_SIZE;
	} else {
		h = mw_at(&c, at, MW_IP4_SIZE);
		if (!h)
			return MW_REASON_INTERNAL;
		mw_write_ip4(h, p, path, payload);
		at += MW_IP4_SIZE;
	}
	mw_write_tunnel(&tunnel, p, path);
	if (path->encap != MW_ENCAP_GRE) {
		struct mw_udp_header *udp = mw_at(&c, at, MW_UDP_SIZE);

		if (!udp)
			return MW_REASON_INTERNAL;
		udp->source = bpf_htons(49152 + (hash & 0x3fff));
		udp->dest = bpf_htons(mw_udp_port(path->encap));
		udp->length = bpf_htons(payload);
		udp->checksum = 0;
		if (mw_config.has_checksum && ip6 && (path->flags & MW_NODE_CHECKSUM))
			udp->checksum = mw_udp_checksum(path, udp, &tunnel, payload, inner);
		at += MW_UDP_SIZE;
	}
	h = mw_at(&c, at, MW_TUNNEL_SIZE);
	if (!h)
		return MW_REASON_INTERNAL;
	memcpy(h, &tunnel, MW_TUNNEL_SIZE);
	return 0;
}

/* Does this packet need mw_inner_sum()? */
static __always_inline bool mw_wants_checksum(const struct mw_path *path)
{
	return mw_config.has_checksum && (path->flags & MW_NODE_CHECKSUM) && (path->flags & MW_NODE_IP6) &&
	       path->encap != MW_ENCAP_GRE;
}

#if MW_TC

static __always_inline __u64 mw_room_flags(const struct mw_packet *p, const struct mw_path *path)
{
	__u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO;

	flags |= path->flags & MW_NODE_IP6 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
	flags |= path->encap == MW_ENCAP_GRE ? BPF_F_ADJ_ROOM_ENCAP_L4_GRE : BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
	if (!mw_carries_ip(path->encap))
		flags |= BPF_F_ADJ_ROOM_ENCAP_L2((__u64)(MW_ETH_HLEN + 4 * p->tags)) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH;
	return flags;
}

/*
 * Makes room for the outer headers, and takes tags from beside the frame into it. For IP, bpf_skb_adjust_room() tells the
 * stack what tunnel this is, so that super-packets stay whole; it opens the room behind the Ethernet header, which is
 * written again as the inner one. It knows no other protocols and refuses a packet that is a tunnel already: those get
 * plain headroom.
 */
__noinline int mw_make_room(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path)
{
	__u32 growth, tags;

	if (!p || !path)
		return MW_REASON_INTERNAL;
	growth = mw_growth(path);
	tags = mw_config.has_transparent ? p->tags : 0;
	if (tags && mw_pop_tags(ctx, tags))
		return MW_REASON_INTERNAL;
	if (!mw_is_ip(p) || bpf_skb_adjust_room(ctx, growth + 4 * tags, BPF_ADJ_ROOM_MAC, mw_room_flags(p, path))) {
		if (mw_gso_size(ctx))
			return MW_REASON_NESTED_GSO;
		if (bpf_skb_change_head(ctx, growth + 4 * tags, 0))
			return MW_REASON_HEADROOM;
	}
	return mw_carries_ip(path->encap) ? 0 : mw_write_ethernet(ctx, p, growth, tags);
}

/* Out of an underlay device, with its tag. */
static __always_inline void mw_tag_for_wire(mw_ctx *ctx, __u32 vlan)
{
	if (vlan)
		bpf_skb_vlan_push(ctx, bpf_htons(MW_ETH_P_8021Q), vlan);
}

static __always_inline int mw_push(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path, __u32 inner)
{
	int reason;

	reason = mw_make_room(ctx, p, path);
	if (reason)
		return reason;
	reason = mw_write_outer(ctx, p, path, inner);
	if (reason)
		return reason;
	mw_tag_for_wire(ctx, path->nexthop.vlan);
	return 0;
}

#else

static __always_inline int mw_push(mw_ctx *ctx, const struct mw_packet *p, const struct mw_path *path, __u32 inner)
{
	if (bpf_xdp_adjust_head(ctx, -(int)mw_growth(path)))
		return MW_REASON_HEADROOM;
	return mw_write_outer(ctx, p, path, inner);
}

#endif
#endif
