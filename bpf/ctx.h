/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What differs between the two program types, and nothing else: the rest of the source is written once.
 *
 * MW_TC is 1 in the TC object and 0 in the XDP object.
 */
#ifndef MW_CTX_H
#define MW_CTX_H

#include <linux/bpf.h>
#include <linux/types.h>
#include <stddef.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "uapi_compat.h"

#ifdef MW_XDP
#define MW_TC 0
typedef struct xdp_md mw_ctx;
#else
#define MW_TC 1
typedef struct __sk_buff mw_ctx;
#endif

#ifndef memcpy
#define memcpy(to, from, size) __builtin_memcpy((to), (from), (size))
#endif
#ifndef memset
#define memset(to, byte, size) __builtin_memset((to), (byte), (size))
#endif

/* The compiler must take the object at 'pointer' as rewritten: what was copied stays a copy. */
#define mw_opaque(pointer) asm volatile("" : : "r"(pointer) : "memory")
/* The compiler must not reason about the value of a scalar (it would undo a bounds check). */
#define mw_hide(scalar) asm volatile("" : "+r"(scalar))

static __always_inline void *mw_data(const mw_ctx *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *mw_data_end(const mw_ctx *ctx)
{
	return (void *)(long)ctx->data_end;
}

/* Length of the whole frame, all buffers. */
static __always_inline __u32 mw_len(mw_ctx *ctx)
{
#if MW_TC
	return ctx->len;
#else
	return bpf_xdp_get_buff_len(ctx);
#endif
}

/* Device the frame came from. */
static __always_inline __u32 mw_ifindex(const mw_ctx *ctx)
{
#if MW_TC
	return ctx->ifindex;
#else
	return ctx->ingress_ifindex;
#endif
}

/* A VLAN tag travels beside the frame. XDP cannot know. */
static __always_inline bool mw_tag_beside(const mw_ctx *ctx)
{
#if MW_TC
	return ctx->vlan_present;
#else
	(void)ctx;
	return false;
#endif
}

#ifdef MW_BOUND
/* net/core/xdp.c, kernel 6.8: only for programs that are loaded for one device, whose driver answers */
extern int bpf_xdp_metadata_rx_vlan_tag(const struct xdp_md *ctx, __be16 *proto, __u16 *tci) __weak __ksym;
#define MW_ENODATA 61	/* there is none; any other answer is no sure no */
#endif

/* XDP: the driver keeps a tag beside the frame. Only the programs of xdp_bound.bpf.c can ask. */
static __always_inline bool mw_tag_hidden(mw_ctx *ctx)
{
#ifdef MW_BOUND
	__be16 proto = 0;
	__u16 tci = 0;

	return bpf_xdp_metadata_rx_vlan_tag(ctx, &proto, &tci) != -MW_ENODATA;
#else
	(void)ctx;
	return false;
#endif
}

/* Payload bytes of each segment of a super-packet, or 0. */
static __always_inline __u32 mw_gso_size(const mw_ctx *ctx)
{
#if MW_TC
	return ctx->gso_size;
#else
	(void)ctx;
	return 0;
#endif
}

static __always_inline long mw_load(mw_ctx *ctx, __u32 offset, void *to, __u32 size)
{
#if MW_TC
	return bpf_skb_load_bytes(ctx, offset, to, size);
#else
	return bpf_xdp_load_bytes(ctx, offset, to, size);
#endif
}

/* Writes bytes that a receive checksum (CHECKSUM_COMPLETE) does not cover: the link header, or a whole frame of our own. */
static __always_inline long mw_store(mw_ctx *ctx, __u32 offset, void *from, __u32 size)
{
#if MW_TC
	return bpf_skb_store_bytes(ctx, offset, from, size, BPF_F_INVALIDATE_HASH);
#else
	return bpf_xdp_store_bytes(ctx, offset, from, size);
#endif
}

/* Writes bytes of layer 3 and above, and keeps a receive checksum right. */
static __always_inline long mw_store_covered(mw_ctx *ctx, __u32 offset, void *from, __u32 size)
{
#if MW_TC
	return bpf_skb_store_bytes(ctx, offset, from, size, BPF_F_INVALIDATE_HASH | BPF_F_RECOMPUTE_CSUM);
#else
	return bpf_xdp_store_bytes(ctx, offset, from, size);
#endif
}

#endif
