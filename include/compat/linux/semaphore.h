/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counting semaphores. */
#ifndef MMUN_COMPAT_LINUX_SEMAPHORE_H
#define MMUN_COMPAT_LINUX_SEMAPHORE_H

#include <linux/wait.h>

struct semaphore {
	atomic_t count;
	wait_queue_head_t wait;
};

static inline void sema_init(struct semaphore *sem, int count)
{
	atomic_set(&sem->count, count);
	init_waitqueue_head(&sem->wait);
}

static inline int down_trylock(struct semaphore *sem)
{
	return !atomic_add_unless(&sem->count, -1, 0);
}

static inline void down(struct semaphore *sem)
{
	wait_event(sem->wait, !down_trylock(sem));
}

static inline int down_interruptible(struct semaphore *sem)
{
	return wait_event_interruptible(sem->wait, !down_trylock(sem));
}

static inline void up(struct semaphore *sem)
{
	atomic_inc_return(&sem->count);
	wake_up(&sem->wait);
}

#endif
