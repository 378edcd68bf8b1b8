/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* When to sweep; why there is a thread is said in reaper.h. */
#include "reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <time.h>

#include "atomic.h"
#include "futex.h"
#include "shared.h"

/* lf_shared.reaper: what the thread does. */
enum {
	ABSENT,
	/* To be started: there is something to do. */
	WANTED,
	/* It will look at every edge without being woken. */
	AWAKE,
	/* To be woken by an edge that matters. */
	IDLE,
	/* To be woken when the history becomes long. */
	RESTING,
};

#define STACK_SIZE (256u * 1024)

/* Without a sweep an entry's number would leave the ring. */
#define BACKLOG (LF_EDGES / 4)

static void (*sweep)(void);

void lf_reaper_news(uint64_t number, unsigned long start, unsigned long end)
{
	struct lf_shared *shared = lf_shared();
	unsigned int state = mmun_load_relaxed(&shared->reaper);

	if (mmun_likely(state == AWAKE || state == WANTED))
		return;
	if (number - mmun_load_relaxed(&shared->swept) <= BACKLOG &&
	    (state == RESTING || start >= mmun_load_relaxed(&shared->highest) ||
	     end <= mmun_load_relaxed(&shared->lowest)))
		return;
	if (mmun_cas_full(&shared->reaper, &state, state == ABSENT ? WANTED : AWAKE) &&
	    state != ABSENT)
		mmun_futex_wake(&shared->reaper, 1);
}

void lf_reaper_watch(unsigned long start, unsigned long end)
{
	struct lf_shared *shared = lf_shared();
	unsigned long old = mmun_load_relaxed(&shared->highest);

	while (old < end && !mmun_cas_full(&shared->highest, &old, end))
		;
	/* 0 is the highest address, as it is in wiped memory. */
	old = mmun_load_relaxed(&shared->lowest);
	while (old - 1 > start - 1 && !mmun_cas_full(&shared->lowest, &old, start))
		;
}

static void *reap(void *arg)
{
	struct lf_shared *shared = arg;

	for (;;) {
		const uint64_t now = lf_history_now(&shared->history);

		mmun_store_full(&shared->reaper, (unsigned int)AWAKE);
		pthread_mutex_lock(&shared->sweeping);
		sweep();
		pthread_mutex_unlock(&shared->sweeping);
		mmun_store_full(&shared->swept, now);
		mmun_store_full(&shared->reaper, (unsigned int)RESTING);
		mmun_futex_wait_for(&shared->reaper, RESTING, LF_REST_MS * 1000000);
		mmun_store_full(&shared->reaper, (unsigned int)IDLE);
		if (lf_history_now(&shared->history) == now)
			mmun_futex_wait(&shared->reaper, IDLE);
	}
	return NULL;
}

/*
 * A fork shall not find libfabric's lock taken by a thread that the child does not have.
 * Not for long: the caller may be a signal handler of a thread that the sweep waits for, or
 * another thread's fork may take its time.
 */
static __thread __attribute__((tls_model("initial-exec"))) bool held_for_fork;

static void before_fork(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += 100000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	held_for_fork = !pthread_mutex_timedlock(&lf_shared()->sweeping, &until);
}

static void after_fork(void)
{
	if (held_for_fork)
		pthread_mutex_unlock(&lf_shared()->sweeping);
}

bool lf_reaper_wanted(void)
{
	return mmun_load_relaxed(&lf_shared()->reaper) == WANTED;
}

void lf_reaper_start(void (*fn)(void))
{
	static bool at_fork;
	struct lf_shared *shared = lf_shared();
	unsigned int wanted = WANTED;
	sigset_t all, saved;
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	if (!mmun_cas_full(&shared->reaper, &wanted, AWAKE))
		return;
	sweep = fn;
	if (!at_fork)
		pthread_atfork(before_fork, after_fork, NULL);
	at_fork = true;
	sigfillset(&all);
	/* Blocked, it would end the process in strict mode. */
	sigdelset(&all, SIGSYS);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	ret = pthread_create(&thread, &attr, reap, shared);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	/* No thread may be had: nobody asks again. */
	if (ret)
		mmun_store_full(&shared->reaper, (unsigned int)AWAKE);
}
