/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * layout: compact. The address mappings as tables of buckets: what the programs that read them and the writer (native/) share.
 * docs/decisions/0012-compact-layout.md tells why; the argument that holds it together is here.
 *
 * A table is an array of buckets of MW_BUCKET_SLOTS slots; IPv4 and MAC: one cache line. A key has two buckets to be in, its
 * first choice and its second, which are never the same. A slot is words of 8 bytes: the head (port, mark, and of a MAC its
 * first two bytes), then the rest of the key. 'mark' is four bits of flags and twelve of a version. Port 0: the slot is empty.
 *
 * There is one writer (the holder of the pin directory's lock), which maps the array; there are any number of readers, each a
 * BPF program inside one RCU read-side section (softirq), which take no lock, never wait and never begin again.
 *
 * The writer stores whole words (8 bytes, aligned: never torn), each with release order, so that who sees one sees all before it:
 *
 *	occupy		rest of the key; then the head, with port, flags, and the version one higher than it was
 *	vacate		the head, with port 0 and the version as it was; the rest of the key stays
 *	update		the head, with another port or flags and the same version: one store
 *	move		occupy a slot of the other bucket with the same port and flags; then vacate the old one
 *
 * A reader looks at the slots of the first bucket, then at those of the second. Of a slot it reads the head (h1), the rest of
 * the key (k), and if that is what it looks for the head once more (h2). It takes h1 if h2 is not empty and has the same version and
 * key bytes. These reads happen in this order, and those of the second bucket after all of the first: not by barriers, which
 * BPF before 6.15 cannot ask for, but because the address of the later one is computed from what the earlier gave (mw_after in
 * bpf/address.h). x86 keeps loads in order anyway; arm64 keeps those whose addresses depend on each other (aarch64.cat: "addr").
 *
 * 1. No foreign and no torn entry. Let h1 be of occupant A. k is at least as new as what A wrote, for A stored its key before its
 *    head. If k is of a later occupant, the vacating before it is seen by h2: then h2 is empty or has a higher version, and
 *    the slot is passed over. So if h2 has the version of h1, no one occupied the slot between, k is A's, and h1 is port and
 *    flags of A as they were at that moment, in one word. A version comes again after 4,096 occupations of the same slot; the
 *    writer waits for a grace period (of RCU: no reader is left that began before) once it has occupied and vacated
 *    MW_BUCKET_BUDGET slots since the last.
 *
 * 2. No missing entry. Let A be in the table all the time of the reader. A move from the first bucket to the second: whoever finds
 *    the old place empty, or another's, reads the second bucket after that, and the copy was there before. A move from the
 *    second to the first: the writer lets a grace period pass between the copy and the vacating, so a reader that
 *    looked at the first bucket before the copy was there is through before the old place is empty. An update changes one word.
 *    A slot that is passed over by 1. held A when h1 was read, or not; if it did, A was moved away meanwhile, and the two cases
 *    above hold; if not, A comes into it now by a move, and the old place is still there, in the second bucket (it cannot be
 *    in the first: whoever left that one came into the second before, so that h1 would have been A's).
 *
 * Before programs run on a table the writer needs no grace periods ("quiet" in native/bucket_table.h). A writer that ends between any
 * two stores leaves at worst a key in both of its buckets, with the same value; the next one removes the second (after a grace period).
 */
#ifndef MW_BUCKETS_H
#define MW_BUCKETS_H

#include "types.h"

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define MW_HEAD(port, mark, tail) ((__u64)(__u32)(port) | (__u64)(__u16)(mark) << 32 | (__u64)(__u16)(tail) << 48)
#define MW_HEAD_PORT(head) ((__u32)(head))
#define MW_HEAD_MARK(head) ((__u16)((head) >> 32))
#define MW_HEAD_TAIL(head) ((__u16)((head) >> 48))
#define MW_PAIR(first, second) ((__u64)(__u32)(first) | (__u64)(__u32)(second) << 32)
#define MW_PAIR_FIRST(pair) ((__u32)(pair))
#define MW_PAIR_SECOND(pair) ((__u32)((pair) >> 32))
#else
#define MW_HEAD(port, mark, tail) ((__u64)(__u32)(port) << 32 | (__u64)(__u16)(mark) << 16 | (__u64)(__u16)(tail))
#define MW_HEAD_PORT(head) ((__u32)((head) >> 32))
#define MW_HEAD_MARK(head) ((__u16)((head) >> 16))
#define MW_HEAD_TAIL(head) ((__u16)(head))
#define MW_PAIR(first, second) ((__u64)(__u32)(first) << 32 | (__u64)(__u32)(second))
#define MW_PAIR_FIRST(pair) ((__u32)((pair) >> 32))
#define MW_PAIR_SECOND(pair) ((__u32)(pair))
#endif

/* What must be the same in both readings of a head: all but port and flags. */
#define MW_HEAD_SAME MW_HEAD(0, 0xffff & ~MW_MARK_FLAGS, 0xffff)

/* Occupations and vacatings that one grace period may hold: fewer than there are versions. */
#define MW_BUCKET_BUDGET 4000

/* The rest of a key behind the head: one word, or of IPv6 three. */
struct mw_slot_key {
	__u64 word[3];
	__u64 tail;		/* of a MAC: its first two bytes, which are in the head */
};

static inline __u64 mw_bucket_mix(__u64 h)
{
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	return h ^ (h >> 32);
}

/* Of a key whose slot has so many words. */
static inline __u64 mw_bucket_hash(__u64 seed, const struct mw_slot_key *key, __u32 words)
{
	__u64 hash = mw_bucket_mix(key->word[0] ^ seed);

	if (words > 2)
		hash = mw_bucket_mix(mw_bucket_mix(hash + key->word[1]) + key->word[2]);
	return mw_bucket_mix(hash + key->tail);
}

/* Of 'buckets' (at least 2) the first choice, and the second, which is another. */
static inline __u32 mw_bucket_first(__u64 hash, __u32 buckets)
{
	return ((hash & 0xffffffff) * buckets) >> 32;
}

static inline __u32 mw_bucket_second(__u64 hash, __u32 buckets)
{
	__u32 first = mw_bucket_first(hash, buckets);
	__u32 second = ((hash >> 32) * (buckets - 1)) >> 32;

	return second + (second >= first);
}

#endif
