/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, section 8: addresses that several ports serve. Which of them gets a flow is read from a table of slots. */
#ifndef MW_BALANCE_H
#define MW_BALANCE_H

#include "hash.h"
#include "resolve.h"
#include "state.h"

/* slots that are asked beside the flow's own, while members are dead: all of a roll */
#define MW_MAX_PROBES 256

/* Of affinity: source. */
static __always_inline __u32 mw_source_hash(const struct mw_packet *p)
{
	__u32 h = MW_HASH_SEED;
	int i;

	if (p->l3 == MW_L3_IP6) {
#pragma unroll
		for (i = 0; i < 4; i++)
			h = mw_hash_word(h, bpf_ntohl(p->src[i]));
	} else {
		h = mw_hash_word(h, bpf_ntohl(p->src[3]));
	}
	return mw_hash_end(h);
}

/* The head of an address's table, which is that of this address. */
static __always_inline bool mw_read_head(void *list, __u32 address, __u32 network, struct mw_balance_head *head)
{
	__u32 i, place;

#pragma unroll
	for (i = 0; i < MW_BALANCE_HEAD; i++) {
		const struct mw_balance_slot *part;

		place = i;
		part = bpf_map_lookup_elem(list, &place);
		if (!part)
			return false;
		memcpy((__u8 *)head + i * sizeof(*part), part, sizeof(*part));
	}
	return head->address == address && head->network == network;
}

/* The MAC address that questions for a balanced address are answered with. */
__noinline int mw_balanced_mac(__u32 address, __u32 network, __u64 *mac)
{
	void *list = bpf_map_lookup_elem(&MW_MAP(balance), &address);
	struct mw_balance_head head;

	if (!mac || !list || !mw_read_head(list, address, network, &head))
		return MW_REASON_STALE;
	*mac = 0;
	memcpy(mac, head.mac, MW_ETH_ALEN);
	return 0;
}

enum mw_service {
	MW_SERVICE_NONE = 0,
	MW_SERVICE_UP = 1,
	MW_SERVICE_RELUCTANT = 2,	/* drained, or on a node that is: where nobody else is up */
	MW_SERVICE_MASK = 3,
};

/*
 * Can this port have a packet that port 'from' sends (0: that came from the underlay)? It is live, and if it is here it has its
 * interface; it is not the sender. From the underlay: it is here. Gives enum mw_service.
 */
__noinline int mw_can_serve(__u32 id, __u32 network, __u32 from, struct mw_member *member)
{
	int service = MW_SERVICE_UP;
	struct mw_port *port;
	int at;

	if (!member || !id || id == from)
		return MW_SERVICE_NONE;
	port = &member->asked;
	if (mw_lookup_port(&id, port) != MW_FOUND || port->network != network)
		return MW_SERVICE_NONE;
	if (from) {
		at = mw_choose_locator(port);
		if (at < 0)
			return MW_SERVICE_NONE;
		mw_place_of(port, at, &member->place);
		if ((port->flags & MW_PORT_DRAIN) || mw_standing_of(member->place.node) != MW_STANDING_UP)
			service = MW_SERVICE_RELUCTANT;
	} else {
		if (!mw_has_locator(port, mw_config.self) || (port->flags & MW_PORT_DOWN) || !mw_is_active_here(port))
			return MW_SERVICE_NONE;
		member->place.node = mw_config.self;
	}
	if (member->place.node == mw_config.self && mw_find_local(id, network, &member->interface))
		return MW_SERVICE_NONE;
	member->port = id;
	memcpy(member->mac, port->mac, MW_ETH_ALEN);
	return service;
}

struct mw_balance_walk {
	void *list;
	struct mw_member *member;
	__u32 start;
	__u32 slots;
	__u32 slot;
	__u32 network;
	__u32 from;
	__u32 found;
	__u32 any;		/* nobody is up: the reluctant have it */
	__u32 reluctant;	/* some were passed over */
};

