/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame from the underlay: docs/packet-rules.md, section 3, in its order. */
#ifndef MW_FROM_UNDERLAY_H
#define MW_FROM_UNDERLAY_H

#include "csum.h"
#include "decap.h"
#include "deliver.h"
#include "encap_vxlan.h"
#include "parse.h"
#include "partial.h"
#include "resolve.h"
#include "size.h"
#if MW_TC
#include "flood.h"
#endif

/* What the outer headers say. */
struct mw_outer {
	__be32 source;
	__u32 segment;
	__u32 inner;		/* bytes of the inner frame */
	__u8 ecn;
};

#define MW_NOT_OURS (-2)

/* Rules 3.1 to 3.3. Gives 0, MW_NOT_OURS, MW_SHORT or an enum mw_reason. */
__noinline int mw_parse_outer(mw_ctx *ctx, const struct mw_link *link, struct mw_outer *outer, __u32 length)
{
	struct mw_cursor c;
	struct mw_ip4_header *ip;
	struct mw_udp_header *udp;
	struct mw_vxlan_header *vxlan;
	__u32 header, total, bytes;
	__u8 *eth;

	if (!link || !outer)
		return MW_REASON_INTERNAL;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	if (mw_tag_beside(ctx))
		return MW_NOT_OURS;
	eth = mw_at(&c, 0, MW_ETH_HLEN);
	if (!eth)
		return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	if (!mw_same_mac(eth, link->mac) || eth[12] != 0x08 || eth[13] != 0x00)
		return MW_NOT_OURS;
	ip = mw_at(&c, MW_ETH_HLEN, sizeof(*ip));
	if (!ip)
		return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	header = (ip->version_ihl & 0xf) * 4;
	if ((ip->version_ihl >> 4) != 4 || header < 20 || !mw_config.self4_be || ip->dst != mw_config.self4_be ||
	    ip->proto != MW_PROTO_UDP || (ip->fragment & bpf_htons(0x3fff)))
		return MW_NOT_OURS;
	udp = mw_at(&c, MW_ETH_HLEN + header, sizeof(*udp));
	if (!udp)
		return c.error == MW_SHORT ? MW_SHORT : MW_NOT_OURS;
	if (udp->dest != bpf_htons(mw_config.vxlan_port))
		return MW_NOT_OURS;
	total = bpf_ntohs(ip->total);
	bytes = bpf_ntohs(udp->length);
	/* a super-packet that was never on a wire may be longer than 16 bits can say */
	if (mw_gso_size(ctx) && length - MW_ETH_HLEN > 0xffff) {
		total = length - MW_ETH_HLEN;
		bytes = total - 20;
	}
	if (header != 20 || MW_ETH_HLEN + total > length || total < 20 + 8 + 8 ||
	    mw_fold(mw_sum_ip4(ip)) != 0xffff || bytes < 8 + 8 || bytes > total - 20)
		return MW_REASON_OUTER_MALFORMED;
	vxlan = mw_at(&c, MW_ETH_HLEN + 20 + 8, sizeof(*vxlan));
	if (!vxlan)
		return c.error == MW_SHORT ? MW_SHORT : MW_REASON_OUTER_MALFORMED;
	if (!(vxlan->flags & MW_VXLAN_SEGMENT_VALID))
		return MW_REASON_TUNNEL_HEADER;
	outer->source = ip->src;
	outer->segment = bpf_ntohl(vxlan->segment) >> 8;
	outer->inner = bytes - 8 - 8;
	outer->ecn = ip->tos & 3;
	return 0;
}

/* Is the port at that node, or was it until a moment ago? */
static __always_inline bool mw_port_is_at(const struct mw_port *port, __u32 node)
{
	return mw_has_locator(port, node) || (port->former == node && bpf_ktime_get_ns() <= port->former_until);
}

