/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one way to read a packet: every pointer comes from mw_at() and is good for the size asked for.
 *
 * 'base' is where the frame begins in the buffer (behind the outer headers, or 0), 'end' the number of its bytes
 * from there. Offsets are relative to 'base'. A read beyond 'end' is a malformed packet; one inside 'end' but not
 * in the linear part of the buffer is short: the reader may pull and try again.
 */
#ifndef MW_CURSOR_H
#define MW_CURSOR_H

#include "ctx.h"

#define MW_SHORT (-1)
/* the verifier follows offsets up to 65,535 (MAX_PACKET_OFF); what is read lies below, 'base' and its size included */
#define MW_MAX_OFFSET 0xefff

struct mw_cursor {
	void *data;
	void *data_end;
	__u32 base;
	__u32 end;
	int error;	/* after a NULL: enum mw_reason, or MW_SHORT */
};

static __always_inline void *mw_at(struct mw_cursor *c, __u32 offset, __u32 size)
{
	void *p;

	if (offset > MW_MAX_OFFSET || offset + size > c->end) {
		c->error = MW_REASON_MALFORMED;
		return NULL;
	}
	offset += c->base;
	mw_hide(offset);
	if (offset > MW_MAX_OFFSET + 512) {
		c->error = MW_REASON_MALFORMED;
		return NULL;
	}
	p = c->data + offset;
	if (p + size > c->data_end) {
		c->error = MW_SHORT;
		return NULL;
	}
	return p;
}

#endif
