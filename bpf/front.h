/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The front of both programs: decisions that this CPU took before, for packets of the same kind, out of one element of a per-CPU
 * array instead of some ten lookups and as many calls.
 *
 * What is remembered is the answer to (device, MACs, source address) from a port and to (device, encapsulation and segment, outer
 * source, inner MACs) from the underlay: all that the maps have a say in. What the packet itself decides (lengths, checksums, ECN, flow
 * hash, fragments) is looked at here for every packet, in the order and by the rules of docs/packet-rules.md; whatever is not plain
 * goes to the programs proper, untouched: here nothing is dropped and nothing is answered.
 *
 * It is never stale. The daemon raises struct mw_live's epoch after each write of a map, before it says that an edit is in force. An element
 * is good for the epoch that was read before the maps were asked; a full barrier stands between (mw_front_begin), so
 * that answers older than a write never get a number younger than it. What is true for a while only (guard-grace, a port that moves) is not remembered.
 * Elements are of one CPU, and programs run with bottom halves off: nobody else writes them.
 */
#ifndef MW_FRONT_H
#define MW_FRONT_H

#include "csum.h"
#include "deliver.h"
#include "encap.h"
#include "hash.h"
#include "outcome.h"
#include "state.h"
#if MW_TC
#include "flood.h"
#endif

/* Not for the front. */
#define MW_NOT_PLAIN (-16)

/* Ethernet, IPv4, UDP and a tunnel header of 8 bytes. */
#define MW_FRONT_OUTER 50
/* bytes that are looked at of a frame: Ethernet, IPv4, the first 8 of layer 4 */
#define MW_FRONT_GLANCE 42

_Static_assert(sizeof(struct mw_front) == 128, "two cache lines");
_Static_assert(MW_FRONT_OUTER == sizeof(((struct mw_front *)0)->outer), "the outer headers fit");

/* What an element is found by. */
struct mw_front_key {
	__u64 macs;		/* the frame's first 12 bytes: 8 */
	__u32 rest;		/* and 4 */
	__be32 source;
	__u32 ifindex;
	__u32 tunnel;
};

/* A plain frame: IPv4 without options, no fragment, no group. */
struct mw_glance {
	__u32 size;		/* layer 3 */
	__u32 hash;		/* of the flow */
	__u8 tos;
	bool unfinished;	/* the checksum of TCP or UDP is that of the pseudo-header */
};

static __always_inline __u32 mw_front_epoch(void)
{
	__u32 zero = 0;
	const struct mw_live *live = bpf_map_lookup_elem(&MW_MAP(live), &zero);

	return live ? *(const volatile __u32 *)&live->epoch : 0;
}

static __always_inline struct mw_front *mw_front_element(const struct mw_front_key *key)
{
	__u32 h = (__u32)(key->macs >> 16) * 0x9e3779b1;

	h ^= key->rest * 0x85ebca6b;
	h ^= (key->source ^ key->ifindex ^ key->tunnel) * 0xc2b2ae35;
	h ^= h >> 15;
	h = h * 0x2c1b3c6d >> 8 & (MW_FRONT_SIZE - 1);
	return bpf_map_lookup_elem(&MW_MAP(front), &h);
}

static __always_inline bool mw_front_is(const struct mw_front *e, const struct mw_front_key *key, __u32 epoch)
{
	return e->epoch == epoch && e->ifindex == key->ifindex && *(const __u64 *)e->dmac == key->macs &&
	       *(const __u32 *)&e->smac[2] == key->rest && e->source_be == key->source && e->tunnel == key->tunnel;
}

/* DHCP obeys rules of its own. */
static __always_inline bool mw_is_dhcp_port(__be16 port)
{
	return port == bpf_htons(67) || port == bpf_htons(68);
}

