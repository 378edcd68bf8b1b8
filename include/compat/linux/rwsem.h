/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reader-writer semaphores; the thread that took one releases it. */
#ifndef MMUN_COMPAT_LINUX_RWSEM_H
#define MMUN_COMPAT_LINUX_RWSEM_H

#include <linux/kernel.h>
#include <linux/spinlock.h>

struct rw_semaphore {
	struct mmun_compat_rwlock mmun;
};

#define __RWSEM_INITIALIZER(name) \
	{ \
		{ \
			{ 0 }, 0 \
		} \
	}
#define DECLARE_RWSEM(name) struct rw_semaphore name = __RWSEM_INITIALIZER(name)

void mmun_compat_down_read(struct mmun_compat_rwlock *lock);
bool mmun_compat_down_read_trylock(struct mmun_compat_rwlock *lock);
void mmun_compat_up_read(struct mmun_compat_rwlock *lock);
void mmun_compat_down_write(struct mmun_compat_rwlock *lock);
bool mmun_compat_down_write_trylock(struct mmun_compat_rwlock *lock);
void mmun_compat_up_write(struct mmun_compat_rwlock *lock);

#define init_rwsem(sem)                 mmun_compat_rwlock_init(&(sem)->mmun)
#define down_read(sem)                  mmun_compat_down_read(&(sem)->mmun)
#define down_read_nested(sem, subclass) down_read(sem)
#define down_read_killable(sem)         (down_read(sem), 0)
#define down_read_interruptible(sem)    (down_read(sem), 0)
#define down_read_trylock(sem)          mmun_compat_down_read_trylock(&(sem)->mmun)
#define up_read(sem)                    mmun_compat_up_read(&(sem)->mmun)
#define down_write(sem)                 mmun_compat_down_write(&(sem)->mmun)
#define down_write_killable(sem)        (down_write(sem), 0)
#define down_write_trylock(sem)         mmun_compat_down_write_trylock(&(sem)->mmun)
#define up_write(sem)                   mmun_compat_up_write(&(sem)->mmun)

#endif
