/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, rules 2.6 and 2.7: may this port send this? Each gives 0 or an enum mw_reason. */
#ifndef MW_GUARD_H
#define MW_GUARD_H

#include "cursor.h"
#include "lookup.h"

/* The source address is a node's underlay address: a guest must not forge tunnels. */
static __always_inline int mw_guard_underlay(const struct mw_packet *p)
{
	struct mw_vtep_key key;
	struct mw_vtep_value value;

	if (p->l3 == MW_L3_OPAQUE)
		return 0;
	memcpy(key.addr, p->src, 16);
	switch (mw_lookup_vtep(&key, &value)) {
	case MW_FOUND:
		return value.flags & MW_VTEP_GROUP ? 0 : MW_REASON_UNDERLAY_SOURCE;
	case MW_STALE:
		return MW_REASON_STALE;
	default:
		return 0;
	}
}

/*
 * Is the port among those that list this MAC under 'macs'? Gives enum mw_found. A subprogram of its own, the MAC in a
 * scalar: the loop over the options of neighbour discovery would make the verifier walk it again for each.
 */
__noinline int mw_shared_mac(const struct mw_link *link, __u64 mac)
{
	struct mw_mac_key key;
	struct mw_source_mac_value value;
	enum mw_found found;
	int i;

	if (!link)
		return MW_MISSING;
	mw_mac_key(&key, link->network, (const __u8 *)&mac);
	found = mw_lookup_source_mac(&key, &value);
	if (found != MW_FOUND)
		return found;
	for (i = 0; i < MW_MAX_SHARED_MAC; i++)
		if (value.port[i] == link->port)
			return MW_FOUND;
	return MW_MISSING;
}

/* The MAC is the port's own or one of its 'macs'. */
static __always_inline int mw_guard_mac(const struct mw_link *link, const __u8 *mac, int reason)
{
	__u64 scalar = 0;
	int found;

	if (mw_same_mac(mac, link->mac))
		return 0;
	if (!mw_config.has_macs || !(link->flags & MW_LINK_HAS_MACS))
		return reason;
	memcpy(&scalar, mac, MW_ETH_ALEN);
	found = mw_shared_mac(link, scalar);
	if (found == MW_FOUND)
		return 0;
	return found == MW_STALE ? MW_REASON_STALE : reason;
}

/*
 * The address (IPv4 in mapped form) is in the port's 'ips' or 'allow', or is a balanced one that it serves: that it may send
 * from, but not claim by ARP or neighbour discovery.
 */
static __always_inline int mw_guard_address(const struct mw_link *link, bool ip6, const __be32 *addr, int reason)
{
	struct mw_allow_value allow;
	enum mw_found found;
	__u32 port, flags;

	found = mw_port_of_ip(link->network, ip6, addr, &port, &flags);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found == MW_FOUND && port == link->port && !(flags & MW_IP_BALANCED))
		return 0;
	found = mw_allow_of(link, ip6, addr, &allow);
	if (found == MW_STALE)
		return MW_REASON_STALE;
	if (found != MW_FOUND)
		return reason;
	return (allow.flags & MW_ALLOW_BALANCED) && reason != MW_REASON_GUARD_IP ? reason : 0;
}

static __always_inline bool mw_own_eui64(const struct mw_link *link, const __be32 *addr)
{
	__u8 mac[MW_ETH_ALEN];

	return mw_eui64_mac(addr, mac) && mw_same_mac(mac, link->mac);
}

static __always_inline bool mw_is_udp(const struct mw_packet *p, __u16 from, __u16 to)
{
	return p->proto == MW_PROTO_UDP && (p->flags & MW_PACKET_L4) && p->ports[0] == bpf_htons(from) &&
	       p->ports[1] == bpf_htons(to);
}

static __always_inline bool mw_is_icmp6(const struct mw_packet *p)
{
	return p->proto == MW_PROTO_ICMPV6 && (p->flags & MW_PACKET_L4);
}

static __always_inline int mw_guard_ip4(const struct mw_link *link, const struct mw_packet *p)
{
	if (p->src[3] == 0 && mw_is_udp(p, 68, 67))
		return 0;
	if (mw_is_udp(p, 67, 68) && !(link->flags & MW_LINK_DHCP))
		return MW_REASON_GUARD_DHCP;
	return mw_guard_address(link, false, p->src, MW_REASON_GUARD_IP);
}

static __always_inline int mw_guard_arp(const struct mw_link *link, const struct mw_packet *p)
{
	int reason = mw_guard_mac(link, p->arp_sha, MW_REASON_GUARD_ARP);

	if (reason)
		return reason;
	if (p->src[3] == 0 && p->arp_op == 1)
		return 0;
	return mw_guard_address(link, false, p->src, MW_REASON_GUARD_ARP);
}

/* A link-local that is neither the port's EUI-64 one nor in its lists. */
static __always_inline bool mw_link_local_use(const struct mw_link *link, const struct mw_packet *p)
{
	if (!(link->flags & MW_LINK_LOCAL_ANY))
		return false;
	if (mw_is_icmp6(p))
		return (p->icmp_type >= 130 && p->icmp_type <= 137) || p->icmp_type == 143;
	return mw_is_udp(p, 546, 547) || mw_is_udp(p, 547, 546);
}

