/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * docs/packet-rules.md, section 9: the reflector of Seamless BFD (RFC 7880, 7881). It has no state: a probe goes back as an answer,
 * no longer than it was, to an address of the table alone.
 */
#ifndef MW_PROBE_H
#define MW_PROBE_H

#include "csum.h"
#include "deliver.h"
#include "outer.h"
#include "resolve.h"

/* BFD control packet, RFC 5880 section 4.1 */
struct mw_bfd {
	__u8 version;		/* 3 bits, and the diagnostic */
	__u8 state;		/* 2 bits, and the flags */
	__u8 multiplier;
	__u8 length;
	__be32 mine;
	__be32 yours;
	__be32 min_tx;
	__be32 min_rx;
	__be32 min_echo_rx;
};

#define MW_BFD_SIZE 24
#define MW_BFD_VERSION 0x20
#define MW_BFD_DIAG_ADMIN_DOWN 7
#define MW_BFD_ADMIN_DOWN 0x00
#define MW_BFD_UP 0xc0
#define MW_BFD_POLL 0x20
#define MW_BFD_FINAL 0x10
#define MW_BFD_INDEPENDENT 0x08
#define MW_BFD_AUTHENTICATED 0x04
#define MW_BFD_DEMAND 0x02
#define MW_BFD_MULTIPOINT 0x01
#define MW_PROBE_MIN_RX_US 10000
#define MW_PROBE_TTL 255

_Static_assert(sizeof(struct mw_bfd) == MW_BFD_SIZE, "the packet has no holes");

/* What an answer is built from; in the scratch memory of the CPU. */
struct mw_probe {
	struct mw_bfd asked;
	struct mw_bfd answer;
	struct mw_udp_header udp;
	__u8 macs[2 * MW_ETH_ALEN];
	__u8 ip[36];		/* IPv4: TTL to destination; IPv6: next header to destination */
};

/* Rule 9.4. Gives 0 or an enum mw_reason. */
static __always_inline int mw_check_asker(const struct mw_outer *outer)
{
	struct mw_vtep_key key;
	struct mw_vtep_value value;
	enum mw_found found;

	memcpy(key.addr, outer->source, 16);
	found = mw_lookup_vtep(&key, &value);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_MISSING || value.node == mw_config.self || (value.flags & MW_VTEP_GROUP))
		return MW_REASON_UNKNOWN_NODE;
	return 0;
}

/* Rules 9.1 to 9.4; a function of its own for the stack's sake. Gives 0, MW_SHORT or an enum mw_reason. */
__noinline int mw_check_probe(mw_ctx *ctx, const struct mw_outer *outer, __u32 length)
{
	struct mw_cursor c;
	struct mw_udp_header *udp;
	struct mw_bfd *bfd;
	__u8 *ttl;
	bool ours;

	if (!outer)
		return MW_REASON_INTERNAL;
	if (mw_gso_size(ctx) || outer->end - outer->payload != MW_BFD_SIZE)
		return MW_REASON_PROBE_MALFORMED;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	udp = mw_at(&c, outer->payload - MW_UDP_SIZE, MW_UDP_SIZE + MW_BFD_SIZE);
	if (!udp)
		return c.error;
	bfd = (struct mw_bfd *)(udp + 1);
	if (udp->source == bpf_htons(MW_PROBE_PORT) || (outer->ip6 && !udp->checksum) ||
	    (bfd->version & 0xe0) != MW_BFD_VERSION || bfd->length != MW_BFD_SIZE || !bfd->multiplier || !bfd->mine ||
	    (bfd->state & (MW_BFD_AUTHENTICATED | MW_BFD_MULTIPOINT | MW_BFD_DEMAND)) != MW_BFD_DEMAND)
		return MW_REASON_PROBE_MALFORMED;
	ours = bfd->yours == bpf_htonl(mw_config.discriminator);
	ttl = mw_at(&c, outer->l3_offset + (outer->ip6 ? 7 : 8), 1);
	if (!ttl)
		return c.error;
	if (*ttl < mw_config.probe_ttl)
		return MW_REASON_PROBE_TTL;
	return ours ? mw_check_asker(outer) : MW_REASON_PROBE_DISCRIMINATOR;
}

static __always_inline void mw_swap(__u8 *a, __u8 *b, __u32 size)
{
	__u32 i;

#pragma unroll
	for (i = 0; i < size; i++) {
		__u8 byte = a[i];

		a[i] = b[i];
		b[i] = byte;
	}
}

/* What the reflector says: the state of this node. */
static __always_inline void mw_fill_answer(struct mw_probe *probe)
{
	bool up = mw_standing_of(mw_config.self) == MW_STANDING_UP;

	probe->answer.version = MW_BFD_VERSION | (up ? 0 : MW_BFD_DIAG_ADMIN_DOWN);
	probe->answer.state = (up ? MW_BFD_UP : MW_BFD_ADMIN_DOWN) | MW_BFD_INDEPENDENT |
			      (probe->asked.state & MW_BFD_POLL ? MW_BFD_FINAL : 0);
	probe->answer.multiplier = probe->asked.multiplier;
	probe->answer.length = MW_BFD_SIZE;
	probe->answer.mine = probe->asked.yours;
	probe->answer.yours = probe->asked.mine;
	probe->answer.min_tx = probe->asked.min_tx;
	probe->answer.min_rx = bpf_htonl(MW_PROBE_MIN_RX_US);
	probe->answer.min_echo_rx = 0;
}

static __always_inline __u16 mw_fold64(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	return mw_fold((sum & 0xffff) + (sum >> 16));
}

