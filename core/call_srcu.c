/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * call_srcu(): one worker thread per process that waits for grace periods on
 * behalf of callers that may not.
 *
 * I1  The thread is made by mmun_srcu_worker_start(), never by loading the
 *     library; processes that register no operations with ->free_notifier, and do not
 *     use mmu_notifier_get(), have none.
 * I2  All signals are blocked in it: the program's handlers run elsewhere.
 * I3  The queue lives in memory that fork wipes: the child starts with an empty
 *     queue, a free lock and no worker, whatever the parent was doing.
 *     srcu_struct.queued_in says in which process's queue a domain is.
 * I4  A domain is queued once however many callbacks it has; entries are served
 *     first come first served, so a barrier that is reached has seen the end of
 *     everything queued before it.
 * I5  Callbacks keep their domain alive; the worker does not touch it after the
 *     last one has run.
 *
 * Tests: tests/unit/core/srcu.c, tests/torture/srcu.c.
 */
#include "call_srcu.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "bug.h"
#include "futex.h"
#include "list.h"
#include "task.h"

#define STACK_SIZE (256ul << 10)

enum worker_state {
	WORKER_NONE = 0,
	WORKER_STARTING,
	WORKER_RUNNING,
};

struct worker {
	/* A futex word. */
	unsigned int state;
	/* Raised by each new entry; a futex word. */
	unsigned int work;

	/* Innermost rank: zero-filled is initialised. */
	struct mmun_mutex lock;
	struct mmun_pending *first, *last;
	/* Of this queue, not of the one that a parent process had. */
	uint64_t epoch;
};

static struct worker *worker;

static struct worker *map_worker(void)
{
	struct worker *mine, *theirs = NULL;
	long ret = mmun_syscall6(SYS_mmap, 0, sizeof(*mine), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, (unsigned long)-1, 0);

	if (ret < 0)
		return NULL;
	mmun_syscall3(SYS_madvise, (unsigned long)ret, sizeof(*mine), MADV_WIPEONFORK);
	mine = (struct worker *)ret;
	if (mmun_cas_full(&worker, &theirs, mine))
		return mine;
	mmun_syscall3(SYS_munmap, (unsigned long)ret, sizeof(*mine), 0);
	return theirs;
}

/* Under the lock. */
static uint64_t epoch_of(struct worker *w)
{
	if (!w->epoch)
		w->epoch = (uint64_t)mmun_syscall3(SYS_getpid, 0, 0, 0) << 32 |
			   (uint32_t)__builtin_ia32_rdtsc() | 1;
	return w->epoch;
}

/* Under the lock. */
static void enqueue(struct worker *w, struct mmun_pending *entry)
{
	entry->next = NULL;
	if (w->first)
		w->last->next = entry;
	else
		w->first = entry;
	w->last = entry;
	mmun_add_full(&w->work, 1);
}

static struct mmun_pending *dequeue(struct worker *w)
{
	struct mmun_pending *entry;
	unsigned int work;

	for (;;) {
		work = mmun_load_full(&w->work);
		mmun_mutex_lock(&w->lock);
		entry = w->first;
		if (entry)
			w->first = entry->next;
		mmun_mutex_unlock(&w->lock);
		if (entry)
			return entry;
		mmun_futex_wait(&w->work, work);
	}
}

static struct mmun_callback *take_callbacks(struct worker *w, struct srcu_struct *ssp)
{
	struct mmun_callback *callbacks;

	mmun_mutex_lock(&w->lock);
	callbacks = ssp->callbacks;
	ssp->callbacks = NULL;
	ssp->queued_in = 0;
	mmun_mutex_unlock(&w->lock);
	return callbacks;
}

static void serve_domain(struct worker *w, struct srcu_struct *ssp)
{
	struct mmun_callback *next, *callback = take_callbacks(w, ssp);

	synchronize_srcu(ssp);
	for (; callback; callback = next) {
		next = callback->next;
		callback->func(callback);
	}
}

