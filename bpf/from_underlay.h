/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame from the underlay: docs/packet-rules.md, section 3, in its order. */
#ifndef MW_FROM_UNDERLAY_H
#define MW_FROM_UNDERLAY_H

#include "balance.h"
#include "decap.h"
#include "deliver.h"
#include "flat.h"
#include "front.h"
#include "outer.h"
#include "parse.h"
#include "partial.h"
#include "probe.h"
#include "resolve.h"
#include "size.h"
#if MW_TC
#include "flood.h"
#include "move.h"
#include "path_mtu.h"
#endif

/* Is the port at that node, or was it until a moment ago? */
static __always_inline bool mw_port_is_at(const struct mw_port *port, __u32 node)
{
	if (mw_has_locator(port, node))
		return true;
	if (port->former != node || bpf_ktime_get_ns() > port->former_until)
		return false;
	/* for a while only: not to be remembered */
	mw_not_for_long();
	return true;
}

static __always_inline int mw_remote_holds(__u32 id, __u32 network, __u32 node, bool *holds)
{
	/* beside the stack, which the chain of calls has used up; no member is looked for yet */
	struct mw_state *state = mw_state();
	struct mw_port *port;
	__u32 at, segment;

	*holds = false;
	/* most ports: one place, and that */
	if (mw_config.compact && mw_compact_place(id, network, &at, &segment) && at == node) {
		*holds = true;
		return 0;
	}
	if (!state)
		return MW_REASON_INTERNAL;
	port = &state->member.asked;
	switch (mw_lookup_port(&id, port)) {
	case MW_STALE:
		return MW_REASON_STALE;
	case MW_MISSING:
		return 0;
	default:
		break;
	}
	if (port->network != network)
		return MW_REASON_STALE;
	*holds = mw_port_is_at(port, node);
	return 0;
}

/* A node's guard: what of its inner sources is checked. */
static __always_inline bool mw_guards(__u32 vtep_flags)
{
	return mw_config.guard_remote && !(vtep_flags & MW_VTEP_GUARD_OFF);
}

/* Rule 3.8: the inner source belongs behind that node. 'open': one that no port has may, too. */
__noinline int mw_guard_remote(const struct mw_packet *p, __u32 network, __u32 node, __u32 open)
{
	struct mw_source_mac_value shared;
	struct mw_mac_key key;
	enum mw_found found;
	__u32 id = 0;
	bool known, holds;
	int i, reason;

	if (!p)
		return MW_REASON_INTERNAL;
	found = mw_port_of_mac(network, p->smac, &id);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_BALANCED)
		return MW_REASON_GUARD_REMOTE;
	known = found == MW_FOUND;
	if (known) {
		reason = mw_remote_holds(id, network, node, &holds);
		if (reason || holds)
			return reason;
	}
	found = MW_MISSING;
	if (mw_config.has_macs) {
		mw_mac_key(&key, network, p->smac);
		found = mw_lookup_source_mac(&key, &shared);
	}
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_MISSING)
		return open && !known ? 0 : MW_REASON_GUARD_REMOTE;
	for (i = 0; i < MW_MAX_SHARED_MAC; i++) {
		if (!shared.port[i])
			continue;
		reason = mw_remote_holds(shared.port[i], network, node, &holds);
		if (reason || holds)
			return reason;
	}
	return MW_REASON_GUARD_REMOTE;
}

/* The port of an address in an IP network, and its entry. A link-local in EUI-64 form is found through its MAC. */
static __always_inline enum mw_found mw_port_behind_ip(__u32 network, const struct mw_packet *p, const __be32 *addr,
						       __u32 *id)
{
	bool ip6 = p->l3 == MW_L3_IP6;
	enum mw_found found;
	__u8 mac[MW_ETH_ALEN];
	__u32 flags;

	found = mw_port_of_ip(network, ip6, addr, id, &flags);
	if (found == MW_MISSING && ip6 && mw_eui64_mac(addr, mac))
		found = mw_port_of_mac(network, mac, id);
	return found;
}

