/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame from a local port: docs/packet-rules.md, section 2, in its order. */
#ifndef MW_FROM_PORT_H
#define MW_FROM_PORT_H

#include "answer.h"
#include "balance.h"
#include "deliver.h"
#include "encap.h"
#include "flat.h"
#include "front.h"
#include "guard.h"
#include "move.h"
#include "partial.h"
#include "size.h"
#include "too_big.h"
#if MW_TC
#include "flood.h"
#endif

#if MW_TC

/* The frame was turned into an answer to its sender. */
static __always_inline int mw_answered(mw_ctx *ctx, const struct mw_link *link, struct mw_outcome *out, __u32 port,
				       __u32 reason)
{
	out->verdict.verdict = MW_VERDICT_ANSWER;
	out->verdict.reason = reason;
	out->verdict.port = port;
	out->verdict.ifindex = link->ifindex;
	out->verdict.copies = 0;
	out->target_slot = link->slot;
	out->sent = mw_len(ctx);
	return bpf_redirect(link->ifindex, 0);
}

#endif

static __always_inline int mw_port_answer(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					  const struct mw_answer *answer, struct mw_outcome *out)
{
#if MW_TC
	int reason = mw_send_answer(ctx, p, answer);

	return reason ? mw_drop(out, reason) : mw_answered(ctx, link, out, answer->port, MW_REASON_NONE);
#else
	return mw_leave(out);
#endif
}

static __always_inline int mw_port_too_big(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p, __u32 mtu,
					   struct mw_outcome *out)
{
#if MW_TC
	int reason;

	if (p->tags || out->run == MW_RUN_SECOND || !mw_may_answer_too_big(p, link->slot))
		return mw_drop(out, MW_REASON_TOO_BIG);
	reason = mw_send_too_big(ctx, p, mtu);
	return reason ? mw_drop(out, reason) : mw_answered(ctx, link, out, 0, MW_REASON_TOO_BIG);
#else
	return mw_leave(out);
#endif
}

/* Neighbour discovery, also where the guard did not look into it. */
static __always_inline bool mw_is_nd(const struct mw_packet *p)
{
	return p->l3 == MW_L3_IP6 && p->proto == MW_PROTO_ICMPV6 && (p->flags & MW_PACKET_L4) && p->icmp_type >= 133 &&
	       p->icmp_type <= 137;
}

/* Rule 2.9: an IP network has no place for this on the way to another node. */
static __always_inline bool mw_cannot_leave(const struct mw_packet *p, const struct mw_network *network)
{
	return mw_carries_ip(network->encap) && (!mw_is_ip(p) || mw_is_nd(p));
}

static __always_inline int mw_port_flood(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					 const struct mw_network *network, __u32 place, struct mw_outcome *out)
{
#if MW_TC
	struct mw_flood_run *run = &mw_state_of(p)->run;
	int reason;
#endif

	if (mw_cannot_leave(p, network))
		return mw_drop(out, MW_REASON_NOT_IP);
	if (mw_size(ctx, p) + 4 * p->tags > network->mtu)
		return mw_port_too_big(ctx, link, p, network->mtu, out);
#if MW_TC
	if (!place && !mw_within_flood_rate(link->slot))
		return mw_drop(out, MW_REASON_FLOOD_RATE);
	memset(run, 0, sizeof(*run));
	run->network = link->network;
	run->from = link->port;
	run->start = place ? place : 1;
	run->encap = network->encap;
	mw_flood_later(ctx, run);
	reason = mw_flood(ctx, p, run);
	if (reason)
		return mw_drop(out, reason);
	out->verdict.verdict = MW_VERDICT_FLOOD;
	out->verdict.copies = run->copies;
	return MW_TC_DROP;	/* the copies are on their way; the original ends here */
#else
	return mw_leave(out);
#endif
}

static __always_inline int mw_port_local(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					 const struct mw_network *network, __u32 port, struct mw_outcome *out)
{
	struct mw_local local;
	int reason;

	if (port == link->port)
		return mw_drop(out, MW_REASON_HAIRPIN);
	reason = mw_find_local(port, link->network, &local);
	if (reason)
		return mw_drop(out, reason);
	if (mw_size(ctx, p) > network->mtu)
		return mw_port_too_big(ctx, link, p, network->mtu, out);
#if !MW_TC
	if (!mw_xdp_can_send(ctx, local.ifindex, local.device) || mw_xdp_must_leave(ctx, link, p, 0, p->tags))
		return mw_leave(out);
#endif
	reason = mw_address_member(ctx, p);
	if (reason)
		return mw_drop(out, reason);
	if (mw_config.front && mw_front_plain(p) && link->ifindex == mw_ifindex(ctx))
		mw_front_keep_local(mw_state_of(p), link, &local, network->mtu);
	out->verdict.verdict = MW_VERDICT_DELIVER;
	out->verdict.port = port;
	out->verdict.ifindex = local.ifindex;
	out->target_slot = local.slot;
	out->sent = p->len;
#if MW_TC
	return mw_to_port(ctx, &local, mw_is_ip(p) && !p->tags);
#else
	return XDP_REDIRECT;
#endif
}

