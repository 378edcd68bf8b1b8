/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Fences.  Race detectors follow accesses better than fences: prefer
 * smp_load_acquire() and smp_store_release(). */
#ifndef MMUN_COMPAT_ASM_BARRIER_H
#define MMUN_COMPAT_ASM_BARRIER_H

#include <linux/compiler.h>

#define mb()                        __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define rmb()                       __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define wmb()                       __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_mb()                    mb()
#define smp_rmb()                   rmb()
#define smp_wmb()                   wmb()
#define smp_mb__before_atomic()     mb()
#define smp_mb__after_atomic()      mb()
#define smp_load_acquire(p)         __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define smp_store_release(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define smp_store_mb(var, value)    __atomic_store_n(&(var), (value), __ATOMIC_SEQ_CST)

#endif
