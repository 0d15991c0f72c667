/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A buffer for an answer of our own: of the size asked for, without the offload state of the packet it was. TC only.
 *
 * A program can neither read nor clear CHECKSUM_PARTIAL, and whoever takes the answer next (a tap's reader, a device
 * without checksumming) would complete a sum in the middle of it. But the kernel forgets it when the place where that sum
 * begins is cut off in front (skb_postpull_rcsum() in include/linux/skbuff.h). So the buffer is made MW_CUT bytes longer, more
 * than the headers of any packet with such a sum, and as many are cut. bpf_skb_change_tail() on the way makes it
 * linear, its own, and no super-packet. It refuses a packet that is a tunnel's already (skb->encapsulation).
 */
#ifndef MW_RESHAPE_H
#define MW_RESHAPE_H

#include "ctx.h"

#if MW_TC

#define MW_CUT 2048

/* 'size' bytes, to be written whole. The EtherType must stay IPv4 or IPv6, whichever it was. Gives 0, or an error. */
static __always_inline long mw_reshape(mw_ctx *ctx, __u32 size)
{
	long error = bpf_skb_change_tail(ctx, size + MW_CUT, 0);

	return error ? error : bpf_skb_adjust_room(ctx, -MW_CUT, BPF_ADJ_ROOM_MAC, 0);
}

#endif
#endif
