// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads tables of buckets as the data plane does (bpf/address.h), thousands of times a run, and counts what must not be. For tests.
 *
 * Key i is the MAC 02:00 with i behind it, the IPv4 address i, and the IPv6 address that ends in i, of network 7. Its port is
 * i * 16 + v, its flags are v & 3 (MAC: v & 1), for any v from 1 to 15. Keys below 'lasting' are there all the time.
 */
#define MW_XDP
#include "../../bpf/ctx.h"

/* some reads come much later than the one before */
const volatile __u32 dawdling;
int mw_dawdle(void);
#define mw_between_reads() do { if (dawdling) mw_dawdle(); } while (0)

#include "../../bpf/address.h"
#include "../../bpf/btf_anchor.h"

#define NETWORK 7
#define LOOKUPS 1024

struct reader_counts {
	__u64 found;
	__u64 missing;	/* a key that is there all the time */
	__u64 foreign;	/* the port of another key */
	__u64 torn;	/* the port of one entry, the flags of another */
	__u64 absent;	/* of the other keys */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct reader_counts);
} counts SEC(".maps");

const volatile __u32 lasting;
const volatile __u32 keys;

__noinline int mw_dawdle(void)
{
	int i;

	if (bpf_get_prandom_u32() & 63)
		return 0;
	for (i = 0; i < 1500; i++)
		bpf_ktime_get_ns();
	return 0;
}

static __always_inline void mw_judge(struct reader_counts *c, __u32 i, int missing, const struct mw_entry *entry, __u32 mask)
{
	if (missing) {
		if (i < lasting)
			c->missing++;
		else
			c->absent++;
	} else if (entry->port >> 4 != i) {
		c->foreign++;
	} else if (entry->flags != (entry->port & 15 & mask)) {
		c->torn++;
	} else {
		c->found++;
	}
}

static long mw_step(__u32 step, void *unused)
{
	__u32 zero = 0, i = bpf_get_prandom_u32() % keys;
	struct reader_counts *c = bpf_map_lookup_elem(&counts, &zero);
	__be32 ip6[4] = { bpf_htonl(0xfd000000), 0, 0, bpf_htonl(i) };
	__u8 mac[MW_ETH_ALEN] = { 2, 0, i >> 24, i >> 16, i >> 8, i };
	struct mw_entry entry = {};

	if (!c)
		return 1;
	/* most often those that must be there */
	if (step & 3)
		i = i % lasting;
	mac[2] = i >> 24;
	mac[3] = i >> 16;
	mac[4] = i >> 8;
	mac[5] = i;
	ip6[3] = bpf_htonl(i);
	mw_judge(c, i, mw_compact_mac(NETWORK, mac, &entry), &entry, 1);
	mw_judge(c, i, mw_compact_ip4(NETWORK, bpf_htonl(i), &entry), &entry, 3);
	mw_judge(c, i, mw_compact_ip6(NETWORK, ip6, &entry), &entry, 3);
	return 0;
}

SEC("xdp")
int reader(struct xdp_md *ctx)
{
	bpf_loop(LOOKUPS, mw_step, NULL, 0);
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual BSD/GPL";
