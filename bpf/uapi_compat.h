/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Constants that are younger than the oldest kernel headers we build with (6.1). */
#ifndef MW_UAPI_COMPAT_H
#define MW_UAPI_COMPAT_H

/* include/uapi/linux/bpf.h, since 6.3 */
#define MW_F_ADJ_ROOM_DECAP_L3_IPV4 (1ULL << 7)
#define MW_F_ADJ_ROOM_DECAP_L3_IPV6 (1ULL << 8)

/* TC_ACT_UNSPEC and TCX_NEXT are the same number: on to the next program, then the stack */
#define MW_TC_NEXT -1
#define MW_TC_DROP 2
#define MW_TC_REDIRECT 7

#endif
