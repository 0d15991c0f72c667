/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reading the address maps. A hash reuses a freed element at once, so what a pointer shows may become another key's
 * while it is read: values are copied, and the copy's identity is compared with the key; once more, then stale.
 */
#ifndef MW_LOOKUP_H
#define MW_LOOKUP_H

#include "address.h"
#include "config.h"
#include "found.h"
#include "packet.h"

/* Defines NAME(key, copy) for a map: copies the value of *key, with the identity check 'same'. */
#define MW_LOOKUP(name, map, key_t, value_t, same)						\
	static __always_inline enum mw_found name(const key_t *key, value_t *copy)		\
	{											\
		int attempt;									\
												\
		for (attempt = 0; attempt < 2; attempt++) {					\
			const value_t *value = bpf_map_lookup_elem(&MW_MAP(map), key);		\
												\
			if (!value)								\
				return MW_MISSING;						\
			memcpy(copy, value, sizeof(*copy));					\
			mw_opaque(copy);							\
			/* the element may be rewritten behind the reader: look at both ends */	\
			if (same(copy) && same(value))						\
				return MW_FOUND;						\
		}										\
		return MW_STALE;								\
	}

#define MW_SAME_IP4(v) ((v)->network == key->network && (v)->addr_be == key->addr_be)
#define MW_SAME_IP6(v) ((v)->network == key->network && \
			mw_same_ip6((const __be32 *)(v)->addr, (const __be32 *)key->addr))
#define MW_SAME_MAC(v) ((v)->network == key->network && mw_same_mac((v)->mac, key->mac))
#define MW_SAME_SEGMENT(v) ((v)->encap == key->encap && (v)->segment == key->segment)
#define MW_SAME_VTEP(v) mw_same_ip6((const __be32 *)(v)->addr, (const __be32 *)key->addr)
#define MW_SAME_PORT(v) ((v)->port == *key)
#define MW_SAME_NETWORK(v) ((v)->network == *key)
#define MW_SAME_LINK(v) ((v)->ifindex == *key)
#define MW_SAME_ALLOW(v) ((v)->port == key->port)

MW_LOOKUP(mw_lookup_ip4, ip4, struct mw_ip4_key, struct mw_ip4_value, MW_SAME_IP4)
MW_LOOKUP(mw_lookup_ip6, ip6, struct mw_ip6_key, struct mw_ip6_value, MW_SAME_IP6)
MW_LOOKUP(mw_lookup_mac, mac, struct mw_mac_key, struct mw_mac_value, MW_SAME_MAC)
MW_LOOKUP(mw_lookup_source_mac, source_mac, struct mw_mac_key, struct mw_source_mac_value, MW_SAME_MAC)
MW_LOOKUP(mw_lookup_allow4, allow4, struct mw_allow4_key, struct mw_allow_value, MW_SAME_ALLOW)
MW_LOOKUP(mw_lookup_allow6, allow6, struct mw_allow6_key, struct mw_allow_value, MW_SAME_ALLOW)
MW_LOOKUP(mw_lookup_segment, segment, struct mw_segment_key, struct mw_segment_value, MW_SAME_SEGMENT)
MW_LOOKUP(mw_lookup_vtep, vtep, struct mw_vtep_key, struct mw_vtep_value, MW_SAME_VTEP)
MW_LOOKUP(mw_lookup_port, port, __u32, struct mw_port, MW_SAME_PORT)
MW_LOOKUP(mw_lookup_network, network, __u32, struct mw_network, MW_SAME_NETWORK)
MW_LOOKUP(mw_lookup_link, link, __u32, struct mw_link, MW_SAME_LINK)
MW_LOOKUP(mw_lookup_local, local, __u32, struct mw_local, MW_SAME_PORT)

static __always_inline void mw_mac_key(struct mw_mac_key *key, __u32 network, const __u8 *mac)
{
	key->network = network;
	memcpy(key->mac, mac, MW_ETH_ALEN);
	key->pad = 0;
}

/* The port of (network, address), IPv4 in mapped form; 'flags' are enum mw_ip_flags. */
static __always_inline enum mw_found mw_port_of_ip(__u32 network, bool ip6, const __be32 *addr, __u32 *port, __u32 *flags)
{
	enum mw_found found;

	if (mw_config.compact) {
		struct mw_entry entry = {};

		if (ip6)
			found = mw_config.has_ip6 ? mw_compact_ip6(network, addr, &entry) : MW_MISSING;
		else
			found = mw_compact_ip4(network, addr[3], &entry);
		*port = entry.port;
		*flags = entry.flags;
		return found;
	}
	if (ip6) {
		struct mw_ip6_key key = { .network = network };
		struct mw_ip6_value value;

		if (!mw_config.has_ip6)
			return MW_MISSING;
		memcpy(key.addr, addr, 16);
		found = mw_lookup_ip6(&key, &value);
		if (found == MW_FOUND) {
			*port = value.port;
			*flags = value.flags;
		}
	} else {
		struct mw_ip4_key key = { .network = network, .addr_be = addr[3] };
		struct mw_ip4_value value;

		found = mw_lookup_ip4(&key, &value);
		if (found == MW_FOUND) {
			*port = value.port;
			*flags = value.flags;
		}
	}
	return found;
}

/* Of a port with 'allow:', or that serves balanced addresses: may it send from this address? */
static __always_inline enum mw_found mw_allow_of(const struct mw_link *link, bool ip6, const __be32 *addr,
						 struct mw_allow_value *allow)
{
	if (!mw_config.has_allow || !(link->flags & MW_LINK_HAS_ALLOW))
		return MW_MISSING;
	if (ip6) {
		struct mw_allow6_key key = { .prefixlen = 32 + 128, .port = link->port };

		memcpy(key.addr, addr, 16);
		return mw_lookup_allow6(&key, allow);
	} else {
		struct mw_allow4_key key = { .prefixlen = 32 + 32, .port = link->port, .addr_be = addr[3] };

		return mw_lookup_allow4(&key, allow);
	}
}

/* Does the port serve this balanced address? A stale entry is none. */
static __always_inline bool mw_serves_address(const struct mw_link *link, bool ip6, const __be32 *addr)
{
	struct mw_allow_value allow;

	return mw_allow_of(link, ip6, addr, &allow) == MW_FOUND && (allow.flags & MW_ALLOW_BALANCED);
}

static __always_inline enum mw_found mw_port_of_mac(__u32 network, const __u8 *mac, __u32 *port)
{
	struct mw_mac_key key;
	struct mw_mac_value value;
	enum mw_found found;
	__u32 flags;

	if (mw_config.compact) {
		/* in the value's place: the chain of calls has no stack to spare on 6.1 */
		struct mw_entry *entry = (struct mw_entry *)&value;

		memset(entry, 0, sizeof(*entry));
		found = mw_compact_mac(network, mac, entry);
		if (found != MW_FOUND)
			return found;
		flags = entry->flags;
		*port = entry->port;
	} else {
		mw_mac_key(&key, network, mac);
		found = mw_lookup_mac(&key, &value);
		if (found != MW_FOUND)
			return found;
		flags = value.flags;
		*port = value.port;
	}
	return mw_config.has_balance && (flags & MW_MAC_BALANCED) ? MW_BALANCED : MW_FOUND;
}

#endif
