/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ends with its scope: __free(), guard() and scoped_guard() for mutexes, spin
 * locks, rw_semaphores, RCU and the mmap lock. */
#ifndef MMUN_COMPAT_LINUX_CLEANUP_H
#define MMUN_COMPAT_LINUX_CLEANUP_H

#include <linux/compiler.h>

#define __cleanup(fn) __attribute__((cleanup(fn)))
#define DEFINE_FREE(name, type, free) \
	static inline __maybe_unused void __free_##name(void *p) \
	{ \
		type _T = *(type *)p; \
		free; \
	}
#define __free(name) __cleanup(__free_##name)
#define no_free_ptr(p) \
	({ \
		__auto_type mmun_kept = (p); \
		(p) = NULL; \
		mmun_kept; \
	})
#define return_ptr(p) return no_free_ptr(p)

#define DEFINE_GUARD(name, type, lock, unlock) \
	typedef type class_##name##_t; \
	static inline __maybe_unused class_##name##_t class_##name##_constructor(type _T) \
	{ \
		lock; \
		return _T; \
	} \
	static inline __maybe_unused void class_##name##_destructor(class_##name##_t *p) \
	{ \
		type _T = *p; \
		if (_T) \
			unlock; \
	}
#define guard(name) \
	class_##name##_t __UNIQUE_ID(guard) \
	__maybe_unused __cleanup(class_##name##_destructor) = class_##name##_constructor
#define MMUN_COMPAT_SCOPED(name, var, args...) \
	for (class_##name##_t var __maybe_unused \
		     __cleanup(class_##name##_destructor) = class_##name##_constructor(args), \
		     *mmun_done = NULL; \
	     !mmun_done; mmun_done = (void *)1)
#define scoped_guard(name, args...) MMUN_COMPAT_SCOPED(name, __UNIQUE_ID(scope), args)

#include <linux/mutex.h>
#include <linux/rwsem.h>

DEFINE_GUARD(mutex, struct mutex *, mutex_lock(_T), mutex_unlock(_T))
DEFINE_GUARD(spinlock, spinlock_t *, spin_lock(_T), spin_unlock(_T))
DEFINE_GUARD(rwsem_read, struct rw_semaphore *, down_read(_T), up_read(_T))
DEFINE_GUARD(rwsem_write, struct rw_semaphore *, down_write(_T), up_write(_T))

#endif
