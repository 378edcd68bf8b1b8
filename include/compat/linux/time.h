/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Units, and clocks that count nanoseconds; calendars are not there. */
#ifndef MMUN_COMPAT_LINUX_TIME_H
#define MMUN_COMPAT_LINUX_TIME_H

#include <linux/ktime.h>
#include <linux/timekeeping.h>

#endif
