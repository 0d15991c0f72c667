/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* At most so many too-big answers a second and port. */
#ifndef MW_LIMIT_H
#define MW_LIMIT_H

#include "config.h"

#define MW_NSEC_PER_SEC 1000000000ULL

/* Two CPUs that open the same second at once may each let one more through: a limiter, not a ledger. */
static __always_inline bool mw_within_rate(__u32 slot)
{
	struct mw_limit *limit;
	__u64 now;

	if (mw_config.quiet || mw_config.too_big_rate == 0)
		return true;
	limit = bpf_map_lookup_elem(&MW_MAP(limit), &slot);
	if (!limit)
		return false;
	now = bpf_ktime_get_ns() / MW_NSEC_PER_SEC;
	if (limit->window != now) {
		limit->window = now;
		limit->count = 0;
	}
	return __sync_fetch_and_add(&limit->count, 1) < mw_config.too_big_rate;
}

#endif
