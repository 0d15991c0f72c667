/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Out of a device: the last step, and what XDP must be able to do for it. */
#ifndef MW_DELIVER_H
#define MW_DELIVER_H

#include "outcome.h"
#include "packet.h"

#if MW_TC

/*
 * To a local port. redirect_peer saves a trip through the backlog, but skips eth_type_trans(): it is for IP frames
 * whose protocol the stack knows already, and the frame must be marked as the guest's own (6.15 does that itself).
 */
static __always_inline int mw_to_port(mw_ctx *ctx, const struct mw_local *local, bool peer)
{
	if (peer && (local->device & MW_DEVICE_REDIRECT_PEER)) {
		bpf_skb_change_type(ctx, 0 /* PACKET_HOST */);
		return bpf_redirect_peer(local->ifindex, 0);
	}
	return bpf_redirect(local->ifindex, 0);
}

#else

static __always_inline bool mw_multi_buffer(mw_ctx *ctx)
{
	return mw_len(ctx) != (__u32)(ctx->data_end - ctx->data);
}

/*
 * Can XDP send this frame out of this device, whose flags are enum mw_device_flags? bpf_redirect_map() only notes the
 * target, for a program that returns XDP_REDIRECT; asked before the frame is changed, it tells whether the device is in the
 * map, and if not the frame can still be left to TC.
 */
static __always_inline bool mw_xdp_can_send(mw_ctx *ctx, __u32 ifindex, __u32 device)
{
	return (device & MW_DEVICE_XDP_REDIRECT) && ((device & MW_DEVICE_XDP_FRAGS) || !mw_multi_buffer(ctx)) &&
	       bpf_redirect_map(&MW_MAP(dev), ifindex, XDP_PASS) == XDP_REDIRECT;
}

#endif
#endif
