// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The TC programs: complete; XDP, where it is attached, stands in front of them. */

#include "from_port.h"
#include "from_underlay.h"
#include "btf_anchor.h"

SEC("tc")
int mw_tc_port(struct __sk_buff *ctx)
{
	struct mw_outcome out = {};

	return mw_finish(&out, mw_from_port(ctx, &out));
}

SEC("tc")
int mw_tc_underlay(struct __sk_buff *ctx)
{
	struct mw_outcome out = {};

	return mw_finish(&out, mw_from_underlay(ctx, &out));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
