// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two ends of a measured path. 'generate' runs as a live test run: it gives the frame the number of an endpoint, drawn at
 * random, and redirects it into a device. 'sink' drops what comes out at the other end and counts it. 'forward' does nothing but
 * redirect: what the path itself costs.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} to SEC(".maps");

struct counts {
	__u64 whole;	/* of the length that is expected: it came through and became what it should */
	__u64 other;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counts);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} expected SEC(".maps");

/* Numbers are drawn below these. Endpoint n is behind node n % nodes. */
const volatile __u32 endpoints = 1;
const volatile __u32 nodes = 1;
/* Where the last three bytes of the endpoint's MAC and IPv4 address stand, and the checksum over the latter; 0: nowhere */
const volatile __u32 mac_at;
const volatile __u32 ip_at;
const volatile __u32 sum_at;
/* The same of the last byte of its node's address */
const volatile __u32 node_at;
const volatile __u32 node_sum_at;
/* One's complement sums of the headers as they stand in the frame, endpoint 0 of node 0 */
const volatile __u32 sum;
const volatile __u32 node_sum;
const volatile __u32 first_node;

/*
 * A live frame's memory is used again as it was left. Where the host writes over the frame's own bytes (it takes an Ethernet header
 * off or puts one in), so many words of it are restored first.
 */
#define HEAD_WORDS 8
const volatile __u32 restored;
const volatile __u64 head[HEAD_WORDS];

static __u64 seed = 0x9e3779b97f4a7c15;

static __always_inline __u8 *at(struct xdp_md *ctx, __u32 offset, __u32 size)
{
	__u8 *p = (__u8 *)(long)ctx->data + offset;

	return offset && offset < 512 && (void *)(p + size) <= (void *)(long)ctx->data_end ? p : 0;
}

static __always_inline void put(struct xdp_md *ctx, __u32 offset, __u32 number)
{
	__u8 *p = at(ctx, offset, 3);

	if (!p)
		return;
	p[0] = number >> 16;
	p[1] = number >> 8;
	p[2] = number;
}

static __always_inline void put_sum(struct xdp_md *ctx, __u32 offset, __u32 total)
{
	__u8 *p = at(ctx, offset, 2);

	if (!p)
		return;
	total = (total & 0xffff) + (total >> 16);
	total = ~(total + (total >> 16));
	p[0] = total >> 8;
	p[1] = total;
}

static __always_inline void restore(struct xdp_md *ctx)
{
	__u64 *word = (void *)(long)ctx->data;
	int i;

	if ((void *)(word + HEAD_WORDS) > (void *)(long)ctx->data_end)
		return;
#pragma unroll
	for (i = 0; i < HEAD_WORDS; i++)
		if (i < restored)
			word[i] = head[i];
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u32 number, node;
	__u8 *p;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	number = ((seed >> 32) * endpoints) >> 32;
	if (restored)
		restore(ctx);
	put(ctx, mac_at, number);
	put(ctx, ip_at, number);
	put_sum(ctx, sum_at, sum + (number >> 16) + (number & 0xffff));
	if (node_at) {
		node = nodes > 1 ? number % nodes : 0;
		p = at(ctx, node_at, 1);
		if (p)
			*p = first_node + node;
		put_sum(ctx, node_sum_at, node_sum + node);
	}
	return bpf_redirect_map(&to, 0, 0);
}

static __always_inline void count(__u32 length)
{
	__u32 zero = 0, *wanted = bpf_map_lookup_elem(&expected, &zero);
	struct counts *counts = bpf_map_lookup_elem(&seen, &zero);

	if (!wanted || !counts)
		return;
	if (length == *wanted)
		counts->whole++;
	else
		counts->other++;
}

SEC("xdp")
int sink(struct xdp_md *ctx)
{
	count(ctx->data_end - ctx->data);
	return XDP_DROP;
}

/* What redirect_peer hands over does not pass XDP. */
SEC("tc")
int late_sink(struct __sk_buff *skb)
{
	count(skb->len);
	return TC_ACT_SHOT;
}

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	return bpf_redirect_map(&to, 0, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