static __always_inline int mw_remote_holds(__u32 id, __u32 network, __u32 node, bool *holds)
{
	struct mw_port port;

	*holds = false;
	switch (mw_lookup_port(&id, &port)) {
	case MW_STALE:
		return MW_REASON_STALE;
	case MW_MISSING:
		return 0;
	default:
		break;
	}
	if (port.network != network)
		return MW_REASON_STALE;
	*holds = mw_port_is_at(&port, node);
	return 0;
}

/* Rule 3.8: the inner source belongs behind that node. */
__noinline int mw_guard_remote(const struct mw_packet *p, __u32 network, __u32 node)
{
	struct mw_source_mac_value shared;
	struct mw_mac_key key;
	enum mw_found found;
	__u32 id = 0;
	bool holds;
	int i, reason;

	if (!p)
		return MW_REASON_INTERNAL;
	found = mw_port_of_mac(network, p->smac, &id);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_FOUND) {
		reason = mw_remote_holds(id, network, node, &holds);
		if (reason || holds)
			return reason;
	}
	if (!mw_config.has_macs)
		return MW_REASON_GUARD_REMOTE;
	mw_mac_key(&key, network, p->smac);
	found = mw_lookup_source_mac(&key, &shared);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_MISSING)
		return MW_REASON_GUARD_REMOTE;
	for (i = 0; i < MW_MAX_SHARED_MAC; i++) {
		if (!shared.port[i])
			continue;
		reason = mw_remote_holds(shared.port[i], network, node, &holds);
		if (reason || holds)
			return reason;
	}
	return MW_REASON_GUARD_REMOTE;
}

static __always_inline int mw_underlay_flood(mw_ctx *ctx, const struct mw_packet *p, const struct mw_outer *outer,
					     __u32 network, struct mw_outcome *out)
{
#if MW_TC
	__u32 size = mw_size(ctx, p);
	int popped = mw_config.quiet ? 0 : mw_pop(ctx, p, MW_VXLAN4_SIZE, outer->ecn);

	if (popped > 0)
		return mw_drop(out, popped);
	out->verdict.verdict = MW_VERDICT_FLOOD;
	out->verdict.copies = mw_flood(ctx, p, network, 0, size);
	return MW_TC_DROP;
#else
	return mw_leave(out);
#endif
}

static __always_inline int mw_underlay_deliver(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					       const struct mw_outer *outer, __u32 port, struct mw_outcome *out)
{
	struct mw_local local;
	int popped, reason;

	reason = mw_find_local(port, out->verdict.network, &local);
	if (reason)
		return mw_drop(out, reason);
	if (mw_size(ctx, p) > local.mtu)
		return MW_TC ? mw_drop(out, MW_REASON_PORT_MTU) : mw_leave(out);
#if !MW_TC
	if (!mw_xdp_can_send(ctx, local.ifindex, local.device))
		return mw_leave(out);
	if ((link->device & MW_DEVICE_PARTIAL_CHECKSUM) && mw_unfinished(p)) {
		if (mw_multi_buffer(ctx) || mw_complete(ctx, p, MW_VXLAN4_SIZE))
			return mw_leave(out);
	}
#endif
	popped = mw_pop(ctx, p, MW_VXLAN4_SIZE, outer->ecn);
	if (popped > 0)
		return mw_drop(out, popped);
	out->verdict.verdict = MW_VERDICT_DELIVER;
	out->verdict.port = port;
	out->verdict.ifindex = local.ifindex;
	out->target_slot = local.slot;
	out->sent = p->len;
#if MW_TC
	return mw_to_port(ctx, &local, popped == MW_POPPED && (p->l3 == MW_L3_IP4 || p->l3 == MW_L3_IP6));
#else
	return XDP_REDIRECT;
#endif
}

