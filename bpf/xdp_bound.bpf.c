// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The XDP programs for a device whose driver keeps VLAN tags beside the frame: they ask it for each frame.
 *
 * An object of its own, because the kernel takes a call of a driver's function, even one that is never reached, only in
 * programs that are loaded for one device.
 */
#define MW_BOUND 1
#include "xdp.bpf.c"