/* Looks at a frame of 'length' bytes, MW_FRONT_GLANCE of which are there. False: not plain. */
static __always_inline bool mw_glance(const void *frame, const void *data_end, __u32 length, struct mw_glance *g)
{
	const struct mw_ip4_header *ip = frame + MW_ETH_HLEN;
	const void *l4 = frame + MW_ETH_HLEN + MW_IP4_SIZE;
	__u32 h = MW_HASH_SEED, sum;
	__u64 pseudo;
	__be32 ports;
	__u16 checksum;

	if (*(const __be16 *)(frame + 12) != bpf_htons(MW_ETH_P_IP) || ip->version_ihl != 0x45 ||
	    (ip->fragment & bpf_htons(0x3fff)) || mw_is_group(frame) || mw_is_group(frame + MW_ETH_ALEN))
		return false;
	g->size = bpf_ntohs(ip->total);
	if (g->size < MW_IP4_SIZE + MW_UDP_SIZE || MW_ETH_HLEN + g->size > length)
		return false;
	g->tos = ip->tos;
	g->unfinished = false;
	h = mw_hash_word(h, bpf_ntohl(ip->src));
	h = mw_hash_word(h, bpf_ntohl(ip->dst));
	h = mw_hash_word(h, ip->proto);
	if (ip->proto == MW_PROTO_UDP || ip->proto == MW_PROTO_TCP) {
		ports = *(const __be32 *)l4;
		if (ip->proto == MW_PROTO_UDP) {
			const struct mw_udp_header *udp = l4;

			if (mw_is_dhcp_port(udp->source) || mw_is_dhcp_port(udp->dest))
				return false;
			checksum = udp->checksum;
		} else {
			if (g->size < MW_IP4_SIZE + 20 || l4 + 20 > data_end)
				return false;
			checksum = *(const __u16 *)(l4 + 16);
		}
		h = mw_hash_word(h, bpf_ntohl(ports));
		pseudo = (__u64)bpf_htonl(g->size - MW_IP4_SIZE) + bpf_htonl(ip->proto) + ip->src + ip->dst;
		pseudo = (pseudo & 0xffffffff) + (pseudo >> 32);
		sum = (pseudo & 0xffff) + (pseudo >> 16 & 0xffff) + (pseudo >> 32);
		g->unfinished = checksum == mw_fold(sum);
	}
	g->hash = mw_hash_end(h);
	return true;
}

/* The frame is sent: 'length' bytes came, 'sent' leave. */
static __always_inline void mw_front_finish(const struct mw_front *e, __u32 length, __u32 sent)
{
	struct mw_traffic *traffic;
	__u32 slot = e->slot;

	traffic = bpf_map_lookup_elem(&MW_MAP(traffic), &slot);
	if (traffic) {
		traffic->rx_packets++;
		traffic->rx_bytes += length;
	}
	mw_count_sent(e->slot_out, sent);
	if (mw_config.record) {
		__u32 zero = 0;
		struct mw_verdict *record = bpf_map_lookup_elem(&MW_MAP(verdict), &zero);

		if (record)
			*record = (struct mw_verdict){
				.verdict = e->verdict,
				.network = e->network,
				.port = e->port,
				.node = e->node,
				.ifindex = e->ifindex_out,
				.segment = e->segment,
			};
	}
}

/* Is the device of a kind that this program can send the frame to? XDP: and is noted as the target. */
static __always_inline bool mw_front_can_send(const struct mw_front *e)
{
#if MW_TC
	return true;
#else
	return (e->device_out & MW_DEVICE_XDP_REDIRECT) &&
	       bpf_redirect_map(&MW_MAP(dev), e->ifindex_out, XDP_PASS) == XDP_REDIRECT;
#endif
}

/* What only the programs proper know how to do. */
static __always_inline bool mw_front_odd(mw_ctx *ctx, __u32 length)
{
#if MW_TC
	return ctx->gso_size || ctx->vlan_present || ctx->mark;
#else
	return length != (__u32)(ctx->data_end - ctx->data);
#endif
}

