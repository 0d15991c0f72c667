// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The XDP programs: the fast path in front of TC; what they cannot finish they leave, untouched. */
#define MW_XDP 1
#include "from_port.h"
#include "from_underlay.h"
#include "btf_anchor.h"

SEC("xdp.frags")
int mw_xdp_port(struct xdp_md *ctx)
{
	return mw_port_program(ctx);
}

SEC("xdp.frags")
int mw_xdp_underlay(struct xdp_md *ctx)
{
	return mw_underlay_program(ctx);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
