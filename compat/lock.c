/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Locks, and the places where sleeping is forbidden.
 *
 * I1  Inside each lock is one of libc, so that ThreadSanitizer sees its order and what
 *     it protects; a zero-filled one is unlocked, as libc's are.
 * I2  A thread knows how many spin locks, disabled preemptions and forbidden sleeps it
 *     is inside; whatever may sleep asks first, also when it would not sleep today.
 *
 * Not here: RCU sections (rcu.c), which count themselves in by mmun_compat_atomic().
 * Tests: tests/contract/compat/lock.c.
 */
#include "runtime.h"

#include <linux/mmap_lock.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>

_Static_assert(sizeof(pthread_mutex_t) <= sizeof(((struct mmun_compat_lock *)0)->libc),
	       "a mutex of libc fits");
_Static_assert(sizeof(pthread_rwlock_t) <= sizeof(((struct mmun_compat_rwlock *)0)->libc),
	       "a reader-writer lock of libc fits");

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
}

static pthread_mutex_t *libc_mutex(struct mmun_compat_lock *lock)
{
	return (pthread_mutex_t *)lock->libc;
}

static pthread_rwlock_t *libc_rwlock(struct mmun_compat_rwlock *lock)
{
	return (pthread_rwlock_t *)lock->libc;
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

void mmun_compat_mutex_lock(struct mmun_compat_lock *lock)
{
	might_sleep();
	take(lock);
}

/* A signal that comes while it waits does not end the wait. */
int mmun_compat_mutex_lock_interruptible(struct mmun_compat_lock *lock)
{
	might_sleep();
	if (signal_pending(current))
		return -EINTR;
	take(lock);
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

void mmun_compat_rwlock_init(struct mmun_compat_rwlock *lock)
{
	*lock = (struct mmun_compat_rwlock){ .writer = 0 };
	pthread_rwlock_init(libc_rwlock(lock), NULL);
}

bool mmun_compat_rwlock_held(const struct mmun_compat_rwlock *lock, bool write)
{
	return READ_ONCE(lock->writer) == self() || (!write && READ_ONCE(lock->readers) > 0);
}

static void not_mine(const struct mmun_compat_rwlock *lock)
{
	if (mmun_compat_rwlock_held(lock, true))
		mmun_compat_broken("a lock is taken that this thread holds for writing");
}

static void read_taken(struct mmun_compat_rwlock *lock)
{
	__atomic_fetch_add(&lock->readers, 1, __ATOMIC_RELAXED);
}

void mmun_compat_down_read(struct mmun_compat_rwlock *lock)
{
	might_sleep();
	not_mine(lock);
	pthread_rwlock_rdlock(libc_rwlock(lock));
	read_taken(lock);
}

bool mmun_compat_down_read_trylock(struct mmun_compat_rwlock *lock)
{
	if (pthread_rwlock_tryrdlock(libc_rwlock(lock)))
		return false;
	read_taken(lock);
	return true;
}

void mmun_compat_up_read(struct mmun_compat_rwlock *lock)
{
	if (__atomic_fetch_sub(&lock->readers, 1, __ATOMIC_RELAXED) <= 0)
		mmun_compat_broken("a lock is released that nobody holds for reading");
	pthread_rwlock_unlock(libc_rwlock(lock));
}

void mmun_compat_down_write(struct mmun_compat_rwlock *lock)
{
	might_sleep();
	not_mine(lock);
	pthread_rwlock_wrlock(libc_rwlock(lock));
	WRITE_ONCE(lock->writer, self());
}

bool mmun_compat_down_write_trylock(struct mmun_compat_rwlock *lock)
{
	if (pthread_rwlock_trywrlock(libc_rwlock(lock)))
		return false;
	WRITE_ONCE(lock->writer, self());
	return true;
}

void mmun_compat_up_write(struct mmun_compat_rwlock *lock)
{
	if (!mmun_compat_rwlock_held(lock, true))
		mmun_compat_broken("a lock is released that this thread does not hold for writing");
	WRITE_ONCE(lock->writer, 0);
	pthread_rwlock_unlock(libc_rwlock(lock));
}

void mmun_compat_read_lock(struct mmun_compat_rwlock *lock)
{
	not_mine(lock);
	pthread_rwlock_rdlock(libc_rwlock(lock));
	read_taken(lock);
	mmun_compat_atomic(1);
}

void mmun_compat_read_unlock(struct mmun_compat_rwlock *lock)
{
	mmun_compat_up_read(lock);
	mmun_compat_atomic(-1);
}

void mmun_compat_write_lock(struct mmun_compat_rwlock *lock)
{
	not_mine(lock);
	pthread_rwlock_wrlock(libc_rwlock(lock));
	WRITE_ONCE(lock->writer, self());
	mmun_compat_atomic(1);
}

void mmun_compat_write_unlock(struct mmun_compat_rwlock *lock)
{
	mmun_compat_up_write(lock);
	mmun_compat_atomic(-1);
}

/* The mmap lock of a thread that became a reader: it stays the writer inside, since the lock
 * knows no change from one to the other in which no third comes in between. */

void mmun_compat_mmap_write_downgrade(struct mm_struct *mm)
{
	BUG_ON(current->downgraded);
	current->downgraded = mm;
}

void mmun_compat_mmap_read_unlock(struct mm_struct *mm)
{
	struct task_struct *me = current;

	if (me->downgraded != mm) {
		(mmap_read_unlock)(mm);
		return;
	}
	me->downgraded = NULL;
	mmap_write_unlock(mm);
}