/* Room for the outer headers in front of the frame. Nonzero: there is none, and nothing was done. */
static __always_inline long mw_front_grow(mw_ctx *ctx)
{
#if MW_TC
	return bpf_skb_adjust_room(ctx, MW_FRONT_OUTER, BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
					   BPF_F_ADJ_ROOM_ENCAP_L2((__u64)MW_ETH_HLEN) | BPF_F_ADJ_ROOM_ENCAP_L2_ETH);
#else
	return bpf_xdp_adjust_head(ctx, -MW_FRONT_OUTER);
#endif
}

static __always_inline long mw_front_shrink(mw_ctx *ctx)
{
#if MW_TC
	return bpf_skb_adjust_room(ctx, -MW_FRONT_OUTER, BPF_ADJ_ROOM_MAC,
				   BPF_F_ADJ_ROOM_FIXED_GSO | MW_F_ADJ_ROOM_DECAP_L3_IPV4);
#else
	return bpf_xdp_adjust_head(ctx, MW_FRONT_OUTER);
#endif
}

/* TC: the Ethernet header of a frame at 'h', which adjust_room() took or left another in the place of. */
static __always_inline void mw_front_ethernet(void *h, const struct mw_front *e)
{
#if MW_TC
	*(__u64 *)h = *(const __u64 *)e->dmac;
	*(__u32 *)(h + 8) = *(const __u32 *)&e->smac[2];
	*(__be16 *)(h + 12) = bpf_htons(MW_ETH_P_IP);
#endif
}

/* All outer headers, in words: what is the same for every packet first, then what is not. False: out of reach. */
static __always_inline bool mw_front_write(mw_ctx *ctx, const struct mw_front *e, const struct mw_glance *g, __u32 length)
{
	void *h = mw_data(ctx);
	const __u64 *from = (const __u64 *)e->outer;
	__u64 *to = h;
	__be16 first, total;
	__u32 sum;
	int i;

	if (h + MW_FRONT_OUTER + (MW_TC ? MW_ETH_HLEN : 0) > mw_data_end(ctx))
		return false;
#pragma unroll
	for (i = 0; i < MW_FRONT_OUTER / 8; i++)
		to[i] = from[i];
	*(__u16 *)(h + 48) = *(const __u16 *)(e->outer + 48);
	first = bpf_htons(0x4500 | (mw_config.dscp == MW_DSCP_UNIFORM ? g->tos : (mw_config.dscp << 2) | (g->tos & MW_ECN_MASK)));
	total = bpf_htons(length + MW_FRONT_OUTER - MW_ETH_HLEN);
	sum = *(const __u16 *)(e->outer + 24) + (__u32)first + total;
	*(__be16 *)(h + 14) = first;
	*(__be16 *)(h + 16) = total;
	*(__u16 *)(h + 24) = ~mw_fold(sum);
	*(__be16 *)(h + 34) = bpf_htons(49152 + (g->hash & 0x3fff));
	*(__be16 *)(h + 38) = bpf_htons(length + MW_FRONT_OUTER - MW_ETH_HLEN - MW_IP4_SIZE);
	mw_front_ethernet(h + MW_FRONT_OUTER, e);
	return true;
}

static __always_inline int mw_front_sent(mw_ctx *ctx, const struct mw_front *e)
{
#if MW_TC
	struct mw_local local = { .ifindex = e->ifindex_out, .device = e->device_out };

	return e->verdict == MW_VERDICT_DELIVER ? mw_to_port(ctx, &local, true) : bpf_redirect(e->ifindex_out, 0);
#else
	return XDP_REDIRECT;
#endif
}

