/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Broadcast, multicast and flooded unicast: one copy to each local port of the network but the sender, and one to each other
 * node that has a port in it (head-end replication), to the underlay's group, or to the wire. TC only. The list of targets is
 * an inner map, replaced as one value.
 */
#ifndef MW_FLOOD_H
#define MW_FLOOD_H

#include "deliver.h"
#include "encap.h"
#include "lookup.h"
#include "resolve.h"
#include "state.h"

/* copies of one frame in one run of the program */
#define MW_MAX_FLOOD 256
/* skb->mark of a frame that comes back for the rest of its list: the upper half; the lower one is the place in the list */
#define MW_FLOOD_MARK 0x4d570000
#define MW_FLOOD_MARK_MASK 0xffff0000
#define MW_FLOOD_PLACES 0xffff

/* One copy to a local port. Gives 1 if it was made. */
__noinline int mw_flood_port(mw_ctx *ctx, __u32 port, __u32 network, __u32 size)
{
	struct mw_state *state = mw_state();
	struct mw_local *local;
	struct mw_port *entry;
	int i;

	if (!state)
		return 0;
	/* no member is looked for while copies are made */
	local = &state->member.interface;
	entry = &state->member.asked;
	if (mw_find_local(port, network, local) || size > local->mtu ||
	    mw_lookup_port(&port, entry) != MW_FOUND || entry->network != network || (entry->flags & MW_PORT_DOWN))
		return 0;
	for (i = 0; i < MW_MAX_LOCATORS; i++)
		if (entry->at[i].node == mw_config.self &&
		    (entry->at[i].priority != MW_PRIORITY_NEVER || (entry->at[i].flags & MW_LOCATOR_PENDING)))
			break;
	if (i == MW_MAX_LOCATORS || !mw_is_active_here(entry))
		return 0;
	if (mw_config.quiet)
		return 1;
	if (bpf_clone_redirect(ctx, local->ifindex, 0))
		return 0;
	mw_count_sent(local->slot, mw_len(ctx));
	return 1;
}

/* A copy of what is in the buffer, out of an underlay device. Gives 1 if it was made. */
static __always_inline int mw_flood_send(mw_ctx *ctx, const struct mw_path *path, __u32 vlan)
{
	long error;

	mw_tag_for_wire(ctx, vlan);
	error = bpf_clone_redirect(ctx, path->nexthop.ifindex, 0);
	if (vlan)
		bpf_skb_vlan_pop(ctx);
	if (error)
		return 0;
	mw_count_sent(path->nexthop.slot, mw_len(ctx));
	return 1;
}

/* One copy to a node; the outer headers' room is already made. Gives 1 if it was made. */
__noinline int mw_flood_node(mw_ctx *ctx, const struct mw_packet *p, const struct mw_flood_target *target, __u32 encap,
			     __u32 inner)
{
	struct mw_state *state = mw_state();
	struct mw_path *path;

	if (!p || !target || !state)
		return 0;
	path = &state->path;
	path->node = target->id;
	path->segment = target->segment;
	path->encap = encap;
	if (mw_find_path(path, mw_flow_hash(p)) || (path->flags & MW_NODE_DOWN))
		return 0;
	if (!(path->flags & MW_NODE_IP6) != !(target->flags & MW_FLOOD_IP6))
		return 0;
	/* nothing cuts a super-packet for one copy of many */
	if (mw_wants_checksum(path) && mw_gso_size(ctx))
		return 0;
	if (mw_config.quiet)
		return 1;
	return mw_write_outer(ctx, p, path, inner) ? 0 : mw_flood_send(ctx, path, path->nexthop.vlan);
}

/* One copy to the wire of a flat network, with its tag. */
__noinline int mw_flood_wire(mw_ctx *ctx, __u32 vlan)
{
	struct mw_state *state = mw_state();

	if (!state)
		return 0;
	state->path.encap = MW_ENCAP_FLAT;
	if (mw_find_path(&state->path, 0))
		return 0;
	return mw_config.quiet ? 1 : mw_flood_send(ctx, &state->path, vlan);
}

