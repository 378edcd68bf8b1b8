/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Locks of readers and writers: rw_semaphore, rwlock_t, and what a driver does with the mmap lock.
 *
 * I1  A lock knows its writer, a thread the locks that it holds for reading.  Whoever would
 *     wait for itself, now or once a writer comes in between, ends the program before it waits;
 *     so does whoever releases what it does not hold.  A rwlock_t may be read inside a read.
 * I2  No lock is first tried and then waited for: ThreadSanitizer learns the order of locks from
 *     the waiting ones.
 * I3  A thread that reads under more locks than it can remember is believed from then on.
 *
 * Not here: the mmap lock itself, core/mmap_lock.c.
 * Tests: tests/contract/compat/lock.c, misuse.c, order.c.
 */
#include "runtime.h"

#include <linux/mmap_lock.h>
#include <linux/rwsem.h>

_Static_assert(sizeof(pthread_rwlock_t) <= sizeof(((struct mmun_compat_rwlock *)0)->libc),
	       "a reader-writer lock of libc fits");

#define MAX_READ 16

static __thread struct {
	const struct mmun_compat_rwlock *lock;
	unsigned int count;
} reads[MAX_READ];
static __thread unsigned int unlisted;

static pthread_rwlock_t *libc_rwlock(struct mmun_compat_rwlock *lock)
{
	return (pthread_rwlock_t *)lock->libc;
}

static unsigned int find(const struct mmun_compat_rwlock *lock)
{
	unsigned int i = 0;

	while (i < MAX_READ && reads[i].lock != lock)
		i++;
	return i;
}

static bool writes(const struct mmun_compat_rwlock *lock)
{
	return READ_ONCE(lock->writer) == (unsigned long)pthread_self();
}

/* Exactly; see I3. */
static bool reads_surely(const struct mmun_compat_rwlock *lock)
{
	return find(lock) < MAX_READ;
}

void mmun_compat_rwlock_init(struct mmun_compat_rwlock *lock)
{
	unsigned int i = find(lock);

	/* The memory of a lock that was held to its end. */
	if (i < MAX_READ)
		reads[i].lock = NULL;
	*lock = (struct mmun_compat_rwlock){ .writer = 0 };
	pthread_rwlock_init(libc_rwlock(lock), NULL);
}

bool mmun_compat_rwlock_held(const struct mmun_compat_rwlock *lock, bool write)
{
	return writes(lock) || (!write && (unlisted || reads_surely(lock)));
}

static void may_write(const struct mmun_compat_rwlock *lock)
{
	if (writes(lock))
		mmun_compat_broken("a lock is taken twice for writing by one thread");
	if (reads_surely(lock))
		mmun_compat_broken(
			"a lock is taken for writing by a thread that holds it for reading");
}

static void may_read(const struct mmun_compat_rwlock *lock)
{
	if (writes(lock))
		mmun_compat_broken(
			"a lock is taken for reading by a thread that holds it for writing");
}

static void read_taken(const struct mmun_compat_rwlock *lock)
{
	unsigned int i = find(lock);

	if (i == MAX_READ)
		i = find(NULL);
	if (i == MAX_READ) {
		unlisted++;
		return;
	}
	reads[i].lock = lock;
	reads[i].count++;
}

static void read_dropped(const struct mmun_compat_rwlock *lock)
{
	unsigned int i = find(lock);

	if (i < MAX_READ) {
		if (!--reads[i].count)
			reads[i].lock = NULL;
		return;
	}
	if (writes(lock))
		mmun_compat_broken(
			"a lock is released for reading that this thread holds for writing");
	if (!unlisted)
		mmun_compat_broken("a lock is released that this thread does not hold for reading");
	unlisted--;
}

static void write_dropped(struct mmun_compat_rwlock *lock)
{
	if (!writes(lock))
		mmun_compat_broken(
			reads_surely(lock)
				? "a lock is released for writing that this thread holds for reading"
				: "a lock is released that this thread does not hold for writing");
	WRITE_ONCE(lock->writer, 0);
}

static void take_write(struct mmun_compat_rwlock *lock)
{
	may_write(lock);
	pthread_rwlock_wrlock(libc_rwlock(lock));
	WRITE_ONCE(lock->writer, (unsigned long)pthread_self());
}

static void take_read(struct mmun_compat_rwlock *lock)
{
	may_read(lock);
	pthread_rwlock_rdlock(libc_rwlock(lock));
	read_taken(lock);
}

void mmun_compat_down_read(struct mmun_compat_rwlock *lock)
{
	might_sleep();
	if (reads_surely(lock))
		mmun_compat_broken(
			"a semaphore is taken twice for reading by one thread, which would "
			"wait for itself behind a writer");
	take_read(lock);
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
	read_dropped(lock);
	pthread_rwlock_unlock(libc_rwlock(lock));
}

void mmun_compat_down_write(struct mmun_compat_rwlock *lock)
{
	might_sleep();
	take_write(lock);
}

bool mmun_compat_down_write_trylock(struct mmun_compat_rwlock *lock)
{
	if (pthread_rwlock_trywrlock(libc_rwlock(lock)))
		return false;
	WRITE_ONCE(lock->writer, (unsigned long)pthread_self());
	return true;
}

void mmun_compat_up_write(struct mmun_compat_rwlock *lock)
{
	write_dropped(lock);
	pthread_rwlock_unlock(libc_rwlock(lock));
}

void mmun_compat_read_lock(struct mmun_compat_rwlock *lock)
{
	take_read(lock);
	mmun_compat_atomic(1);
}

void mmun_compat_read_unlock(struct mmun_compat_rwlock *lock)
{
	mmun_compat_up_read(lock);
	mmun_compat_atomic(-1);
}

void mmun_compat_write_lock(struct mmun_compat_rwlock *lock)
{
	take_write(lock);
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
	mmap_assert_write_locked(mm);
	BUG_ON(current->downgraded);
	current->downgraded = mm;
}

bool mmun_compat_mmap_write_held(struct mm_struct *mm)
{
	return mmun_mmap_lock_held(mm, true) && current->downgraded != mm;
}

void mmun_compat_mmap_write_unlock(struct mm_struct *mm)
{
	if (current->downgraded == mm)
		mmun_compat_broken("an mmap lock is released for writing that was downgraded");
	(mmap_write_unlock)(mm);
}

void mmun_compat_mmap_read_unlock(struct mm_struct *mm)
{
	struct task_struct *me = current;

	if (me->downgraded != mm) {
		(mmap_read_unlock)(mm);
		return;
	}
	me->downgraded = NULL;
	(mmap_write_unlock)(mm);
}

void mmun_compat_may_fault(const struct mm_struct *mm, const char *what)
{
	might_sleep();
	if (mm && mmun_mmap_lock_held(mm, false))
		mmun_compat_broken(what);
}
