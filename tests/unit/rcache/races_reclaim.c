/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Registrations are deregistered, and others use them at that moment.
 *
 * What a processor has stored and others do not see yet is stored here when the barrier in all
 * threads is made.  Between two loads of a sum any number of uses may begin and end.
 */
#include "atomic.h"

static void (*at_barrier)(void), (*at_load)(void);

static inline void may_be_interrupted(void)
{
	if (at_load)
		at_load();
}

#undef mmun_load_full
#define mmun_load_full(p) (may_be_interrupted(), __atomic_load_n((p), __ATOMIC_SEQ_CST))

#include "cells.h"

#include "races.h"

static void barrier_of_all(char *page)
{
	if (at_barrier)
		at_barrier();
	mmun_rc_barrier(page);
}

#define mmun_rc_barrier barrier_of_all
#include "../../../rcache/reclaim.c"
#undef mmun_rc_barrier

static struct rc_cell *cell;

/* The first registration of a cache has the id 0. */
static void start(void)
{
	begin_cache(4);
	at_barrier = at_load = NULL;
	keep_one(A);
	in_use = mmun_rc_region(&the_state->hot, 0);
	cell = &mmun_rc_task.thread->cells[the_state->hot.slot]->cell[0];
}

/* Of a get that looked at the state before it was ended. */
static void begin_use(void)
{
	at_barrier = NULL;
	cell->begun++;
}

static void end_use(void)
{
	in_use = NULL;
	cell->ended++;
	mmun_rc_unused(the_cache, 0);
}

static void test_reclaim(void)
{
	start();
	at_barrier = begin_use;
	change(A);
	mmun_rcache_progress(the_cache);
	is(deregistered, 0, "C3: a use that was in a store buffer is seen behind the barrier");
	mmun_store_full(&the_state->work, 0);
	end_use();
	ok(mmun_load_full(&the_state->work), "C4: when it ends, the dead are to be looked at");
	mmun_rcache_progress(the_cache);
	is(deregistered, 1, "C4: then it is deregistered");
	finish("a change of memory");
}

static void test_evict(void)
{
	start();
	at_barrier = begin_use;
	mmun_rc_evict(the_cache, SIZE);
	mmun_rc_evict(the_cache, SIZE);
	ok(!at_barrier && deregistered == 0,
	   "C3: what is chosen to be dropped is looked at again behind the barrier");
	end_use();
	mmun_rcache_progress(the_cache);
	is(deregistered, 1, "C4: later it is deregistered");
	finish("an eviction");
}

static void test_evict_range(void)
{
	start();
	at_barrier = begin_use;
	mmun_rc_evict_range(the_cache, A, A + SIZE);
	is(deregistered, 0, "C3: also what is dropped for its range");
	end_use();
	mmun_rcache_progress(the_cache);
	is(deregistered, 1, "C4: later it is deregistered, too");
	finish("an eviction of a range");
}

/* A second thread's cells, in which a get fails at the load of that number. */
static struct rc_thread other;
static long loads;

static void fail_a_get(void)
{
	struct rc_cell *others = &other.cells[the_state->hot.slot]->cell[0];

	if (--loads)
		return;
	others->begun++;
	others->ended++;
}

/* Both orders of the two threads. */
static void test_sum(bool first)
{
	struct rc_process *process = the_state->process;
	struct rc_thread *own = process->threads;
	bool too_few = false;

	other.cells[the_state->hot.slot] = mmun_rc_map(mmun_rc_cells_size(4), 0);
	if (first) {
		other.next = own;
		process->threads = &other;
	} else {
		struct rc_thread *last = own;

		while (last->next)
			last = last->next;
		other.next = NULL;
		last->next = &other;
	}
	cell->begun++;
	for (long nr = 1; nr < 12; nr++) {
		struct rc_cell sum;

		loads = nr;
		at_load = fail_a_get;
		sum = mmun_rc_sum(process, the_state->hot.slot, 0, the_state->spare);
		at_load = NULL;
		too_few |= (int32_t)(sum.begun - sum.ended) < 1;
	}
	cell->ended++;
	ok(!too_few, "C3: a use that begins and ends while uses are added up hides no other (%d)",
	   first);
	if (first) {
		process->threads = own;
	} else {
		struct rc_thread *last = own;

		while (last->next != &other)
			last = last->next;
		last->next = NULL;
	}
	mmun_free_pages(other.cells[the_state->hot.slot], mmun_rc_cells_size(4));
}

/* Two who end the same one. */
static void test_kill(void)
{
	const uint32_t word = mmun_load_full(&the_state->hot.state[0]);

	ok(mmun_rc_kill(the_cache, 0, word), "C4: one of two ends it");
	ok(!mmun_rc_kill(the_cache, 0, word), "C4: the other does not");
	mmun_rc_bury(the_cache, 0);
	in_use = NULL;
	mmun_rcache_progress(the_cache);
	is(deregistered, 1, "C4: it is deregistered once");
}

/* A flush while another thread deregisters. */

static long in_backend, flushed, deregistered_whole;

static void deregister_slowly(void)
{
	mmun_store_full(&in_backend, 1);
	for (int i = 0; i < 1000 && !mmun_load_full(&flushed); i++)
		usleep(100);
	count(&deregistered_whole);
}

static void *make_progress(void *arg)
{
	mmun_rcache_progress(the_cache);
	return NULL;
}

static void test_flush_waits(void)
{
	pthread_t thread;

	begin_cache(4);
	keep_one(A);
	in_deregister = deregister_slowly;
	mmun_rcache_invalidate(the_cache, A, A + SIZE);
	thread = spawn(make_progress, NULL);
	wait_until_set(&in_backend);
	is(mmun_rcache_flush(the_cache), 0, "C4: a flush: nothing is in use");
	is(mmun_load_full(&deregistered_whole), 1, "C4: nor still being deregistered by others");
	mmun_store_full(&flushed, 1);
	pthread_join(thread, NULL);
	in_deregister = NULL;
	finish("flush");
}

int main(void)
{
	if (!PLAIN_CELLS)
		skip_all("cells change by locked instructions here");
	test_reclaim();
	test_evict();
	test_evict_range();
	test_flush_waits();
	start();
	test_sum(true);
	test_sum(false);
	test_kill();
	finish("sums");
	return tap_done();
}