static __always_inline __u32 mw_flood_count(void *list)
{
	__u32 zero = 0;
	struct mw_flood_target *head = bpf_map_lookup_elem(list, &zero);

	return head && head->kind == MW_FLOOD_COUNT ? head->id : 0;
}

/*
 * The lists are walked with bpf_loop() (5.17): the verifier looks at one step, not at 256. What a step needs is handed on in
 * this.
 */
struct mw_flood_walk {
	mw_ctx *ctx;
	const struct mw_packet *p;
	struct mw_flood_run *run;
	void *list;
	__u32 last;		/* place of the last target */
	__u32 flags;		/* of the nodes that are wanted */
	__u32 inner;
};

#define MW_WALK_ON 0
#define MW_WALK_END 1

/* One target into 'one', copied since the list may be replaced meanwhile. False: the end. */
static __always_inline bool mw_flood_target_at(const struct mw_flood_walk *walk, __u32 step, struct mw_flood_target *one)
{
	__u32 place = walk->run->start + step;
	const struct mw_flood_target *target = bpf_map_lookup_elem(walk->list, &place);

	if (!target || place > walk->last)
		return false;
	*one = *target;
	mw_opaque(one);
	return true;
}

/* Local ports and the wire, which need no outer headers. Notes which nodes there are. */
static long mw_flood_near_step(__u32 step, struct mw_flood_walk *walk)
{
	struct mw_flood_run *run = walk->run;
	struct mw_flood_target one;
	int made;

	if (!mw_flood_target_at(walk, step, &one))
		return MW_WALK_END;
	if (one.kind == MW_FLOOD_PORT) {
		if (one.id == run->from || (!run->from && (one.flags & MW_FLOOD_OWN)))
			return MW_WALK_ON;
		made = mw_flood_port(walk->ctx, one.id, run->network, run->size);
	} else if (one.kind == MW_FLOOD_NODE && run->from) {
		if (one.id != MW_NODE_WIRE) {
			if (one.flags & MW_FLOOD_IP6)
				run->ip6 = 1;
			else
				run->ip4 = 1;
			return MW_WALK_ON;
		}
		made = mw_flood_wire(walk->ctx, one.segment);
	} else {
		return MW_WALK_ON;
	}
	run->copies += made & 1;
	run->lost += ~made & 1;
	return MW_WALK_ON;
}

/* The nodes that are reached over one family. */
static long mw_flood_far_step(__u32 step, struct mw_flood_walk *walk)
{
	struct mw_flood_run *run = walk->run;
	struct mw_flood_target one;
	int made;

	if (!mw_flood_target_at(walk, step, &one))
		return MW_WALK_END;
	if (one.kind != MW_FLOOD_NODE || one.id == MW_NODE_WIRE || (one.flags & MW_FLOOD_IP6) != walk->flags)
		return MW_WALK_ON;
	made = mw_flood_node(walk->ctx, walk->p, &one, run->encap, walk->inner);
	run->copies += made & 1;
	run->lost += ~made & 1;
	return MW_WALK_ON;
}

static __always_inline void mw_flood_near(struct mw_flood_walk *walk)
{
	bpf_loop(MW_MAX_FLOOD, mw_flood_near_step, walk, 0);
}

static __always_inline void mw_flood_far(struct mw_flood_walk *walk, __u32 flags)
{
	walk->flags = flags;
	bpf_loop(MW_MAX_FLOOD, mw_flood_far_step, walk, 0);
}

/* From the room for outer headers over one family to that over the other. Gives 0 or an enum mw_reason. */
static __always_inline int mw_change_room(mw_ctx *ctx, const struct mw_packet *p)
{
	const int difference = MW_IP6_SIZE - MW_IP4_SIZE;

	if (!mw_is_ip(p))
		return bpf_skb_change_head(ctx, difference, 0) ? MW_REASON_HEADROOM : 0;
	if (bpf_skb_adjust_room(ctx, -difference, BPF_ADJ_ROOM_MAC,
				BPF_F_ADJ_ROOM_FIXED_GSO | MW_F_ADJ_ROOM_DECAP_L3_IPV4) &&
	    bpf_skb_adjust_room(ctx, -difference, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO))
		return MW_REASON_INTERNAL;
	return 0;
}

