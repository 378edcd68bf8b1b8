/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Zero bits at either end of a word; of 0 undefined. */
#ifndef MMUN_COMPAT_LINUX_COUNT_ZEROS_H
#define MMUN_COMPAT_LINUX_COUNT_ZEROS_H

static inline int count_leading_zeros(unsigned long x)
{
	return __builtin_clzl(x);
}

static inline int count_trailing_zeros(unsigned long x)
{
	return __builtin_ctzl(x);
}

#endif
