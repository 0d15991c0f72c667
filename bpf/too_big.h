/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * docs/packet-rules.md, rule 2.10: a packet that does not fit is answered with ICMP "fragmentation needed" (RFC 1191)
 * or ICMPv6 "packet too big" (RFC 4443 section 3.2), from its own destination address. TC only.
 */
#ifndef MW_TOO_BIG_H
#define MW_TOO_BIG_H

#include "csum.h"
#include "limit.h"
#include "parse.h"
#include "reshape.h"

#define MW_ICMP_HEADER 8
#define MW_QUOTE4 548
#define MW_QUOTE6 1192
#define MW_TOO_BIG4 (MW_ETH_HLEN + 20 + MW_ICMP_HEADER + MW_QUOTE4)
#define MW_TOO_BIG6 (MW_ETH_HLEN + 40 + MW_ICMP_HEADER + MW_QUOTE6)

/* May this packet be answered at all (RFC 1122 section 3.2.2, RFC 4443 section 2.4)? The rate is asked last. */
static __always_inline bool mw_may_answer_too_big(const struct mw_packet *p, __u32 slot)
{
	__u32 first = bpf_ntohl(p->src[3]);

	if ((p->flags & MW_PACKET_GROUP) || (p->flags & MW_PACKET_LATER))
		return false;
	if (p->l3 == MW_L3_IP4) {
		if (p->l3_len < MW_QUOTE4 || first == 0 || (first >> 28) == 0xe || first == 0xffffffff)
			return false;
		first = bpf_ntohl(p->dst[3]);
		if ((first >> 28) == 0xe || first == 0xffffffff)
			return false;
		if (p->proto == MW_PROTO_ICMP && (p->flags & MW_PACKET_L4) &&
		    (p->icmp_type == 3 || p->icmp_type == 4 || p->icmp_type == 5 || p->icmp_type == 11 ||
		     p->icmp_type == 12))
			return false;
	} else if (p->l3 == MW_L3_IP6) {
		if (p->l3_len < MW_QUOTE6 || mw_zero_ip6(p->src) || (bpf_ntohl(p->src[0]) >> 24) == 0xff ||
		    (bpf_ntohl(p->dst[0]) >> 24) == 0xff)
			return false;
		if (p->proto == MW_PROTO_ICMPV6 && (p->flags & MW_PACKET_L4) && p->icmp_type < 128)
			return false;
	} else {
		return false;
	}
	return mw_within_rate(slot);
}

#if MW_TC

static __always_inline void mw_put16(__u8 *to, __u16 value)
{
	to[0] = value >> 8;
	to[1] = value;
}

/* Checksum of an ICMP message whose body is a multiple of 4 bytes; 'seed' is the pseudo-header. */
static __always_inline __u16 mw_icmp_checksum(__u8 *message, __u32 size, __u32 seed)
{
	__s64 sum = seed;

	if (size == MW_ICMP_HEADER + MW_QUOTE4) {
		sum = bpf_csum_diff(NULL, 0, (__be32 *)message, 512, sum);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)(message + 512), MW_ICMP_HEADER + MW_QUOTE4 - 512, sum);
	} else {
		sum = bpf_csum_diff(NULL, 0, (__be32 *)message, 512, sum);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)(message + 512), 512, sum);
		sum = bpf_csum_diff(NULL, 0, (__be32 *)(message + 1024), MW_ICMP_HEADER + MW_QUOTE6 - 1024, sum);
	}
	return ~mw_fold(sum);
}

