// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One map of each kind the bindings care for, and programs small enough to predict. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u32 a;
	__u16 b;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct pair);
} pairs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct pair);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} devices SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, struct pair);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner);
} lists SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} events SEC(".maps");

struct settings {
	__u32 verdict;
	__u32 mark;
};

const volatile struct settings settings = { .verdict = XDP_PASS };
const volatile __u64 second = 7;
__u32 counter = 5;

/* Says what it was loaded with, and counts. */
SEC("xdp")
int say(struct xdp_md *ctx)
{
	__u32 key = ctx->ingress_ifindex;
	struct pair *value, fresh = { .a = (__u32)second, .b = 1 };

	__sync_fetch_and_add(&counter, 1);
	value = bpf_map_lookup_elem(&pairs, &key);
	if (value)
		__sync_fetch_and_add(&value->a, 1);
	else
		bpf_map_update_elem(&pairs, &key, &fresh, BPF_ANY);
	return settings.verdict;
}

SEC("xdp")
int drop(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("xdp.frags")
int length(struct xdp_md *ctx)
{
	return bpf_xdp_adjust_head(ctx, -4) ? XDP_ABORTED : XDP_PASS;
}

SEC("tc")
int mark(struct __sk_buff *skb)
{
	skb->mark = settings.mark + skb->mark;
	return TC_ACT_OK;
}

SEC("tc")
int shoot(struct __sk_buff *skb)
{
	return TC_ACT_SHOT;
}

/* Emits as many records as the first byte of the frame says, of the length in the second. */
SEC("xdp")
int emit(struct xdp_md *ctx)
{
	__u8 *data = (void *)(long)ctx->data;
	__u32 i, count, length, failed = 0;
	static __u8 record[256];

	if ((void *)(data + 2) > (void *)(long)ctx->data_end)
		return XDP_ABORTED;
	count = data[0];
	length = data[1];
	for (i = 0; i < 256; i++) {
		if (i >= count)
			break;
		record[0] = i;
		if (bpf_ringbuf_output(&events, record, length, 0))
			failed++;
	}
	return failed;
}

/* The first element of the list of that network, or the default of the settings. */
SEC("xdp")
int first(struct xdp_md *ctx)
{
	__u32 key = 1, zero = 0;
	struct pair *value;
	void *list = bpf_map_lookup_elem(&lists, &key);

	if (!list)
		return XDP_ABORTED;
	value = bpf_map_lookup_elem(list, &zero);
	return value ? value->b : XDP_ABORTED;
}

SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	bpf_map_lookup_elem(&per_cpu, &(__u32){ 0 });
	return bpf_redirect_map(&devices, 1, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