static void serve(struct worker *w, struct mmun_pending *entry)
{
	unsigned int *reached = entry->reached;

	if (!reached) {
		serve_domain(w, mmun_container_of(entry, struct srcu_struct, pending));
		return;
	}
	/* The entry is on the waiter's stack: gone as soon as the word is set. */
	mmun_store_full(reached, 1);
	mmun_futex_wake_all(reached);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	mmun_syscall3(SYS_prctl, PR_SET_NAME, (unsigned long)"mmunotify", 0);
	mmun_task.runs_callbacks = true;
	for (;;)
		serve(w, dequeue(w));
	return NULL;
}

static int create_thread(struct worker *w)
{
	pthread_attr_t attr;
	sigset_t all, saved;
	pthread_t thread;
	int ret;

	if (pthread_attr_init(&attr))
		return -ENOMEM;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	/* Refused where thread-local storage needs more; the default is large. */
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	/* libc's: all but its own two signals, without which setuid() would hang. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &saved);
	ret = -pthread_create(&thread, &attr, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
	pthread_attr_destroy(&attr);
	return ret;
}

static void set_state(struct worker *w, enum worker_state state)
{
	mmun_store_full(&w->state, state);
	mmun_futex_wake_all(&w->state);
}

/* The lock is not held while the thread is made: that allocates, and memory
 * operations may end in callbacks that put a notifier. */
int mmun_srcu_worker_start(void)
{
	struct worker *w = mmun_load_acquire(&worker);
	unsigned int state = WORKER_NONE;
	int ret;

	if (!w)
		w = map_worker();
	if (!w)
		return -ENOMEM;
	while (!mmun_cas_full(&w->state, &state, WORKER_STARTING)) {
		if (state == WORKER_RUNNING)
			return 0;
		mmun_futex_wait(&w->state, WORKER_STARTING);
		state = WORKER_NONE;
	}
	ret = create_thread(w);
	set_state(w, ret ? WORKER_NONE : WORKER_RUNNING);
	return ret;
}

void call_srcu(struct srcu_struct *ssp, struct mmun_callback *callback,
	       void (*func)(struct mmun_callback *callback))
{
	struct worker *w = mmun_load_acquire(&worker);

	if (!w)
		w = map_worker();
	if (!w) {
		mmun_report("no memory for the callback queue; an object is never freed");
		return;
	}
	callback->func = func;
	callback->next = NULL;
	mmun_mutex_lock(&w->lock);
	if (ssp->queued_in != epoch_of(w)) {
		ssp->queued_in = w->epoch;
		ssp->callbacks = NULL;
		enqueue(w, &ssp->pending);
	}
	if (ssp->callbacks)
		ssp->last_callback->next = callback;
	else
		ssp->callbacks = callback;
	ssp->last_callback = callback;
	mmun_mutex_unlock(&w->lock);
	if (mmun_load_full(&w->state) == WORKER_RUNNING)
		mmun_futex_wake(&w->work, 1);
	else
		mmun_srcu_worker_start();
}

/* Is there anything that a barrier could wait for? */
static bool worker_idle(struct worker *w)
{
	bool idle;

	mmun_mutex_lock(&w->lock);
	idle = !w->first && mmun_load_full(&w->state) == WORKER_NONE;
	mmun_mutex_unlock(&w->lock);
	return idle;
}

void srcu_barrier(void)
{
	struct worker *w = mmun_load_acquire(&worker);
	unsigned int reached = 0;
	struct mmun_pending barrier = { .reached = &reached };

	if (!w || worker_idle(w) || mmun_srcu_worker_start())
		return;
	mmun_mutex_lock(&w->lock);
	enqueue(w, &barrier);
	mmun_mutex_unlock(&w->lock);
	mmun_futex_wake(&w->work, 1);
	while (!mmun_load_full(&reached))
		mmun_futex_wait(&reached, 0);
}
