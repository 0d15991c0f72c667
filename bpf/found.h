/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What comes of looking something up. */
#ifndef MW_FOUND_H
#define MW_FOUND_H

enum mw_found {
	MW_FOUND = 0,
	MW_MISSING = 1,
	MW_STALE = 2,
	MW_BALANCED = 3,	/* of a MAC: the id is that of a balanced address */
};

#endif
