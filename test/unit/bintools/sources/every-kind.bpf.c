// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One of every kind of BTF type, and the layouts that are hard to get right. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define tag(text) __attribute__((btf_decl_tag(text)))
#define type_tag(text) __attribute__((btf_type_tag(text)))

enum colour { RED = 0, GREEN = 7, BLUE = 4000000000u };
enum temperature { COLD = -40, MILD = 15 };
enum wide { SMALL = 1, LARGE = 0x123456789abcdef0ull };
enum wide_signed { LOWEST = -0x7fffffffffffffffll, HIGHEST = 0x7fffffffffffffffll };

struct forward;
union forward_union;

typedef int (*callback)(void *context, const char *name, ...);
typedef struct {
	short x;
	short y;
} point;

union either {
	__u64 number;
	__u8 bytes[8];
	struct {
		__be16 first_be;
		__be32 second_be;
	};
};

struct bits {
	__u32 low : 3;
	__u32 middle : 20;
	__s32 high : 9;
	__u64 across : 33;
	_Bool flag : 1;
	__u8 last;
};

struct __attribute__((packed)) packed {
	__u8 one;
	__u32 four;
	__u64 eight;
};

struct everything {
	char letter;
	signed char signed_letter;
	_Bool truth;
	short half;
	__be16 port_be;
	long long wide;
	__u64 stamp;
	__int128 huge;
	float single;
	double twice;
	enum colour colour;
	enum temperature temperature;
	enum wide wide_enum;
	enum wide_signed wide_signed;
	point where;
	point corners[2][3];
	union either either;
	struct bits bits;
	struct packed packed;
	struct forward *opaque;
	union forward_union *opaque_union;
	callback call;
	const volatile int *watched;
	char *restrict alone;
	const char *const names[2];
	__u32 type_tag("user") *user_pointer;
	__u32 tagged tag("first") tag("second");
	struct {
		int inside;
		union {
			int either_this;
			int or_that;
		};
	};
	struct everything *next;
	__u8 tail[];
} tag("whole");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 100);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, point);
	__type(value, union either);
} typed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_PERCPU_HASH);
	__uint(max_entries, 7);
	__uint(key_size, 12);
	__uint(value_size, 40);
} sized SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 3);
	__type(key, __u32);
	__type(value, __u64);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct inner);
} outer SEC(".maps");

int tail_called(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 2);
	__uint(key_size, sizeof(__u32));
	__array(values, int(void *));
} jumps SEC(".maps");

struct everything everything;
const volatile __u32 limit = 42;
const volatile point origin = {1, 2};
int counter tag("counted") = 5;
static volatile int hidden;

__attribute__((noinline)) int helper(int tag("argument") a, const char *restrict text)
{
	return a + counter + (text ? text[0] : 0);
}

static __attribute__((noinline)) int quiet(__u64 x)
{
	hidden = x;
	return x % 7;
}

SEC("xdp")
int first_program(struct xdp_md *ctx)
{
	__u32 key = limit;
	__u64 large = 0x1122334455667788ull;
	point p = {(short)key, 2};
	union either *found = bpf_map_lookup_elem(&typed, &p);

	if (found)
		large += found->number;
	return helper(key, 0) + quiet(large) + everything.tagged + origin.x;
}

SEC("xdp")
int second_program(struct xdp_md *ctx)
{
	return XDP_DROP;
}

SEC("tc")
int third_program(struct __sk_buff *skb)
{
	return skb->len + quiet(skb->mark);
}

char LICENSE[] SEC("license") = "GPL";
