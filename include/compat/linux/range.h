/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ranges of physical addresses, the last one included. */
#ifndef MMUN_COMPAT_LINUX_RANGE_H
#define MMUN_COMPAT_LINUX_RANGE_H

#include <linux/types.h>
#include <mmunotify/soft_device.h>

static inline u64 range_len(const struct range *range)
{
	return range->end - range->start + 1;
}

#endif
