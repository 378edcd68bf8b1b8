/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A thousand ticks a second, from an arbitrary start. */
#ifndef MMUN_COMPAT_LINUX_JIFFIES_H
#define MMUN_COMPAT_LINUX_JIFFIES_H

#include <linux/types.h>

#define HZ 1000
unsigned long mmun_compat_jiffies(void);
#define jiffies                   mmun_compat_jiffies()
#define get_jiffies_64()          ((u64)jiffies)
#define msecs_to_jiffies(ms)      ((unsigned long)(ms))
#define usecs_to_jiffies(us)      (((unsigned long)(us) + 999) / 1000)
#define nsecs_to_jiffies(ns)      ((unsigned long)((ns) / 1000000))
#define jiffies_to_msecs(j)       ((unsigned int)(j))
#define jiffies_to_usecs(j)       ((unsigned int)(j)*1000u)
#define time_after(a, b)          ((long)((b) - (a)) < 0)
#define time_before(a, b)         time_after(b, a)
#define time_after_eq(a, b)       ((long)((a) - (b)) >= 0)
#define time_before_eq(a, b)      time_after_eq(b, a)
#define time_after64(a, b)        ((s64)((b) - (a)) < 0)
#define time_before64(a, b)       time_after64(b, a)
#define time_is_before_jiffies(a) time_after(jiffies, a)
#define time_is_after_jiffies(a)  time_before(jiffies, a)

#endif
