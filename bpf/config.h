/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The constants of this load: the one .rodata variable. What they switch off, the verifier removes. */
#ifndef MW_CONFIG_H
#define MW_CONFIG_H

#include "ctx.h"
#include "maps.h"

const volatile struct mw_config mw_config;

#endif
