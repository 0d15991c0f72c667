// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Counts frames and bytes by EtherType, and tells user space of each new one. Nothing is changed or dropped. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct count {
	__u64 frames;
	__u64 bytes;
};

struct seen {
	__u64 time;	/* CLOCK_MONOTONIC, nanoseconds */
	__u32 ifindex;
	__u16 protocol;
	__u16 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u16);
	__type(value, struct count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

/* Frames shorter than this are not counted; set before loading. */
const volatile __u32 shortest;

static void tell(__u32 ifindex, __u16 protocol)
{
	struct seen *seen = bpf_ringbuf_reserve(&events, sizeof(*seen), 0);

	if (!seen)
		return;
	seen->time = bpf_ktime_get_ns();
	seen->ifindex = ifindex;
	seen->protocol = protocol;
	seen->pad = 0;
	bpf_ringbuf_submit(seen, 0);
}

SEC("tc")
int count(struct __sk_buff *skb)
{
	__u16 protocol = bpf_ntohs(skb->protocol);
	struct count first = { .frames = 1, .bytes = skb->len };
	struct count *known;

	if (skb->len < shortest)
		return TC_ACT_UNSPEC;
	known = bpf_map_lookup_elem(&counts, &protocol);
	if (known) {
		known->frames++;
		known->bytes += skb->len;
	} else if (!bpf_map_update_elem(&counts, &protocol, &first, BPF_NOEXIST)) {
		tell(skb->ifindex, protocol);
	}
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