/* A frame of 'length' bytes from a port. Gives the program's return value, or MW_NOT_PLAIN and has done nothing. */
static __always_inline int mw_front_port(mw_ctx *ctx, __u32 length)
{
	void *frame = mw_data(ctx);
	struct mw_front_key key;
	struct mw_glance g;
	struct mw_front *e;
	__u32 epoch;

	if (!mw_config.front || mw_config.quiet || mw_front_odd(ctx, length) || frame + MW_FRONT_GLANCE > mw_data_end(ctx) ||
	    !mw_glance(frame, mw_data_end(ctx), length, &g))
		return MW_NOT_PLAIN;
	key.macs = *(__u64 *)frame;
	key.rest = *(__u32 *)(frame + 8);
	key.source = *(__be32 *)(frame + MW_ETH_HLEN + 12);
	key.ifindex = mw_ifindex(ctx);
	key.tunnel = 0;
	e = mw_front_element(&key);
	epoch = mw_front_epoch();
	if (!e || !epoch || !mw_front_is(e, &key, epoch) || g.size > e->mtu || (!MW_TC && e->partial && g.unfinished) ||
	    !mw_front_can_send(e))
		return MW_NOT_PLAIN;
	if (e->verdict == MW_VERDICT_DELIVER) {
		mw_front_finish(e, length, length);
		return mw_front_sent(ctx, e);
	}
	if (mw_front_grow(ctx))
		return MW_NOT_PLAIN;
	if (!mw_front_write(ctx, e, &g, length))
		return MW_ACTION_DROP;	/* cannot be: the room was just made */
	mw_front_finish(e, length, length + MW_FRONT_OUTER);
	return mw_front_sent(ctx, e);
}

/* The outer headers of a plain tunnel packet of 'length' bytes for this node. False: they are not plain. */
static __always_inline bool mw_front_outer(const void *frame, __u32 length, struct mw_front_key *key)
{
	const struct mw_ip4_header *ip = frame + MW_ETH_HLEN;
	const struct mw_udp_header *udp = frame + MW_ETH_HLEN + MW_IP4_SIZE;
	const __u8 *tunnel = frame + MW_FRONT_OUTER - MW_TUNNEL_SIZE;
	__u32 encap, word;

	if (*(const __be16 *)(frame + 12) != bpf_htons(MW_ETH_P_IP) || ip->version_ihl != 0x45 || ip->proto != MW_PROTO_UDP ||
	    (ip->fragment & bpf_htons(0x3fff)) || !mw_config.self4_be || ip->dst != mw_config.self4_be ||
	    MW_ETH_HLEN + bpf_ntohs(ip->total) != length ||
	    MW_ETH_HLEN + MW_IP4_SIZE + bpf_ntohs(udp->length) != length || mw_fold(mw_sum_ip4(ip)) != 0xffff)
		return false;
	encap = mw_encap_of_port(udp->dest);
	word = bpf_ntohl(*(const __be32 *)tunnel);
	if (encap == MW_ENCAP_VXLAN) {
		if (!(word & (MW_VXLAN_SEGMENT_VALID << 24)))
			return false;
	} else if (encap == MW_ENCAP_GENEVE) {
		/* flags that say something to the receiver make it no plain one, and so do options */
		if (word != MW_ETH_P_TEB)
			return false;
	} else {
		return false;
	}
	key->tunnel = encap << 24 | bpf_ntohl(*(const __be32 *)(tunnel + 4)) >> 8;
	key->source = ip->src;
	return true;
}

/* A frame of 'length' bytes from the underlay. Gives the program's return value, or MW_NOT_PLAIN and has done nothing. */
static __always_inline int mw_front_underlay(mw_ctx *ctx, __u32 length)
{
	void *frame = mw_data(ctx), *inner;
	struct mw_front_key key;
	struct mw_glance g;
	struct mw_front *e;
	__u32 epoch;
	__u8 ecn;

	if (!mw_config.front || mw_config.quiet || mw_front_odd(ctx, length) ||
	    frame + MW_FRONT_OUTER + MW_FRONT_GLANCE > mw_data_end(ctx) || !mw_front_outer(frame, length, &key))
		return MW_NOT_PLAIN;
	inner = frame + MW_FRONT_OUTER;
	if (!mw_glance(inner, mw_data_end(ctx), length - MW_FRONT_OUTER, &g))
		return MW_NOT_PLAIN;
	ecn = *(__u8 *)(frame + MW_ETH_HLEN + 1) & MW_ECN_MASK;
	if (ecn && ecn != (g.tos & MW_ECN_MASK))
		return MW_NOT_PLAIN;
	key.macs = *(__u64 *)inner;
	key.rest = *(__u32 *)(inner + 8);
	key.ifindex = mw_ifindex(ctx);
	e = mw_front_element(&key);
	epoch = mw_front_epoch();
	if (!e || !epoch || !mw_front_is(e, &key, epoch) || *(__u32 *)frame != *(__u32 *)e->own ||
	    *(__u16 *)(frame + 4) != *(__u16 *)&e->own[4] || g.size > e->mtu || (!MW_TC && e->partial && g.unfinished) ||
	    !mw_front_can_send(e) || mw_front_shrink(ctx))
		return MW_NOT_PLAIN;
#if MW_TC
	frame = mw_data(ctx);
	if (frame + MW_ETH_HLEN > mw_data_end(ctx))
		return MW_ACTION_DROP;	/* cannot be: it is linear that far */
	mw_front_ethernet(frame, e);
#endif
	mw_front_finish(e, length, length - MW_FRONT_OUTER);
	return mw_front_sent(ctx, e);
}

