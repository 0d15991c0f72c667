/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of every packet: counted once, recorded if asked for, and turned into the program's return value.
 * drop() is the only way to drop.
 */
#ifndef MW_VERDICT_H
#define MW_VERDICT_H

#include "counters.h"
#include "ctx.h"
#include "encap.h"
#include "run.h"

static __always_inline void record(const struct mw_verdict *verdict)
{
	struct mw_verdict *to;
	__u32 zero = 0;

	if (!mw_config.record)
		return;
	to = bpf_map_lookup_elem(&MW_MAP(verdict), &zero);
	if (to)
		*to = *verdict;
}

static __always_inline int drop(const struct run *r, enum mw_reason reason)
{
	struct mw_verdict verdict = {
		.verdict = MW_VERDICT_DROP,
		.reason = reason,
		.network = r->network_id,
	};

	if (!mw_config.quiet) {
		count_drop(reason, r->received);
		if (r->link.role)
			count_refused(r->link.slot);
	}
	record(&verdict);
	return CTX_DROP;
}

/* to whoever comes next, untouched and uncounted */
static __always_inline int pass(enum mw_verdict_kind kind)
{
	struct mw_verdict verdict = { .verdict = kind };

	record(&verdict);
	return CTX_PASS;
}

/* delivered, encapsulated, answered or flooded: 'action' is what the redirect helper said */
static __always_inline int sent(const struct run *r, int action)
{
	struct mw_verdict verdict = {
		.verdict = r->verdict,
		.network = r->network_id,
	};

	switch (r->verdict) {
	case MW_VERDICT_DELIVER:
		verdict.port = r->target.port;
		verdict.ifindex = r->target.ifindex;
		break;
	case MW_VERDICT_ENCAP:
		verdict.node = r->target.node;
		verdict.segment = r->target.segment;
		verdict.ifindex = r->target.ifindex;
		break;
	case MW_VERDICT_ANSWER:
		verdict.port = r->target.port;
		verdict.ifindex = r->link.ifindex;
		verdict.reason = r->reason;
		break;
	default:
		verdict.copies = r->copies;
	}
	record(&verdict);
	if (mw_config.quiet)
		return action;
	if (r->verdict == MW_VERDICT_ANSWER) {
		count_answer(r->link.slot);
		return action;
	}
	count_rx(r->link.slot, r->received);
	if (r->verdict == MW_VERDICT_DELIVER)
		count_tx(r->target.slot, r->packet.length);
	else if (r->verdict == MW_VERDICT_ENCAP)
		count_tx(r->target.slot, r->packet.length + ENCAP_LENGTH);
	return action;
}

/* 'why' and 'action' are the last step's */
static __always_inline int conclude(const struct run *r, int why, int action)
{
	if (!why)
		return sent(r, action);
	if (why == MW_STACK)
		return pass(MW_VERDICT_STACK);
	if (why == MW_LEAVE && !MW_IS_TC)
		return pass(MW_VERDICT_LEFT);
	return drop(r, why > 0 ? why : MW_REASON_INTERNAL);
}

#endif
