// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What another program may do to a packet before ours sees it: each does one thing and goes on, by a tail call, with the
 * program in slot 0. For tests of the reasons that a packet as it comes from a device does not bring about.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct next {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
};

struct next next_xdp SEC(".maps");
struct next next_tc SEC(".maps");

#define XDP_HEADROOM 256
/* the kernel keeps struct xdp_frame (40 bytes) in the headroom: this leaves less than an outer header */
#define EATEN (XDP_HEADROOM - 64)
#define MOVED 128

/* Takes nearly all headroom; the first MOVED bytes of the frame go to where it begins now. */
SEC("xdp.frags")
int eat_headroom(struct xdp_md *ctx)
{
	__u8 head[MOVED];

	if (bpf_xdp_adjust_head(ctx, -EATEN) || bpf_xdp_load_bytes(ctx, EATEN, head, MOVED) ||
	    bpf_xdp_store_bytes(ctx, 0, head, MOVED))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &next_xdp, 0);
	return XDP_ABORTED;
}

/* Pads the frame to nearly the largest that a program may make: SKB_MAX_ALLOC, 16,064 bytes. */
SEC("tc")
int pad_to_the_limit(struct __sk_buff *skb)
{
	if (bpf_skb_change_tail(skb, 16384 - 320 - 32, 0))
		return TC_ACT_UNSPEC;
	bpf_tail_call(skb, &next_tc, 0);
	return TC_ACT_UNSPEC;
}

/* Makes an IPv4 packet of one that the stack takes for something else. */
SEC("tc")
int call_it_ipv4(struct __sk_buff *skb)
{
	__be16 ethertype = bpf_htons(0x0800);

	if (bpf_skb_store_bytes(skb, 12, &ethertype, sizeof(ethertype), 0))
		return TC_ACT_UNSPEC;
	bpf_tail_call(skb, &next_tc, 0);
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