static __always_inline int mw_guard_ip6_source(const struct mw_link *link, const struct mw_packet *p)
{
	int reason;

	if (mw_zero_ip6(p->src)) {
		if (!mw_is_icmp6(p))
			return MW_REASON_GUARD_IP;
		if (p->icmp_type == 135 && mw_solicited_node(p->dst))
			return 0;
		if (p->icmp_type == 131 || p->icmp_type == 132 || p->icmp_type == 143)
			return 0;
		return MW_REASON_GUARD_IP;
	}
	if (mw_link_local(p->src)) {
		if (mw_own_eui64(link, p->src))
			return 0;
		reason = mw_guard_address(link, true, p->src, MW_REASON_GUARD_IP);
		if (reason != MW_REASON_GUARD_IP || mw_link_local_use(link, p))
			return reason == MW_REASON_GUARD_IP ? 0 : reason;
		return reason;
	}
	reason = mw_guard_address(link, true, p->src, MW_REASON_GUARD_IP);
	/* neighbour discovery would tell that the port has it */
	if (!reason && mw_config.has_balance && (p->flags & MW_PACKET_ND) && mw_serves_address(link, true, p->src))
		return MW_REASON_GUARD_ND;
	return reason;
}

/* Neighbour discovery names MACs and addresses in its body: they obey the same lists. 'p' is not a fragment. */
__noinline int mw_guard_nd(mw_ctx *ctx, const struct mw_packet *p, const struct mw_link *link)
{
	struct mw_cursor c;
	__u32 offset, end;
	__u8 option_type;
	int i, reason;

	if (!p || !link)
		return MW_REASON_INTERNAL;
	end = mw_l3_end(p);
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, end);
	offset = p->l4_offset;
	switch (p->icmp_type) {
	case 133:
		offset += 8;
		option_type = 1;
		break;
	case 134:
		offset += 16;
		option_type = 1;
		break;
	case 135:
		offset += 24;
		option_type = 1;
		break;
	case 136:
		offset += 24;
		option_type = 2;
		break;
	default:
		return 0;
	}
	for (i = 0; i < 16 && offset < end; i++) {
		__u8 *option = mw_at(&c, offset, 8);
		__u8 mac[MW_ETH_ALEN];

		if (!option)
			return c.error == MW_SHORT ? MW_REASON_INTERNAL : c.error;
		offset += option[1] * 8;
		if (option[0] != option_type)
			continue;
		if (option[1] != 1)
			return MW_REASON_GUARD_ND;
		memcpy(mac, option + 2, MW_ETH_ALEN);
		reason = mw_guard_mac(link, mac, MW_REASON_GUARD_ND);
		if (reason)
			return reason;
	}
	if (p->icmp_type != 136 || mw_own_eui64(link, p->nd_target))
		return 0;
	reason = mw_guard_address(link, true, p->nd_target, MW_REASON_GUARD_ND);
	if (reason == MW_REASON_GUARD_ND && mw_link_local(p->nd_target) && (link->flags & MW_LINK_LOCAL_ANY))
		return 0;
	return reason;
}

static __always_inline int mw_guard_ip6(const struct mw_link *link, const struct mw_packet *p)
{
	if (mw_is_icmp6(p) && p->icmp_type >= 133 && p->icmp_type <= 137) {
		if (p->flags & MW_PACKET_FRAGMENT)
			return MW_REASON_GUARD_ND;
		if ((p->icmp_type == 134 || p->icmp_type == 137) && !(link->flags & MW_LINK_ROUTER))
			return MW_REASON_GUARD_ROUTER;
	}
	if (mw_is_udp(p, 547, 546) && !(link->flags & MW_LINK_DHCP))
		return MW_REASON_GUARD_DHCP;
	return mw_guard_ip6_source(link, p);
}

/* Plain IPv4 from an address of the port's own: the usual packet. */
static __always_inline bool mw_is_own(const struct mw_packet *p, const struct mw_link *link)
{
	__u32 port, flags;

	return link->guard == MW_GUARD_FULL && p->l3 == MW_L3_IP4 && !mw_is_udp(p, 67, 68) && mw_same_mac(p->smac, link->mac) &&
	       mw_port_of_ip(link->network, false, p->src, &port, &flags) == MW_FOUND && port == link->port &&
	       !(flags & MW_IP_BALANCED);
}

/* Everything but the contents of neighbour discovery. */
__noinline int mw_guard_source(const struct mw_packet *p, const struct mw_link *link)
{
	int reason;

	if (!p || !link)
		return MW_REASON_INTERNAL;
	/* no port has the underlay address of a node: the table forbids it (MW128), so that need not be asked */
	if (mw_is_own(p, link))
		return 0;
	reason = mw_guard_underlay(p);
	if (reason || link->guard == MW_GUARD_OFF)
		return reason;
	reason = mw_guard_mac(link, p->smac, MW_REASON_GUARD_MAC);
	if (reason || link->guard == MW_GUARD_MAC)
		return reason;
	switch (p->l3) {
	case MW_L3_IP4:
		return mw_guard_ip4(link, p);
	case MW_L3_ARP:
		return mw_guard_arp(link, p);
	case MW_L3_IP6:
		return mw_guard_ip6(link, p);
	default:
		return 0;
	}
}

/* Two calls from here, not one from within the other: the verifier adds up the stack of what is called in a chain. */
static __always_inline int mw_guard(mw_ctx *ctx, const struct mw_packet *p, const struct mw_link *link)
{
	int reason = mw_guard_source(p, link);

	if (reason || link->guard != MW_GUARD_FULL || !(p->flags & MW_PACKET_ND))
		return reason;
	return mw_guard_nd(ctx, p, link);
}

#endif
