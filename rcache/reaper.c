/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The thread that deregisters, one for each cache that has made a registration.  It sleeps
 * until something is dead, then a little longer, so that one barrier serves many.  While the
 * cache is used it wakes now and then to show the counters.
 * Tests: tests/contract/rcache/, tests/unit/rcache/.
 */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

#include "cache.h"
#include "clock.h"
#include "futex.h"

#define STACK_SIZE (256ul << 10)
/* Misses before it is asked for again where no thread is to be had. */
#define RETRY 1000u
/* Between the first death and the deregistration; of MMUN_RCACHE_LATE_MS. */
#define GATHER_NS (5 * (long)MMUN_NSEC_PER_MSEC)
#define SHOW_NS   (999 * (long)MMUN_NSEC_PER_MSEC)
/* Times in turn that nothing had changed, before it is not looked any more. */
#define QUIET 16

/* ThreadSanitizer forgets a thread before the C library gives its stack back, which is a change
 * of memory, with callbacks.  There it does not end. */
#if defined(__SANITIZE_THREAD__)
#define STAYS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define STAYS 1
#endif
#endif
#ifndef STAYS
#define STAYS 0
#endif

enum {
	REAPER_NONE,
	REAPER_STARTING,
	REAPER_RUNNING,
	REAPER_ENDED,
};

static unsigned int no_reapers;

void mmun_rc_no_reapers(void)
{
	mmun_store_full(&no_reapers, 1);
}

/* Until there is work; what is counted is shown meanwhile. */
static void wait_for_work(struct mmun_rcache *cache, struct rc_state *state)
{
	unsigned long before = 0, now;
	unsigned int threads, quiet = 0;

	while (!mmun_load_full(&state->work) && !mmun_load_full(&state->reaper_stop)) {
		mmun_rc_show(cache, true);
		now = mmun_rc_hits(state->process, state->hot.slot, &threads) +
		      mmun_load_relaxed(&state->published);
		quiet = now == before ? quiet + 1 : 0;
		before = now;
		if (quiet < QUIET)
			mmun_futex_wait_for(&state->work, 0, SHOW_NS);
		else
			mmun_futex_wait(&state->work, 0);
	}
}

static void *reap(void *arg)
{
	struct mmun_rcache *cache = arg;
	struct rc_state *state = mmun_rc_state(cache);

	mmun_syscall3(SYS_prctl, PR_SET_NAME, (unsigned long)"mmunotify-rc", 0);
	mmun_rc_task.inside = 1;
	mmun_rc_task.stop = &state->reaper_stop;
	for (;;) {
		wait_for_work(cache, state);
		if (mmun_load_full(&state->reaper_stop))
			break;
		if (!mmun_load_full(&state->urgent))
			mmun_futex_wait_for(&state->urgent, 0, GATHER_NS);
		mmun_store_full(&state->work, 0);
		mmun_rc_reclaim(cache, true);
	}
	mmun_store_full(&state->reaper, REAPER_ENDED);
	mmun_futex_wake_all(&state->reaper);
	while (STAYS)
		mmun_syscall3(SYS_pause, 0, 0, 0);
	return NULL;
}

static int create_thread(struct mmun_rcache *cache, pthread_t *thread)
{
	pthread_attr_t attr;
	sigset_t all, saved;
	int ret;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	sigfillset(&all);
	/* Blocked, it would end the process in strict mode. */
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	ret = -pthread_create(thread, &attr, reap, cache);
	/* The program's thread-local variables do not fit into it. */
	if (ret == -EINVAL)
		ret = -pthread_create(thread, NULL, reap, cache);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

void mmun_rc_reaper_start(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned int none = REAPER_NONE, starting = REAPER_STARTING;

	if (mmun_likely(mmun_load_relaxed(&state->reaper) != REAPER_NONE) ||
	    cache->flags & (MMUN_RCACHE_NO_REAPER | MMUN_RCACHE_OWNED) ||
	    mmun_load_relaxed(&no_reapers) ||
	    !mmun_cas_full(&state->reaper, &none, REAPER_STARTING))
		return;
	/* Not to be had: gets and puts do its work, and a later miss tries again. */
	if (mmun_load_relaxed(&state->no_thread)) {
		mmun_rc_add(&state->no_thread, -1u);
		mmun_store_full(&state->reaper, REAPER_NONE);
	} else if (create_thread(cache, &state->reaper_thread)) {
		mmun_store_relaxed(&state->no_thread, RETRY);
		mmun_store_full(&state->reaper, REAPER_NONE);
	} else
		(void)mmun_cas_full(&state->reaper, &starting, REAPER_RUNNING);
}

void mmun_rc_reaper_end(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);

	mmun_store_full(&state->reaper_stop, 1);
	mmun_store_full(&state->work, 1);
	mmun_futex_wake_all(&state->work);
	mmun_store_full(&state->urgent, 1);
	mmun_futex_wake_all(&state->urgent);
}

void mmun_rc_reaper_wait(struct mmun_rcache *cache, uint64_t deadline)
{
	struct rc_state *state = mmun_rc_state(cache);
	unsigned int reaper;

	while ((reaper = mmun_load_full(&state->reaper)) != REAPER_NONE && reaper != REAPER_ENDED &&
	       !mmun_is_past(deadline))
		mmun_futex_wait_for(&state->reaper, reaper,
				    mmun_time_left(deadline, MMUN_NSEC_PER_SEC / 2));
}

void mmun_rc_reaper_stop(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);

	if (mmun_load_full(&state->reaper) == REAPER_NONE)
		return;
	mmun_rc_reaper_end(cache);
	if (STAYS) {
		mmun_rc_reaper_wait(cache, 0);
		pthread_detach(state->reaper_thread);
	} else {
		pthread_join(state->reaper_thread, NULL);
	}
	mmun_store_full(&state->reaper, REAPER_NONE);
	mmun_store_full(&state->reaper_stop, 0);
}
