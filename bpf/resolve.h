/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, rules 2.9 and 3.9: from a port to the place where it is. */
#ifndef MW_RESOLVE_H
#define MW_RESOLVE_H

#include "lookup.h"

#define MW_PRIORITY_NEVER 255

/* What was just found may become another without a write of the daemon's: it is not remembered (front.h). In state.h. */
static __always_inline void mw_not_for_long(void);

/* How to reach a node: what the outer header needs. */
struct mw_path {
	__u32 node;		/* set by the caller, with 'segment' and 'encap' */
	__u32 segment;
	struct mw_nexthop nexthop;
	__be32 remote[4];	/* IPv4 in mapped form */
	__be32 local[4];
	__u32 flags;		/* enum mw_node_flags */
	__u32 hash;		/* of the flow */
	__u32 known;		/* the node that what is not the caller's is of; 0: none yet */
	__u16 mtu;
	__u8 encap;		/* enum mw_encap */
	__u8 alone;		/* 1: it is the only one to that node */
};

/* How gladly a node's locators are used: the lower the better. */
enum mw_standing {
	MW_STANDING_UP = 0,
	MW_STANDING_DRAINED = 1,
	MW_STANDING_HERE = 2,	/* this node is down, but what is here can be reached from here */
	MW_STANDING_NONE = 3,
};

/* A node without an entry, or with another's in its place, is up. */
static __always_inline enum mw_standing mw_standing_of(__u32 node)
{
	const struct mw_node *entry = bpf_map_lookup_elem(&MW_MAP(node), &node);
	__u32 flags = 0;

	if (entry) {
		flags = entry->flags;
		mw_opaque(&flags);
		if (entry->node != node)
			flags = 0;
	}
	if (flags & MW_NODE_DOWN)
		return node == mw_config.self ? MW_STANDING_HERE : MW_STANDING_NONE;
	return flags & MW_NODE_DRAIN ? MW_STANDING_DRAINED : MW_STANDING_UP;
}

/* Index of the locator that a port moves to, or -1. */
static __always_inline int mw_pending_of(const struct mw_port *port)
{
	int i, found = -1;

	for (i = 0; i < MW_MAX_LOCATORS; i++)
		if (port->at[i].node && (port->at[i].flags & MW_LOCATOR_PENDING))
			found = i;
	return found;
}

static __always_inline bool mw_is_moving(const struct mw_port *port)
{
	return mw_config.has_move && (port->flags & MW_PORT_MOVING);
}

/* Was the guest of a port that moves heard from the new place? */
static __always_inline int mw_is_heard(const struct mw_port *port)
{
	const struct mw_move *move;
	__u32 id;

	if (!port || !(port->flags & MW_PORT_BY_ANNOUNCEMENT))
		return 0;
	id = port->port;
	move = bpf_map_lookup_elem(&MW_MAP(move), &id);
	return move && move->heard == MW_HEARD(port->port, port->sequence);
}

/*
 * Index of the locator in use, or -1: of those that stand best the first, since lower priority comes first in the table's
 * order; of a port that moves the pending one when it is there by now. Global, so that the verifier looks at it once.
 */
__noinline int mw_choose_locator(const struct mw_port *port)
{
	enum mw_standing best = MW_STANDING_NONE;
	int i, chosen = -1, pending = -1;

	if (!port || (port->flags & MW_PORT_DOWN))
		return -1;
	if (mw_is_moving(port)) {
		pending = mw_pending_of(port);
		if (pending >= 0 && mw_standing_of(port->at[pending & (MW_MAX_LOCATORS - 1)].node) == MW_STANDING_NONE)
			pending = -1;
		if (pending >= 0 && ((port->flags & MW_PORT_SEND_NEW) || mw_is_heard(port)))
			return pending;
	}
	for (i = 0; i < MW_MAX_LOCATORS; i++) {
		const struct mw_locator *at = &port->at[i];
		enum mw_standing standing;

		if (at->node == 0 || at->priority == MW_PRIORITY_NEVER)
			continue;
		standing = mw_standing_of(at->node);
		if (standing == MW_STANDING_UP)
			return i;
		if (standing < best) {
			best = standing;
			chosen = i;
		}
	}
	return chosen < 0 ? pending : chosen;
}

static __always_inline bool mw_has_locator(const struct mw_port *port, __u32 node)
{
	int i;

#pragma unroll
	for (i = 0; i < MW_MAX_LOCATORS; i++)
		if (port->at[i].node == node)
			return true;
	return false;
}

/*
 * Of a port with a locator here: is it this place that delivers? While it moves, the pending one does once it is the locator in
 * use, and the others do until its guest was heard there: of the two copies of a frame (send: both) one is delivered.
 */
static __always_inline int mw_is_active_here(const struct mw_port *port)
{
	int pending;

	if (!port)
		return 0;
	if (!mw_is_moving(port))
		return 1;
	pending = mw_pending_of(port);
	if (pending >= 0 && port->at[pending & (MW_MAX_LOCATORS - 1)].node == mw_config.self)
		return mw_choose_locator(port) == pending;
	return !mw_is_heard(port);
}

/* Where a port is: the locator in use, and that to which a second copy goes. */
struct mw_place {
	__u32 node;
	__u32 segment;
	__u32 second_node;	/* 0: none */
	__u32 second_segment;
};

