/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * docs/packet-rules.md, section 1 and rules 2.1 to 2.5 (3.6): from bytes to struct mw_packet.
 *
 * The steps are global functions: the verifier judges each once, for any input, instead of along every path.
 * They return 0, an enum mw_reason, or MW_SHORT when a header is not in the linear part of the buffer.
 */
#ifndef MW_PARSE_H
#define MW_PARSE_H

#include "config.h"
#include "cursor.h"
#include "packet.h"

#define MW_MAX_EXTENSIONS 8
#define MW_MAX_ND_OPTIONS 16
/* behind the longest outer headers: a tag, IPv6, UDP, Geneve with all options */
#define MW_MAX_BASE 352

enum mw_parse_mode {
	MW_PARSE_TAGS = 1 << 0,	/* VLAN tags are skipped, up to MW_MAX_TAGS; else they are a reason */
	MW_PARSE_IP = 1 << 1,	/* an IP packet; the 14 bytes in front of it are none of it */
};

struct mw_ip4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 total;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 proto;
	__u16 checksum;
	__be32 src;
	__be32 dst;
};

struct mw_ip6_header {
	__be32 class_flow;
	__be16 payload;
	__u8 next;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
};

#define MW_CURSOR(ctx, base_, end_) \
	{ .data = mw_data(ctx), .data_end = mw_data_end(ctx), .base = (base_), .end = (end_) }

/* Neighbour discovery: the fixed part and the options, walked to the end of the IP packet. */
__noinline int mw_parse_nd(mw_ctx *ctx, struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 offset, fixed, end;
	int i;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	end = mw_l3_end(p);
	c = (struct mw_cursor)MW_CURSOR(ctx, base, end);
	offset = p->l4_offset;
	switch (p->icmp_type) {
	case 133:
		fixed = 8;
		break;
	case 134:
		fixed = 16;
		break;
	case 137:
		fixed = 40;
		break;
	default:
		fixed = 24;
	}
	if (p->hop_limit != 255 || p->icmp_code != 0 || offset + fixed > end)
		return MW_REASON_MALFORMED;
	if (fixed >= 24) {
		__u8 *body = mw_at(&c, offset + 4, 20);

		if (!body)
			return c.error;
		p->nd_flags = body[0];
		memcpy(p->nd_target, body + 4, 16);
	}
	offset += fixed;
	for (i = 0; i < MW_MAX_ND_OPTIONS && offset < end; i++) {
		__u8 *option = mw_at(&c, offset, 2);

		if (!option)
			return c.error;
		if (option[1] == 0)
			return MW_REASON_MALFORMED;
		offset += option[1] * 8;
	}
	if (offset != end)
		return MW_REASON_MALFORMED;
	/* a message is read whole or not at all */
	if (!mw_at(&c, end - 1, 1))
		return c.error;
	p->flags |= MW_PACKET_ND;
	return 0;
}

/* Layer 4, at 'p->l4_offset' of a packet that ends with its layer-3 length. */
__noinline int mw_parse_l4(mw_ctx *ctx, struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 size;
	__u8 *h;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	if (p->flags & MW_PACKET_LATER)
		return 0;
	if (p->proto == MW_PROTO_TCP)
		size = 20;
	else if (p->proto == MW_PROTO_UDP)
		size = 8;
	else if (p->proto == (p->l3 == MW_L3_IP4 ? MW_PROTO_ICMP : MW_PROTO_ICMPV6))
		size = 4;
	else
		return 0;
	c = (struct mw_cursor)MW_CURSOR(ctx, base, mw_l3_end(p));
	p->flags |= MW_PACKET_L4;
	switch (size) {
	case 20:
		h = mw_at(&c, p->l4_offset, 20);
		if (!h)
			return c.error;
		p->l4_header = (h[12] >> 4) * 4;
		memcpy(p->ports, h, 4);
		memcpy(&p->checksum, h + 16, 2);
		return 0;
	case 8:
		h = mw_at(&c, p->l4_offset, 8);
		if (!h)
			return c.error;
		p->l4_header = 8;
		memcpy(p->ports, h, 4);
		memcpy(&p->checksum, h + 6, 2);
		return 0;
	default:
		h = mw_at(&c, p->l4_offset, 4);
		if (!h)
			return c.error;
		p->icmp_type = h[0];
		p->icmp_code = h[1];
	}
	if (p->l3 == MW_L3_IP6 && p->icmp_type >= 133 && p->icmp_type <= 137 && !(p->flags & MW_PACKET_FRAGMENT))
		return mw_parse_nd(ctx, p, base);
	return 0;
}

