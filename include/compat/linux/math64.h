/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 64-bit divisions, plain ones on a 64-bit machine. */
#ifndef MMUN_COMPAT_LINUX_MATH64_H
#define MMUN_COMPAT_LINUX_MATH64_H

#include <linux/math.h>
#include <linux/types.h>

static inline u64 div_u64(u64 dividend, u32 divisor)
{
	return dividend / divisor;
}

static inline u64 div64_u64(u64 dividend, u64 divisor)
{
	return dividend / divisor;
}

static inline u64 div_u64_rem(u64 dividend, u32 divisor, u32 *remainder)
{
	*remainder = (u32)(dividend % divisor);
	return dividend / divisor;
}

#define do_div(n, base) \
	({ \
		u32 mmun_rem = (u32)((n) % (u32)(base)); \
		(n) /= (u32)(base); \
		mmun_rem; \
	})

#endif