/* What the outer header needs of a node's entry, for a flow with this hash. False: it is another's. */
static __always_inline bool mw_copy_node(struct mw_path *path, const struct mw_node *node, __u32 id, __u32 hash)
{
	__u32 use = hash >> 31;

	memcpy(path->remote, node->remote, 16);
	memcpy(path->local, node->local, 16);
	path->flags = node->flags;
	path->mtu = node->mtu;
	if (!node->nexthop[0].ifindex)
		use = 1;
	if (!node->nexthop[1].ifindex)
		use = 0;
	path->nexthop = node->nexthop[use & 1];
	path->alone = !node->nexthop[0].ifindex || !node->nexthop[1].ifindex;
	mw_opaque(path);
	return node->node == id;
}

/* The place of locator 'at', and (send: both) the pending one, if that is another, elsewhere, and not down. */
static __always_inline void mw_place_of(const struct mw_port *port, int at, struct mw_place *place)
{
	int pending;

	place->second_node = 0;
	place->second_segment = 0;
	if (mw_is_moving(port) && (port->flags & MW_PORT_SEND_BOTH)) {
		pending = mw_pending_of(port);
		if (pending >= 0 && pending != at) {
			const struct mw_locator *second = &port->at[pending & (MW_MAX_LOCATORS - 1)];

			if (second->node != mw_config.self && mw_standing_of(second->node) != MW_STANDING_NONE) {
				place->second_node = second->node;
				place->second_segment = second->segment;
			}
		}
	}
	at &= MW_MAX_LOCATORS - 1;
	place->node = port->at[at].node;
	place->segment = port->at[at].segment;
}

/*
 * The usual case at one look: the first locator, elsewhere, on a node that is up. 'path' then holds what mw_find_path() would find
 * for a tunnel.
 */
static __always_inline bool mw_first_place(const struct mw_port *port, struct mw_path *path, __u32 hash)
{
	__u32 id = port->at[0].node;
	const struct mw_node *node;

	if (!id || port->at[0].priority == MW_PRIORITY_NEVER || id == mw_config.self || (port->flags & MW_PORT_DOWN) ||
	    mw_is_moving(port))
		return false;
	node = bpf_map_lookup_elem(&MW_MAP(node), &id);
	if (!node || !mw_copy_node(path, node, id, hash) || (path->flags & (MW_NODE_DOWN | MW_NODE_DRAIN)))
		return false;
	path->known = id;
	return true;
}

/*
 * Rule 2.9: the locator in use of a port that an address of 'network' names, and for a flow with this hash perhaps the way there. A
 * port of another network under that id is one that was made after the address was read. Gives 0 or an enum mw_reason.
 */
__noinline int mw_find_place(__u32 id, __u32 network, struct mw_place *place, struct mw_path *path, __u32 hash)
{
	struct mw_port port;
	int i;

	if (!place || !path)
		return MW_REASON_INTERNAL;
	path->known = 0;
	if (mw_config.compact && mw_compact_place(id, network, &place->node, &place->segment))
		return mw_standing_of(place->node) == MW_STANDING_NONE ? MW_REASON_NO_LOCATOR : 0;
	if (mw_lookup_port(&id, &port) != MW_FOUND || port.network != network)
		return MW_REASON_STALE;
	if (mw_first_place(&port, path, hash)) {
		place->node = port.at[0].node;
		place->segment = port.at[0].segment;
		place->second_node = 0;
		return 0;
	}
	/* its guest may be heard elsewhere any moment */
	if (mw_is_moving(&port))
		mw_not_for_long();
	i = mw_choose_locator(&port);
	if (i < 0)
		return MW_REASON_NO_LOCATOR;
	mw_place_of(&port, i, place);
	return 0;
}

/* Has the port a locator of any priority on this node? Then 'mac' is the port's. Gives 0 or an enum mw_reason. */
__noinline int mw_is_here(__u32 id, __u32 network, __u64 *mac)
{
	struct mw_port port;

	if (!mac || mw_lookup_port(&id, &port) != MW_FOUND || port.network != network)
		return MW_REASON_STALE;
	*mac = 0;
	memcpy(mac, port.mac, MW_ETH_ALEN);
	if (mw_is_moving(&port))
		mw_not_for_long();
	if (!mw_has_locator(&port, mw_config.self))
		return MW_REASON_NOT_LOCAL;
	if (port.flags & MW_PORT_DOWN)
		return MW_REASON_NO_LOCATOR;
	return mw_is_active_here(&port) ? 0 : MW_REASON_NOT_ACTIVE;
}

/* The interface of a port of 'network' that is here. Gives 0 or an enum mw_reason. */
static __always_inline int mw_find_local(__u32 id, __u32 network, struct mw_local *local)
{
	switch (mw_lookup_local(&id, local)) {
	case MW_MISSING:
		return MW_REASON_NO_INTERFACE;
	case MW_STALE:
		return MW_REASON_STALE;
	default:
		return local->network == network ? 0 : MW_REASON_STALE;
	}
}

/*
 * The way to path->node by path->encap, for a flow with this hash: of two next hops that are resolved the highest bit chooses.
 * What flat networks do not have here is on the wire. Gives 0 or an enum mw_reason. The identity is compared with the copy taken.
 */
__noinline int mw_find_path(struct mw_path *path, __u32 hash)
{
	const struct mw_node *node;
	__u32 id, attempt;

	if (!path)
		return MW_REASON_INTERNAL;
	path->hash = hash;
	id = path->encap == MW_ENCAP_FLAT ? MW_NODE_WIRE : path->node;
	for (attempt = 0; attempt < 2; attempt++) {
		node = bpf_map_lookup_elem(&MW_MAP(node), &id);
		if (!node)
			return MW_REASON_NO_NODE;
		if (mw_copy_node(path, node, id, hash))
			return path->nexthop.ifindex ? 0 : MW_REASON_NO_NEXTHOP;
	}
	return MW_REASON_STALE;
}

#endif