/* The smaller of the network's MTU and what routers on the way to the node let through. */
static __always_inline __u32 mw_mtu_of(const struct mw_network *network, const struct mw_path *path)
{
	__u32 overhead = mw_overhead(path->encap, path->flags & MW_NODE_IP6);

	if (path->mtu && path->mtu - overhead < network->mtu)
		return path->mtu - overhead;
	return network->mtu;
}

static __always_inline void mw_encapsulated(struct mw_outcome *out, const struct mw_packet *p, const struct mw_path *path,
					    __u32 ifindex)
{
	if (mw_config.has_balance && (p->flags & MW_PACKET_BALANCED))
		out->verdict.port = mw_state_of(p)->member.port;
	out->verdict.verdict = MW_VERDICT_ENCAP;
	out->verdict.node = path->node;
	out->verdict.segment = path->segment;
	out->verdict.ifindex = ifindex;
}

static __always_inline int mw_port_remote(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					  const struct mw_network *network, const struct mw_place *place,
					  struct mw_outcome *out)
{
	struct mw_path *path = &mw_state_of(p)->path;
	__u32 mtu;
	int reason, inner = 0;

	if (mw_cannot_leave(p, network))
		return mw_drop(out, MW_REASON_NOT_IP);
	path->node = place->node;
	path->segment = place->segment;
	path->encap = network->encap;
	if (path->known == place->node && path->encap != MW_ENCAP_FLAT)
		reason = path->nexthop.ifindex ? 0 : MW_REASON_NO_NEXTHOP;
	else
		reason = mw_find_path(path, path->hash);
	if (reason)
		return mw_drop(out, reason);
	mtu = mw_mtu_of(network, path);
	if (mw_size(ctx, p) + 4 * p->tags > mtu)
		return mw_port_too_big(ctx, link, p, mtu, out);
#if MW_TC
	if (mw_wants_checksum(path) && mw_gso_size(ctx)) {
		if (!mw_config.segmenter)
			return mw_drop(out, MW_REASON_NO_SEGMENTER);
		/* its segments come back, as frames of this port; a copy for the second place has segments of its own */
		ctx->mark = link->ifindex;
		if (out->run == MW_RUN_SECOND)
			ctx->mark = link->ifindex | MW_MARK_SECOND;
		else if (place->second_node)
			ctx->mark = link->ifindex | MW_MARK_FIRST;
		mw_encapsulated(out, p, path, mw_config.segmenter);
		out->uncounted = true;
		return bpf_redirect(mw_config.segmenter, 0);
	}
#endif
	if (mw_wants_checksum(path)) {
		inner = mw_inner_sum(ctx, p, path->encap);
		if (inner < 0)
			return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	}
#if !MW_TC
	if (!mw_xdp_can_send(ctx, path->nexthop.ifindex, path->nexthop.flags) || mw_xdp_must_leave(ctx, link, p, 0, p->tags))
		return mw_leave(out);
#endif
	reason = mw_address_member(ctx, p);
	if (reason)
		return mw_drop(out, reason);
	if (mw_config.front && mw_front_plain(p) && mw_front_takes(path) && link->ifindex == mw_ifindex(ctx))
		mw_front_keep_encap(mw_state_of(p), link, mtu);
	if (path->encap == MW_ENCAP_FLAT)
		reason = mw_flat_push(ctx, path->segment);
	else
		reason = mw_push(ctx, p, path, inner);
	if (reason)
		return mw_drop(out, reason);
	mw_encapsulated(out, p, path, path->nexthop.ifindex);
	out->target_slot = path->nexthop.slot;
	out->sent = path->encap == MW_ENCAP_FLAT || MW_TC ? mw_len(ctx) : out->bytes + mw_growth(path);
#if MW_TC
	return bpf_redirect(path->nexthop.ifindex, 0);
#else
	return XDP_REDIRECT;
#endif
}