/* Rule 3.8 of IP networks: the source's port, its place, and its MAC, which the tunnel did not carry. */
__noinline int mw_restore_source(struct mw_packet *p, __u32 network, __u32 node, __u32 guard)
{
	struct mw_state *state = mw_state();
	struct mw_port *port;
	enum mw_found found;
	__u32 id = 0;

	if (!p || !state)
		return MW_REASON_INTERNAL;
	port = &state->member.asked;
	found = mw_port_behind_ip(network, p, p->src, &id);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_MISSING)
		return MW_REASON_GUARD_REMOTE;
	switch (mw_lookup_port(&id, port)) {
	case MW_STALE:
		return MW_REASON_STALE;
	case MW_MISSING:
		return MW_REASON_GUARD_REMOTE;
	default:
		break;
	}
	if (port->network != network)
		return MW_REASON_STALE;
	if (guard && !mw_port_is_at(port, node))
		return MW_REASON_GUARD_REMOTE;
	memcpy(p->smac, port->mac, MW_ETH_ALEN);
	return 0;
}

/* The MAC of a group (RFC 1112 section 6.4, RFC 2464 section 7) or of the broadcast address; false: it is neither. */
static __always_inline bool mw_group_mac(struct mw_packet *p)
{
	const __u8 *b = (const __u8 *)&p->dst[3];

	if (p->l3 == MW_L3_IP6) {
		if (((const __u8 *)p->dst)[0] != 0xff)
			return false;
		p->dmac[0] = 0x33;
		p->dmac[1] = 0x33;
		memcpy(p->dmac + 2, b, 4);
		return true;
	}
	if (p->dst[3] == 0xffffffff) {
		memset(p->dmac, 0xff, MW_ETH_ALEN);
		return true;
	}
	if ((b[0] & 0xf0) != 0xe0)
		return false;
	p->dmac[0] = 0x01;
	p->dmac[1] = 0x00;
	p->dmac[2] = 0x5e;
	p->dmac[3] = b[1] & 0x7f;
	p->dmac[4] = b[2];
	p->dmac[5] = b[3];
	return true;
}

#if MW_TC

/* To local ports only. */
static __always_inline struct mw_flood_run *mw_flood_here(mw_ctx *ctx, const struct mw_packet *p, __u32 network,
							  __u32 place)
{
	struct mw_flood_run *run = &mw_state_of(p)->run;

	memset(run, 0, sizeof(*run));
	run->network = network;
	run->size = mw_size(ctx, p);
	run->start = place ? place : 1;
	return run;
}

#endif

static __always_inline int mw_underlay_flood(mw_ctx *ctx, const struct mw_packet *p, const struct mw_outer *outer,
					     __u32 network, __u32 place, struct mw_outcome *out)
{
#if MW_TC
	struct mw_flood_run *run = mw_flood_here(ctx, p, network, place);

	mw_flood_later(ctx, run);
	if (!mw_config.quiet) {
		int popped = mw_pop(ctx, p, outer->base, outer->tos & MW_ECN_MASK);

		if (popped > 0)
			return mw_drop(out, popped);
	}
	mw_flood(ctx, p, run);
	out->verdict.verdict = MW_VERDICT_FLOOD;
	out->verdict.copies = run->copies;
	return MW_TC_DROP;
#else
	return mw_leave(out);
#endif
}

/* To a port that is here: its interface, and whether the frame fits. Gives 0, MW_SHORT (XDP leaves it) or an enum mw_reason. */
static __always_inline int mw_may_deliver(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p, __u32 base,
					  __u32 network, __u32 port, struct mw_local *local)
{
	int reason = mw_find_local(port, network, local);

	if (reason)
		return reason;
	if (mw_size(ctx, p) > local->mtu)
		return MW_TC ? MW_REASON_PORT_MTU : MW_SHORT;
#if !MW_TC
	if (!mw_xdp_can_send(ctx, local->ifindex, local->device) || mw_xdp_must_leave(ctx, link, p, base, p->tags && base))
		return MW_SHORT;
#endif
	return 0;
}

static __always_inline int mw_delivered(mw_ctx *ctx, const struct mw_packet *p, const struct mw_local *local, bool peer,
					struct mw_outcome *out)
{
	out->verdict.verdict = MW_VERDICT_DELIVER;
	out->verdict.port = local->port;
	out->verdict.ifindex = local->ifindex;
	out->target_slot = local->slot;
	out->sent = mw_len(ctx);
#if MW_TC
	return mw_to_port(ctx, local, peer && mw_is_ip(p));
#else
	return XDP_REDIRECT;
#endif
}

