// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Catches every frame that leaves a device, whole and in order, and lets none out, as if they had been sent (a TCX program
 * can only drop, which the sender would see). For tests; a filter of clsact at egress.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 64
#define LARGEST 10240

struct capture {
	__u32 ifindex;
	__u32 length;
	__u8 bytes[LARGEST];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct capture);
} captures SEC(".maps");

/* frames seen, also those for which no slot was left */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} count SEC(".maps");

SEC("tc")
int capture(struct __sk_buff *skb)
{
	__u32 zero = 0, length = skb->len, slot;
	__u64 *seen = bpf_map_lookup_elem(&count, &zero);
	struct capture *to;

	if (!seen)
		return TC_ACT_STOLEN;
	slot = __sync_fetch_and_add(seen, 1);
	to = bpf_map_lookup_elem(&captures, &slot);
	if (!to || length > LARGEST)
		return TC_ACT_STOLEN;
	/*
	 * Every frame has an Ethernet header. Verifiers before 6.18 do not follow the one comparison that clang would make of
	 * the two, and those before 6.8 learn nothing from "not 0".
	 */
	asm volatile("" : "+r"(length));
	if (length < 14)
		return TC_ACT_STOLEN;
	to->ifindex = skb->ifindex;
	to->length = length;
	bpf_skb_load_bytes(skb, 0, to->bytes, length);
	return TC_ACT_STOLEN;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
