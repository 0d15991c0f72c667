/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The constants of this load: the one .rodata variable. What they switch off, the verifier removes. */
#ifndef MW_CONFIG_H
#define MW_CONFIG_H

#include "ctx.h"
#include "maps.h"

const volatile struct mw_config mw_config;

/*
 * This node's own IPv6 address. Word by word and volatile: of a copy that is not, the compiler knows the result, which is
 * the zeros that stand here before the load.
 */
static __always_inline void mw_self6(__be32 *addr)
{
	const volatile __be32 *self = (const volatile __be32 *)mw_config.self6;

	addr[0] = self[0];
	addr[1] = self[1];
	addr[2] = self[2];
	addr[3] = self[3];
}

#endif
