/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The constants of this load: the one .rodata variable. What they switch off, the verifier removes. */
#ifndef MW_CONFIG_H
#define MW_CONFIG_H

#include "ctx.h"
#include "maps.h"

const volatile struct mw_config mw_config;
const volatile struct mw_tables mw_tables;

/* This node's IPv6 address, word by word: a copy through a pointer that is not volatile is of the zeros of this file. */
static __always_inline void mw_own_ip6(__be32 *to)
{
	const volatile __be32 *from = (const volatile __be32 *)mw_config.self6;
	int i;

#pragma unroll
	for (i = 0; i < 4; i++)
		to[i] = from[i];
}

#endif
