/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A counter that runs. */
#ifndef MMUN_COMPAT_LINUX_TIMEX_H
#define MMUN_COMPAT_LINUX_TIMEX_H

#include <linux/ktime.h>

#define get_cycles() ((unsigned long)ktime_get_ns())

#endif
