/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * docs/packet-rules.md, section 7: a router's "too big" that quotes a tunnel packet of ours is told to the daemon, which
 * checks it and lowers the node's MTU. The message itself goes to the stack. TC only.
 */
#ifndef MW_PATH_MTU_H
#define MW_PATH_MTU_H

#include "outer.h"

#define MW_ICMP_UNREACHABLE 3
#define MW_ICMP_TOO_BIG_CODE 4
#define MW_ICMPV6_TOO_BIG 2

/* Is what follows the quoted IP header one of our tunnels? */
static __always_inline bool mw_quotes_tunnel(struct mw_cursor *c, __u32 offset, __u8 proto)
{
	struct mw_udp_header *udp;

	if (proto == MW_PROTO_GRE)
		return mw_uses(MW_ENCAP_GRE);
	if (proto != MW_PROTO_UDP)
		return false;
	udp = mw_at(c, offset, sizeof(*udp));
	return udp && mw_encap_of_port(udp->dest) != MW_ENCAP_NONE;
}

static __always_inline bool mw_read_too_big4(struct mw_cursor *c, __u32 offset, struct mw_event *event)
{
	struct mw_ip4_header *ip = mw_at(c, offset, sizeof(*ip)), *quoted;
	__be32 remote[4];
	__u32 header;
	__u8 *icmp;

	if (!ip || ip->version_ihl != 0x45 || ip->proto != MW_PROTO_ICMP || ip->dst != mw_config.self4_be ||
	    !mw_config.self4_be || (ip->fragment & bpf_htons(0x3fff)))
		return false;
	icmp = mw_at(c, offset + MW_IP4_SIZE, 8);
	if (!icmp || icmp[0] != MW_ICMP_UNREACHABLE || icmp[1] != MW_ICMP_TOO_BIG_CODE)
		return false;
	event->mtu = (icmp[6] << 8) | icmp[7];
	offset += MW_IP4_SIZE + 8;
	quoted = mw_at(c, offset, sizeof(*quoted));
	if (!quoted || (quoted->version_ihl >> 4) != 4 || quoted->src != mw_config.self4_be)
		return false;
	header = (quoted->version_ihl & 0xf) * 4;
	mw_map_ip4(remote, quoted->dst);
	memcpy(event->remote, remote, 16);
	return mw_quotes_tunnel(c, offset + header, quoted->proto);
}

static __always_inline bool mw_read_too_big6(struct mw_cursor *c, __u32 offset, struct mw_event *event)
{
	struct mw_ip6_header *ip = mw_at(c, offset, sizeof(*ip)), *quoted;
	__be32 self[4];
	__u8 *icmp;

	mw_own_ip6(self);
	if (!ip || ip->next != MW_PROTO_ICMPV6 || mw_zero_ip6(self) || !mw_same_ip6(ip->dst, self))
		return false;
	icmp = mw_at(c, offset + MW_IP6_SIZE, 8);
	if (!icmp || icmp[0] != MW_ICMPV6_TOO_BIG || icmp[1] != 0)
		return false;
	event->mtu = icmp[4] || icmp[5] ? 0xffff : (icmp[6] << 8) | icmp[7];
	offset += MW_IP6_SIZE + 8;
	quoted = mw_at(c, offset, sizeof(*quoted));
	if (!quoted || !mw_same_ip6(quoted->src, self))
		return false;
	memcpy(event->remote, quoted->dst, 16);
	return mw_quotes_tunnel(c, offset + MW_IP6_SIZE, quoted->next);
}

/* Tells the daemon, if this is such a message and its quoted destination is a node. */
__noinline int mw_tell_too_big(mw_ctx *ctx, const struct mw_link *link, __u32 length)
{
	struct mw_event event = { .kind = MW_EVENT_TOO_BIG };
	struct mw_vtep_key key;
	struct mw_vtep_value value;
	struct mw_cursor c;
	__be16 ethertype = 0;
	__u32 offset = 0;
	bool told;
	__u8 *h;

	if (!link || mw_config.quiet)
		return 0;
	c = (struct mw_cursor)MW_CURSOR(ctx, 0, length);
	h = mw_at(&c, 0, MW_ETH_HLEN);
	if (!h || !mw_same_mac(h, link->mac) ||
	    mw_wire_tag(ctx, &c, h, &ethertype, &offset) != (link->vlan ? MW_TAG_PRESENT | link->vlan : 0))
		return 0;
	if (ethertype == bpf_htons(MW_ETH_P_IP))
		told = mw_read_too_big4(&c, offset, &event);
	else if (ethertype == bpf_htons(MW_ETH_P_IPV6))
		told = mw_read_too_big6(&c, offset, &event);
	else
		told = false;
	if (!told)
		return 0;
	memcpy(key.addr, event.remote, 16);
	if (mw_lookup_vtep(&key, &value) != MW_FOUND || value.node == mw_config.self)
		return 0;
	bpf_ringbuf_output(&MW_MAP(events), &event, sizeof(event), 0);
	return 1;
}

#endif
