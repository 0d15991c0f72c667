/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tunnel packets: judging the outer header (docs/packet-rules.md, rules 3.1 to 3.5) and taking it off (3.10).
 */
#ifndef MW_DECAP_H
#define MW_DECAP_H

#include "encap.h"
#include "lookup.h"

/* the UDP port that makes it ours, behind whatever options; MW_STACK if it is not */
static __always_inline int decap_ours(struct mw_ctx *ctx, const struct run *r, const struct iphdr *ip)
{
	__u32 at = ETH_HLEN + ip->ihl * 4;
	const struct udphdr *udp;

	if (ip->version != 4 || ip->ihl < 5 || ip->daddr != mw_config.self4_be || ip->protocol != IPPROTO_UDP ||
	    (ip->frag_off & bpf_htons(IP_MF | IP_OFFSET)) || at + sizeof(*udp) > r->received)
		return MW_STACK;
	udp = cursor(ctx, at, sizeof(*udp));
	if (!udp)
		return MW_LEAVE;
	return udp->dest == bpf_htons(mw_config.vxlan_port) ? 0 : MW_STACK;
}

/*
 * Rules 3.1 to 3.5: whether this is a tunnel packet for us and from whom. Sets 'network_id', 'from_node', the outer
 * ECN, and where the inner frame is.
 */
__noinline int decap_outer(struct mw_ctx *ctx, struct run *r)
{
	struct mw_segment_value segment;
	struct mw_segment_key key = { .encap = MW_ENCAP_VXLAN };
	struct mw_vtep_key source = {};
	struct mw_vtep_value node;
	const struct vxlan_outer *outer;
	__u32 total, datagram;
	enum found found;
	struct iphdr ip;
	int why;

	if (!r)
		return MW_REASON_INTERNAL;
	if (!same_mac(r->packet.dst, r->link.mac) || ctx_tagged(ctx) || r->packet.ether_type != ETH_P_IP ||
	    r->received < ETH_HLEN + sizeof(ip))
		return MW_STACK;
	outer = cursor(ctx, ETH_HLEN, sizeof(ip));
	if (!outer)
		return MW_LEAVE;
	ip = outer->ip;
	why = decap_ours(ctx, r, &ip);
	if (why)
		return why;

	total = bpf_ntohs(ip.tot_len);
	if (ip.ihl != 5 || r->received < ETH_HLEN + sizeof(*outer))
		return MW_REASON_OUTER_MALFORMED;
	outer = cursor(ctx, ETH_HLEN, sizeof(*outer));
	if (!outer)
		return MW_LEAVE;
	datagram = bpf_ntohs(outer->udp.len);
	/* a super-packet that never was on a wire may be longer than these fields can say */
	if (ctx_gso_size(ctx) && r->received - ETH_HLEN > 0xffff) {
		total = r->received - ETH_HLEN;
		datagram = total - sizeof(ip);
	}
	if (total > r->received - ETH_HLEN || total < sizeof(*outer) || csum_fold(csum_ip4(&ip)) != 0xffff ||
	    datagram < sizeof(*outer) - sizeof(ip) || datagram > total - sizeof(ip))
		return MW_REASON_OUTER_MALFORMED;
	if (!(outer->vxlan.flags_be & bpf_htonl(VXLAN_FLAG_SEGMENT)))
		return MW_REASON_TUNNEL_HEADER;

	key.segment = bpf_ntohl(outer->vxlan.segment_be) >> 8;
	found = find_segment(&key, &segment);
	if (found == STALE)
		return MW_REASON_STALE;
	if (found == MISSING)
		return mw_config.unknown_segment_stack ? MW_STACK : MW_REASON_UNKNOWN_SEGMENT;
	r->network_id = segment.network;

	source.addr[10] = 0xff;
	source.addr[11] = 0xff;
	*(mw_alias32 *)&source.addr[12] = ip.saddr;
	found = find_vtep(&source, &node);
	if (found == STALE)
		return MW_REASON_STALE;
	if (found == MISSING || (node.flags & MW_VTEP_SELF))
		return MW_REASON_UNKNOWN_NODE;
	r->from_node = node.node;
	r->outer_ecn = ip.tos & ECN_MASK;
	r->packet.base = ENCAP_LENGTH;
	r->packet.length = datagram - (sizeof(*outer) - sizeof(ip));
	return 0;
}

/* the inner header's first word and, for IPv4, its checksum, with another ECN in them */
static __always_inline __u16 ecn_word(const struct packet *p, __u16 word, __u8 ecn)
{
	__u16 host = bpf_ntohs(word);

	if (is_ip4(p))
		return bpf_htons((host & ~ECN_MASK) | ecn);
	return bpf_htons((host & ~(ECN_MASK << 4)) | ecn << 4);
}

