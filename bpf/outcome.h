/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of the packet, and the one place that counts and records it.
 *
 * A program decides by filling struct mw_outcome through the functions here; mw_finish() turns it into the
 * program's return value. A packet that XDP leaves, or that goes to the stack, is not counted.
 */
#ifndef MW_OUTCOME_H
#define MW_OUTCOME_H

#include "config.h"

struct mw_outcome {
	struct mw_verdict verdict;
	__u32 slot;		/* of the device it came from; MW_NO_SLOT: none */
	__u32 target_slot;	/* of the device it leaves by */
	__u32 bytes;		/* of the frame as it came */
	__u32 sent;		/* of the frame as it leaves */
	bool uncounted;		/* but for drops: it comes back, or came back and was counted before */
	__u8 run;		/* enum mw_run; that for the second place counts what it sends */
};

#define MW_NO_SLOT (~0U)

#if MW_TC
#define MW_ACTION_DROP MW_TC_DROP
#define MW_ACTION_PASS MW_TC_NEXT
#else
#define MW_ACTION_DROP XDP_DROP
#define MW_ACTION_PASS XDP_PASS
#endif

static __always_inline int mw_drop(struct mw_outcome *out, int reason)
{
	out->verdict.verdict = MW_VERDICT_DROP;
	out->verdict.reason = reason;
	out->verdict.port = 0;
	out->verdict.node = 0;
	out->verdict.ifindex = 0;
	out->verdict.segment = 0;
	out->verdict.copies = 0;
	return MW_ACTION_DROP;
}

static __always_inline int mw_pass(struct mw_outcome *out, __u32 verdict)
{
	memset(&out->verdict, 0, sizeof(out->verdict));
	out->verdict.verdict = verdict;
	return MW_ACTION_PASS;
}

static __always_inline int mw_to_stack(struct mw_outcome *out)
{
	return mw_pass(out, MW_VERDICT_STACK);
}

/* XDP only: the TC program behind it sees the packet afresh. */
static __always_inline int mw_leave(struct mw_outcome *out)
{
	return mw_pass(out, MW_VERDICT_LEFT);
}

static __always_inline void mw_count_drop(const struct mw_outcome *out)
{
	__u32 reason = out->verdict.reason;
	struct mw_counter *counter = bpf_map_lookup_elem(&MW_MAP(drops), &reason);

	if (!counter)
		return;
	counter->packets++;
	counter->bytes += out->bytes;
}

/* One frame handed to a device. */
static __always_inline void mw_count_sent(__u32 slot, __u32 bytes)
{
	struct mw_traffic *traffic = bpf_map_lookup_elem(&MW_MAP(traffic), &slot);

	if (!traffic)
		return;
	traffic->tx_packets++;
	traffic->tx_bytes += bytes;
}

static __always_inline void mw_count(const struct mw_outcome *out)
{
	struct mw_traffic *traffic;

	switch (out->verdict.verdict) {
	case MW_VERDICT_STACK:
	case MW_VERDICT_LEFT:
		return;
	case MW_VERDICT_DROP:
		mw_count_drop(out);
		break;
	default:
		break;
	}
	if (out->run == 2 /* MW_RUN_SECOND */ && out->target_slot != MW_NO_SLOT && out->sent &&
	    (out->verdict.verdict == MW_VERDICT_ENCAP || out->verdict.verdict == MW_VERDICT_DELIVER))
		mw_count_sent(out->target_slot, out->sent);
	if (out->uncounted)
		return;
	traffic = bpf_map_lookup_elem(&MW_MAP(traffic), &out->slot);
	if (traffic) {
		if (out->verdict.verdict == MW_VERDICT_DROP) {
			traffic->drops++;
		} else {
			traffic->rx_packets++;
			traffic->rx_bytes += out->bytes;
			if (out->verdict.verdict == MW_VERDICT_ANSWER)
				traffic->answers++;
		}
	}
	/* the copies of a flood are counted as they are made */
	if (out->verdict.verdict != MW_VERDICT_DROP && out->verdict.verdict != MW_VERDICT_FLOOD)
		mw_count_sent(out->target_slot, out->sent);
}

static __always_inline int mw_finish(const struct mw_outcome *out, int action)
{
	if (!mw_config.quiet)
		mw_count(out);
	if (mw_config.record) {
		__u32 zero = 0;
		struct mw_verdict *record = bpf_map_lookup_elem(&MW_MAP(verdict), &zero);

		if (record)
			*record = out->verdict;
	}
	return action;
}

#endif
