/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reference counts that saturate: a second free and a revival warn. */
#ifndef MMUN_COMPAT_LINUX_REFCOUNT_H
#define MMUN_COMPAT_LINUX_REFCOUNT_H

#include <linux/atomic.h>
#include <linux/bug.h>

typedef struct {
	atomic_t refs;
} refcount_t;

#define REFCOUNT_INIT(n) \
	{ \
		.refs = ATOMIC_INIT(n) \
	}

static inline void refcount_set(refcount_t *r, int n)
{
	atomic_set(&r->refs, n);
}

static inline unsigned int refcount_read(const refcount_t *r)
{
	return (unsigned int)atomic_read(&r->refs);
}

static inline bool refcount_inc_not_zero(refcount_t *r)
{
	return atomic_inc_not_zero(&r->refs);
}

static inline void refcount_inc(refcount_t *r)
{
	WARN(!refcount_inc_not_zero(r), "refcount_t: an object without references is used\n");
}

static inline void refcount_add(int i, refcount_t *r)
{
	WARN(!atomic_add_unless(&r->refs, i, 0),
	     "refcount_t: an object without references is used\n");
}

static inline bool refcount_sub_and_test(int i, refcount_t *r)
{
	int left = atomic_sub_return(i, &r->refs);

	WARN(left < 0, "refcount_t: more references are dropped than were taken\n");
	return left == 0;
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	return refcount_sub_and_test(1, r);
}

static inline void refcount_dec(refcount_t *r)
{
	WARN(refcount_sub_and_test(1, r), "refcount_t: the last reference leaks\n");
}

#endif
