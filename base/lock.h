/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ranked locks over pthread's.  In debug builds (MMUN_DEBUG) each thread keeps
 * a stack of what it holds, and taking a lock out of the order of lock_rank.h,
 * or a second time, aborts with the stacks of lock names.  Otherwise the rank
 * costs nothing, neither time nor space.
 *
 * A zero-filled struct mmun_mutex is a valid one of the innermost rank.
 */
#ifndef MMUN_BASE_LOCK_H
#define MMUN_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "atomic.h"
#include "clock.h"
#include "lock_rank.h"
#include "sched_point.h"
#include "spin.h"

struct mmun_mutex;

#ifdef MMUN_DEBUG
#define MMUN_RANK_FIELD enum mmun_lock_rank rank;
void mmun_lock_check(const void *lock, enum mmun_lock_rank rank);
void mmun_lock_push(const void *lock, enum mmun_lock_rank rank);
void mmun_lock_pop(const void *lock);
void mmun_lock_check_many(const void *lock, enum mmun_lock_rank rank, bool mine,
			  const struct mmun_mutex *outer);
void mmun_lock_push_many(const void *lock, enum mmun_lock_rank rank);
void mmun_lock_pop_many(enum mmun_lock_rank rank);
/* Does the calling thread hold @lock, for reading or writing?  Not for those
 * taken by mmun_rwlock_write_lock_many(): ask mmun_rwlock_mine(). */
bool mmun_lock_held(const void *lock);
/* What the calling thread holds, outermost first, on stderr. */
void mmun_lock_report_held(const char *wants);
#define mmun_lock_set_rank(lock, value) ((lock)->rank = (value))
#define mmun_lock_rank_of(lock)         ((lock)->rank)
#else
#define MMUN_RANK_FIELD
#define mmun_lock_check(lock, rank)                   ((void)0)
#define mmun_lock_push(lock, rank)                    ((void)0)
#define mmun_lock_pop(lock)                           ((void)0)
#define mmun_lock_check_many(lock, rank, mine, outer) ((void)(outer))
#define mmun_lock_push_many(lock, rank)               ((void)0)
#define mmun_lock_pop_many(rank)                      ((void)0)
#define mmun_lock_held(lock)                          true
#define mmun_lock_set_rank(lock, value)               ((void)(value))
#define mmun_lock_rank_of(lock)                       0
#endif

