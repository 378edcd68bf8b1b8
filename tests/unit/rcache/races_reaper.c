/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The thread that deregisters, and what dies while it is at it. */
#include <errno.h>

#include "cells.h"

#include "races.h"

static void (*after_reclaim)(void);

static long reclaim_with_others(struct mmun_rcache *of, bool wait)
{
	const long done = mmun_rc_reclaim(of, wait);
	void (*now)(void) = __atomic_exchange_n(&after_reclaim, NULL, __ATOMIC_SEQ_CST);

	if (now)
		now();
	return done;
}

/* How often a thread was asked for; whether there is one. */
static long asked;
static bool no_threads;

static int create_or_not(pthread_t *thread, const pthread_attr_t *attr, void *(*body)(void *),
			 void *arg)
{
	asked++;
	return no_threads ? EAGAIN : pthread_create(thread, attr, body, arg);
}

#define mmun_rc_reclaim reclaim_with_others
#define pthread_create  create_or_not
#include "../../../rcache/reaper.c"
#undef pthread_create
#undef mmun_rc_reclaim

static void start(void)
{
	begin_cache(4);
	the_cache->flags &= ~MMUN_RCACHE_NO_REAPER;
}

static bool deregistered_soon(long nr)
{
	for (int ms = 0; ms < 10000 && mmun_load_full(&deregistered) < nr; ms++)
		usleep(1000);
	return mmun_load_full(&deregistered) >= nr;
}

static void change_other(void)
{
	change(B);
}

static void test_work_meanwhile(void)
{
	start();
	keep_one(A);
	keep_one(B);
	__atomic_store_n(&after_reclaim, change_other, __ATOMIC_SEQ_CST);
	change(A);
	ok(deregistered_soon(2), "C4: what dies while the reaper works is not forgotten");
	finish("work meanwhile");
}

static void test_last_put(void)
{
	struct mmun_registration *reg;

	start();
	reg = get(A);
	keep_one(B);
	change(A);
	change(B);
	ok(deregistered_soon(1), "C4: the reaper deregisters what is not in use");
	is(mmun_load_full(&deregistered), 1, "C3: and not what is");
	mmun_rcache_put(the_cache, reg);
	ok(deregistered_soon(2), "C4: the last put wakes it");
	finish("the last put");
}

/* While it gathers more of the dead. */
static void test_end(void)
{
	for (int i = 0; i < 3; i++) {
		start();
		keep_one(A);
		change(A);
		usleep(1000);
		finish("C9: an end while the reaper gathers");
	}
}

static void miss(unsigned int times)
{
	while (times--) {
		keep_one(A);
		change(A);
	}
}

static void test_no_thread(void)
{
	start();
	asked = 0;
	no_threads = true;
	miss(RETRY + 1);
	is(asked, 1, "a thread that is not to be had is not asked for at each miss");
	ok(deregistered > 0, "gets do its work");
	miss(1);
	is(asked, 2, "later it is asked for again");
	no_threads = false;
	miss(RETRY + 1);
	is(asked, 3, "and once more");
	keep_one(A);
	change(A);
	ok(deregistered_soon(registered), "then it is there");
	finish("no thread");
}

int main(void)
{
	test_work_meanwhile();
	test_last_put();
	test_end();
	test_no_thread();
	return tap_done();
}
