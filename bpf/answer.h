/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* docs/packet-rules.md, rule 2.8: ARP (RFC 826) and neighbour solicitations (RFC 4861) answered from the map. */
#ifndef MW_ANSWER_H
#define MW_ANSWER_H

#include "balance.h"
#include "csum.h"
#include "outcome.h"
#include "parse.h"
#include "reshape.h"
#include "resolve.h"

struct mw_answer {
	__u32 port;
	__u16 flags;		/* enum mw_port_flags of the target */
	__u8 mac[MW_ETH_ALEN];
};

/* The target's port, if it may be answered for: of the asker's network, not the asker itself, up. */
static __always_inline bool mw_answer_port(const struct mw_link *link, __u32 id, struct mw_answer *answer)
{
	struct mw_port port;

	if (id == link->port || mw_lookup_port(&id, &port) != MW_FOUND || port.network != link->network ||
	    mw_choose_locator(&port) < 0)
		return false;
	answer->port = id;
	answer->flags = port.flags;
	memcpy(answer->mac, port.mac, MW_ETH_ALEN);
	return true;
}

/* A balanced address is answered with a MAC of its own. A member that looks whether somebody has it is told of nobody. */
static __always_inline bool mw_answer_balanced(const struct mw_link *link, const struct mw_packet *p, __u32 id,
					       const __be32 *addr, struct mw_answer *answer)
{
	bool ip6 = p->l3 == MW_L3_IP6;
	__u64 mac = 0;

	if ((ip6 ? mw_zero_ip6(p->src) : !p->src[3]) && mw_serves_address(link, ip6, addr))
		return false;
	if (mw_balanced_mac(id, link->network, &mac))
		return false;
	answer->port = 0;
	answer->flags = 0;
	memcpy(answer->mac, &mac, MW_ETH_ALEN);
	return true;
}

/* A unicast question, in an IP network: it gets to nobody else. */
static __always_inline bool mw_is_probe(const struct mw_link *link, const struct mw_packet *p)
{
	return (link->flags & MW_LINK_IP) && !(p->flags & MW_PACKET_GROUP);
}

static __always_inline bool mw_answer_arp(const struct mw_link *link, const struct mw_packet *p,
					  struct mw_answer *answer)
{
	bool asked = (p->dmac[0] & p->dmac[1] & p->dmac[2] & p->dmac[3] & p->dmac[4] & p->dmac[5]) == 0xff ||
		     mw_is_probe(link, p);
	__u32 port, flags;

	if (p->arp_op != 1 || p->src[3] == p->dst[3])
		return false;
	if (!asked && (!mw_config.has_balance || (p->flags & MW_PACKET_GROUP)))
		return false;
	if (mw_port_of_ip(link->network, false, p->dst, &port, &flags) != MW_FOUND || !(flags & MW_IP_ANSWER))
		return false;
	if (mw_config.has_balance && (flags & MW_IP_BALANCED))
		return mw_answer_balanced(link, p, port, p->dst, answer);
	return asked && mw_answer_port(link, port, answer);
}

static __always_inline bool mw_answer_nd(const struct mw_link *link, const struct mw_packet *p, struct mw_answer *answer)
{
	bool unicast = !(p->flags & MW_PACKET_GROUP) && ((const __u8 *)p->dst)[0] != 0xff && !mw_zero_ip6(p->src);
	bool asked = ((p->flags & MW_PACKET_GROUP) && mw_solicited_node(p->dst)) || (unicast && mw_is_probe(link, p));
	enum mw_found found;
	__u32 port, flags;

	if (!(p->flags & MW_PACKET_ND) || (p->flags & MW_PACKET_EXTENSIONS) || p->icmp_type != 135 ||
	    ((const __u8 *)p->nd_target)[0] == 0xff)
		return false;
	if (!asked && (!mw_config.has_balance || !unicast))
		return false;
	found = mw_port_of_ip(link->network, true, p->nd_target, &port, &flags);
	if (found == MW_STALE || (found == MW_FOUND && !(flags & MW_IP_ANSWER)))
		return false;
	if (mw_config.has_balance && found == MW_FOUND && (flags & MW_IP_BALANCED))
		return mw_answer_balanced(link, p, port, p->nd_target, answer);
	if (!asked)
		return false;
	if (found == MW_MISSING) {
		__u8 mac[MW_ETH_ALEN];

		if (!mw_eui64_mac(p->nd_target, mac) || mw_port_of_mac(link->network, mac, &port) != MW_FOUND)
			return false;
	}
	return mw_answer_port(link, port, answer);
}

/* Is there an answer to this packet from a port? */
__noinline int mw_find_answer(const struct mw_packet *p, const struct mw_link *link, struct mw_answer *answer)
{
	if (!p || !link || !answer)
		return 0;
	if (p->l3 == MW_L3_ARP)
		return mw_answer_arp(link, p, answer);
	if (p->l3 == MW_L3_IP6)
		return mw_answer_nd(link, p, answer);
	return 0;
}

