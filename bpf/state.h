/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of the packet at work, in scratch memory of the CPU: the verifier allows 512 bytes of stack for a whole chain of
 * calls. A program runs to its end with bottom halves off, and what it redirects is queued, so nothing of ours runs in
 * between; a trace that such a run interrupts tells nonsense of one packet.
 */
#ifndef MW_STATE_H
#define MW_STATE_H

#include "config.h"
#include "packet.h"
#include "resolve.h"
#include "tunnel.h"

/* A flood, see flood.h. */
struct mw_flood_run {
	__u32 network;
	__u32 from;		/* the sending port; 0: from the underlay, to local ports only (split horizon) */
	__u32 size;		/* from the underlay: what a port's MTU has to hold */
	__u32 start;		/* place of the first target: 1, or where the run before stopped */
	__u32 copies;
	__u32 lost;		/* targets that got none */
	__u32 encap;		/* enum mw_encap */
	__u16 ip4;		/* there are nodes over IPv4 */
	__u16 ip6;
};

/* The member that a packet to a balanced address goes to, see balance.h. */
struct mw_member {
	__u32 port;
	struct mw_place place;
	__u8 mac[MW_ETH_ALEN];
	__u16 pad;
	/* the one that is asked */
	struct mw_port asked;
	struct mw_local interface;
};

struct mw_state {
	struct mw_packet packet;
	struct mw_outer outer;
	struct mw_path path;
	struct mw_flood_run run;
	struct mw_member member;
	__u32 epoch;		/* of the maps, before they were asked; 0: what they say is not remembered (front.h) */
	__u32 turn;		/* packets that the front did not know; it outlives them */
};

_Static_assert(sizeof(struct mw_state) <= sizeof(((struct mw_scratch *)0)->state), "the state fits into its place");

/* That a packet is part of. */
static __always_inline struct mw_state *mw_state_of(const struct mw_packet *packet)
{
	return (struct mw_state *)packet;
}

/* The CPU's, as the packet before left it. */
static __always_inline struct mw_state *mw_state(void)
{
	__u32 zero = 0;
	struct mw_scratch *scratch = bpf_map_lookup_elem(&MW_MAP(scratch), &zero);

	return scratch ? (struct mw_state *)scratch->state : NULL;
}

static __always_inline void mw_not_for_long(void)
{
	struct mw_state *state = mw_state();

	if (mw_config.front && state)
		state->epoch = 0;
}

#endif
