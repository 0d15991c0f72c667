/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the tables of layout: compact (struct mw_ip4_bucket and others). bpf/buckets.h argues why a reader sees no torn, foreign
 * or missing entry; the order of reads that it asks for is made here.
 */
#ifndef MW_ADDRESS_H
#define MW_ADDRESS_H

#include "buckets.h"
#include "config.h"
#include "found.h"

/*
 * 0, computed from what was read: an address that this is added to is one that the CPU cannot load from before. The verifier knows
 * that it is 0, the compiler does not.
 */
static __always_inline __u64 mw_after(__u64 seen)
{
	asm volatile("%0 &= 0" : "+r"(seen));
	return seen;
}

/* What a CPU may do between two reads: anything, for any time. A test has it dawdle there. */
#ifndef mw_between_reads
#define mw_between_reads()
#endif

static __always_inline __u64 mw_word(const void *base, __u32 word, __u64 seen)
{
	mw_between_reads();
	return *(const volatile __u64 *)(base + word * sizeof(__u64) + mw_after(seen));
}

/* What an address stands for. */
struct mw_entry {
	__u32 port;
	__u32 flags;		/* enum mw_ip_flags or mw_mac_flags */
};

/*
 * One slot of 'words' words, whose key is 'key'. 'before' is what was read before the bucket; all that is read is gathered in
 * 'seen'.
 */
static __always_inline bool mw_read_slot(const void *slot, __u32 words, const struct mw_slot_key *key, __u64 before,
					 __u64 *seen, struct mw_entry *entry)
{
	__u64 head = mw_word(slot, 0, before);
	__u64 word = mw_word(slot, 1, head);
	__u64 read = word, again;

	*seen |= head | word;
	if (word != key->word[0] || MW_HEAD_TAIL(head) != key->tail)
		return false;
	if (words > 2) {
		__u64 high = mw_word(slot, 2, head), low = mw_word(slot, 3, head);

		read |= high | low;
		*seen |= high | low;
		if (high != key->word[1] || low != key->word[2])
			return false;
	}
	again = mw_word(slot, 0, read);
	*seen |= again;
	if (!MW_HEAD_PORT(again) || ((head ^ again) & MW_HEAD_SAME))
		return false;
	entry->port = MW_HEAD_PORT(head);
	entry->flags = MW_HEAD_MARK(head) & MW_MARK_FLAGS;
	/* an empty slot whose head was the same: the key was taken out */
	return entry->port != 0;
}

/*
 * Defines a lookup in one of the tables. Global, so that the verifier looks at it once. The key comes in registers: callers are short
 * of stack.
 */
#define MW_BUCKET_LOOKUP(name, table, bucket_t, words, arguments, ...)					\
	__noinline int name(arguments, struct mw_entry *entry)						\
	{												\
		const struct mw_slot_key key = __VA_ARGS__;						\
		__u32 buckets = mw_tables.table, place;							\
		__u64 before = 0, seen = 0, hash;							\
		const bucket_t *bucket;									\
		int i, choice;										\
													\
		if (!entry)										\
			return MW_MISSING;								\
		hash = mw_bucket_hash(mw_tables.seed, &key, words);					\
		_Pragma("unroll")									\
		for (choice = 0; choice < 2; choice++) {						\
			place = choice ? mw_bucket_second(hash, buckets) : mw_bucket_first(hash, buckets); \
			bucket = bpf_map_lookup_elem(&MW_MAP(table##_bucket), &place);			\
			if (!bucket)									\
				return MW_MISSING;							\
			_Pragma("unroll")								\
			for (i = 0; i < MW_BUCKET_SLOTS; i++)						\
				if (mw_read_slot(&bucket->slot[i], words, &key, before, &seen, entry))	\
					return MW_FOUND;						\
			before = seen;									\
		}											\
		return MW_MISSING;									\
	}

#define MW_ARGUMENTS(...) __VA_ARGS__

MW_BUCKET_LOOKUP(mw_bucket_ip4, ip4, struct mw_ip4_bucket, 2, __u64 word, { .word = { word } })
MW_BUCKET_LOOKUP(mw_bucket_ip6, ip6, struct mw_ip6_bucket, 4, MW_ARGUMENTS(__u64 word, __u64 high, __u64 low),
		 { .word = { word, high, low } })
MW_BUCKET_LOOKUP(mw_bucket_mac, mac, struct mw_mac_bucket, 2, MW_ARGUMENTS(__u64 word, __u64 tail),
		 { .word = { word }, .tail = tail })

static __always_inline enum mw_found mw_compact_ip4(__u32 network, __be32 addr, struct mw_entry *entry)
{
	return mw_bucket_ip4(MW_PAIR(addr, network), entry);
}

static __always_inline enum mw_found mw_compact_ip6(__u32 network, const __be32 *addr, struct mw_entry *entry)
{
	return mw_bucket_ip6(MW_PAIR(network, 0), MW_PAIR(addr[0], addr[1]), MW_PAIR(addr[2], addr[3]), entry);
}

static __always_inline enum mw_found mw_compact_mac(__u32 network, const __u8 *mac, struct mw_entry *entry)
{
	__u16 tail;
	__u32 rest;

	memcpy(&tail, mac, sizeof(tail));
	memcpy(&rest, mac + sizeof(tail), sizeof(rest));
	return mw_bucket_mac(MW_PAIR(rest, network), tail, entry);
}

/*
 * Node and segment of a port of 'network' with one locator that may be used; false: 'port' has to tell. The second word is read on
 * either side of the first; whoever changes it makes its network 0 before the first word is touched.
 */
static __always_inline bool mw_compact_place(__u32 id, __u32 network, __u32 *node, __u32 *segment)
{
	const struct mw_place_slot *slot = bpf_map_lookup_elem(&MW_MAP(place), &id);
	__u64 owner, where;

	if (!slot)
		return false;
	owner = mw_word(slot, 1, 0);
	if (MW_PAIR_FIRST(owner) != network)
		return false;
	where = mw_word(slot, 0, owner);
	if (mw_word(slot, 1, where) != owner)
		return false;
	*node = MW_PAIR_FIRST(where);
	*segment = MW_PAIR_SECOND(where);
	return true;
}

#endif