#if MW_TC

struct mw_na_frame {
	__u8 dmac[MW_ETH_ALEN];
	__u8 smac[MW_ETH_ALEN];
	__be16 ethertype;
	__be16 class_flow[2];
	__be16 payload;
	__u8 next;
	__u8 hop_limit;
	__be16 src[8];
	__be16 dst[8];
	__u8 type;
	__u8 code;
	__u16 checksum;
	__u8 flags;
	__u8 reserved[3];
	__be16 target[8];
	__u8 option_type;
	__u8 option_length;
	__u8 option_mac[MW_ETH_ALEN];
};

#define MW_NA_FRAME 86
#define MW_NA_BODY 32

_Static_assert(sizeof(struct mw_na_frame) == MW_NA_FRAME, "the frame has no holes");

/* A neighbour advertisement in place of the solicitation. */
static __always_inline int mw_send_na(mw_ctx *ctx, const struct mw_packet *p, const struct mw_answer *answer)
{
	struct mw_na_frame na = {};
	bool detection = mw_zero_ip6(p->src);	/* duplicate address detection: nobody to answer but all */
	__be32 all_nodes[4] = { bpf_htonl(0xff020000), 0, 0, bpf_htonl(1) };
	const __be32 *to = detection ? all_nodes : p->src;
	__u32 sum = 0;
	const __u16 *word;
	int i;

	if (detection) {
		na.dmac[0] = 0x33;
		na.dmac[1] = 0x33;
		na.dmac[5] = 1;
		memcpy(na.dst, all_nodes, 16);
	} else {
		memcpy(na.dmac, p->smac, MW_ETH_ALEN);
		memcpy(na.dst, p->src, 16);
	}
	memcpy(na.smac, answer->mac, MW_ETH_ALEN);
	na.ethertype = bpf_htons(MW_ETH_P_IPV6);
	na.class_flow[0] = bpf_htons(0x6000);
	na.payload = bpf_htons(MW_NA_BODY);
	na.next = MW_PROTO_ICMPV6;
	na.hop_limit = 255;
	memcpy(na.src, p->nd_target, 16);
	na.type = 136;
	na.flags = 0x20 | (detection ? 0 : 0x40) | (answer->flags & MW_PORT_ROUTER ? 0x80 : 0);
	memcpy(na.target, p->nd_target, 16);
	na.option_type = 2;
	na.option_length = 1;
	memcpy(na.option_mac, answer->mac, MW_ETH_ALEN);
	word = (const __u16 *)&na.type;
#pragma unroll
	for (i = 0; i < MW_NA_BODY / 2; i++)
		sum += word[i];
	na.checksum = ~mw_fold(sum + mw_pseudo(p->nd_target, to, true, MW_PROTO_ICMPV6, MW_NA_BODY));
	if (mw_reshape(ctx, MW_NA_FRAME) || mw_store(ctx, 0, &na, sizeof(na)))
		return MW_REASON_INTERNAL;
	return 0;
}

struct mw_arp_reply {
	__u8 dmac[MW_ETH_ALEN];
	__u8 smac[MW_ETH_ALEN];
	__be16 ethertype;
	__be16 fixed[3];	/* hardware and protocol type, lengths */
	__be16 op;
	__u8 sha[MW_ETH_ALEN];
	__be16 spa[2];
	__u8 tha[MW_ETH_ALEN];
	__be16 tpa[2];
};

_Static_assert(sizeof(struct mw_arp_reply) == 42, "the frame has no holes");

/* An ARP reply in place of the request; what follows the 42 bytes stays. */
static __always_inline int mw_send_arp(mw_ctx *ctx, const struct mw_packet *p, const struct mw_answer *answer)
{
	struct mw_arp_reply arp;

	memcpy(arp.dmac, p->smac, MW_ETH_ALEN);
	memcpy(arp.smac, answer->mac, MW_ETH_ALEN);
	arp.ethertype = bpf_htons(MW_ETH_P_ARP);
	arp.fixed[0] = bpf_htons(1);
	arp.fixed[1] = bpf_htons(MW_ETH_P_IP);
	arp.fixed[2] = bpf_htons(0x0604);
	arp.op = bpf_htons(2);
	memcpy(arp.sha, answer->mac, MW_ETH_ALEN);
	memcpy(arp.spa, &p->dst[3], 4);
	memcpy(arp.tha, p->arp_sha, MW_ETH_ALEN);
	memcpy(arp.tpa, &p->src[3], 4);
	return mw_store(ctx, 0, &arp, sizeof(arp)) ? MW_REASON_INTERNAL : 0;
}

__noinline int mw_send_answer(mw_ctx *ctx, const struct mw_packet *p, const struct mw_answer *answer)
{
	if (!p || !answer)
		return MW_REASON_INTERNAL;
	return p->l3 == MW_L3_ARP ? mw_send_arp(ctx, p, answer) : mw_send_na(ctx, p, answer);
}

#endif
#endif
