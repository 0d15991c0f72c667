/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space needs to know of the types that no map and no constant mentions.
 *
 * The compiler keeps a type in BTF only if something refers to it. Every member of struct mw_types is
 * exported to src/generated/; add a line here for a new enum. The section is none that libbpf knows, so it
 * becomes no map and no program sees it.
 */
#ifndef MW_BTF_ANCHOR_H
#define MW_BTF_ANCHOR_H

#include "types.h"
#include "reasons.h"

/* the numbers that are macros, because the preprocessor needs them */
enum mw_const {
	MW_CONST_LAYOUT_VERSION = MW_LAYOUT_VERSION,
	MW_CONST_META_MAGIC = MW_META_MAGIC,
	MW_CONST_MAX_LOCATORS = MW_MAX_LOCATORS,
	MW_CONST_MAX_SHARED_MAC = MW_MAX_SHARED_MAC,
	MW_CONST_MAX_NEXTHOPS = MW_MAX_NEXTHOPS,
	MW_CONST_MAX_LEVELS = MW_MAX_LEVELS,
	MW_CONST_BUCKET_SLOTS = MW_BUCKET_SLOTS,
	MW_CONST_MARK_FLAGS = MW_MARK_FLAGS,
	MW_CONST_NODE_WIRE = MW_NODE_WIRE,
	MW_CONST_DSCP_UNIFORM = MW_DSCP_UNIFORM,
};

struct mw_types {
	enum mw_const constants;
	enum mw_encap encap;
	enum mw_ip_flags ip_flags;
	enum mw_mac_flags mac_flags;
	enum mw_allow_flags allow_flags;
	enum mw_balance_flags balance_flags;
	enum mw_port_flags port_flags;
	enum mw_locator_flags locator_flags;
	enum mw_network_flags network_flags;
	enum mw_vtep_flags vtep_flags;
	enum mw_device_flags device_flags;
	enum mw_node_flags node_flags;
	enum mw_link_role link_role;
	enum mw_link_flags link_flags;
	enum mw_guard guard;
	enum mw_flood_kind flood_kind;
	enum mw_flood_flags flood_flags;
	enum mw_meta_state meta_state;
	enum mw_event_kind event_kind;
	enum mw_verdict_kind verdict_kind;
	enum mw_reason reason;
	/* an inner map's value is reached only through pointers, which the compiler may cut short */
	struct mw_flood_target flood_target;
	struct mw_balance_head balance_head;
	struct mw_balance_level balance_level;
	struct mw_balance_slot balance_slot;
	/* a ring has no value type */
	struct mw_event event;
};

const struct mw_types mw_types SEC(".mw_types") __attribute__((used));

#endif