/* IPv6 extension headers from 'p->l4_offset' on; leaves 'p->l4_offset' and 'p->proto' at what follows them. */
__noinline int mw_parse_extensions(mw_ctx *ctx, struct mw_packet *p, __u32 base)
{
	struct mw_cursor c;
	__u32 offset, end;
	__u8 next;
	int i;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	end = mw_l3_end(p);
	c = (struct mw_cursor)MW_CURSOR(ctx, base, end);
	offset = p->l4_offset;
	next = p->proto;
	for (i = 0; i < MW_MAX_EXTENSIONS + 1; i++) {
		__u8 *e;

		if (next != 0 && next != 43 && next != 44 && next != 60 && next != 51)
			break;
		if (i == MW_MAX_EXTENSIONS)
			return MW_REASON_MALFORMED;
		e = mw_at(&c, offset, 8);
		if (!e)
			return c.error;
		p->flags |= MW_PACKET_EXTENSIONS;
		if (next == 44) {
			if (!(p->flags & MW_PACKET_FRAGMENT))
				p->flow_proto = e[0];
			p->flags |= MW_PACKET_FRAGMENT;
			if (((e[2] << 8) | e[3]) & 0xfff8)
				p->flags |= MW_PACKET_LATER;
			offset += 8;
		} else if (next == 51) {
			offset += (e[1] + 2) * 4;
		} else {
			offset += (e[1] + 1) * 8;
		}
		next = e[0];
		if (offset > end)
			return MW_REASON_MALFORMED;
		if (p->flags & MW_PACKET_LATER)
			break;
	}
	p->proto = next;
	p->l4_offset = offset;
	return 0;
}

static __always_inline int mw_parse_ip4(mw_ctx *ctx, struct mw_cursor *c, struct mw_packet *p)
{
	struct mw_ip4_header *h = mw_at(c, p->l3_offset, sizeof(*h));
	__u32 header, total, fragment;

	if (!h)
		return c->error;
	header = (h->version_ihl & 0xf) * 4;
	total = bpf_ntohs(h->total);
	if ((h->version_ihl >> 4) != 4 || header < 20 || total < header || p->l3_offset + total > c->end)
		return MW_REASON_MALFORMED;
	p->l3 = MW_L3_IP4;
	p->l3_len = total;
	p->l4_offset = p->l3_offset + header;
	p->tos = h->tos;
	p->proto = h->proto;
	p->flow_proto = h->proto;
	mw_map_ip4(p->src, h->src);
	mw_map_ip4(p->dst, h->dst);
	fragment = bpf_ntohs(h->fragment);
	if (fragment & 0x3fff)
		p->flags |= MW_PACKET_FRAGMENT;
	if (fragment & 0x1fff)
		p->flags |= MW_PACKET_LATER;
	return mw_parse_l4(ctx, p, c->base);
}

static __always_inline int mw_parse_ip6(mw_ctx *ctx, struct mw_cursor *c, struct mw_packet *p)
{
	struct mw_ip6_header *h = mw_at(c, p->l3_offset, sizeof(*h));
	__u32 length, first;
	int error;

	if (!h)
		return c->error;
	length = sizeof(*h) + bpf_ntohs(h->payload);
	first = bpf_ntohl(h->class_flow);
	if ((first >> 28) != 6 || p->l3_offset + length > c->end)
		return MW_REASON_MALFORMED;
	p->l3 = MW_L3_IP6;
	p->l3_len = length;
	p->l4_offset = p->l3_offset + sizeof(*h);
	p->tos = first >> 20;
	memcpy(p->src, h->src, 16);
	memcpy(p->dst, h->dst, 16);
	p->proto = h->next;
	p->hop_limit = h->hop_limit;
	error = mw_parse_extensions(ctx, p, c->base);
	if (error)
		return error;
	if (!(p->flags & MW_PACKET_FRAGMENT))
		p->flow_proto = p->proto;
	return mw_parse_l4(ctx, p, c->base);
}

static __always_inline int mw_parse_arp(struct mw_cursor *c, struct mw_packet *p)
{
	__u8 *h = mw_at(c, p->l3_offset, 28);
	__be32 addr;

	if (!h)
		return c->error;
	if (h[0] != 0 || h[1] != 1 || h[2] != 8 || h[3] != 0 || h[4] != 6 || h[5] != 4)
		return MW_REASON_MALFORMED;
	p->l3 = MW_L3_ARP;
	p->arp_op = (h[6] << 8) | h[7];
	memcpy(p->arp_sha, h + 8, MW_ETH_ALEN);
	memcpy(&addr, h + 14, 4);
	mw_map_ip4(p->src, addr);
	memcpy(&addr, h + 24, 4);
	mw_map_ip4(p->dst, addr);
	return 0;
}

/* The tag that travels beside the frame, as it would stand in it. */
static __always_inline void mw_read_tag_beside(const mw_ctx *ctx, struct mw_tag *tag)
{
#if MW_TC
	tag->tpid = ctx->vlan_proto;
	tag->tci = bpf_htons(ctx->vlan_tci);
#else
	(void)ctx;
	(void)tag;
#endif
}

static __always_inline bool mw_is_tag(__be16 ethertype)
{
	return ethertype == bpf_htons(MW_ETH_P_8021Q) || ethertype == bpf_htons(MW_ETH_P_8021AD);
}

