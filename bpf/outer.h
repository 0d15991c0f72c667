/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, rules 3.1 to 3.3: is a frame a tunnel packet for this node, and what do its outer headers say? */
#ifndef MW_OUTER_H
#define MW_OUTER_H

#include "csum.h"
#include "encap_geneve.h"
#include "encap_gpe.h"
#include "encap_gre.h"
#include "encap_lisp.h"
#include "encap_vxlan.h"
#include "lookup.h"
#include "parse.h"

#define MW_NOT_OURS (-2)

/* A tag of VLAN 'id' as mw_wire_tag() tells it. */
#define MW_TAG_PRESENT 0x1000

/*
 * The VLAN tag of a frame on the wire: 0 without one, MW_TAG_PRESENT + VLAN id, or -1: two, or one that is no 802.1Q tag.
 * '*ethertype' and '*offset' are those of what follows. MW_SHORT is not told: what is too short for a tag has none of ours.
 */
static __always_inline int mw_wire_tag(mw_ctx *ctx, struct mw_cursor *c, __u8 *eth, __be16 *ethertype, __u32 *offset)
{
	int tag = 0;
	__u8 *h;

	memcpy(ethertype, eth + 12, 2);
	*offset = MW_ETH_HLEN;
	if (mw_tag_beside(ctx)) {
		struct mw_tag beside = {};

		mw_read_tag_beside(ctx, &beside);
		if (beside.tpid != bpf_htons(MW_ETH_P_8021Q))
			return -1;
		tag = MW_TAG_PRESENT | (bpf_ntohs(beside.tci) & 0xfff);
	} else if (*ethertype == bpf_htons(MW_ETH_P_8021Q)) {
		h = mw_at(c, MW_ETH_HLEN, 4);
		if (!h)
			return -1;
		tag = MW_TAG_PRESENT | ((h[0] & 0xf) << 8) | h[1];
		memcpy(ethertype, h + 2, 2);
		*offset = MW_ETH_HLEN + 4;
	}
	return mw_is_tag(*ethertype) ? -1 : tag;
}

/* A destination that is no node: a group that a network of this node floods to. */
static __always_inline bool mw_is_group_of_ours(const __be32 *addr)
{
	struct mw_vtep_key key;
	struct mw_vtep_value value;

	if (!mw_config.has_group)
		return false;
	memcpy(key.addr, addr, 16);
	return mw_lookup_vtep(&key, &value) == MW_FOUND && (value.flags & MW_VTEP_GROUP);
}

static __always_inline int mw_outer_ip4(struct mw_cursor *c, struct mw_outer *outer, bool group, __u8 *malformed)
{
	struct mw_ip4_header *ip = mw_at(c, outer->l3_offset, sizeof(*ip));
	__u32 header, total;
	__be32 dst[4];

	if (!ip)
		return c->error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	header = (ip->version_ihl & 0xf) * 4;
	if ((ip->version_ihl >> 4) != 4 || header < MW_IP4_SIZE || (ip->fragment & bpf_htons(0x3fff)))
		return MW_NOT_OURS;
	if (group || !mw_config.self4_be || ip->dst != mw_config.self4_be) {
		mw_map_ip4(dst, ip->dst);
		if (!mw_is_group_of_ours(dst))
			return MW_NOT_OURS;
		outer->to_group = 1;
	}
	total = bpf_ntohs(ip->total);
	outer->proto = ip->proto;
	outer->tos = ip->tos;
	outer->payload = outer->l3_offset + header;
	outer->end = outer->l3_offset + total;
	mw_map_ip4(outer->source, ip->src);
	*malformed = header != MW_IP4_SIZE || total < header || mw_fold(mw_sum_ip4(ip)) != 0xffff;
	return 0;
}

static __always_inline int mw_outer_ip6(struct mw_cursor *c, struct mw_outer *outer, bool group)
{
	struct mw_ip6_header *ip = mw_at(c, outer->l3_offset, sizeof(*ip));
	__be32 addr[4];
	__u32 first;

	if (!ip)
		return c->error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	first = bpf_ntohl(ip->class_flow);
	if ((first >> 28) != 6)
		return MW_NOT_OURS;
	mw_own_ip6(addr);
	if (group || mw_zero_ip6(addr) || !mw_same_ip6(ip->dst, addr)) {
		memcpy(addr, ip->dst, 16);
		if (!mw_is_group_of_ours(addr))
			return MW_NOT_OURS;
		outer->to_group = 1;
	}
	outer->ip6 = 1;
	outer->proto = ip->next;
	outer->tos = first >> 20;
	outer->payload = outer->l3_offset + MW_IP6_SIZE;
	outer->end = outer->payload + bpf_ntohs(ip->payload);
	memcpy(outer->source, ip->src, 16);
	return 0;
}

