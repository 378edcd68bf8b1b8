/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Gets and puts, and what others do before and after the one instruction that counts.
 */
#include "cells.h"

static void (*before_count)(void), (*after_count)(void), (*between_words)(void),
	(*before_walk)(void);

static inline void run_once(void (**what)(void))
{
	void (*now)(void) = *what;

	*what = NULL;
	if (now)
		now();
}

#include "races.h"

/* What a get that looks at all buckets has read of one is its first word. */
static inline void reach(const char *where)
{
	if (!strcmp(where, "bucket"))
		run_once(&between_words);
}

#undef mmun_sched_point
#define mmun_sched_point(where, what) reach(where)

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

/* A section that has seen which table there is. */
static bool walk_table(const struct rc_table *table, unsigned long first, unsigned long last,
		       unsigned long most, void (*visit)(const struct rc_entry *entry, void *arg),
		       void *arg)
{
	run_once(&before_walk);
	return mmun_rc_table_walk(table, first, last, most, visit, arg);
}

#define mmun_rc_table_walk walk_table
#include "../../../rcache/walk.c"
#undef mmun_rc_table_walk
#undef covers

static void start(unsigned long regions)
{
	begin_cache(regions);
	before_count = after_count = between_words = before_walk = NULL;
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

/* Keeps and changes others until the table has been built anew so often. */
static void rebuild(unsigned long times)
{
	const unsigned long until = the_state->count[MMUN_RC_rebuilds] + times;

	for (unsigned long at = B; the_state->count[MMUN_RC_rebuilds] < until; at += SIZE) {
		keep_one(at);
		change(at);
		reap();
	}
}

static void rebuild_twice(void)
{
	rebuild(2);
}

static size_t home(unsigned long address)
{
	const unsigned int shift = 2 * mmun_rc_level(SIZE / MMUN_RC_PAGE);

	return mmun_rc_home(the_state->hot.table, address / MMUN_RC_PAGE, shift);
}

/* Another piece that is looked for in the same bucket as @address, or far from it. */
static unsigned long beside(unsigned long address, bool same)
{
	const size_t size = the_state->hot.table->mask + sizeof(struct rc_bucket);
	unsigned long other = address + SIZE;

	for (;; other += SIZE) {
		const size_t distance = (home(other) - home(address)) % size;

		if (same ? !distance : distance > size / 4 && distance < size / 2)
			return other;
	}
}

/* They are those of two registrations, when the table has gone and come back with others. */
static void test_two_words(void)
{
	struct mmun_registration *reg;
	unsigned long far, same;

	start(64);
	far = beside(A, false);
	same = beside(A, true);
	/* Ids in the other order than buckets: in a new table they stand the other way round. */
	keep_one(far);
	keep_one(same);
	change(far);
	reap();
	keep_one(A);
	between_words = rebuild_twice;
	reg = mmun_rcache_get(the_cache, A, SIZE, MMUN_RCACHE_READ | MMUN_RCACHE_CACHED);
	ok(!between_words, "it was stopped there");
	if (mmun_is_err(reg))
		reg = get(A);
	ok(covers(reg, A), "C3: what a get returns is what the state was looked at for");
	mmun_rcache_put(the_cache, reg);
	finish("two words");
}

static void *rebuild_in_thread(void *arg)
{
	rebuild(1);
	return arg;
}

/* In a section nothing is made, so another thread does it. */
static void rebuild_meanwhile(void)
{
	pthread_join(spawn(rebuild_in_thread, NULL), NULL);
}

static void test_walk(void)
{
	start(64);
	keep_one(A);
	before_walk = rebuild_meanwhile;
	change(A);
	ok(mmun_is_err(get_cached(A)),
	   "C2: also when the table is built anew, what a section covers is gone");
	finish("a walk");
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

/* A hook that was stopped between the flag and what follows from it, until all that was late
 * is gone. */
static void test_left_unusual(void)
{
	if (!PLAIN_CELLS) {
		skip("gets that are unusual for nothing", "all of them are here");
		return;
	}
	start(4);
	keep_one(A);
	mmun_store_full(&the_state->hot.flags, 0);
	mmun_store_full(&the_state->hot.plain_table, NULL);
	mmun_store_full(&the_state->hot.plain_bytes, 0);
	keep_one(A);
	ok(the_state->hot.plain_table && the_state->hot.plain_bytes,
	   "a get that is unusual for nothing is plain again");
	finish("unusual for nothing");
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

/* A signal handler that interrupts the backend forks, and the child goes on. */
static pid_t forked;

static void fork_once(void)
{
	in_register = in_deregister = NULL;
	fflush(stdout);
	forked = fork();
	if (!forked)
		alarm(20);
}

static void fork_and_refuse(void)
{
	fork_once();
	register_error = forked ? 0 : -ENOMEM;
}

/* The child ends, and the parent sees how. */
static void end_of_fork(const char *what)
{
	int status;

	if (!forked)
		_exit(0);
	ok(forked > 0 && waitpid(forked, &status, 0) == forked && exited_well(status),
	   "C6: a fork while the backend %s: the child goes on", what);
}

static void test_fork_inside(void)
{
	struct mmun_registration *reg;

	start(4);
	in_register = fork_once;
	reg = get(A);
	end_of_fork("registers");
	ok(!mmun_is_err(reg), "C6: the parent's get is as always");
	mmun_rcache_put(the_cache, reg);
	in_register = fork_and_refuse;
	reg = get(B);
	end_of_fork("refuses");
	mmun_rcache_put(the_cache, reg);
	change(A);
	change(B);
	in_deregister = fork_once;
	reap();
	end_of_fork("deregisters");
	keep_one(A);
	in_deregister = fork_once;
	mmun_rc_evict(the_cache, SIZE);
	mmun_rc_evict(the_cache, SIZE);
	end_of_fork("makes room");
	finish("forks inside");
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
	test_two_words();
	test_walk();
	test_dead();
	test_use_seen(0);
	test_use_seen(MMUN_RCACHE_CACHED);
	test_put(true);
	test_put(false);
	test_put_meanwhile();
	test_left_unusual();
	test_busy();
	test_fork();
	test_fork_inside();
	test_threads();
	test_vfork();
	return tap_done();
}
