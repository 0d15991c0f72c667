/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A frame from a local port: docs/packet-rules.md, section 2, in its order. */
#ifndef MW_FROM_PORT_H
#define MW_FROM_PORT_H

#include "answer.h"
#include "deliver.h"
#include "encap.h"
#include "guard.h"
#include "partial.h"
#include "size.h"
#include "too_big.h"
#if MW_TC
#include "flood.h"
#endif

static __always_inline int mw_port_answer(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					  const struct mw_answer *answer, struct mw_outcome *out)
{
#if MW_TC
	int reason = mw_send_answer(ctx, p, answer);

	if (reason)
		return mw_drop(out, reason);
	out->verdict.verdict = MW_VERDICT_ANSWER;
	out->verdict.port = answer->port;
	out->verdict.ifindex = link->ifindex;
	out->target_slot = link->slot;
	out->sent = mw_len(ctx);
	return bpf_redirect(link->ifindex, 0);
#else
	return mw_leave(out);
#endif
}

static __always_inline int mw_port_too_big(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					   const struct mw_network *network, struct mw_outcome *out)
{
#if MW_TC
	int reason;

	if (!mw_may_answer_too_big(p, link->slot))
		return mw_drop(out, MW_REASON_TOO_BIG);
	reason = mw_send_too_big(ctx, p, network->mtu);
	if (reason)
		return mw_drop(out, reason);
	out->verdict.verdict = MW_VERDICT_ANSWER;
	out->verdict.reason = MW_REASON_TOO_BIG;
	out->verdict.ifindex = link->ifindex;
	out->target_slot = link->slot;
	out->sent = mw_len(ctx);
	return bpf_redirect(link->ifindex, 0);
#else
	return mw_leave(out);
#endif
}

static __always_inline int mw_port_flood(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					 const struct mw_network *network, struct mw_outcome *out)
{
#if MW_TC
	int copies;
#endif

	if (mw_size(ctx, p) > network->mtu)
		return mw_port_too_big(ctx, link, p, network, out);
#if MW_TC
	copies = mw_flood(ctx, p, link->network, link->port, 0);
	if (copies < 0)
		return mw_drop(out, -copies);
	out->verdict.verdict = MW_VERDICT_FLOOD;
	out->verdict.copies = copies;
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
		return mw_port_too_big(ctx, link, p, network, out);
#if !MW_TC
	if (!mw_xdp_can_send(ctx, local.ifindex, local.device))
		return mw_leave(out);
	if ((link->device & MW_DEVICE_PARTIAL_CHECKSUM) && mw_unfinished(p)) {
		if (mw_multi_buffer(ctx) || mw_complete(ctx, p, 0))
			return mw_leave(out);
	}
#endif
	out->verdict.verdict = MW_VERDICT_DELIVER;
	out->verdict.port = port;
	out->verdict.ifindex = local.ifindex;
	out->target_slot = local.slot;
	out->sent = p->len;
#if MW_TC
	return mw_to_port(ctx, &local, p->l3 == MW_L3_IP4 || p->l3 == MW_L3_IP6);
#else
	return XDP_REDIRECT;
#endif
}

static __always_inline int mw_port_remote(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					  const struct mw_network *network, const struct mw_place *place,
					  struct mw_outcome *out)
{
	struct mw_path path = {};
	int reason = mw_find_path(place->node, place->segment, &path);

	if (reason)
		return mw_drop(out, reason);
	if (mw_size(ctx, p) > network->mtu)
		return mw_port_too_big(ctx, link, p, network, out);
#if !MW_TC
	if (!mw_xdp_can_send(ctx, path.nexthop.ifindex, path.nexthop.flags))
		return mw_leave(out);
	if ((link->device & MW_DEVICE_PARTIAL_CHECKSUM) && mw_unfinished(p)) {
		if (mw_multi_buffer(ctx) || mw_complete(ctx, p, 0))
			return mw_leave(out);
	}
#endif
	reason = mw_push(ctx, p, &path);
	if (reason)
		return mw_drop(out, reason);
	out->verdict.verdict = MW_VERDICT_ENCAP;
	out->verdict.node = path.node;
	out->verdict.segment = path.segment;
	out->verdict.ifindex = path.nexthop.ifindex;
	out->target_slot = path.nexthop.slot;
	out->sent = p->len + MW_VXLAN4_SIZE;
#if MW_TC
	return bpf_redirect(path.nexthop.ifindex, 0);
#else
	return XDP_REDIRECT;
#endif
}

static __always_inline int mw_port_unicast(mw_ctx *ctx, const struct mw_link *link, const struct mw_packet *p,
					   const struct mw_network *network, struct mw_outcome *out)
{
	struct mw_place place = {};
	__u32 id = 0;
	int reason;
	enum mw_found found = mw_port_of_mac(link->network, p->dmac, &id);

	if (found == MW_MISSING) {
		if (mw_config.has_unknown_flood && (network->flags & MW_NETWORK_UNKNOWN_FLOOD))
			return mw_port_flood(ctx, link, p, network, out);
		return mw_drop(out, MW_REASON_UNKNOWN_UNICAST);
	}
	if (found == MW_STALE)
		return mw_drop(out, MW_REASON_STALE);
	reason = mw_find_place(id, link->network, &place);
	if (reason)
		return mw_drop(out, reason);
	if (place.node == mw_config.self)
		return mw_port_local(ctx, link, p, network, id, out);
	return mw_port_remote(ctx, link, p, network, &place, out);
}

static __always_inline int mw_from_port(mw_ctx *ctx, struct mw_outcome *out)
{
	struct mw_packet p = {};
	struct mw_link link;
	struct mw_network network;
	struct mw_answer answer;
	__u32 ifindex = mw_ifindex(ctx);
	int reason;

	if (mw_tag_hidden(ctx))
		return mw_leave(out);
	out->bytes = mw_len(ctx);
	out->slot = MW_NO_SLOT;
	if (mw_lookup_link(&ifindex, &link) != MW_FOUND || link.role != MW_LINK_PORT)
		return mw_drop(out, MW_REASON_NO_PORT);
	out->slot = link.slot;
	out->verdict.network = link.network;
	reason = mw_parse_here(ctx, &p, 0, out->bytes);
	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
	reason = mw_guard(ctx, &p, &link);
	if (reason)
		return mw_drop(out, reason);
	if ((p.flags & MW_PACKET_GROUP) && mw_find_answer(&p, &link, &answer))
		return mw_port_answer(ctx, &link, &p, &answer, out);
	if (mw_lookup_network(&link.network, &network) != MW_FOUND)
		return mw_drop(out, MW_REASON_STALE);
	if (!(p.flags & MW_PACKET_GROUP))
		return mw_port_unicast(ctx, &link, &p, &network, out);
	if (!(network.flags & MW_NETWORK_FLOOD))
		return mw_drop(out, MW_REASON_FLOOD_OFF);
	return mw_port_flood(ctx, &link, &p, &network, out);
}

#endif
