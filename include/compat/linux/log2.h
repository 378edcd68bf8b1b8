/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Powers of two. */
#ifndef MMUN_COMPAT_LINUX_LOG2_H
#define MMUN_COMPAT_LINUX_LOG2_H

#include <linux/bitops.h>

#define ilog2(n) (fls64((u64)(n)) - 1)

static inline bool is_power_of_2(unsigned long n)
{
	return n && !(n & (n - 1));
}

static inline unsigned long roundup_pow_of_two(unsigned long n)
{
	return 1ul << fls_long(n - 1);
}

static inline unsigned long rounddown_pow_of_two(unsigned long n)
{
	return 1ul << (fls_long(n) - 1);
}

static inline int order_base_2(unsigned long n)
{
	return n > 1 ? (int)fls_long(n - 1) : 0;
}

/* Bits that it takes to write @n: one for 0. */
#define bits_per(n) ((n) < 2 ? 1 : ilog2(n) + 1)

#endif