static __always_inline long mw_build_too_big4(mw_ctx *ctx, const struct mw_packet *p, __u8 *frame, __u32 mtu)
{
	__u8 *ip = frame + MW_ETH_HLEN;
	__u8 *icmp = ip + 20;
	__u16 checksum;

	memcpy(frame, p->smac, MW_ETH_ALEN);
	memcpy(frame + 6, p->dmac, MW_ETH_ALEN);
	mw_put16(frame + 12, MW_ETH_P_IP);
	mw_put16(ip, 0x4500);
	mw_put16(ip + 2, 20 + MW_ICMP_HEADER + MW_QUOTE4);
	mw_put16(ip + 4, 0);
	mw_put16(ip + 6, 0x4000);
	mw_put16(ip + 8, (64 << 8) | MW_PROTO_ICMP);
	mw_put16(ip + 10, 0);
	memcpy(ip + 12, &p->dst[3], 4);
	memcpy(ip + 16, &p->src[3], 4);
	checksum = ~mw_fold(mw_sum_ip4(ip));
	memcpy(ip + 10, &checksum, 2);
	mw_put16(icmp, 0x0304);
	mw_put16(icmp + 2, 0);
	mw_put16(icmp + 4, 0);
	mw_put16(icmp + 6, mtu);
	if (bpf_skb_load_bytes(ctx, MW_ETH_HLEN, icmp + MW_ICMP_HEADER, MW_QUOTE4))
		return -1;
	checksum = mw_icmp_checksum(icmp, MW_ICMP_HEADER + MW_QUOTE4, 0);
	memcpy(icmp + 2, &checksum, 2);
	return 0;
}

static __always_inline long mw_build_too_big6(mw_ctx *ctx, const struct mw_packet *p, __u8 *frame, __u32 mtu)
{
	__u8 *ip = frame + MW_ETH_HLEN;
	__u8 *icmp = ip + 40;
	__u16 checksum;

	memcpy(frame, p->smac, MW_ETH_ALEN);
	memcpy(frame + 6, p->dmac, MW_ETH_ALEN);
	mw_put16(frame + 12, MW_ETH_P_IPV6);
	mw_put16(ip, 0x6000);
	mw_put16(ip + 2, 0);
	mw_put16(ip + 4, MW_ICMP_HEADER + MW_QUOTE6);
	mw_put16(ip + 6, (MW_PROTO_ICMPV6 << 8) | 64);
	memcpy(ip + 8, p->dst, 16);
	memcpy(ip + 24, p->src, 16);
	mw_put16(icmp, 0x0200);
	mw_put16(icmp + 2, 0);
	mw_put16(icmp + 4, 0);
	mw_put16(icmp + 6, mtu);
	if (bpf_skb_load_bytes(ctx, MW_ETH_HLEN, icmp + MW_ICMP_HEADER, MW_QUOTE6))
		return -1;
	checksum = mw_icmp_checksum(icmp, MW_ICMP_HEADER + MW_QUOTE6,
				    mw_pseudo(p->dst, p->src, true, MW_PROTO_ICMPV6, MW_ICMP_HEADER + MW_QUOTE6));
	memcpy(icmp + 2, &checksum, 2);
	return 0;
}

/* Turns the packet into its answer; one that the kernel will not reshape (a tunnel's already) gets none. */
__noinline int mw_send_too_big(mw_ctx *ctx, const struct mw_packet *p, __u32 mtu)
{
	__u32 zero = 0;
	struct mw_scratch *scratch = bpf_map_lookup_elem(&MW_MAP(scratch), &zero);

	if (!p || !scratch)
		return MW_REASON_INTERNAL;
	if (p->l3 == MW_L3_IP4) {
		if (mw_build_too_big4(ctx, p, scratch->byte, mtu))
			return MW_REASON_INTERNAL;
		if (mw_reshape(ctx, MW_TOO_BIG4))
			return MW_REASON_TOO_BIG;
		return mw_store(ctx, 0, scratch->byte, MW_TOO_BIG4) ? MW_REASON_INTERNAL : 0;
	}
	if (mw_build_too_big6(ctx, p, scratch->byte, mtu))
		return MW_REASON_INTERNAL;
	if (mw_reshape(ctx, MW_TOO_BIG6))
		return MW_REASON_TOO_BIG;
	return mw_store(ctx, 0, scratch->byte, MW_TOO_BIG6) ? MW_REASON_INTERNAL : 0;
}

#endif
#endif
