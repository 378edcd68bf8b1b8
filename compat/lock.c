/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Locks of one holder, and the places where sleeping is forbidden.
 *
 * I1  Inside each lock is one of libc, so that ThreadSanitizer sees its order and what
 *     it protects; a zero-filled one is unlocked, as libc's are.
 * I2  A thread knows how many spin locks, disabled preemptions and forbidden sleeps it
 *     is inside; whatever may sleep asks first, also when it would not sleep today.
 *
 * Not here: locks of readers and writers (rwlock.c); RCU sections (rcu.c), which count
 * themselves in by mmun_compat_atomic().
 * Tests: tests/contract/compat/lock.c.
 */
#include "runtime.h"

#include <linux/mutex.h>
#include <mmunotify/soft.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mmun_compat_lock *)0)->libc),
	       "a mutex of libc fits");

void (*mmun_compat_mutex_taken)(void);
static __thread int atomic_depth, non_block_depth;

void mmun_compat_atomic(int change)
{
	atomic_depth += change;
	if (atomic_depth < 0)
		mmun_compat_broken(
			"a spin lock, RCU section or disabled preemption ends that never began");
}

bool mmun_compat_in_atomic(void)
{
	return atomic_depth > 0;
}

void mmun_compat_non_block(int change)
{
	non_block_depth += change;
}

void mmun_compat_might_sleep(const char *file, int line)
{
	if (atomic_depth)
		mmun_compat_bug(
			"may sleep with a spin lock held, preemption disabled or in an RCU section",
			file, line);
	if (non_block_depth)
		mmun_compat_bug("may sleep in a section whose callbacks must not", file, line);
	if (mmun_soft_is_flushing())
		mmun_compat_bug("may sleep in a callback for flushes, under a page table lock",
				file, line);
}

static pthread_mutex_t *libc_mutex(struct mmun_compat_lock *lock)
{
	return (pthread_mutex_t *)lock->libc;
}

static unsigned long self(void)
{
	return (unsigned long)pthread_self();
}

void mmun_compat_lock_init(struct mmun_compat_lock *lock)
{
	*lock = (struct mmun_compat_lock){ .owner = 0 };
	pthread_mutex_init(libc_mutex(lock), NULL);
}

bool mmun_compat_lock_held(const struct mmun_compat_lock *lock)
{
	return READ_ONCE(lock->owner) == self();
}

static void take(struct mmun_compat_lock *lock)
{
	if (mmun_compat_lock_held(lock))
		mmun_compat_broken("a lock is taken twice by one thread");
	pthread_mutex_lock(libc_mutex(lock));
	WRITE_ONCE(lock->owner, self());
}

static bool try_take(struct mmun_compat_lock *lock)
{
	if (pthread_mutex_trylock(libc_mutex(lock)))
		return false;
	WRITE_ONCE(lock->owner, self());
	return true;
}

static void drop(struct mmun_compat_lock *lock)
{
	if (!mmun_compat_lock_held(lock))
		mmun_compat_broken("a lock is released that this thread does not hold");
	WRITE_ONCE(lock->owner, 0);
	pthread_mutex_unlock(libc_mutex(lock));
}

void mmun_compat_spin_lock(struct mmun_compat_lock *lock)
{
	take(lock);
	mmun_compat_atomic(1);
}

bool mmun_compat_spin_trylock(struct mmun_compat_lock *lock)
{
	if (!try_take(lock))
		return false;
	mmun_compat_atomic(1);
	return true;
}

void mmun_compat_spin_unlock(struct mmun_compat_lock *lock)
{
	drop(lock);
	mmun_compat_atomic(-1);
}

static void take_mutex(struct mmun_compat_lock *lock)
{
	take(lock);
	if (mmun_compat_mutex_taken)
		mmun_compat_mutex_taken();
}

void mmun_compat_mutex_lock(struct mmun_compat_lock *lock)
{
	might_sleep();
	take_mutex(lock);
}

/* A signal that comes while it waits does not end the wait. */
int mmun_compat_mutex_lock_interruptible(struct mmun_compat_lock *lock)
{
	might_sleep();
	if (mmun_compat_signal_pending(TASK_INTERRUPTIBLE))
		return -EINTR;
	take_mutex(lock);
	return 0;
}

bool mmun_compat_mutex_trylock(struct mmun_compat_lock *lock)
{
	return try_take(lock);
}

void mmun_compat_mutex_unlock(struct mmun_compat_lock *lock)
{
	drop(lock);
}
