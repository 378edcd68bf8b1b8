/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Arithmetic that says when it overflows; sizes that saturate. */
#ifndef MMUN_COMPAT_LINUX_OVERFLOW_H
#define MMUN_COMPAT_LINUX_OVERFLOW_H

#include <linux/compiler.h>
#include <linux/types.h>

#define check_add_overflow(a, b, result) __builtin_add_overflow(a, b, result)
#define check_sub_overflow(a, b, result) __builtin_sub_overflow(a, b, result)
#define check_mul_overflow(a, b, result) __builtin_mul_overflow(a, b, result)

/* Is the value of @n beyond what the type of @t holds?  @t: a type or an expression. */
#define overflows_type(n, t) \
	({ \
		__typeof__(t) mmun_fitting; \
		__builtin_add_overflow(n, 0, &mmun_fitting); \
	})

static inline size_t size_mul(size_t a, size_t b)
{
	size_t size;

	return check_mul_overflow(a, b, &size) ? SIZE_MAX : size;
}

static inline size_t size_add(size_t a, size_t b)
{
	size_t size;

	return check_add_overflow(a, b, &size) ? SIZE_MAX : size;
}

#define array_size(a, b)                  size_mul(a, b)
#define flex_array_size(p, member, count) size_mul(count, sizeof(*(p)->member))
#define struct_size(p, member, count)     size_add(sizeof(*(p)), flex_array_size(p, member, count))

#endif