static __always_inline int mw_underlay_deliver(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					       const struct mw_outer *outer, __u32 port, struct mw_outcome *out)
{
	struct mw_local local;
	int popped, reason;

	/* mw_complete() knows a frame, not an IP packet: 14 bytes in front of it do not matter */
	reason = mw_may_deliver(ctx, link, p, outer->base, out->verdict.network, port, &local);
	if (reason)
		return reason == MW_SHORT ? mw_leave(out) : mw_drop(out, reason);
	if (mw_config.front && mw_front_plain(p) && outer->base == MW_FRONT_OUTER && !outer->ip6 && !link->vlan)
		mw_front_keep_decap(mw_state_of(p), link, &local);
	popped = mw_pop(ctx, p, outer->base, outer->tos & MW_ECN_MASK);
	if (popped > 0)
		return mw_drop(out, popped);
#if !MW_TC
	if (mw_carries_ip(outer->encap)) {
		reason = mw_write_front(ctx, p);
		if (reason)
			return mw_drop(out, reason);
	}
#endif
	reason = mw_address_member(ctx, p);
	if (reason)
		return mw_drop(out, reason);
	return mw_delivered(ctx, p, &local, popped == 0 && !p->tags, out);
}

/* Rule 3.11: is the sender's port here? Then this is a loop, or somebody pretends. Gives 0 or an enum mw_reason. */
__noinline int mw_guard_flat(const struct mw_packet *p, __u32 network)
{
	struct mw_port port;
	__u32 id = 0;
	int at;

	if (!p)
		return MW_REASON_INTERNAL;
	switch (mw_port_of_mac(network, p->smac, &id)) {
	case MW_MISSING:
		return 0;
	case MW_STALE:
		return MW_REASON_STALE;
	case MW_BALANCED:
		return MW_REASON_GUARD_REMOTE;
	default:
		break;
	}
	if (mw_lookup_port(&id, &port) != MW_FOUND || port.network != network)
		return MW_REASON_STALE;
	at = mw_choose_locator(&port);
	if (at < 0 || port.at[at & (MW_MAX_LOCATORS - 1)].node != mw_config.self ||
	    bpf_ktime_get_ns() <= port.former_until)
		return 0;
	return MW_REASON_GUARD_REMOTE;
}

/* The (encapsulation, segment) of a network. Gives enum mw_found. */
static __always_inline enum mw_found mw_network_of(__u32 encap, __u32 segment, __u32 *network)
{
	struct mw_segment_key key = { .encap = encap, .segment = segment };
	struct mw_segment_value value;
	enum mw_found found = mw_lookup_segment(&key, &value);

	if (found == MW_FOUND)
		*network = value.network;
	return found;
}

/* The VLAN of a frame for a flat network, 0 without a tag; -1: it is for none. */
__noinline int mw_flat_vlan(mw_ctx *ctx, const struct mw_link *link, __u32 length)
{
	struct mw_cursor c;
	__be16 ethertype = 0;
	__u32 offset = 0;
	__u8 *h;
	int tag;

	if (!link)
		return -1;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	h = mw_at(&c, 0, MW_ETH_HLEN);
	if (!h || mw_same_mac(h, link->mac))
		return -1;
	tag = mw_wire_tag(ctx, &c, h, &ethertype, &offset);
	if (tag < 0 || tag == MW_TAG_PRESENT)
		return -1;
	return tag & 0xfff;
}

/* Rule 3.11. */
static __always_inline int mw_from_wire(mw_ctx *ctx, const struct mw_link *link, struct mw_packet *p, __u32 place,
					struct mw_outcome *out)
{
	struct mw_network network;
	struct mw_local local;
	__u32 id = 0, netid = 0;
	int vlan, reason;
	enum mw_found found;
	__u64 mac;