/* Tags beside the frame and in it: the EtherType and layer 3 are behind them. Gives 0, MW_SHORT or an enum mw_reason. */
static __always_inline int mw_parse_tags(mw_ctx *ctx, struct mw_cursor *c, struct mw_packet *p)
{
	int i;

	if (c->base == 0 && mw_tag_beside(ctx)) {
		mw_read_tag_beside(ctx, &p->tag[0]);
		p->tags = 1;
	}
	for (i = 0; i < MW_MAX_TAGS; i++) {
		__u8 *h;

		if (!mw_is_tag(p->ethertype) || p->tags >= MW_MAX_TAGS)
			break;
		h = mw_at(c, MW_ETH_HLEN + 4 * i, 4);
		if (!h)
			return c->error;
		/* an index that is a constant: the first tag goes to the first place that is free */
		if (p->tags == 0) {
			p->tag[0].tpid = p->ethertype;
			memcpy(&p->tag[0].tci, h, 2);
		} else {
			p->tag[1].tpid = p->ethertype;
			memcpy(&p->tag[1].tci, h, 2);
		}
		memcpy(&p->ethertype, h + 2, 2);
		p->tags++;
		p->tags_inside++;
	}
	p->l3_offset = MW_ETH_HLEN + 4 * p->tags_inside;
	return mw_is_tag(p->ethertype) ? MW_REASON_TAGGED : 0;
}

static __always_inline int mw_parse_ethernet(mw_ctx *ctx, struct mw_cursor *c, struct mw_packet *p, __u32 mode)
{
	__u8 *h = mw_at(c, 0, MW_ETH_HLEN);

	if (!h)
		return c->error;
	memcpy(p->dmac, h, MW_ETH_ALEN);
	memcpy(p->smac, h + MW_ETH_ALEN, MW_ETH_ALEN);
	memcpy(&p->ethertype, h + 2 * MW_ETH_ALEN, 2);
	if (mw_is_group(p->dmac))
		p->flags |= MW_PACKET_GROUP;
	if (p->ethertype == bpf_htons(MW_ETH_P_PAUSE) ||
	    (p->dmac[0] == 0x01 && p->dmac[1] == 0x80 && p->dmac[2] == 0xc2 && p->dmac[3] == 0 && p->dmac[4] == 0 &&
	     p->dmac[5] < 0x10))
		return MW_REASON_LINK_CONTROL;
	if (mw_is_group(p->smac))
		return MW_REASON_SOURCE_MULTICAST;
	if (mode & MW_PARSE_TAGS)
		return mw_parse_tags(ctx, c, p);
	if ((c->base == 0 && mw_tag_beside(ctx)) || mw_is_tag(p->ethertype))
		return MW_REASON_TAGGED;
	return 0;
}

/* An IP packet says itself what it is. */
static __always_inline int mw_parse_version(struct mw_cursor *c, struct mw_packet *p)
{
	__u8 *first = mw_at(c, MW_ETH_HLEN, 1);

	if (!first)
		return c->error;
	switch (*first >> 4) {
	case 4:
		p->ethertype = bpf_htons(MW_ETH_P_IP);
		return 0;
	case 6:
		p->ethertype = bpf_htons(MW_ETH_P_IPV6);
		return 0;
	default:
		return MW_REASON_MALFORMED;
	}
}

/*
 * A whole frame of 'end' bytes that begins 'base' bytes into the buffer; 'mode' is enum mw_parse_mode. 'p' is zero before.
 */
__noinline int mw_parse(mw_ctx *ctx, struct mw_packet *p, __u32 base, __u32 end, __u32 mode)
{
	struct mw_cursor c;
	int reason;

	if (!p || base > MW_MAX_BASE)
		return MW_REASON_INTERNAL;
	c = (struct mw_cursor)MW_CURSOR(ctx, base, end);
	p->len = end;
	p->l3_offset = MW_ETH_HLEN;
	reason = mode & MW_PARSE_IP ? mw_parse_version(&c, p) : mw_parse_ethernet(ctx, &c, p, mode);
	if (reason)
		return reason;
	p->l3_len = end - p->l3_offset;
	if (p->ethertype == bpf_htons(MW_ETH_P_IP))
		return mw_parse_ip4(ctx, &c, p);
	if (p->ethertype == bpf_htons(MW_ETH_P_IPV6))
		return mw_parse_ip6(ctx, &c, p);
	if (p->ethertype == bpf_htons(MW_ETH_P_ARP))
		return mw_parse_arp(&c, p);
	return 0;
}

/*
 * The same, where it stands: TC pulls headers that are not linear and tries again; XDP cannot. Of a super-packet only as
 * much as headers can need: a packet list (SKB_GSO_FRAGLIST) must not be pulled in part, and its headers are linear.
 */
static __always_inline int mw_parse_here(mw_ctx *ctx, struct mw_packet *p, __u32 base, __u32 end, __u32 mode)
{
	int result = mw_parse(ctx, p, base, end, mode);
#if MW_TC
	__u32 wanted = ctx->gso_size && ctx->len > 2048 ? 2048 : ctx->len;

	if (result == MW_SHORT && !bpf_skb_pull_data(ctx, wanted)) {
		memset(p, 0, sizeof(*p));
		result = mw_parse(ctx, p, base, end, mode);
	}
#endif
	return result;
}

#endif