/*
 * Of the packets that the front does not know, which are remembered: every so many, for what comes once is not worth it.
 * Notes the epoch before the maps are asked.
 */
static __always_inline void mw_front_begin(struct mw_state *state)
{
	state->epoch = 0;
	if (!mw_config.front || mw_config.quiet || (++state->turn & (mw_config.front - 1)))
		return;
	state->epoch = mw_front_epoch();
	/* a full barrier: what is read from now on is read after the epoch */
	__sync_fetch_and_add(&state->turn, mw_config.front);
}

/* Would the front know such a packet again? */
static __always_inline bool mw_front_plain(const struct mw_packet *p)
{
	return mw_state_of(p)->epoch && p->l3 == MW_L3_IP4 && !p->tags && p->l3_offset == MW_ETH_HLEN &&
	       p->l4_offset == MW_ETH_HLEN + MW_IP4_SIZE &&
	       !(p->flags & (MW_PACKET_FRAGMENT | MW_PACKET_GROUP | MW_PACKET_BALANCED)) &&
	       (p->proto != MW_PROTO_UDP || !(mw_is_dhcp_port(p->ports[0]) || mw_is_dhcp_port(p->ports[1])));
}

/* Empty, with its key and what a link says. */
static __always_inline struct mw_front *mw_front_take(const struct mw_packet *p, const struct mw_link *link, __be32 source,
						     __u32 tunnel)
{
	struct mw_front_key key = { .source = source, .ifindex = link->ifindex, .tunnel = tunnel };
	struct mw_front *e;

	memcpy(&key.macs, p->dmac, 8);
	memcpy(&key.rest, p->smac + 2, 4);
	e = mw_front_element(&key);
	if (!e)
		return NULL;
	e->epoch = 0;
	e->ifindex = link->ifindex;
	memcpy(e->dmac, p->dmac, 2 * MW_ETH_ALEN);
	e->source_be = source;
	e->tunnel = tunnel;
	e->slot = link->slot;
	e->partial = !!(link->device & MW_DEVICE_PARTIAL_CHECKSUM);
	e->network = 0;
	e->port = 0;
	e->node = 0;
	e->segment = 0;
	return e;
}

/* The last that is written of it. */
static __always_inline void mw_front_give(const struct mw_state *state, struct mw_front *e)
{
	mw_opaque(e);
	e->epoch = state->epoch;
}

static __always_inline void mw_front_deliver(struct mw_front *e, const struct mw_local *local, __u32 mtu, __u32 network)
{
	e->verdict = MW_VERDICT_DELIVER;
	e->network = network;
	e->port = local->port;
	e->ifindex_out = local->ifindex;
	e->device_out = local->device;
	e->slot_out = local->slot;
	e->mtu = mtu;
}

