/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gets and puts, and what others do before and after the one instruction that counts.
 */
#include "cells.h"

static void (*before_count)(void), (*after_count)(void);

static inline void run_once(void (**what)(void))
{
	void (*now)(void) = *what;

	*what = NULL;
	if (now)
		now();
}

#include "races.h"

static inline void count_use(uint32_t *count_of, bool fenced)
{
	run_once(&before_count);
	mmun_rc_count(count_of, fenced);
	run_once(&after_count);
}

#define covers        bucket_covers
#define mmun_rc_count count_use
#include "../../../rcache/rcache.c"
#undef mmun_rc_count
#undef covers

static void start(unsigned long regions)
{
	begin_cache(regions);
	before_count = after_count = NULL;
}

/* The thread that deregisters; it forgets that there is anything to do, and sleeps. */
static void reap(void)
{
	mmun_store_full(&the_state->work, 0);
	mmun_rcache_progress(the_cache);
}

static void change_and_reap(void)
{
	change(A);
	reap();
}

static void replace(void)
{
	change_and_reap();
	keep_one(B);
}

static void test_other_generation(void)
{
	struct mmun_registration *reg;

	start(1);
	keep_one(A);
	before_count = replace;
	reg = get(A);
	ok(covers(reg, A), "C3: a get whose registration has become another one is given its own");
	mmun_rcache_put(the_cache, reg);
	finish("another generation");
}

static void test_dead(void)
{
	struct mmun_registration *reg;

	start(4);
	keep_one(A);
	before_count = change_and_reap;
	reg = get(A);
	ok(mmun_rcache_is_current(the_cache, reg) && registered == 2,
	   "C2: a get whose registration has been ended meanwhile is given a new one");
	mmun_rcache_put(the_cache, reg);
	finish("a dead one");
}

/* By the fast get, and by the one that looks everywhere. */
static void test_use_seen(unsigned int access)
{
	struct mmun_registration *reg;

	start(4);
	keep_one(A);
	after_count = change_and_reap;
	reg = mmun_rcache_get(the_cache, A, SIZE, MMUN_RCACHE_READ | access);
	is(deregistered, 0, "C3: what a get has counted is not deregistered");
	ok(mmun_load_full(&the_state->work), "C4: a get that takes its use back looks at the dead");
	if (!mmun_is_err(reg))
		mmun_rcache_put(the_cache, reg);
	reap();
	is(deregistered, 1, "C4: which is deregistered then");
	finish("a use that was taken back");
}

static void test_put(bool fast)
{
	struct mmun_registration *reg;

	start(4);
	reg = get(A);
	in_use = reg;
	change_and_reap();
	in_use = NULL;
	if (!fast)
		mmun_store_full(&the_state->hot.flags, MMUN_RC_LATE);
	mmun_rc_set_plain(the_cache);
	mmun_store_full(&the_state->work, 0);
	mmun_rcache_put(the_cache, reg);
	ok(mmun_load_full(&the_state->work) || deregistered,
	   "C4: the last put of a dead one looks at it");
	reap();
	is(deregistered, 1, "C4: and it is deregistered");
	finish(fast ? "a put" : "a put that may do more");
}

static void change_and_reap_used(void)
{
	change_and_reap();
	in_use = NULL;
}

static void test_put_meanwhile(void)
{
	struct mmun_registration *reg;

	start(4);
	reg = get(A);
	in_use = reg;
	before_count = change_and_reap_used;
	mmun_rcache_put(the_cache, reg);
	ok(mmun_load_full(&the_state->work), "C4: a put looks at the state behind the count");
	reap();
	is(deregistered, 1, "C4: so that nothing is forgotten");
	finish("a put meanwhile");
}

static void test_busy(void)
{
	struct mmun_registration *reg;

	start(4);
	keep_one(B);
	in_use = reg = get(A);
	is(mmun_rcache_destroy(the_cache), -EBUSY, "C9: a cache is not destroyed while it is used");
	ok(mmun_ptr_err(get(B)) == -ESRCH, "C9: but nothing is to be had any more");
	in_use = NULL;
	mmun_rcache_put(the_cache, reg);
	finish("a cache in use");
}

/* In the child there is nothing, and what the parent holds is none of its own. */
static void in_child(void *arg)
{
	struct mmun_registration *reg = arg;

	if (!mmun_is_err(get_cached(A)))
		_exit(1);
	mmun_rcache_put(the_cache, reg);
	if (mmun_load_full(&the_state->hot.bytes) || deregistered)
		_exit(2);
}

static void test_fork(void)
{
	struct mmun_registration *reg;
	char text[512];

	start(4);
	reg = get(A);
	ok(exited_well(run_in_child(in_child, reg, text, sizeof(text))),
	   "C6: a forked child finds nothing, and its put is of nothing");
	ok(mmun_rcache_is_current(the_cache, reg), "C6: the parent's are as they were");
	mmun_rcache_put(the_cache, reg);
	finish("a fork");
}

/* A thread that gets, and then waits for its end or ends at once. */
static struct mmun_registration *of_thread;
static struct rc_thread *cells_of_thread;
static long may_end, has_got;

static void *get_and_wait(void *arg)
{
	of_thread = get(A);
	cells_of_thread = mmun_rc_task.thread;
	count(&has_got);
	wait_until_set(&may_end);
	return NULL;
}

static void *get_other(void *arg)
{
	keep_one(B);
	return mmun_rc_task.thread;
}

static void test_threads(void)
{
	pthread_t thread;
	void *second, *third;

	start(4);
	has_got = may_end = 0;
	thread = spawn(get_and_wait, NULL);
	wait_until_set(&has_got);
	pthread_join(spawn(get_other, NULL), &second);
	ok(second != cells_of_thread && second != mmun_rc_task.thread && cells_of_thread != second,
	   "C5: not those of one that lives: each thread has cells of its own");
	count(&may_end);
	pthread_join(thread, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(spawn(get_other, NULL), &third);
	ok(third == cells_of_thread || third == second,
	   "C5: those of threads that are gone are used");
	in_use = of_thread;
	change(A);
	reap();
	is(deregistered, 0, "C5: what a thread has left in use stays in use");
	in_use = NULL;
	mmun_rcache_put(the_cache, of_thread);
	reap();
	is(deregistered, 1, "C5: until another one puts it");
	finish("threads");
}

/* It shares the storage of the thread that made it. */
static __attribute__((noinline)) void *in_vfork(void *arg)
{
	struct rc_thread *volatile before = mmun_rc_task.thread;
	const pid_t pid = vfork();

	if (!pid) {
		struct mmun_registration *reg = get(A);

		if (!mmun_is_err(reg))
			mmun_rcache_put(the_cache, reg);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return mmun_rc_task.thread == before ? the_cache : NULL;
}

static void test_vfork(void)
{
	void *as_before;

	start(4);
	keep_one(A);
	pthread_join(spawn(in_vfork, NULL), &as_before);
	ok(as_before, "C5: a child of vfork() has no cells, and leaves none behind");
	finish("a vfork");
}

int main(void)
{
	test_other_generation();
	test_dead();
	test_use_seen(0);
	test_use_seen(MMUN_RCACHE_CACHED);
	test_put(true);
	test_put(false);
	test_put_meanwhile();
	test_busy();
	test_fork();
	test_threads();
	test_vfork();
	return tap_done();
}
