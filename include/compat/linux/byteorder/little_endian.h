/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See asm/byteorder.h. */
#ifndef MMUN_COMPAT_LINUX_BYTEORDER_LITTLE_ENDIAN_H
#define MMUN_COMPAT_LINUX_BYTEORDER_LITTLE_ENDIAN_H

#include_next <linux/byteorder/little_endian.h>

#endif
