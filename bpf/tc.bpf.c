// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The TC programs: complete; XDP, where it is attached, stands in front of them. */

#include "from_port.h"
#include "from_underlay.h"
#include "btf_anchor.h"

SEC("tc")
int mw_tc_port(struct __sk_buff *ctx)
{
	return mw_port_program(ctx);
}

SEC("tc")
int mw_tc_underlay(struct __sk_buff *ctx)
{
	return mw_underlay_program(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