/* Layer 2 and 3, and whether a tunnel of ours is behind them. */
__noinline int mw_parse_outer_ip(mw_ctx *ctx, const struct mw_link *link, struct mw_outer *outer, __u32 length)
{
	struct mw_cursor c;
	__be16 ethertype = 0;
	__u8 malformed = 0;
	__u32 offset = 0;
	int tag, result;
	bool group;
	__u8 *h;

	if (!link || !outer)
		return MW_REASON_INTERNAL;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	h = mw_at(&c, 0, MW_ETH_HLEN);
	if (!h)
		return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	group = mw_is_group(h);
	if ((group && !mw_config.has_group) || (!group && !mw_same_mac(h, link->mac)))
		return MW_NOT_OURS;
	tag = mw_wire_tag(ctx, &c, h, &ethertype, &offset);
	if (tag != (link->vlan ? MW_TAG_PRESENT | link->vlan : 0))
		return MW_NOT_OURS;
	outer->l3_offset = offset;
	if (ethertype == bpf_htons(MW_ETH_P_IP))
		result = mw_outer_ip4(&c, outer, group, &malformed);
	else if (ethertype == bpf_htons(MW_ETH_P_IPV6))
		result = mw_outer_ip6(&c, outer, group);
	else
		result = MW_NOT_OURS;
	if (result)
		return result;
	if (outer->proto == MW_PROTO_UDP) {
		struct mw_udp_header *udp = mw_at(&c, outer->payload, sizeof(*udp));

		if (!udp)
			return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
		outer->encap = mw_encap_of_port(udp->dest);
		if (outer->encap == MW_ENCAP_NONE && mw_config.discriminator && !outer->to_group &&
		    udp->dest == bpf_htons(MW_PROBE_PORT))
			outer->encap = MW_ENCAP_PROBE;
	} else if (outer->proto == MW_PROTO_GRE && mw_uses(MW_ENCAP_GRE)) {
		h = mw_at(&c, outer->payload, 4);
		if (!h)
			return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
		outer->encap = mw_gre_is_ours(h) ? MW_ENCAP_GRE : MW_ENCAP_NONE;
	}
	if (outer->encap == MW_ENCAP_NONE)
		return MW_NOT_OURS;
	/* a super-packet that was never on a wire may be longer than 16 bits can say */
	if (mw_gso_size(ctx) && length - outer->l3_offset > 0xffff)
		outer->end = length;
	if (malformed || outer->end > length)
		return MW_REASON_OUTER_MALFORMED;
	return 0;
}

/* The UDP and tunnel headers of a packet of ours. */
__noinline int mw_parse_tunnel(mw_ctx *ctx, struct mw_outer *outer, __u32 length)
{
	struct mw_cursor c;

	if (!outer)
		return MW_REASON_INTERNAL;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	if (outer->encap != MW_ENCAP_GRE) {
		struct mw_udp_header *udp = mw_at(&c, outer->payload, sizeof(*udp));
		__u32 bytes;

		if (!udp)
			return c.error == MW_SHORT ? MW_SHORT : MW_REASON_OUTER_MALFORMED;
		bytes = bpf_ntohs(udp->length);
		if (mw_gso_size(ctx) && length - outer->l3_offset > 0xffff)
			bytes = outer->end - outer->payload;
		if (bytes < MW_UDP_SIZE + MW_TUNNEL_SIZE || outer->payload + bytes > outer->end)
			return MW_REASON_OUTER_MALFORMED;
		outer->end = outer->payload + bytes;
		outer->payload += MW_UDP_SIZE;
		if (outer->encap == MW_ENCAP_PROBE)
			return 0;
	}
	c.end = outer->end;
	switch (outer->encap) {
	case MW_ENCAP_VXLAN:
		return mw_uses(MW_ENCAP_VXLAN) ? mw_vxlan_read(&c, outer) : MW_REASON_INTERNAL;
	case MW_ENCAP_VXLAN_GPE:
		return mw_uses(MW_ENCAP_VXLAN_GPE) ? mw_gpe_read(&c, outer) : MW_REASON_INTERNAL;
	case MW_ENCAP_GENEVE:
		return mw_uses(MW_ENCAP_GENEVE) ? mw_geneve_read(ctx, &c, outer) : MW_REASON_INTERNAL;
	case MW_ENCAP_GRE:
		return mw_uses(MW_ENCAP_GRE) ? mw_gre_read(&c, outer) : MW_REASON_INTERNAL;
	case MW_ENCAP_LISP:
		return mw_uses(MW_ENCAP_LISP) ? mw_lisp_read(&c, outer) : MW_REASON_INTERNAL;
	default:
		return MW_REASON_INTERNAL;
	}
}

/* Rules 3.1 to 3.3. Gives 0, MW_NOT_OURS, MW_SHORT or an enum mw_reason. */
static __always_inline int mw_parse_outer(mw_ctx *ctx, const struct mw_link *link, struct mw_outer *outer, __u32 length)
{
	int result = mw_parse_outer_ip(ctx, link, outer, length);

	return result ? result : mw_parse_tunnel(ctx, outer, length);
}

/* The same, where it stands: TC pulls headers that are not linear and tries again. */
static __always_inline int mw_parse_outer_here(mw_ctx *ctx, const struct mw_link *link, struct mw_outer *outer,
					       __u32 length)
{
	int result = mw_parse_outer(ctx, link, outer, length);

#if MW_TC
	if (result == MW_SHORT) {
		bpf_skb_pull_data(ctx, length < 512 ? length : 512);
		memset(outer, 0, sizeof(*outer));
		result = mw_parse_outer(ctx, link, outer, length);
	}
#endif
	return result;
}

#endif
