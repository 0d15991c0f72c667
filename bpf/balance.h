/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, section 8: addresses that several ports serve. Which of them gets a flow is read from a table of slots. */
#ifndef MW_BALANCE_H
#define MW_BALANCE_H

#include "hash.h"
#include "resolve.h"
#include "state.h"

/* slots that are asked beside the flow's own, while members are dead */
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

/*
 * Can this port have a packet that port 'from' sends (0: that came from the underlay)? It is live, and if it is here it has its
 * interface; it is not the sender. From the underlay: it is here.
 */
__noinline int mw_can_serve(__u32 id, __u32 network, __u32 from, struct mw_member *member)
{
	struct mw_port *port;
	int at;

	if (!member || !id || id == from)
		return 0;
	port = &member->asked;
	if (mw_lookup_port(&id, port) != MW_FOUND || port->network != network)
		return 0;
	if (from) {
		at = mw_choose_locator(port);
		if (at < 0)
			return 0;
		at &= MW_MAX_LOCATORS - 1;
		member->place.node = port->at[at].node;
		member->place.segment = port->at[at].segment;
	} else {
		if (!mw_has_locator(port, mw_config.self))
			return 0;
		member->place.node = mw_config.self;
	}
	if (member->place.node == mw_config.self && mw_find_local(id, network, &member->interface))
		return 0;
	member->port = id;
	memcpy(member->mac, port->mac, MW_ETH_ALEN);
	return 1;
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
	/* the verifier wants to see 0 or 1, which the compiler knows */
	mw_hide(found);
	walk->found = found & 1;
	return walk->found;
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
	__u32 i, hash, place, end;

	if (!p || !state)
		return MW_REASON_INTERNAL;
	if (!list || !mw_read_head(list, address, network, &head))
		return MW_REASON_STALE;
	if ((p->flags & MW_PACKET_FRAGMENT) && !(head.flags & MW_BALANCE_SOURCE))
		return MW_REASON_BALANCED_FRAGMENT;
	hash = (head.flags & MW_BALANCE_SOURCE) && mw_is_ip(p) ? mw_source_hash(p) : mw_flow_hash(p);
	place = MW_BALANCE_HEAD;
	end = place + head.levels;
	if (!from) {
		if (!(head.flags & MW_BALANCE_HERE))
			return MW_REASON_NOT_LOCAL;
		place = end++;
	}
	walk.list = list;
	walk.member = &state->member;
	for (i = 0; i < MW_MAX_LEVELS && place < end; i++, place++) {
		const struct mw_balance_level *level = bpf_map_lookup_elem(list, &place);

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
