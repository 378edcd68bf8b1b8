/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Assertions about held locks: spinlock_t, rwlock_t, struct mutex and struct
 * rw_semaphore, by the calling thread.  The order of locks is left
 * to ThreadSanitizer. */
#ifndef MMUN_COMPAT_LINUX_LOCKDEP_H
#define MMUN_COMPAT_LINUX_LOCKDEP_H

#include <linux/bug.h>
#include <linux/types.h>

struct lock_class_key {
	char unused;
};

struct lockdep_map {
	char unused;
};

struct mmun_compat_lock;
struct mmun_compat_rwlock;
bool mmun_compat_lock_held(const struct mmun_compat_lock *lock);
bool mmun_compat_rwlock_held(const struct mmun_compat_rwlock *lock, bool write);

#define lockdep_is_held(lock) \
	_Generic(&(lock)->mmun, struct mmun_compat_lock * \
		 : mmun_compat_lock_held((const void *)&(lock)->mmun), struct mmun_compat_rwlock * \
		 : mmun_compat_rwlock_held((const void *)&(lock)->mmun, false))
/* For write where @r is 0, for read where it is 1. */
#define lockdep_is_held_type(lock, r) \
	(lockdep_is_held(lock) && \
	 _Generic(&(lock)->mmun, struct mmun_compat_lock * \
		  : true, struct mmun_compat_rwlock * \
		  : mmun_compat_rwlock_held((const void *)&(lock)->mmun, true)) == !(r))
#define lockdep_assert_held(lock) BUG_ON(!lockdep_is_held(lock))
#define lockdep_assert_held_write(lock) \
	BUG_ON(!_Generic(&(lock)->mmun, struct mmun_compat_lock * \
			 : mmun_compat_lock_held((const void *)&(lock)->mmun), \
			   struct mmun_compat_rwlock * \
			 : mmun_compat_rwlock_held((const void *)&(lock)->mmun, true)))
#define lockdep_assert_held_read(lock) lockdep_assert_held(lock)
#define lockdep_assert_not_held(lock) \
	WARN_ON(_Generic(&(lock)->mmun, struct mmun_compat_lock * \
			 : mmun_compat_lock_held((const void *)&(lock)->mmun), \
			   struct mmun_compat_rwlock * \
			 : mmun_compat_rwlock_held((const void *)&(lock)->mmun, true)))
#define lockdep_set_class(lock, key) ((void)(lock), (void)(key))
#define lockdep_register_key(key)    ((void)(key))
#define lockdep_unregister_key(key)  ((void)(key))
#define might_lock(lock)             ((void)(lock))
#define might_lock_read(lock)        ((void)(lock))
#define lockdep_assert_once(cond)    WARN_ON_ONCE(!(cond))
#define lockdep_assert(cond)         WARN_ON(!(cond))

#endif
