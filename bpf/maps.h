/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, shared by name between the XDP and the TC object. The loader sets max_entries of the
 * ones marked "sized by the plan" and hands the second object the maps of the first.
 */
#ifndef MW_MAPS_H
#define MW_MAPS_H

#include "types.h"
#include "reasons.h"

#define MW_CONCAT(a, b, c) a##b##_##c
#define MW_NAME(version, name) MW_CONCAT(mw, version, name)
/* mw5_ip4 and so on: the layout version is part of the name */
#define MW_MAP(name) MW_NAME(MW_LAYOUT_VERSION, name)

#define MW_HASH(name, key_t, value_t, entries)		\
	struct {					\
		__uint(type, BPF_MAP_TYPE_HASH);	\
		__uint(max_entries, entries);		\
		__type(key, key_t);			\
		__type(value, value_t);			\
	} MW_MAP(name) SEC(".maps")

#define MW_LPM(name, key_t, value_t, entries)		\
	struct {					\
		__uint(type, BPF_MAP_TYPE_LPM_TRIE);	\
		__uint(max_entries, entries);		\
		__uint(map_flags, BPF_F_NO_PREALLOC);	\
		__type(key, key_t);			\
		__type(value, value_t);			\
	} MW_MAP(name) SEC(".maps")

#define MW_ARRAY(name, kind, value_t, entries)		\
	struct {					\
		__uint(type, kind);			\
		__uint(max_entries, entries);		\
		__type(key, __u32);			\
		__type(value, value_t);			\
	} MW_MAP(name) SEC(".maps")

/* the address maps: sized by the plan */
MW_HASH(ip4, struct mw_ip4_key, struct mw_ip4_value, 4096);
MW_HASH(ip6, struct mw_ip6_key, struct mw_ip6_value, 4096);
MW_HASH(mac, struct mw_mac_key, struct mw_mac_value, 4096);
MW_HASH(source_mac, struct mw_mac_key, struct mw_source_mac_value, 4096);
MW_LPM(allow4, struct mw_allow4_key, struct mw_allow_value, 4096);
MW_LPM(allow6, struct mw_allow6_key, struct mw_allow_value, 4096);
MW_HASH(port, __u32, struct mw_port, 4096);
MW_HASH(move, __u32, struct mw_move, 4096);

/* mapped into the daemon's memory, which writes there without system calls */
#define MW_MAPPED(name, value_t, entries)		\
	struct {					\
		__uint(type, BPF_MAP_TYPE_ARRAY);	\
		__uint(max_entries, entries);		\
		__uint(map_flags, BPF_F_MMAPABLE);	\
		__type(key, __u32);			\
		__type(value, value_t);			\
	} MW_MAP(name) SEC(".maps")

/* layout: compact: the same mappings in buckets, sized by the plan; with layout: hash of two elements, empty */
MW_MAPPED(ip4_bucket, struct mw_ip4_bucket, 2);
MW_MAPPED(ip6_bucket, struct mw_ip6_bucket, 2);
MW_MAPPED(mac_bucket, struct mw_mac_bucket, 2);
MW_MAPPED(place, struct mw_place_slot, 1);

/* small tables: sized by the plan */
MW_HASH(network, __u32, struct mw_network, 4096);
MW_HASH(segment, struct mw_segment_key, struct mw_segment_value, 4096);
MW_HASH(vtep, struct mw_vtep_key, struct mw_vtep_value, 4096);
MW_HASH(node, __u32, struct mw_node, 4096);

/* what is attached here; keyed by ifindex and port */
MW_HASH(link, __u32, struct mw_link, 4096);
MW_HASH(local, __u32, struct mw_local, 4096);

/* devices that take redirected frames: ifindex -> ifindex */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} MW_MAP(dev) SEC(".maps");

/* network -> array of flood targets, replaced as one value */
struct mw_flood_list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, struct mw_flood_target);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__array(values, struct mw_flood_list);
} MW_MAP(flood) SEC(".maps");

/* balanced address -> its head, levels and slots, replaced as one value */
struct mw_balance_list {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_INNER_MAP);
	__type(key, __u32);
	__type(value, struct mw_balance_slot);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 4096);
	__type(key, __u32);
	__array(values, struct mw_balance_list);
} MW_MAP(balance) SEC(".maps");

/* counters and state of the programs */
MW_ARRAY(drops, BPF_MAP_TYPE_PERCPU_ARRAY, struct mw_counter, MW_REASON_COUNT);
MW_ARRAY(traffic, BPF_MAP_TYPE_PERCPU_ARRAY, struct mw_traffic, 4096);
MW_ARRAY(limit, BPF_MAP_TYPE_ARRAY, struct mw_limit, 4096);
/* room for what does not fit onto the stack */
MW_ARRAY(scratch, BPF_MAP_TYPE_PERCPU_ARRAY, struct mw_scratch, 1);
MW_ARRAY(front, BPF_MAP_TYPE_PERCPU_ARRAY, struct mw_front, MW_FRONT_SIZE);
MW_ARRAY(verdict, BPF_MAP_TYPE_PERCPU_ARRAY, struct mw_verdict, 1);

/* struct mw_event, to the daemon; TC */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} MW_MAP(events) SEC(".maps");

/* the revision of each edit is noted without a map write */
MW_MAPPED(meta, struct mw_meta, 1);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct mw_live);
} MW_MAP(live) SEC(".maps");

#endif
