/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Counters, per CPU: drops by reason, traffic by device. What a device brought in is in exactly one of rx,
 * drops and answers; tx counts what was handed to it, answers not included.
 */
#ifndef MW_COUNTERS_H
#define MW_COUNTERS_H

#include <bpf/bpf_helpers.h>
#include "config.h"
#include "maps.h"

static __always_inline void count_drop(__u32 reason, __u32 bytes)
{
	struct mw_counter *counter = bpf_map_lookup_elem(&MW_MAP(drops), &reason);

	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
}

static __always_inline struct mw_traffic *traffic_of(__u32 slot)
{
	return bpf_map_lookup_elem(&MW_MAP(traffic), &slot);
}

static __always_inline void count_rx(__u32 slot, __u32 bytes)
{
	struct mw_traffic *traffic = traffic_of(slot);

	if (traffic) {
		traffic->rx_packets++;
		traffic->rx_bytes += bytes;
	}
}

static __always_inline void count_tx(__u32 slot, __u32 bytes)
{
	struct mw_traffic *traffic = traffic_of(slot);

	if (traffic) {
		traffic->tx_packets++;
		traffic->tx_bytes += bytes;
	}
}

static __always_inline void count_refused(__u32 slot)
{
	struct mw_traffic *traffic = traffic_of(slot);

	if (traffic)
		traffic->drops++;
}

static __always_inline void count_answer(__u32 slot)
{
	struct mw_traffic *traffic = traffic_of(slot);

	if (traffic)
		traffic->answers++;
}

/* whether this device may have one more answer in this second (too_big_rate); racing CPUs may allow one too many */
static __always_inline bool limit_allows(__u32 slot)
{
	__u64 now = bpf_ktime_get_ns() / 1000000000;
	struct mw_limit *limit;

	if (mw_config.quiet || !mw_config.too_big_rate)
		return true;
	limit = bpf_map_lookup_elem(&MW_MAP(limit), &slot);
	if (!limit)
		return false;
	if (limit->window != now) {
		limit->window = now;
		limit->count = 0;
	}
	if (limit->count >= mw_config.too_big_rate)
		return false;
	__sync_fetch_and_add(&limit->count, 1);
	return true;
}

#endif
