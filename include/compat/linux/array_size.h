/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The number of elements. */
#ifndef MMUN_COMPAT_LINUX_ARRAY_SIZE_H
#define MMUN_COMPAT_LINUX_ARRAY_SIZE_H

#include <linux/build_bug.h>

#define ARRAY_SIZE(a) \
	(sizeof(a) / sizeof((a)[0]) + (size_t)BUILD_BUG_ON_ZERO(__same_type((a), &(a)[0])))

#endif