static __always_inline int mw_from_underlay(mw_ctx *ctx, struct mw_outcome *out)
{
	struct mw_packet p = {};
	struct mw_link link;
	struct mw_outer outer = {};
	struct mw_network network;
	__u32 ifindex = mw_ifindex(ctx);
	__u32 node, id = 0;
	enum mw_found found;
	int reason;

	if (mw_tag_hidden(ctx))
		return mw_leave(out);
	out->bytes = mw_len(ctx);
	out->slot = MW_NO_SLOT;
	if (mw_lookup_link(&ifindex, &link) != MW_FOUND || link.role != MW_LINK_UNDERLAY)
		return mw_to_stack(out);
	out->slot = link.slot;
	reason = mw_parse_outer(ctx, &link, &outer, out->bytes);
#if MW_TC
	if (reason == MW_SHORT) {
		bpf_skb_pull_data(ctx, out->bytes < 128 ? out->bytes : 128);
		reason = mw_parse_outer(ctx, &link, &outer, out->bytes);
	}
#endif
	if (reason == MW_NOT_OURS)
		return mw_to_stack(out);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	{
		struct mw_segment_key key = { .encap = MW_ENCAP_VXLAN, .segment = outer.segment };
		struct mw_segment_value value;

		found = mw_lookup_segment(&key, &value);
		if (found == MW_STALE)
			return mw_drop(out, MW_REASON_STALE);
		if (found == MW_MISSING)
			return mw_config.unknown_segment_stack ? mw_to_stack(out) :
								 mw_drop(out, MW_REASON_UNKNOWN_SEGMENT);
		out->verdict.network = value.network;
	}
	{
		struct mw_vtep_key key;
		struct mw_vtep_value value;
		__be32 addr[4];

		mw_map_ip4(addr, outer.source);
		memcpy(key.addr, addr, 16);
		found = mw_lookup_vtep(&key, &value);
		if (found == MW_STALE)
			return mw_drop(out, MW_REASON_STALE);
		if (found == MW_MISSING || value.node == mw_config.self)
			return mw_drop(out, MW_REASON_UNKNOWN_NODE);
		node = value.node;
	}
	reason = mw_parse_here(ctx, &p, MW_VXLAN4_SIZE, outer.inner);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	if (mw_gso_size(ctx)) {
		/* datagrams merged by the device (rx-udp-gro-forwarding): the first would take the others for padding */
		if (out->bytes != MW_VXLAN4_SIZE + outer.inner || p.l3_len + MW_ETH_HLEN != outer.inner)
			return mw_drop(out, MW_REASON_OUTER_MALFORMED);
		/*
		 * The packet stays marked as a tunnel's: nothing that a program can call takes the mark off. TCP does not mind;
		 * for UDP, udp4_ufo_fragment() would look for the tunnel header again, at the guest's socket, and lose all of it.
		 */
		if (p.proto != MW_PROTO_TCP || !(p.flags & MW_PACKET_L4))
			return mw_drop(out, MW_REASON_NESTED_GSO);
	}
	if (outer.ecn == MW_ECN_CE && p.ecn == MW_ECN_NOT && (p.l3 == MW_L3_IP4 || p.l3 == MW_L3_IP6))
		return mw_drop(out, MW_REASON_ECN);
	if (mw_config.guard_remote) {
		reason = mw_guard_remote(&p, out->verdict.network, node);
		if (reason)
			return mw_drop(out, reason);
	}
	if (mw_lookup_network(&out->verdict.network, &network) != MW_FOUND)
		return mw_drop(out, MW_REASON_STALE);
	if (p.flags & MW_PACKET_GROUP) {
		if (!(network.flags & MW_NETWORK_FLOOD))
			return mw_drop(out, MW_REASON_FLOOD_OFF);
		return mw_underlay_flood(ctx, &p, &outer, out->verdict.network, out);
	}
	found = mw_port_of_mac(out->verdict.network, p.dmac, &id);
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	if (found == MW_MISSING) {
		if (mw_config.has_unknown_flood && (network.flags & MW_NETWORK_UNKNOWN_FLOOD))
			return mw_underlay_flood(ctx, &p, &outer, out->verdict.network, out);
		return mw_drop(out, MW_REASON_UNKNOWN_UNICAST);
	}
	reason = mw_is_here(id, out->verdict.network);
	if (reason)
		return mw_drop(out, reason);
	return mw_underlay_deliver(ctx, &link, &p, &outer, id, out);
}

#endif
