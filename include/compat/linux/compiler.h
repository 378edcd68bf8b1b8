/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attributes and single accesses.  The markers of address spaces and locks (__user,
 * __rcu, __acquires...) are for the kernel's own checker and mean nothing here. */
#ifndef MMUN_COMPAT_LINUX_COMPILER_H
#define MMUN_COMPAT_LINUX_COMPILER_H

#include <stddef.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define __maybe_unused               __attribute__((unused))
#define __must_check                 __attribute__((warn_unused_result))
#define __packed                     __attribute__((packed))
#define __aligned(x)                 __attribute__((aligned(x)))
#define __printf(fmt, first)         __attribute__((__format__(__printf__, fmt, first)))
#define __weak                       __attribute__((weak))
#define __cold                       __attribute__((cold))
#define __noreturn                   __attribute__((noreturn))
#define __malloc                     __attribute__((malloc))
#define noinline                     __attribute__((noinline))
#define fallthrough                  __attribute__((fallthrough))
#define ____cacheline_aligned        __attribute__((aligned(64)))
#define ____cacheline_aligned_in_smp ____cacheline_aligned
#define __cacheline_aligned          ____cacheline_aligned
#define __cacheline_aligned_in_smp   ____cacheline_aligned
#define __read_mostly
#define __ro_after_init
/* The <linux/stddef.h> of newer systems has it. */
#ifndef __counted_by
#define __counted_by(member)
#endif

#define __user
#define __kernel
#define __iomem
#define __rcu
#define __percpu
#define __force
#define __bitwise
#define __must_hold(lock)
#define __acquires(lock)
#define __releases(lock)
#define __acquire(lock) ((void)0)
#define __release(lock) ((void)0)

#define barrier()         __asm__ volatile("" ::: "memory")
#define unreachable()     __builtin_unreachable()
#define data_race(expr)   (expr)
#define __same_type(a, b) __builtin_types_compatible_p(__typeof__(a), __typeof__(b))

/* Of one word at most, as the kernel's; atomic accesses, so that race detectors
 * see what was meant. */
#define READ_ONCE(x)         __atomic_load_n(&(x), __ATOMIC_RELAXED)
#define WRITE_ONCE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELAXED)

#define MMUN_COMPAT_PASTE_(a, b) a##b
#define MMUN_COMPAT_PASTE(a, b)  MMUN_COMPAT_PASTE_(a, b)
#define __UNIQUE_ID(prefix)      MMUN_COMPAT_PASTE(__unique_##prefix, __COUNTER__)

/* What is outside the subset, but so common that the compiler shall say why. */
#define MMUN_COMPAT_OUTSIDE(reason) __attribute__((error("mmunotify compat: " reason)))

/* typeof is an extension that -std=gnu11 has; the kernel's own spelling. */
#ifndef typeof
#define typeof __typeof__
#endif

#endif