	vlan = mw_flat_vlan(ctx, link, out->bytes);
	if (vlan < 0)
		return mw_to_stack(out);
	found = mw_network_of(MW_ENCAP_FLAT, vlan, &netid);
	if (found == MW_MISSING)
		return mw_to_stack(out);
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	reason = mw_parse_here(ctx, p, 0, out->bytes, MW_PARSE_TAGS);
	if (reason)
		return reason == MW_SHORT && !MW_TC ? mw_leave(out) : mw_to_stack(out);
	out->verdict.network = netid;
	if (mw_config.guard_remote) {
		reason = mw_guard_flat(p, netid);
		if (reason)
			return mw_drop(out, reason);
	}
	if (p->flags & MW_PACKET_GROUP) {
		if (mw_lookup_network(&netid, &network) != MW_FOUND)
			return mw_drop(out, MW_REASON_STALE);
		if (!(network.flags & MW_NETWORK_FLOOD))
			return mw_to_stack(out);
#if MW_TC
		{
			struct mw_flood_run *run = mw_flood_here(ctx, p, netid, place);

			mw_flood_later(ctx, run);
			if (!mw_config.quiet && mw_flat_pop(ctx, p))
				return mw_drop(out, MW_REASON_INTERNAL);
			mw_flood(ctx, p, run);
			if (!mw_config.quiet && p->tags)
				bpf_skb_vlan_push(ctx, bpf_htons(MW_ETH_P_8021Q), bpf_ntohs(p->tag[0].tci));
			out->verdict.verdict = MW_VERDICT_FLOOD;
			out->verdict.copies = run->copies;
			return place ? MW_TC_DROP : MW_TC_NEXT;
		}
#else
		return mw_leave(out);
#endif
	}
	if (mw_port_of_mac(netid, p->dmac, &id) != MW_FOUND || mw_is_here(id, netid, &mac))
		return mw_to_stack(out);
	reason = mw_may_deliver(ctx, link, p, 0, netid, id, &local);
	if (reason)
		return reason == MW_SHORT ? mw_leave(out) : mw_drop(out, reason);
	reason = mw_flat_pop(ctx, p);
	if (reason)
		return mw_drop(out, reason);
	return mw_delivered(ctx, p, &local, true, out);
}

/* Not a tunnel packet for this node. */
static __always_inline int mw_not_a_tunnel(mw_ctx *ctx, const struct mw_link *link, struct mw_packet *p, __u32 place,
					   struct mw_outcome *out)
{
#if MW_TC
	mw_tell_too_big(ctx, link, out->bytes);
#endif
	return mw_uses(MW_ENCAP_FLAT) ? mw_from_wire(ctx, link, p, place, out) : mw_to_stack(out);
}

/* Rule 3.9, unicast. */
static __always_inline int mw_underlay_unicast(mw_ctx *ctx, const struct mw_link *link, struct mw_packet *p,
					       const struct mw_outer *outer, const struct mw_network *network, __u32 place,
					       struct mw_outcome *out)
{
	bool ip = mw_carries_ip(outer->encap);
	enum mw_found found;
	__u32 id = 0;
	__u64 mac = 0;
	int reason;

	found = ip ? mw_port_behind_ip(network->network, p, p->dst, &id) :
		     mw_port_of_mac(network->network, p->dmac, &id);
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	if (found == MW_MISSING) {
		if (!ip && mw_config.has_unknown_flood && (network->flags & MW_NETWORK_UNKNOWN_FLOOD))
			return mw_underlay_flood(ctx, p, outer, network->network, place, out);
		return mw_drop(out, MW_REASON_UNKNOWN_UNICAST);
	}
	if (found == MW_BALANCED) {
		reason = mw_find_member(p, id, network->network, 0);
		if (reason)
			return mw_drop(out, reason);
		id = mw_take_member(p)->port;
		return mw_underlay_deliver(ctx, link, p, outer, id, out);
	}
	reason = mw_is_here(id, network->network, &mac);
	if (reason)
		return mw_drop(out, reason);
	if (ip)
		memcpy(p->dmac, &mac, MW_ETH_ALEN);
	return mw_underlay_deliver(ctx, link, p, outer, id, out);
}