/* From a port to one that is here. */
__noinline int mw_front_keep_local(const struct mw_state *state, const struct mw_link *link, const struct mw_local *local, __u32 mtu)
{
	struct mw_front *e;

	if (!state || !link || !local)
		return 0;
	e = mw_front_take(&state->packet, link, state->packet.src[3], 0);
	if (!e)
		return 0;
	mw_front_deliver(e, local, mtu, link->network);
	mw_front_give(state, e);
	return 0;
}

/* From the underlay to a port that is here. */
__noinline int mw_front_keep_decap(const struct mw_state *state, const struct mw_link *link, const struct mw_local *local)
{
	const struct mw_outer *outer;
	struct mw_front *e;

	if (!state || !link || !local)
		return 0;
	outer = &state->outer;
	e = mw_front_take(&state->packet, link, outer->source[3], (__u32)outer->encap << 24 | outer->segment);
	if (!e)
		return 0;
	mw_front_deliver(e, local, local->mtu, local->network);
	memcpy(e->own, link->mac, MW_ETH_ALEN);
	mw_front_give(state, e);
	return 0;
}

/* From a port to another node, by state->path. */
__noinline int mw_front_keep_encap(const struct mw_state *state, const struct mw_link *link, __u32 mtu)
{
	const struct mw_path *path;
	struct mw_tunnel tunnel;
	struct mw_front *e;
	__be16 *word;

	if (!state || !link)
		return 0;
	path = &state->path;
	e = mw_front_take(&state->packet, link, state->packet.src[3], 0);
	if (!e)
		return 0;
	e->verdict = MW_VERDICT_ENCAP;
	e->network = link->network;
	e->node = path->node;
	e->segment = path->segment;
	e->mtu = mtu;
	e->ifindex_out = path->nexthop.ifindex;
	e->device_out = path->nexthop.flags;
	e->slot_out = path->nexthop.slot;
	memcpy(e->outer, path->nexthop.dmac, MW_ETH_ALEN);
	memcpy(e->outer + MW_ETH_ALEN, path->nexthop.smac, MW_ETH_ALEN);
	word = (__be16 *)(e->outer + 12);
	word[0] = bpf_htons(MW_ETH_P_IP);
	word[1] = 0;
	word[2] = 0;
	word[3] = 0;
	word[4] = bpf_htons(0x4000);
	word[5] = bpf_htons((mw_config.ttl << 8) | MW_PROTO_UDP);
	word[6] = 0;
	memcpy(&word[7], &path->local[3], 4);
	memcpy(&word[9], &path->remote[3], 4);
	word[6] = mw_fold(mw_sum_ip4(&word[1]));
	word[11] = 0;
	word[12] = bpf_htons(mw_udp_port(path->encap));
	word[13] = 0;
	word[14] = 0;
	mw_write_tunnel(&tunnel, &state->packet, path);
	memcpy(&word[15], &tunnel, MW_TUNNEL_SIZE);
	mw_front_give(state, e);
	return 0;
}

/* Is the path one that the front can write the headers of, and the only one? */
static __always_inline bool mw_front_takes(const struct mw_path *path)
{
	return (path->encap == MW_ENCAP_VXLAN || path->encap == MW_ENCAP_GENEVE) && !(path->flags & MW_NODE_IP6) &&
	       !path->nexthop.vlan && path->alone;
}

/*
 * Either program: what the front knows is done there; the rest, by the program proper. Both are known where this is inlined, so
 * that no call by pointer is left.
 */
static __always_inline int mw_run(mw_ctx *ctx, int (*front)(mw_ctx *ctx, __u32 length),
				  int (*proper)(mw_ctx *ctx, struct mw_outcome *out))
{
	struct mw_outcome out;
	__u32 length;
	bool hidden;
	int action;

	if (!MW_TC && mw_config.leave)
		return MW_ACTION_PASS;
	length = mw_len(ctx);
	hidden = mw_tag_hidden(ctx);
	if (!hidden) {
		action = front(ctx, length);
		if (action != MW_NOT_PLAIN)
			return action;
	}
	memset(&out, 0, sizeof(out));
	out.bytes = length;
	return mw_finish(&out, hidden ? mw_leave(&out) : proper(ctx, &out));
}

#endif
