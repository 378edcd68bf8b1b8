/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters and memory order: atomic_t, atomic64_t, atomic_long_t; cmpxchg and xchg of
 * words.  As in the kernel, what returns a value is a full barrier, the rest is not. */
#ifndef MMUN_COMPAT_LINUX_ATOMIC_H
#define MMUN_COMPAT_LINUX_ATOMIC_H

#include <asm/barrier.h>
#include <linux/types.h>

#define ATOMIC_INIT(i) \
	{ \
		(i) \
	}
#define ATOMIC64_INIT(i) \
	{ \
		(i) \
	}
#define ATOMIC_LONG_INIT(i) \
	{ \
		(i) \
	}

static inline int atomic_read(const atomic_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline int atomic_read_acquire(const atomic_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);
}

static inline void atomic_set(atomic_t *v, int i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_set_release(atomic_t *v, int i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);
}

static inline void atomic_add(int i, atomic_t *v)
{
	__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_sub(int i, atomic_t *v)
{
	__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);
}

static inline int atomic_add_return(int i, atomic_t *v)
{
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline int atomic_sub_return(int i, atomic_t *v)
{
	return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline int atomic_fetch_add(int i, atomic_t *v)
{
	return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline int atomic_xchg(atomic_t *v, int i)
{
	return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline bool atomic_try_cmpxchg(atomic_t *v, int *old, int i)
{
	return __atomic_compare_exchange_n(&v->counter, old, i, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static inline int atomic_cmpxchg(atomic_t *v, int old, int i)
{
	atomic_try_cmpxchg(v, &old, i);
	return old;
}

static inline bool atomic_add_unless(atomic_t *v, int i, int unless)
{
	int old = atomic_read(v);

	while (old != unless) {
		if (atomic_try_cmpxchg(v, &old, old + i))
			return true;
	}
	return false;
}

#define atomic_inc(v)             atomic_add(1, (v))
#define atomic_dec(v)             atomic_sub(1, (v))
#define atomic_inc_return(v)      atomic_add_return(1, (v))
#define atomic_dec_return(v)      atomic_sub_return(1, (v))
#define atomic_fetch_inc(v)       atomic_fetch_add(1, (v))
#define atomic_inc_and_test(v)    (atomic_inc_return(v) == 0)
#define atomic_dec_and_test(v)    (atomic_dec_return(v) == 0)
#define atomic_sub_and_test(i, v) (atomic_sub_return((i), (v)) == 0)
#define atomic_inc_not_zero(v)    atomic_add_unless((v), 1, 0)

/* What it would be, or is, less one: below zero nothing was done. */
static inline int atomic_dec_if_positive(atomic_t *v)
{
	int old = atomic_read(v);

	while (old > 0)
		if (atomic_try_cmpxchg(v, &old, old - 1))
			break;
	return old - 1;
}

static inline s64 atomic64_read(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);
}

static inline s64 atomic64_read_acquire(const atomic64_t *v)
{
	return __atomic_load_n(&v->counter, __ATOMIC_ACQUIRE);
}

static inline void atomic64_set(atomic64_t *v, s64 i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic64_set_release(atomic64_t *v, s64 i)
{
	__atomic_store_n(&v->counter, i, __ATOMIC_RELEASE);
}

static inline void atomic64_add(s64 i, atomic64_t *v)
{
	__atomic_fetch_add(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic64_sub(s64 i, atomic64_t *v)
{
	__atomic_fetch_sub(&v->counter, i, __ATOMIC_RELAXED);
}

static inline s64 atomic64_add_return(s64 i, atomic64_t *v)
{
	return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline s64 atomic64_sub_return(s64 i, atomic64_t *v)
{
	return __atomic_sub_fetch(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline s64 atomic64_fetch_add(s64 i, atomic64_t *v)
{
	return __atomic_fetch_add(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline s64 atomic64_xchg(atomic64_t *v, s64 i)
{
	return __atomic_exchange_n(&v->counter, i, __ATOMIC_SEQ_CST);
}

static inline bool atomic64_try_cmpxchg(atomic64_t *v, s64 *old, s64 i)
{
	return __atomic_compare_exchange_n(&v->counter, old, i, false, __ATOMIC_SEQ_CST,
					   __ATOMIC_SEQ_CST);
}

static inline s64 atomic64_cmpxchg(atomic64_t *v, s64 old, s64 i)
{
	atomic64_try_cmpxchg(v, &old, i);
	return old;
}

static inline bool atomic64_add_unless(atomic64_t *v, s64 i, s64 unless)
{
	s64 old = atomic64_read(v);

	while (old != unless) {
		if (atomic64_try_cmpxchg(v, &old, old + i))
			return true;
	}
	return false;
}

#define atomic64_inc(v)             atomic64_add(1, (v))
#define atomic64_dec(v)             atomic64_sub(1, (v))
#define atomic64_inc_return(v)      atomic64_add_return(1, (v))
#define atomic64_dec_return(v)      atomic64_sub_return(1, (v))
#define atomic64_fetch_inc(v)       atomic64_fetch_add(1, (v))
#define atomic64_inc_and_test(v)    (atomic64_inc_return(v) == 0)
#define atomic64_dec_and_test(v)    (atomic64_dec_return(v) == 0)
#define atomic64_sub_and_test(i, v) (atomic64_sub_return((i), (v)) == 0)
#define atomic64_inc_not_zero(v)    atomic64_add_unless((v), 1, 0)

static inline void atomic_or(int i, atomic_t *v)
{
	__atomic_fetch_or(&v->counter, i, __ATOMIC_RELAXED);
}

static inline void atomic_and(int i, atomic_t *v)
{
	__atomic_fetch_and(&v->counter, i, __ATOMIC_RELAXED);
}

#define atomic_long_read(v)          ((long)atomic64_read(v))
#define atomic_long_set(v, i)        atomic64_set(v, i)
#define atomic_long_add(i, v)        atomic64_add(i, v)
#define atomic_long_sub(i, v)        atomic64_sub(i, v)
#define atomic_long_inc(v)           atomic64_inc(v)
#define atomic_long_dec(v)           atomic64_dec(v)
#define atomic_long_add_return(i, v) ((long)atomic64_add_return(i, v))
#define atomic_long_inc_return(v)    ((long)atomic64_inc_return(v))
#define atomic_long_dec_and_test(v)  atomic64_dec_and_test(v)

#define xchg(ptr, value) __atomic_exchange_n((ptr), (value), __ATOMIC_SEQ_CST)
#define cmpxchg(ptr, old, new) \
	({ \
		__typeof__(*(ptr)) mmun_old = (old); \
		__atomic_compare_exchange_n((ptr), &mmun_old, (new), false, __ATOMIC_SEQ_CST, \
					    __ATOMIC_SEQ_CST); \
		mmun_old; \
	})
#define try_cmpxchg(ptr, old, new) \
	__atomic_compare_exchange_n((ptr), (old), (new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#endif