static __always_inline int mw_from_underlay(mw_ctx *ctx, struct mw_outcome *out)
{
	struct mw_state *state = mw_state();
	struct mw_packet *p;
	struct mw_outer *outer;
	struct mw_link link;
	struct mw_network network;
	__u32 ifindex = mw_ifindex(ctx);
	__u32 node, vtep_flags, place = 0, mode = 0, network_known = 0;
	enum mw_found found;
	int reason;

	out->slot = MW_NO_SLOT;
	if (!state)
		return mw_drop(out, MW_REASON_INTERNAL);
	mw_front_begin(state);
	p = &state->packet;
	outer = &state->outer;
	memset(p, 0, sizeof(*p));
	memset(outer, 0, sizeof(*outer));
	if (mw_lookup_link(&ifindex, &link) != MW_FOUND || link.role != MW_LINK_UNDERLAY)
		return mw_to_stack(out);
	out->slot = link.slot;
#if MW_TC
	place = mw_flood_place(ctx);
	out->uncounted = place;
#endif
	reason = mw_parse_outer_here(ctx, &link, outer, out->bytes);
	if (reason == MW_NOT_OURS)
		return mw_not_a_tunnel(ctx, &link, p, place, out);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	if (outer->encap == MW_ENCAP_PROBE)
		return mw_reflect(ctx, &link, outer, out);
	found = mw_network_of(outer->encap, outer->segment, &out->verdict.network);
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	if (found == MW_MISSING)
		return mw_config.unknown_segment_stack ? mw_to_stack(out) : mw_drop(out, MW_REASON_UNKNOWN_SEGMENT);
	{
		struct mw_vtep_key key;
		struct mw_vtep_value value;

		memcpy(key.addr, outer->source, 16);
		found = mw_lookup_vtep(&key, &value);
		if (found == MW_STALE)
			return mw_drop(out, MW_REASON_STALE);
		if (found == MW_MISSING || value.node == mw_config.self || (value.flags & MW_VTEP_GROUP))
			return mw_drop(out, MW_REASON_UNKNOWN_NODE);
		node = value.node;
		vtep_flags = value.flags;
	}
	if (mw_config.has_transparent) {
		if (mw_lookup_network(&out->verdict.network, &network) != MW_FOUND)
			return mw_drop(out, MW_REASON_STALE);
		network_known = 1;
		if (network.flags & MW_NETWORK_VLAN_TRANSPARENT)
			mode = MW_PARSE_TAGS;
	}
	if (mw_carries_ip(outer->encap))
		mode = MW_PARSE_IP;
	reason = mw_parse_here(ctx, p, outer->base, outer->inner, mode);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	if (mw_gso_size(ctx)) {
		/* datagrams merged by the device (rx-udp-gro-forwarding): the first would take the others for padding */
		if (out->bytes != outer->base + outer->inner || mw_l3_end(p) != outer->inner)
			return mw_drop(out, MW_REASON_OUTER_MALFORMED);
		/*
		 * The packet stays marked as a tunnel's: nothing that a program can call takes the mark off. TCP does not mind;
		 * for UDP, udp4_ufo_fragment() would look for the tunnel header again, at the guest's socket, and lose all of it.
		 */
		if (p->proto != MW_PROTO_TCP || !(p->flags & MW_PACKET_L4))
			return mw_drop(out, MW_REASON_NESTED_GSO);
	}
	if ((outer->tos & MW_ECN_MASK) == MW_ECN_CE && mw_is_ip(p) && mw_ecn(p) == MW_ECN_NOT)
		return mw_drop(out, MW_REASON_ECN);
	if (mw_carries_ip(outer->encap))
		reason = mw_restore_source(p, out->verdict.network, node, mw_guards(vtep_flags));
	else if (mw_guards(vtep_flags))
		reason = mw_guard_remote(p, out->verdict.network, node, vtep_flags & MW_VTEP_GUARD_OPEN);
	if (reason)
		return mw_drop(out, reason);
	if (!network_known && mw_lookup_network(&out->verdict.network, &network) != MW_FOUND)
		return mw_drop(out, MW_REASON_STALE);
	if (mw_carries_ip(outer->encap) && mw_group_mac(p))
		p->flags |= MW_PACKET_GROUP;
	if (!(p->flags & MW_PACKET_GROUP))
		return mw_underlay_unicast(ctx, &link, p, outer, &network, place, out);
#if MW_TC
	if (mw_config.has_move)
		mw_hear(p, out->verdict.network, node, 0);
#endif
	if (!(network.flags & MW_NETWORK_FLOOD))
		return mw_drop(out, MW_REASON_FLOOD_OFF);
	return mw_underlay_flood(ctx, p, outer, out->verdict.network, place, out);
}

static __always_inline int mw_underlay_program(mw_ctx *ctx)
{
	return mw_run(ctx, mw_front_underlay, mw_from_underlay);
}

#endif
