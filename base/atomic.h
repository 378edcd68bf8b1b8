/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Marked accesses to plain variables; the ordering is in the name.
 *
 * Plain types with named accessors, not _Atomic: a plain store to an _Atomic
 * object silently becomes a full barrier, and an unmarked access stays visible
 * to ThreadSanitizer.  There are no stand-alone fences here on purpose: both
 * compilers' ThreadSanitizer misread them, and on the paths that need full
 * ordering a full-barrier read-modify-write costs the same.
 */
#ifndef MMUN_BASE_ATOMIC_H
#define MMUN_BASE_ATOMIC_H

#define mmun_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define mmun_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
/* Takes part in the single order of all full operations. */
#define mmun_load_full(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)

#define mmun_store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define mmun_store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define mmun_store_full(p, v)    __atomic_store_n((p), (v), __ATOMIC_SEQ_CST)

/* Return the new value. */
#define mmun_add_full(p, v)    __atomic_add_fetch((p), (v), __ATOMIC_SEQ_CST)
#define mmun_sub_full(p, v)    __atomic_sub_fetch((p), (v), __ATOMIC_SEQ_CST)
#define mmun_add_relaxed(p, v) __atomic_add_fetch((p), (v), __ATOMIC_RELAXED)

/* Return the old value. */
#define mmun_swap_full(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)

/* On failure *expected is updated; returns whether the swap happened. */
#define mmun_cas_full(p, expected, desired) \
	__atomic_compare_exchange_n((p), (expected), (desired), 0, __ATOMIC_SEQ_CST, \
				    __ATOMIC_SEQ_CST)

#define mmun_likely(x)   __builtin_expect(!!(x), 1)
#define mmun_unlikely(x) __builtin_expect(!!(x), 0)

#define MMUN_CACHE_LINE 64

/* A busy-wait step that says so to the processor. */
static inline void mmun_cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

#endif
