/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Broadcast, multicast and flooded unicast: one copy to each local port of the network but the sender, one to each other
 * node that has a port in it (head-end replication). TC only. The list is an inner map, replaced as one value.
 */
#ifndef MW_FLOOD_H
#define MW_FLOOD_H

#include "deliver.h"
#include "encap.h"
#include "lookup.h"
#include "resolve.h"

/* copies of one frame */
#define MW_MAX_FLOOD 256

/* One copy to a local port; 'size' 0: whatever its MTU. Gives 1 if it was made. */
__noinline int mw_flood_port(mw_ctx *ctx, __u32 port, __u32 network, __u32 size)
{
	struct mw_local local;
	struct mw_port entry;
	int i;

	if (mw_find_local(port, network, &local) || size > local.mtu ||
	    mw_lookup_port(&port, &entry) != MW_FOUND || entry.network != network)
		return 0;
	for (i = 0; i < MW_MAX_LOCATORS; i++)
		if (entry.at[i].node == mw_config.self && entry.at[i].priority != MW_PRIORITY_NEVER)
			break;
	if (i == MW_MAX_LOCATORS)
		return 0;
	if (mw_config.quiet)
		return 1;
	if (bpf_clone_redirect(ctx, local.ifindex, 0))
		return 0;
	mw_count_sent(local.slot, mw_len(ctx));
	return 1;
}

/* One copy to a node; the outer header's room is already made. Gives 1 if it was made. */
__noinline int mw_flood_node(mw_ctx *ctx, const struct mw_packet *p, __u32 node, __u32 segment)
{
	struct mw_path path = {};

	if (!p || mw_node_is_down(node) || mw_find_path(node, segment, &path))
		return 0;
	if (mw_config.quiet)
		return 1;
	if (mw_write_outer(ctx, p, &path))
		return 0;
	if (bpf_clone_redirect(ctx, path.nexthop.ifindex, 0))
		return 0;
	mw_count_sent(path.nexthop.slot, mw_len(ctx));
	return 1;
}

static __always_inline __u32 mw_flood_count(void *list)
{
	__u32 zero = 0;
	struct mw_flood_target *head = bpf_map_lookup_elem(list, &zero);

	return head && head->kind == MW_FLOOD_COUNT ? head->id : 0;
}

/* Local copies, into 'copies'; gives the number of node targets, or -1 without a list. */
__noinline int mw_flood_ports(mw_ctx *ctx, __u32 network, __u32 from, __u32 size)
{
	void *list = bpf_map_lookup_elem(&MW_MAP(flood), &network);
	__u32 count, copies = 0, nodes = 0;
	__u32 i;

	if (!list)
		return 0;
	count = mw_flood_count(list);
	for (i = 1; i <= MW_MAX_FLOOD; i++) {
		struct mw_flood_target *target;
		__u32 index = i;

		target = bpf_map_lookup_elem(list, &index);
		if (!target || i > count)
			break;
		if (target->kind == MW_FLOOD_NODE)
			nodes = 1;
		else if (target->kind == MW_FLOOD_PORT && target->id != from)
			copies += mw_flood_port(ctx, target->id, network, size) & 1;
	}
	return copies | nodes << 16;
}

__noinline int mw_flood_nodes(mw_ctx *ctx, const struct mw_packet *p, __u32 network)
{
	void *list = bpf_map_lookup_elem(&MW_MAP(flood), &network);
	__u32 count, copies = 0;
	__u32 i;

	if (!list || !p)
		return 0;
	count = mw_flood_count(list);
	for (i = 1; i <= MW_MAX_FLOOD; i++) {
		struct mw_flood_target *target;
		__u32 index = i;

		target = bpf_map_lookup_elem(list, &index);
		if (!target || i > count)
			break;
		if (target->kind == MW_FLOOD_NODE)
			copies += mw_flood_node(ctx, p, target->id, target->segment) & 1;
	}
	return copies;
}

/*
 * All copies of the frame in the buffer; 'from' is the sending port, or 0 for a frame from the underlay: that goes to
 * local ports only (split horizon) and to those whose MTU holds 'size'. Local copies first: then the buffer grows. Gives the
 * number of copies, or the negative of an enum mw_reason when no other node could be sent one.
 */
static __always_inline int mw_flood(mw_ctx *ctx, const struct mw_packet *p, __u32 network, __u32 from, __u32 size)
{
	__u32 local = mw_flood_ports(ctx, network, from, from ? 0 : size);
	__u32 copies = local & 0xffff;
	int reason;

	if (!from || !(local >> 16))
		return copies;
	if (!mw_config.quiet) {
		reason = mw_make_room(ctx, p, MW_VXLAN4_SIZE);
		if (reason)
			return -reason;
	}
	return copies + mw_flood_nodes(ctx, p, network);
}

#endif
