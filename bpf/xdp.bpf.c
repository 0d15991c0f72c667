// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "maps.h"
/* keep the enums in BTF */
const enum mw_reason *mw_btf_reason;
const enum mw_verdict_kind *mw_btf_verdict;
const struct mw_flood_target *mw_btf_flood;
SEC("xdp")
int mw_xdp_port(void *ctx) { return mw_config.self; }
char LICENSE[] SEC("license") = "Dual BSD/GPL";
