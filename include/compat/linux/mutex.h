/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Mutexes: they sleep, have an owner and are not recursive; each of that is checked. */
#ifndef MMUN_COMPAT_LINUX_MUTEX_H
#define MMUN_COMPAT_LINUX_MUTEX_H

#include <linux/kernel.h>
#include <linux/spinlock.h>

struct mutex {
	struct mmun_compat_lock mmun;
};

#define __MUTEX_INITIALIZER(name) \
	{ \
		{ \
			{ 0 }, 0 \
		} \
	}
#define DEFINE_MUTEX(name) struct mutex name = __MUTEX_INITIALIZER(name)

void mmun_compat_mutex_lock(struct mmun_compat_lock *lock);
bool mmun_compat_mutex_trylock(struct mmun_compat_lock *lock);
void mmun_compat_mutex_unlock(struct mmun_compat_lock *lock);
int mmun_compat_mutex_lock_interruptible(struct mmun_compat_lock *lock);

#define mutex_init(lock)                  mmun_compat_lock_init(&(lock)->mmun)
#define mutex_destroy(lock)               BUG_ON(READ_ONCE((lock)->mmun.owner))
#define mutex_lock(lock)                  (might_sleep(), mmun_compat_mutex_lock(&(lock)->mmun))
#define mutex_lock_nested(lock, subclass) mutex_lock(lock)
#define mutex_lock_interruptible(lock) \
	(might_sleep(), mmun_compat_mutex_lock_interruptible(&(lock)->mmun))
#define mutex_lock_killable(lock) mutex_lock_interruptible(lock)
#define mutex_trylock(lock)       mmun_compat_mutex_trylock(&(lock)->mmun)
#define mutex_unlock(lock)        mmun_compat_mutex_unlock(&(lock)->mmun)
#define mutex_is_locked(lock)     (READ_ONCE((lock)->mmun.owner) != 0)

#endif
