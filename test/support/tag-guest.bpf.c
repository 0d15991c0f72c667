// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* At a guest's TC egress: every frame leaves with a VLAN tag beside it, as one of a VLAN device does. For tests. */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int tag(struct __sk_buff *skb)
{
	bpf_skb_vlan_push(skb, bpf_htons(0x8100), 10);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