/* The sum of the BFD packet's bytes grew by 'diff'. Ports, addresses and discriminators change places, and no sum. */
static __always_inline long mw_store_probe_udp(mw_ctx *ctx, const struct mw_link *link, const struct mw_outer *outer,
					       struct mw_probe *probe, bool unfinished, __u32 diff)
{
	__u32 at = outer->payload - MW_UDP_SIZE;
	__be16 port = probe->udp.source;

	probe->udp.source = probe->udp.dest;
	probe->udp.dest = port;
#if MW_TC
	if (mw_store(ctx, at, &probe->udp, 4))
		return -1;
	if (!probe->udp.checksum)
		return mw_store_covered(ctx, outer->payload, &probe->answer, MW_BFD_SIZE);
	/* leaves an unfinished one alone; the field and what it covers change by the same, so a receive checksum stays right */
	return bpf_l4_csum_replace(ctx, at + 6, 0, diff, BPF_F_MARK_MANGLED_0) ||
	       mw_store(ctx, outer->payload, &probe->answer, MW_BFD_SIZE);
#else
	if (probe->udp.checksum) {
		__u16 checksum;

		if (unfinished) {
			__u64 sum = (__u32)bpf_csum_diff(NULL, 0, (__be32 *)&probe->answer, MW_BFD_SIZE, 0);

			sum += (__u64)probe->udp.source + probe->udp.dest + probe->udp.length + probe->udp.checksum;
			checksum = ~mw_fold64(sum);
		} else {
			checksum = ~mw_fold64((__u64)(__u16)~probe->udp.checksum + diff);
		}
		probe->udp.checksum = checksum ? checksum : 0xffff;
	}
	return mw_store(ctx, at, &probe->udp, sizeof(probe->udp)) ||
	       mw_store(ctx, outer->payload, &probe->answer, MW_BFD_SIZE);
#endif
}

/* Rule 9.5: the packet becomes the answer. Gives 0 or an enum mw_reason. */
__noinline int mw_write_answer(mw_ctx *ctx, const struct mw_link *link, const struct mw_outer *outer)
{
	__u32 zero = 0;
	struct mw_scratch *scratch = bpf_map_lookup_elem(&MW_MAP(scratch), &zero);
	struct mw_probe *probe;
	bool unfinished = false;
	__u32 diff;

	if (!link || !outer || !scratch)
		return MW_REASON_INTERNAL;
	probe = (struct mw_probe *)scratch->byte;
	if (mw_load(ctx, outer->payload, &probe->asked, MW_BFD_SIZE) ||
	    mw_load(ctx, outer->payload - MW_UDP_SIZE, &probe->udp, MW_UDP_SIZE) ||
	    mw_load(ctx, 0, probe->macs, sizeof(probe->macs)))
		return MW_REASON_INTERNAL;
	mw_fill_answer(probe);
	diff = bpf_csum_diff((__be32 *)&probe->asked, MW_BFD_SIZE, (__be32 *)&probe->answer, MW_BFD_SIZE, 0);
#if !MW_TC
	if (link->device & MW_DEVICE_PARTIAL_CHECKSUM) {
		__be32 self[4];

		if (outer->ip6)
			mw_own_ip6(self);
		else
			mw_map_ip4(self, mw_config.self4_be);
		unfinished = probe->udp.checksum == mw_pseudo(outer->source, self, outer->ip6, MW_PROTO_UDP,
							      MW_UDP_SIZE + MW_BFD_SIZE);
	}
#endif
	mw_swap(probe->macs, probe->macs + MW_ETH_ALEN, MW_ETH_ALEN);
	if (mw_store(ctx, 0, probe->macs, sizeof(probe->macs)))
		return MW_REASON_INTERNAL;
	if (outer->ip6) {
		if (mw_load(ctx, outer->l3_offset + 6, probe->ip, 34))
			return MW_REASON_INTERNAL;
		probe->ip[1] = MW_PROBE_TTL;
		mw_swap(probe->ip + 2, probe->ip + 18, 16);
		if (mw_store_covered(ctx, outer->l3_offset + 6, probe->ip, 34))
			return MW_REASON_INTERNAL;
	} else {
		__u16 before, after, checksum;

		if (mw_load(ctx, outer->l3_offset + 8, probe->ip, 12))
			return MW_REASON_INTERNAL;
		memcpy(&before, probe->ip, 2);
		probe->ip[0] = MW_PROBE_TTL;
		memcpy(&after, probe->ip, 2);
		memcpy(&checksum, probe->ip + 2, 2);
		checksum = mw_mend(checksum, before, after);
		memcpy(probe->ip + 2, &checksum, 2);
		mw_swap(probe->ip + 4, probe->ip + 8, 4);
		if (mw_store_covered(ctx, outer->l3_offset + 8, probe->ip, 12))
			return MW_REASON_INTERNAL;
	}
	return mw_store_probe_udp(ctx, link, outer, probe, unfinished, diff) ? MW_REASON_INTERNAL : 0;
}

static __always_inline int mw_reflect(mw_ctx *ctx, const struct mw_link *link, const struct mw_outer *outer,
				      struct mw_outcome *out)
{
	int reason = mw_check_probe(ctx, outer, out->bytes);

	if (reason == MW_SHORT)
		return MW_TC ? mw_drop(out, MW_REASON_INTERNAL) : mw_leave(out);
	if (reason)
		return mw_drop(out, reason);
#if !MW_TC
	if (!mw_xdp_can_send(ctx, link->ifindex, link->device))
		return mw_leave(out);
#endif
	reason = mw_write_answer(ctx, link, outer);
	if (reason)
		return mw_drop(out, reason);
	out->verdict.verdict = MW_VERDICT_ANSWER;
	out->verdict.ifindex = link->ifindex;
	out->target_slot = link->slot;
	out->sent = out->bytes;
#if MW_TC
	return bpf_redirect(link->ifindex, 0);
#else
	return XDP_REDIRECT;
#endif
}

#endif