/* The first of the flow's slot, its second, then the firsts of the slots behind it. */
static long mw_balance_step(__u32 step, struct mw_balance_walk *walk)
{
	__u32 place = walk->slot + (step > 1 ? step - 1 : 0);
	const struct mw_balance_slot *slot;
	__u32 found;

	if (step > walk->slots)
		return 1;
	if (place >= walk->slots)
		place -= walk->slots;
	place += walk->start;
	slot = bpf_map_lookup_elem(walk->list, &place);
	if (!slot)
		return 1;
	found = mw_can_serve(step == 1 ? slot->second : slot->first, walk->network, walk->from, walk->member);
	if (found == MW_SERVICE_RELUCTANT && !walk->any) {
		walk->reluctant = 1;
		return 0;
	}
	walk->found = found;
	/* the verifier wants to see 0 or 1 */
	return found ? 1 : 0;
}

/*
 * The member of a balanced address that gets a packet of port 'from' (0: from the underlay, to members here), into the
 * state's 'member'. Gives 0 or an enum mw_reason.
 */
__noinline int mw_find_member(const struct mw_packet *p, __u32 address, __u32 network, __u32 from)
{
	void *list = bpf_map_lookup_elem(&MW_MAP(balance), &address);
	struct mw_state *state = mw_state();
	struct mw_balance_walk walk = { .network = network, .from = from };
	struct mw_balance_head head;
	__u32 i, hash, place, first, end;

	if (!p || !state)
		return MW_REASON_INTERNAL;
	if (!list || !mw_read_head(list, address, network, &head))
		return MW_REASON_STALE;
	if ((p->flags & MW_PACKET_FRAGMENT) && !(head.flags & MW_BALANCE_SOURCE))
		return MW_REASON_BALANCED_FRAGMENT;
	hash = (head.flags & MW_BALANCE_SOURCE) && mw_is_ip(p) ? mw_source_hash(p) : mw_flow_hash(p);
	first = MW_BALANCE_HEAD;
	end = first + head.levels;
	if (!from) {
		if (!(head.flags & MW_BALANCE_HERE))
			return MW_REASON_NOT_LOCAL;
		first = end;
		end += 2;
	}
	walk.list = list;
	walk.member = &state->member;
	/* all levels, each with its roll behind it, and once more for those that were passed over */
	for (i = 0, place = first; i < 2 * MW_MAX_LEVELS; i++, place++) {
		const struct mw_balance_level *level;

		if (place >= end) {
			if (!walk.reluctant || walk.any)
				break;
			walk.any = 1;
			place = first;
		}
		level = bpf_map_lookup_elem(list, &place);
		if (!level)
			break;
		walk.start = level->start;
		walk.slots = level->slots;
		walk.slot = ((__u64)hash * walk.slots) >> 32;
		bpf_loop(MW_MAX_PROBES + 1, mw_balance_step, &walk, 0);
		if (walk.found)
			return 0;
	}
	return from ? MW_REASON_NO_LOCATOR : MW_REASON_NO_INTERFACE;
}

/* From now on the frame is the member's. */
static __always_inline struct mw_member *mw_take_member(struct mw_packet *p)
{
	struct mw_member *member = &mw_state_of(p)->member;

	memcpy(p->dmac, member->mac, MW_ETH_ALEN);
	p->flags |= MW_PACKET_BALANCED;
	return member;
}

/* Direct return: the packet keeps its addresses, the frame goes to the member's MAC. Gives 0 or an enum mw_reason. */
static __always_inline int mw_address_member(mw_ctx *ctx, const struct mw_packet *p)
{
	__u8 mac[MW_ETH_ALEN];

	if (!mw_config.has_balance || !(p->flags & MW_PACKET_BALANCED))
		return 0;
	memcpy(mac, p->dmac, MW_ETH_ALEN);
	return mw_store(ctx, 0, mac, MW_ETH_ALEN) ? MW_REASON_INTERNAL : 0;
}

#endif
