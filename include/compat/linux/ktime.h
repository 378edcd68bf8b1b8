/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Nanoseconds since an arbitrary start. */
#ifndef MMUN_COMPAT_LINUX_KTIME_H
#define MMUN_COMPAT_LINUX_KTIME_H

#include <linux/types.h>

#define NSEC_PER_USEC 1000l
#define NSEC_PER_MSEC 1000000l
#define NSEC_PER_SEC  1000000000l
#define USEC_PER_SEC  1000000l
#define MSEC_PER_SEC  1000l

typedef s64 ktime_t;

u64 ktime_get_ns(void);
#define ktime_get()          ((ktime_t)ktime_get_ns())
#define ktime_get_raw()      ktime_get()
#define ktime_sub(a, b)      ((a) - (b))
#define ktime_add_ns(a, ns)  ((a) + (s64)(ns))
#define ktime_add_us(a, us)  ((a) + (s64)(us)*1000)
#define ktime_add_ms(a, ms)  ((a) + (s64)(ms)*1000000)
#define ktime_to_ns(t)       (t)
#define ktime_to_us(t)       ((t) / 1000)
#define ktime_to_ms(t)       ((t) / 1000000)
#define ktime_after(a, b)    ((a) > (b))
#define ktime_before(a, b)   ((a) < (b))
#define ktime_us_delta(a, b) ktime_to_us((a) - (b))

#endif
