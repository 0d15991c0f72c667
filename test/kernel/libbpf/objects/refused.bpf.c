// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The verifier must refuse it: no check against data_end. Its many calls make the log long. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int fine(struct xdp_md *ctx)
{
	return XDP_PASS;
}

SEC("xdp")
int unchecked(struct xdp_md *ctx)
{
	__u64 sum = 0;
	int i;

#pragma clang loop unroll(full)
	for (i = 0; i < 400; i++)
		sum += bpf_get_prandom_u32();
	return *(__u8 *)(long)ctx->data + sum;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
