/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The interface's; the widths of types are in linux/kernel.h. */
#ifndef MMUN_COMPAT_LINUX_LIMITS_H
#define MMUN_COMPAT_LINUX_LIMITS_H

#include_next <linux/limits.h>

#endif