static __always_inline int mw_port_unicast(mw_ctx *ctx, const struct mw_link *link, struct mw_packet *p,
					   const struct mw_network *network, __u32 place_in_list, struct mw_outcome *out)
{
	struct mw_path *path = &mw_state_of(p)->path;
	struct mw_place place = {};
	__u32 id = 0;
	int reason;
	enum mw_found found = mw_port_of_mac(link->network, p->dmac, &id);

	if (found == MW_MISSING) {
		if (mw_config.has_unknown_flood && (network->flags & MW_NETWORK_UNKNOWN_FLOOD))
			return mw_port_flood(ctx, link, p, network, place_in_list, out);
		return mw_drop(out, MW_REASON_UNKNOWN_UNICAST);
	}
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	if (found == MW_BALANCED) {
		const struct mw_member *member;

		reason = mw_find_member(p, id, link->network, link->port);
		if (reason)
			return mw_drop(out, reason);
		member = mw_take_member(p);
		id = member->port;
		place = member->place;
		path->known = 0;
		path->hash = mw_flow_hash(p);
	} else {
		path->hash = mw_flow_hash(p);
		reason = mw_find_place(id, link->network, &place, path, path->hash);
		if (reason)
			return mw_drop(out, reason);
	}
	if (mw_config.has_move && out->run == MW_RUN_SECOND) {
		if (place.second_node) {
			place.node = place.second_node;
			place.segment = place.second_segment;
		}
	} else if (mw_config.has_move && place.second_node && out->run == MW_RUN_ALL) {
#if MW_TC
		out->verdict.copies = 1;
		if (!mw_config.quiet && !mw_send_again(ctx))
			mw_count_lost(1, p->len);
#else
		return mw_leave(out);
#endif
	}
	if (place.node == mw_config.self)
		return mw_port_local(ctx, link, p, network, id, out);
	return mw_port_remote(ctx, link, p, network, &place, out);
}

/* The link of the port that a frame comes from. The segmenter's far end hands on frames of other ports. */
static __always_inline bool mw_port_link(mw_ctx *ctx, struct mw_link *link, struct mw_outcome *out)
{
	__u32 ifindex = mw_ifindex(ctx);

	if (mw_lookup_link(&ifindex, link) != MW_FOUND)
		return false;
#if MW_TC
	if (link->role == MW_LINK_SEGMENTER) {
		ifindex = ctx->mark & ~(MW_MARK_FIRST | MW_MARK_SECOND);
		if (ctx->mark & MW_MARK_SECOND) {
			out->run = MW_RUN_SECOND;
			out->uncounted = true;
		} else if (ctx->mark & MW_MARK_FIRST)
			out->run = MW_RUN_FIRST;
		ctx->mark = 0;
		if (mw_lookup_link(&ifindex, link) != MW_FOUND)
			return false;
	}
#endif
	return link->role == MW_LINK_PORT;
}

static __always_inline int mw_from_port(mw_ctx *ctx, struct mw_outcome *out)
{
	struct mw_state *state = mw_state();
	struct mw_packet *p;
	struct mw_link link;
	struct mw_network network;
	struct mw_answer answer;
	__u32 place = 0;
	int reason;

	out->slot = MW_NO_SLOT;
	if (!state)
		return mw_drop(out, MW_REASON_INTERNAL);
	mw_front_begin(state);
	p = &state->packet;
	memset(p, 0, sizeof(*p));
#if MW_TC
	if (mw_config.has_move) {
		out->run = mw_run_of(ctx);
		out->uncounted = out->run == MW_RUN_SECOND;
	}
#endif
	if (!mw_port_link(ctx, &link, out))
		return mw_drop(out, MW_REASON_NO_PORT);
	out->slot = link.slot;
	out->verdict.network = link.network;
#if MW_TC
	place = mw_flood_place(ctx);
	out->uncounted |= !!place;
#endif
	reason = mw_parse_here(ctx, p, 0, out->bytes,
			       mw_config.has_transparent && (link.flags & MW_LINK_TRANSPARENT) ? MW_PARSE_TAGS : 0);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	reason = mw_guard(ctx, p, &link);
	if (reason)
		return mw_drop(out, reason);
	if (!p->tags && ((p->flags & MW_PACKET_GROUP) || (link.flags & MW_LINK_IP) || (mw_config.has_balance && p->l3 != MW_L3_IP4)) &&
	    mw_find_answer(p, &link, &answer))
		return mw_port_answer(ctx, &link, p, &answer, out);
	if (mw_lookup_network(&link.network, &network) != MW_FOUND)
		return mw_drop(out, MW_REASON_STALE);
	if (!(p->flags & MW_PACKET_GROUP))
		return mw_port_unicast(ctx, &link, p, &network, place, out);
#if MW_TC
	if (mw_config.has_move)
		mw_hear(p, link.network, mw_config.self, link.port);
#endif
	if (!(network.flags & MW_NETWORK_FLOOD))
		return mw_drop(out, MW_REASON_FLOOD_OFF);
	return mw_port_flood(ctx, &link, p, &network, place, out);
}

static __always_inline int mw_port_program(mw_ctx *ctx)
{
	return mw_run(ctx, mw_front_port, mw_from_port);
}

#endif
