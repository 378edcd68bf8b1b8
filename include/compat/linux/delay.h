/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sleeping and waiting for a time. */
#ifndef MMUN_COMPAT_LINUX_DELAY_H
#define MMUN_COMPAT_LINUX_DELAY_H

#include <linux/kernel.h>

void msleep(unsigned int ms);
unsigned long msleep_interruptible(unsigned int ms);
void usleep_range(unsigned long min_us, unsigned long max_us);
void udelay(unsigned long us);
#define ndelay(ns) udelay(((ns) + 999) / 1000)
#define mdelay(ms) udelay((ms)*1000ul)
#define fsleep(us) usleep_range(us, 2 * (us))

#endif
