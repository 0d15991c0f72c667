/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * docs/packet-rules.md, section 10: a port on its way from one node to another. Its guest's own announcement from the new place
 * (ARP, RARP as QEMU sends it, neighbour advertisement) tells every node that it is there. TC only: announcements are
 * floods, which XDP leaves.
 */
#ifndef MW_MOVE_H
#define MW_MOVE_H

#include "lookup.h"
#include "resolve.h"
#include "state.h"

#define MW_NA 136
#define MW_NA_SOLICITED 0x40

/* Frames that come back on the way of a copy: skb->mark, or the upper bits of a mark that holds an ifindex as well. */
#define MW_SECOND_MARK 0x4d580000
#define MW_MARK_FIRST 0x40000000
#define MW_MARK_SECOND 0x80000000

/* Which places a run of the program sends to. */
enum mw_run {
	MW_RUN_ALL = 0,
	MW_RUN_FIRST = 1,	/* the copy for the second is on its way */
	MW_RUN_SECOND = 2,
};

/* Gratuitous ARP (RFC 5227 section 3), RARP, unsolicited neighbour advertisement (RFC 4861 section 7.2.6): from the guest itself, to all. */
static __always_inline bool mw_is_announcement(const struct mw_packet *p)
{
	if (p->tags || !(p->flags & MW_PACKET_GROUP))
		return false;
	if (p->l3 == MW_L3_ARP)
		return p->src[3] == p->dst[3] && mw_same_mac(p->arp_sha, p->smac);
	if (p->l3 == MW_L3_IP6)
		return (p->flags & MW_PACKET_ND) && p->icmp_type == MW_NA && !(p->nd_flags & MW_NA_SOLICITED);
	return p->ethertype == bpf_htons(MW_ETH_P_RARP);
}

#if MW_TC

/* Of its own: what is on the stack here is not there while the port is looked for. */
__noinline int mw_tell_heard(__u32 port, __u32 sequence)
{
	struct mw_event event = { .kind = MW_EVENT_HEARD, .port = port, .sequence = sequence };

	bpf_ringbuf_output(&MW_MAP(events), &event, sizeof(event), 0);
	return 1;
}

/*
 * If this is the announcement of a guest whose port moves to 'node', and it came from there, the port is there from now on. 'from': the
 * port that sent it, when that is here.
 */
__noinline int mw_hear(const struct mw_packet *p, __u32 network, __u32 node, __u32 from)
{
	struct mw_state *state = mw_state();
	struct mw_port *port;
	struct mw_move *move;
	__u32 id = 0;
	__u64 heard, before;
	int pending;

	if (!p || !state || mw_config.quiet || !mw_is_announcement(p))
		return 0;
	if (mw_port_of_mac(network, p->smac, &id) != MW_FOUND || (from && id != from))
		return 0;
	port = &state->member.asked;
	if (mw_lookup_port(&id, port) != MW_FOUND || port->network != network || !(port->flags & MW_PORT_BY_ANNOUNCEMENT))
		return 0;
	pending = mw_pending_of(port);
	if (pending < 0 || port->at[pending & (MW_MAX_LOCATORS - 1)].node != node)
		return 0;
	move = bpf_map_lookup_elem(&MW_MAP(move), &id);
	if (!move)
		return 0;
	heard = MW_HEARD(id, port->sequence);
	before = move->heard;
	/* one of the CPUs that hear it at once tells of it */
	if (before == heard || __sync_val_compare_and_swap(&move->heard, before, heard) != before)
		return 0;
	return mw_tell_heard(id, port->sequence);
}

/* A copy of the frame comes back to its device's ingress, for the second place. False: it could not be made. */
static __always_inline bool mw_send_again(mw_ctx *ctx)
{
	long error;

	ctx->mark = MW_SECOND_MARK;
	error = bpf_clone_redirect(ctx, ctx->ifindex, BPF_F_INGRESS);
	ctx->mark = 0;
	return !error;
}

static __always_inline enum mw_run mw_run_of(mw_ctx *ctx)
{
	if (ctx->mark != MW_SECOND_MARK)
		return MW_RUN_ALL;
	ctx->mark = 0;
	return MW_RUN_SECOND;
}

#endif
#endif