/*
 * To other nodes. Room is made once for all nodes of a family. The order of the two is what the kernel's helpers can do:
 * an IP packet shrinks, since only so it gets the right protocol; others can only grow. Gives 0 or an enum mw_reason.
 */
static __always_inline int mw_flood_nodes(mw_ctx *ctx, const struct mw_packet *p, struct mw_flood_walk *walk)
{
	struct mw_flood_run *run = walk->run;
	struct mw_path *room = &mw_state_of(p)->path;
	__u32 first = run->ip6 && (mw_is_ip(p) || !run->ip4) ? MW_FLOOD_IP6 : 0;
	int reason, inner;

	if (mw_config.has_checksum && run->ip6 && run->encap != MW_ENCAP_GRE && !mw_gso_size(ctx)) {
		inner = mw_inner_sum(ctx, p, run->encap);
		if (inner < 0)
			return MW_REASON_INTERNAL;
		walk->inner = inner;
	}
	room->encap = run->encap;
	room->flags = first ? MW_NODE_IP6 : 0;
	if (!mw_config.quiet) {
		reason = mw_make_room(ctx, p, room);
		if (reason)
			return reason;
	}
	mw_flood_far(walk, first);
	if (!run->ip4 || !run->ip6)
		return 0;
	if (!mw_config.quiet) {
		reason = mw_change_room(ctx, p);
		if (reason)
			return reason;
	}
	mw_flood_far(walk, first ^ MW_FLOOD_IP6);
	return 0;
}

/* The rest of a long list has its turn when this packet comes back to the device it came from; it does not when a queue is full. */
static __always_inline void mw_flood_later(mw_ctx *ctx, struct mw_flood_run *run)
{
	void *list = bpf_map_lookup_elem(&MW_MAP(flood), &run->network);
	__u32 next = run->start + MW_MAX_FLOOD;
	__u32 last;

	if (mw_config.quiet || !list || next > MW_FLOOD_PLACES)
		return;
	last = mw_flood_count(list);
	if (last < next)
		return;
	ctx->mark = MW_FLOOD_MARK | next;
	if (bpf_clone_redirect(ctx, ctx->ifindex, BPF_F_INGRESS))
		run->lost += last + 1 - next;
	ctx->mark = 0;
}

/* The place in the list at which this packet comes back, or 0. */
static __always_inline __u32 mw_flood_place(mw_ctx *ctx)
{
	__u32 mark = ctx->mark;

	if ((mark & MW_FLOOD_MARK_MASK) != MW_FLOOD_MARK)
		return 0;
	ctx->mark = 0;
	return mark & MW_FLOOD_PLACES;
}

static __always_inline void mw_count_lost(__u32 copies, __u32 bytes)
{
	__u32 reason = MW_REASON_FLOOD_COPY;
	struct mw_counter *counter;

	if (mw_config.quiet || !copies)
		return;
	counter = bpf_map_lookup_elem(&MW_MAP(drops), &reason);
	if (!counter)
		return;
	counter->packets += copies;
	counter->bytes += (__u64)copies * bytes;
}

/*
 * All copies of this run. Local ones first: then the buffer grows. Gives 0 or an enum mw_reason, when no other node could be
 * sent one.
 */
static __always_inline int mw_flood(mw_ctx *ctx, const struct mw_packet *p, struct mw_flood_run *run)
{
	struct mw_flood_walk walk = { .ctx = ctx, .p = p, .run = run };
	int reason = 0;

	walk.list = bpf_map_lookup_elem(&MW_MAP(flood), &run->network);
	if (!walk.list)
		return 0;
	walk.last = mw_flood_count(walk.list);
	mw_flood_near(&walk);
	if (run->ip4 || run->ip6)
		reason = mw_flood_nodes(ctx, p, &walk);
	mw_count_lost(run->lost, p->len);
	return reason;
}

#endif
