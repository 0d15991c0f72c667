// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a test run does not show. For tests.
 *
 * 'capture' catches every frame that leaves a device, whole, in order and with the tag beside it, and lets none out, as if
 * they had been sent (a TCX program can only drop, which the sender would see); a filter of clsact at egress, which runs
 * before a device without VLAN offload gets the tag put into the frame.
 *
 * 'stage' runs another program by tail call. In front of it, it puts a tag beside the frame, which a test run's context
 * cannot; in a second run on the same skb (repeat = 2), it notes the tag that the other program left there, which a test
 * run does not tell either.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define SLOTS 64
#define LARGEST 10240

struct capture {
	__u32 ifindex;
	__u32 length;
	__u32 tag_present;
	__u32 tag;
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
	to->tag_present = skb->vlan_present;
	to->tag = skb->vlan_tci;
	bpf_skb_load_bytes(skb, 0, to->bytes, length);
	return TC_ACT_STOLEN;
}

struct stage {
	__u32 run;
	/* to put beside the frame; protocol 0: nothing */
	__u32 push_protocol;
	__u32 push;
	/* found there */
	__u32 tag_present;
	__u32 tag;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct stage);
} stages SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} target SEC(".maps");

SEC("tc")
int stage(struct __sk_buff *skb)
{
	__u32 zero = 0;
	struct stage *stage = bpf_map_lookup_elem(&stages, &zero);

	if (!stage)
		return TC_ACT_SHOT;
	if (stage->run++ == 0) {
		if (stage->push_protocol && bpf_skb_vlan_push(skb, bpf_htons(stage->push_protocol), stage->push))
			return TC_ACT_SHOT;
		bpf_tail_call(skb, &target, 0);
		return TC_ACT_SHOT;
	}
	stage->tag_present = skb->vlan_present;
	stage->tag = skb->vlan_tci;
	return TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
