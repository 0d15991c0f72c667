// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What surrounds the programs that are measured: generators, whose frames a live test run redirects into a device, a drop at the end
 * of the path, and a program that does nothing but redirect, for the ceiling.
 */
#include <linux/bpf.h>
#include <stdbool.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} to SEC(".maps");

/* Where in the frame the endpoint's number stands: in the last 3 bytes of a MAC, in the last 3 of an IPv4 address; 0: nowhere */
const volatile __u32 mac_at;
const volatile __u32 ip_at;
const volatile __u32 entries = 1;

static __u64 seed = 0x9e3779b97f4a7c15;

static __always_inline void put(void *data, void *end, __u32 at, __u32 number)
{
	__u8 *p;

	if (!at || at > 256)
		return;
	p = data + at;
	if ((void *)(p + 3) > end)
		return;
	p[0] = number >> 16;
	p[1] = number >> 8;
	p[2] = number;
}

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 number;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	number = ((seed >> 32) * entries) >> 32;
	put(data, end, mac_at, number);
	put(data, end, ip_at, number);
	return bpf_redirect_map(&to, 0, 0);
}

SEC("xdp")
int drop_all_but_arp(struct xdp_md *ctx)
{
	__u16 *data = (void *)(long)ctx->data;

	if ((void *)(data + 7) > (void *)(long)ctx->data_end)
		return XDP_DROP;
	return data[6] == bpf_htons(0x0806) || data[6] == bpf_htons(0x86dd) ? XDP_PASS : XDP_DROP;
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	return bpf_redirect_map(&to, 0, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
