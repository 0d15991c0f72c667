/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* At most so many a second and port: too-big answers, flooded frames. */
#ifndef MW_LIMIT_H
#define MW_LIMIT_H

#include "config.h"

#define MW_NSEC_PER_SEC 1000000000ULL

/*
 * One more in this second? Two CPUs that open the same second at once may each let one more through: a limiter, not a
 * ledger.
 */
static __always_inline bool mw_within(__u64 *window, __u32 *count, __u32 rate)
{
	__u64 now = bpf_ktime_get_ns() / MW_NSEC_PER_SEC;

	if (*window != now) {
		*window = now;
		*count = 0;
	}
	return __sync_fetch_and_add(count, 1) < rate;
}

/* Too-big answers. */
static __always_inline bool mw_within_rate(__u32 slot)
{
	struct mw_limit *limit;

	if (mw_config.quiet || mw_config.too_big_rate == 0)
		return true;
	limit = bpf_map_lookup_elem(&MW_MAP(limit), &slot);
	return limit && mw_within(&limit->window, &limit->count, mw_config.too_big_rate);
}

/* Flooded frames: a storm is bounded at its source. */
static __always_inline bool mw_within_flood_rate(__u32 slot)
{
	struct mw_limit *limit;

	if (mw_config.quiet || mw_config.flood_rate == 0)
		return true;
	limit = bpf_map_lookup_elem(&MW_MAP(limit), &slot);
	return limit && mw_within(&limit->flood_window, &limit->flood_count, mw_config.flood_rate);
}

#endif
