/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Each argument is evaluated once. */
#ifndef MMUN_COMPAT_LINUX_MINMAX_H
#define MMUN_COMPAT_LINUX_MINMAX_H

#include <linux/compiler.h>

#define MMUN_COMPAT_CHOOSE_T(type, a, op, b, x, y) \
	({ \
		type x = (type)(a); \
		type y = (type)(b); \
		x op y ? x : y; \
	})
#define min(a, b) MMUN_COMPAT_CHOOSE_MIX(a, <, b, __UNIQUE_ID(x), __UNIQUE_ID(y))
#define max(a, b) MMUN_COMPAT_CHOOSE_MIX(a, >, b, __UNIQUE_ID(x), __UNIQUE_ID(y))
/* As the kernel's since 6.7: types may differ unless signs do. */
#define MMUN_COMPAT_CHOOSE_MIX(a, op, b, x, y) \
	({ \
		__auto_type x = (a); \
		__auto_type y = (b); \
		x op y ? x : y; \
	})
#define min_t(type, a, b)               MMUN_COMPAT_CHOOSE_T(type, a, <, b, __UNIQUE_ID(x), __UNIQUE_ID(y))
#define max_t(type, a, b)               MMUN_COMPAT_CHOOSE_T(type, a, >, b, __UNIQUE_ID(x), __UNIQUE_ID(y))
#define min3(a, b, c)                   min(min(a, b), c)
#define max3(a, b, c)                   max(max(a, b), c)
#define clamp(value, low, high)         min(max(value, low), high)
#define clamp_t(type, value, low, high) min_t(type, max_t(type, value, low), high)
#define swap(a, b) \
	do { \
		__typeof__(a) mmun_swapped = (a); \
		(a) = (b); \
		(b) = mmun_swapped; \
	} while (0)

#endif
