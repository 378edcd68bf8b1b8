/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes the other way round. */
#ifndef MMUN_COMPAT_LINUX_SWAB_H
#define MMUN_COMPAT_LINUX_SWAB_H

#include_next <linux/swab.h>

#define swab16(x) __swab16(x)
#define swab32(x) __swab32(x)
#define swab64(x) __swab64(x)

#endif