/* To take a lock with one of pthread's functions; under a test's scheduler by trying. */
#ifdef MMUN_SCHED
#define mmun_take(lock, how) \
	do { \
		mmun_sched_point(#how, (lock)); \
		while (pthread_##how##_try(lock)) { \
			if (!mmun_sched_blocked(#how, (lock))) { \
				pthread_##how(lock); \
				break; \
			} \
		} \
	} while (0)
#define pthread_mutex_lock_try    pthread_mutex_trylock
#define pthread_rwlock_wrlock_try pthread_rwlock_trywrlock
#define pthread_rwlock_rdlock_try pthread_rwlock_tryrdlock
#else
#define mmun_take(lock, how) pthread_##how(lock)
#endif

struct mmun_mutex {
	pthread_mutex_t lock;
	MMUN_RANK_FIELD
};

#ifdef MMUN_DEBUG
#define MMUN_MUTEX_INIT(r) \
	{ \
		PTHREAD_MUTEX_INITIALIZER, (r) \
	}
#else
#define MMUN_MUTEX_INIT(r) \
	{ \
		PTHREAD_MUTEX_INITIALIZER \
	}
#endif

static inline void mmun_mutex_init(struct mmun_mutex *m, enum mmun_lock_rank rank)
{
	pthread_mutex_init(&m->lock, NULL);
	mmun_lock_set_rank(m, rank);
}

static inline void mmun_mutex_destroy(struct mmun_mutex *m)
{
	pthread_mutex_destroy(&m->lock);
}

static inline void mmun_mutex_lock(struct mmun_mutex *m)
{
	mmun_lock_check(m, mmun_lock_rank_of(m));
	mmun_take(&m->lock, mutex_lock);
	mmun_lock_push(m, mmun_lock_rank_of(m));
}

static inline bool mmun_mutex_trylock(struct mmun_mutex *m)
{
	if (pthread_mutex_trylock(&m->lock))
		return false;
	mmun_lock_push(m, mmun_lock_rank_of(m));
	return true;
}

/*
 * Until @deadline (clock.h; 0: no limit) at the latest; false: too late.  Tried again and
 * again: many a ThreadSanitizer does not know pthread_mutex_clocklock() and finds fault with
 * the unlock, and the other clock may be set back.
 */
static inline bool mmun_mutex_lock_until(struct mmun_mutex *m, uint64_t deadline)
{
	const struct timespec pause = { .tv_nsec = 100000 };

	mmun_lock_check(m, mmun_lock_rank_of(m));
	if (!deadline) {
		mmun_take(&m->lock, mutex_lock);
	} else {
		while (pthread_mutex_trylock(&m->lock)) {
			if (mmun_is_past(deadline))
				return false;
			mmun_syscall3(SYS_nanosleep, (unsigned long)&pause, 0, 0);
		}
	}
	mmun_lock_push(m, mmun_lock_rank_of(m));
	return true;
}

static inline void mmun_mutex_unlock(struct mmun_mutex *m)
{
	mmun_lock_pop(m);
	pthread_mutex_unlock(&m->lock);
	mmun_sched_point("unlock", m);
}

/* ThreadSanitizer learns the order of locks from those that are waited for, not from attempts:
 * there are none in its builds. */
#if defined(__SANITIZE_THREAD__)
#define MMUN_RWLOCK_SPINS 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MMUN_RWLOCK_SPINS 0
#endif
#endif
#ifndef MMUN_RWLOCK_SPINS
#define MMUN_RWLOCK_SPINS MMUN_SPINS
#endif

#if MMUN_RWLOCK_SPINS
#define mmun_rwlock_spin_until(taken) mmun_spin_until(taken)
#else
#define mmun_rwlock_spin_until(taken) false
#endif

struct mmun_rwlock {
	pthread_rwlock_t lock;
	/* The thread that holds it for writing, 0 when none does; kept in every
	 * build, callers ask mmun_rwlock_mine(). */
	uintptr_t writer;
	/* Readers that spin for it. */
	unsigned int spinning;
	MMUN_RANK_FIELD
};

/*
 * Writers go first: readers that keep coming do not starve a registration.  Nor does
 * a writer that keeps coming starve readers: it lets those in that spin for the lock,
 * for a time (one may not run); a reader that sleeps for it gets it from pthread's unlock.
 */
static inline void mmun_rwlock_init(struct mmun_rwlock *l, enum mmun_lock_rank rank)
{
	pthread_rwlockattr_t attr;

	pthread_rwlockattr_init(&attr);
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&l->lock, &attr);
	pthread_rwlockattr_destroy(&attr);
	l->writer = 0;
	l->spinning = 0;
	mmun_lock_set_rank(l, rank);
}

static inline void mmun_rwlock_destroy(struct mmun_rwlock *l)
{
	pthread_rwlock_destroy(&l->lock);
}

/* Does the calling thread hold it for writing? */
static inline bool mmun_rwlock_mine(const struct mmun_rwlock *l)
{
	return mmun_load_relaxed(&l->writer) == (uintptr_t)pthread_self();
}

static inline void mmun_rwlock_write_taken(struct mmun_rwlock *l)
{
	mmun_store_relaxed(&l->writer, (uintptr_t)pthread_self());
	mmun_lock_push(l, mmun_lock_rank_of(l));
}

static inline void mmun_rwlock_write_lock(struct mmun_rwlock *l)
{
	mmun_lock_check(l, mmun_lock_rank_of(l));
	(void)mmun_spin_until(!mmun_load_relaxed(&l->spinning));
	if (!mmun_rwlock_spin_until(!pthread_rwlock_trywrlock(&l->lock)))
		mmun_take(&l->lock, rwlock_wrlock);
	mmun_rwlock_write_taken(l);
}

static inline bool mmun_rwlock_write_trylock(struct mmun_rwlock *l)
{
	if (pthread_rwlock_trywrlock(&l->lock))
		return false;
	mmun_rwlock_write_taken(l);
	return true;
}

static inline void mmun_rwlock_write_unlock(struct mmun_rwlock *l)
{
	mmun_lock_pop(l);
	mmun_store_relaxed(&l->writer, 0);
	pthread_rwlock_unlock(&l->lock);
	mmun_sched_point("unlock", l);
}

static inline void mmun_rwlock_read_later(struct mmun_rwlock *l)
{
	bool taken;

	(void)mmun_add_full(&l->spinning, 1);
	taken = mmun_rwlock_spin_until(!pthread_rwlock_tryrdlock(&l->lock));
	(void)mmun_sub_full(&l->spinning, 1);
	if (!taken)
		mmun_take(&l->lock, rwlock_rdlock);
}

static inline void mmun_rwlock_read_lock(struct mmun_rwlock *l)
{
	mmun_lock_check(l, mmun_lock_rank_of(l));
	if (!MMUN_RWLOCK_SPINS || pthread_rwlock_tryrdlock(&l->lock))
		mmun_rwlock_read_later(l);
	mmun_lock_push(l, mmun_lock_rank_of(l));
}

static inline bool mmun_rwlock_read_trylock(struct mmun_rwlock *l)
{
	if (pthread_rwlock_tryrdlock(&l->lock))
		return false;
	mmun_lock_push(l, mmun_lock_rank_of(l));
	return true;
}

static inline void mmun_rwlock_read_unlock(struct mmun_rwlock *l)
{
	mmun_lock_pop(l);
	pthread_rwlock_unlock(&l->lock);
	mmun_sched_point("unlock", l);
}

/*
 * Many locks of one rank in one thread, for mm_lock() alone.  Something must
 * order them: ascending addresses, or, with @outer, a mutex that is held
 * whenever more than one of them is taken.  They count as one entry of the thread's
 * stack, so there may be any number.
 */
static inline void mmun_rwlock_write_lock_many(struct mmun_rwlock *l,
					       const struct mmun_mutex *outer)
{
	mmun_lock_check_many(l, mmun_lock_rank_of(l), mmun_rwlock_mine(l), outer);
	mmun_take(&l->lock, rwlock_wrlock);
	mmun_store_relaxed(&l->writer, (uintptr_t)pthread_self());
	mmun_lock_push_many(l, mmun_lock_rank_of(l));
}

static inline void mmun_rwlock_write_unlock_many(struct mmun_rwlock *l)
{
	mmun_lock_pop_many(mmun_lock_rank_of(l));
	mmun_store_relaxed(&l->writer, 0);
	pthread_rwlock_unlock(&l->lock);
	mmun_sched_point("unlock", l);
}

#endif