#if MW_IS_TC

static __always_inline int decap_ecn(struct mw_ctx *ctx, const struct run *r)
{
	const struct packet *p = &r->packet;
	__u8 ecn = ecn_inner(p, r->outer_ecn);
	__u32 at = p->base + PACKET_L3;
	__u16 word, after, check;
	const __u16 *ip;

	if (ecn == (p->tos & ECN_MASK))
		return 0;
	ip = cursor(ctx, at, sizeof(struct iphdr));
	if (!ip)
		return MW_REASON_INTERNAL;
	word = ip[0];
	check = ip[5];
	after = ecn_word(p, word, ecn);
	check = csum_change(check, word, after);
	if (bpf_skb_store_bytes(ctx, at, &after, sizeof(after), BPF_F_RECOMPUTE_CSUM))
		return MW_REASON_INTERNAL;
	if (is_ip4(p) && bpf_skb_store_bytes(ctx, at + offsetof(struct iphdr, check), &check, sizeof(check),
					     BPF_F_RECOMPUTE_CSUM))
		return MW_REASON_INTERNAL;
	return 0;
}

/* shortest packet that bpf_skb_adjust_room() leaves behind an outer header over IPv4 */
#define DECAP_SHORTEST sizeof(struct iphdr)

/*
 * Takes the outer header off; the super-packet, its segment size and an unfinished checksum stay as they are. The
 * inner link header is cut with the rest and written over the outer one.
 */
static __always_inline int decap(struct mw_ctx *ctx, struct run *r)
{
	const struct packet *p = &r->packet;
	__u32 whole = p->base + p->length, padded = whole;
	__u64 how = BPF_F_ADJ_ROOM_FIXED_GSO;
	struct link_header link;
	int why;

	/* several datagrams in one packet (rx-udp-gro-forwarding) look like one with something behind it */
	if (ctx_gso_size(ctx) && (r->received != whole || PACKET_L3 + p->l3_length != p->length))
		return MW_REASON_OUTER_MALFORMED;
	why = decap_ecn(ctx, r);
	if (why)
		return why;
	if (p->length < PACKET_L3 + DECAP_SHORTEST)
		padded = p->base + PACKET_L3 + DECAP_SHORTEST;
	if (r->received != padded && bpf_skb_change_tail(ctx, padded, 0))
		return MW_REASON_INTERNAL;
	if (!is_ip6(p)) {
		if (bpf_skb_adjust_room(ctx, -(int)ENCAP_LENGTH, BPF_ADJ_ROOM_MAC, how))
			return MW_REASON_INTERNAL;
	} else if (bpf_skb_adjust_room(ctx, -(int)ENCAP_LENGTH, BPF_ADJ_ROOM_MAC,
				       how | BPF_F_ADJ_ROOM_DECAP_L3_IPV6)) {
		/* before 6.3 */
		if (bpf_skb_adjust_room(ctx, -(int)ENCAP_LENGTH, BPF_ADJ_ROOM_MAC, how))
			return MW_REASON_INTERNAL;
		r->foreign_protocol = 1;
	}
	if (padded != whole && bpf_skb_change_tail(ctx, p->length, 0))
		return MW_REASON_INTERNAL;
	copy_mac(link.dst, p->dst);
	copy_mac(link.src, p->src);
	link.type_be = bpf_htons(p->ether_type);
	return bpf_skb_store_bytes(ctx, 0, &link, sizeof(link), 0) ? MW_REASON_INTERNAL : 0;
}

#else

static __always_inline int decap(struct mw_ctx *ctx, struct run *r)
{
	const struct packet *p = &r->packet;
	__u8 ecn = ecn_inner(p, r->outer_ecn);
	__u32 trailer = r->received - p->base - p->length;

	if (ecn != (p->tos & ECN_MASK)) {
		__u16 *ip = cursor(ctx, p->base + PACKET_L3, sizeof(struct iphdr));
		__u16 after;

		if (!ip)
			return MW_REASON_INTERNAL;
		after = ecn_word(p, ip[0], ecn);
		if (is_ip4(p))
			ip[5] = csum_change(ip[5], ip[0], after);
		ip[0] = after;
	}
	if (trailer && bpf_xdp_adjust_tail(ctx, -(int)trailer))
		return MW_REASON_INTERNAL;
	return bpf_xdp_adjust_head(ctx, ENCAP_LENGTH) ? MW_REASON_INTERNAL : 0;
}

#endif
#endif
