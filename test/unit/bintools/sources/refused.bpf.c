// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Structs no codec can be generated for, each for one reason, and some that look like them but are fine. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct mw_pointer { __u64 fine; void *bad; };
struct mw_bitfield { __u32 fine; __u32 bad : 3; __u32 pad : 29; };
struct mw_union { __u32 fine; union { __u32 a; __u16 b[2]; } bad; };
struct mw_float { float bad; };
struct mw_double_array { double bad[3]; };
struct mw_int128 { __int128 bad; };
struct mw_flexible { __u32 fine; __u32 bad[]; };
struct mw_empty_array { __u32 fine; __u8 bad[0]; };
struct mw_packed { __u8 fine; __u32 bad; } __attribute__((packed));
struct mw_packed_end { __u32 fine; __u16 alsofine; } __attribute__((packed));
struct mw_hole { __u8 fine; __u32 bad; };
struct mw_tail { __u32 fine; __u16 last; };
struct mw_deep { __u32 fine; struct { __u64 at; struct mw_hole holes[2]; } inside[3]; __u64 end; };
struct mw_anonymous { __u32 fine; struct { __u32 hidden; }; };
struct mw_function { int (*bad)(void); };
struct mw_empty { };
struct mw_has_empty { __u32 fine; struct mw_empty bad; };
struct mw_pad_struct { struct mw_tagged_ok { __u32 x; } pad; };
struct mw_big { __u8 bytes[0x100001]; };

#define as(member) __attribute__((btf_decl_tag("mw:as=" member)))

struct mw_union_tagged { __u32 fine; union { __u32 number; __u16 parts[2]; } either as("number"); };
struct mw_union_wrong_tag { union { __u32 number; } bad as("letter"); };
struct mw_union_small_tag { union { __u32 number; __u16 small; } bad as("small"); };

struct mw_padded { __u8 fine; __u8 pad[3]; __u32 number; __u16 last; __u16 pad_end; };
struct mw_wrong_be { __be32 address; };
struct mw_wrong_le { __u32 address_be; };
struct mw_twice { __be32 address_be; __u32 address; };

struct all {
	struct mw_pointer a;
	struct mw_bitfield b;
	struct mw_union c;
	struct mw_float d;
	struct mw_double_array e;
	struct mw_int128 f;
	struct mw_empty_array h;
	struct mw_packed i;
	struct mw_packed_end j;
	struct mw_hole k;
	struct mw_tail l;
	struct mw_deep m;
	struct mw_anonymous n;
	struct mw_function o;
	struct mw_empty p;
	struct mw_has_empty q;
	struct mw_pad_struct r;
	struct mw_big s;
	struct mw_union_tagged t;
	struct mw_union_wrong_tag u;
	struct mw_union_small_tag v;
	struct mw_padded w;
	struct mw_wrong_be x;
	struct mw_wrong_le y;
	struct mw_twice z;
	struct mw_flexible g;
};

struct all all;

char LICENSE[] SEC("license") = "GPL";
