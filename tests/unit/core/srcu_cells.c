/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * core/srcu_cells.c: what one thread remembers of several domains, what a copy gives back, and
 * the first thread of a process.
 */
#include "descriptor.h"
#include "fake.h"

enum { DOMAINS = MMUN_TASK_HELD + 1 };

static struct srcu_struct domains[DOMAINS];
static struct srcu_slot slots[DOMAINS];

static void init(int i, bool cells)
{
	memset(&slots[i], 0, sizeof(slots[i]));
	mmun_srcu_init(&domains[i], &slots[i], 1);
	if (cells && !mmun_srcu_use_cells(&domains[i]))
		bail_out("no cells");
}

static void forget_everything(void)
{
	memset(mmun_task.cell, 0, sizeof(mmun_task.cell));
	memset(mmun_task.held, 0, sizeof(mmun_task.held));
}

static long open_in(int i)
{
	return (long)mmun_srcu_open_here(&domains[i]);
}

/* In shared slots: as many domains as a thread can have sections open in. */
static void test_many_domains(void)
{
	struct mmun_reader readers[DOMAINS], again;
	long wrong = 0;

	forget_everything();
	for (int i = 0; i < DOMAINS; i++)
		init(i, false);
	for (int i = 0; i < DOMAINS; i++)
		readers[i] = srcu_read_lock(&domains[i]);
	for (int i = 0; i < MMUN_TASK_HELD; i++)
		wrong += open_in(i) != 1;
	is(wrong, 0, "a thread knows its sections in %d domains", MMUN_TASK_HELD);
	is(open_in(MMUN_TASK_HELD), 0, "one more goes unnoticed");
	ok(!mmun_srcu_synchronize_until(&domains[MMUN_TASK_HELD], mmun_now() + 1),
	   "but is waited for");
	again = srcu_read_lock(&domains[0]);
	is(open_in(0), 2, "a second section of one of them is noticed");
	srcu_read_unlock(&domains[0], &again);
	ok(mmun_srcu_open_anywhere(), "it is inside some");
	for (int i = DOMAINS; i--;) {
		wrong += !open_in(0);
		srcu_read_unlock(&domains[i], &readers[i]);
		wrong += open_in(i) != 0;
	}
	is(wrong, 0, "each ends by itself");
	ok(!mmun_srcu_open_anywhere(), "then it is inside none");
	for (int i = 0; i < DOMAINS; i++)
		wrong += !mmun_srcu_synchronize_until(&domains[i], 0);
	is(wrong, 0, "and nothing is waited for");
}

static void test_open_anywhere(bool cells)
{
	struct mmun_reader reader;

	forget_everything();
	init(0, cells);
	ok(!mmun_srcu_open_anywhere(), "no section is open");
	for (unsigned int bank = 0; bank < 2; bank++) {
		mmun_store_full(&domains[0].idx, bank);
		reader = srcu_read_lock(&domains[0]);
		ok(mmun_srcu_open_anywhere(), "one is open somewhere (%s, bank %u)",
		   cells ? "cells" : "slots", bank);
		srcu_read_unlock(&domains[0], &reader);
		ok(!mmun_srcu_open_anywhere(), "and is over");
	}
}

/* Inside a section of one domain a thread enters another one for the first time. */
static void test_two_domains(void)
{
	struct mmun_reader first, second;

	forget_everything();
	init(0, true);
	init(1, true);
	first = srcu_read_lock(&domains[0]);
	second = srcu_read_lock(&domains[1]);
	ok(mmun_srcu_is_cell(&domains[0], first.slot) &&
		   mmun_srcu_is_cell(&domains[1], second.slot),
	   "a thread has a cell in each of two domains");
	ok(domains[0].cells->nr == 1 && domains[1].cells->nr == 1, "one in each");
	ok(open_in(0) == 1 && open_in(1) == 1, "and knows its sections there");
	srcu_read_unlock(&domains[0], &first);
	ok(open_in(0) == 0 && open_in(1) == 1, "the end of one");
	srcu_read_unlock(&domains[1], &second);
	is(open_in(1), 0, "is not that of the other");
	is((long)domains[0].cells->cell[0].closed[0], 1, "a thread counts its own sections itself");
}

/* A thread that found no cell tries again, but not at once. */
static void test_tries_again(void)
{
	struct mmun_reader reader;
	long in_slots = 0;

	forget_everything();
	init(0, true);
	mmun_task.no_cell = 3;
	for (int i = 0; i < 4; i++) {
		reader = srcu_read_lock(&domains[0]);
		in_slots += !mmun_srcu_is_cell(&domains[0], reader.slot);
		srcu_read_unlock(&domains[0], &reader);
	}
	is(in_slots, 3, "after so many sections a thread looks for a cell again");
}

/* What fork has copied. */

static bool is_mapped(const void *address)
{
	unsigned char present;

	return !mincore((void *)((unsigned long)address & ~4095ul), 4096, &present);
}

static void test_drop(void)
{
	struct mmun_reader reader, other;
	const void *cells;

	forget_everything();
	init(0, true);
	init(1, true);
	init(2, false);
	reader = srcu_read_lock(&domains[0]);
	other = srcu_read_lock(&domains[1]);
	srcu_read_unlock(&domains[1], &other);
	cells = domains[0].cells;
	ok(!mmun_srcu_drop_cells(&domains[0]) && domains[0].cells == cells,
	   "inside a section cells are not given back");
	srcu_read_unlock(&domains[0], &reader);
	ok(mmun_srcu_drop_cells(&domains[0]) && !domains[0].cells, "outside they are");
	ok(!is_mapped(cells), "to the kernel");
	ok(!mmun_srcu_open_anywhere(), "nothing remembers them");
	ok(mmun_srcu_drop_cells(&domains[0]), "it has none any more");
	ok(mmun_srcu_drop_cells(&domains[2]), "another one never had any");
	reader = srcu_read_lock(&domains[2]);
	ok(mmun_srcu_drop_cells(&domains[2]), "inside a section neither");
	srcu_read_unlock(&domains[2], &reader);
	other = srcu_read_lock(&domains[1]);
	ok(other.slot == &domains[1].cells->cell[0] && domains[1].cells->nr == 1,
	   "the cell in another domain is the same as before");
	srcu_read_unlock(&domains[1], &other);
	reader = srcu_read_lock(&domains[0]);
	ok(reader.slot == &slots[0], "the one without counts in slots");
	is(open_in(0), 1, "and is known there");
	srcu_read_unlock(&domains[0], &reader);
}

/* A child whose parent's thread has used up what it can remember. */
static void in_full_child(void *arg)
{
	struct mmun_reader reader;

	init(MMUN_TASK_CELLS, true);
	reader = srcu_read_lock(&domains[MMUN_TASK_CELLS]);
	if (!mmun_srcu_is_cell(&domains[MMUN_TASK_CELLS], reader.slot))
		_exit(2);
	srcu_read_unlock(&domains[MMUN_TASK_CELLS], &reader);
}

static void test_full_child(void)
{
	struct mmun_reader reader;
	char text[256];

	forget_everything();
	for (int i = 0; i < MMUN_TASK_CELLS; i++) {
		init(i, true);
		reader = srcu_read_lock(&domains[i]);
		srcu_read_unlock(&domains[i], &reader);
	}
	ok(mmun_task.cell[MMUN_TASK_CELLS - 1].slot, "a thread remembers as many cells as it can");
	is(run_in_child(in_full_child, NULL, text, sizeof(text)), 0,
	   "a forked child remembers none of them");
}

/* The first thread has ended inside a section; others are in the middle of theirs. */

static long may_end;

static void *stay(void *inside)
{
	struct mmun_reader reader = srcu_read_lock(&domains[0]);

	count((long *)inside);
	wait_until_set(&may_end);
	srcu_read_unlock(&domains[0], &reader);
	return NULL;
}

static void *outlive_first(void *arg)
{
	long inside = 0;
	pthread_t thread;

	while (!mmun_thread_is_zombie(getpid()))
		usleep(1000);
	thread = spawn(stay, &inside);
	wait_until_set(&inside);
	if (mmun_srcu_synchronize_until(&domains[0], mmun_now() + 50 * MMUN_NSEC_PER_MSEC))
		_exit(2);
	count(&may_end);
	pthread_join(thread, NULL);
	if (!mmun_srcu_synchronize_until(&domains[0], mmun_now() + 40 * MMUN_NSEC_PER_SEC))
		_exit(3);
	save_coverage();
	_exit(0);
}

static void end_first_inside(void *arg)
{
	forget_everything();
	init(0, true);
	(void)srcu_read_lock(&domains[0]);
	spawn(outlive_first, NULL);
	mmun_syscall3(SYS_exit, 0, 0, 0);
}

static void test_first_thread(void)
{
	unsigned long openings = mmun_descriptors.openings, closings = mmun_descriptors.closings;
	char text[256];

	ok(!mmun_thread_is_zombie(getpid()), "a thread that runs has not ended");
	ok(!mmun_thread_is_zombie(0x3fffffff), "nor has one that there never was");
	ok(mmun_descriptors.openings == openings + 2 && mmun_descriptors.closings == closings + 2,
	   "what was opened to see that is counted, for a fork meanwhile");
	is(run_in_child(end_first_inside, NULL, text, sizeof(text)), 0,
	   "the first thread has ended: its section is over, those of others are not");
}

int main(void)
{
	struct srcu_struct domain;

	mmun_srcu_init(&domain, slots, 1);
	test_many_domains();
	test_open_anywhere(false);
	if (!mmun_srcu_use_cells(&domain)) {
		skip("cells", "no membarrier, or ThreadSanitizer, which does not know it");
		return tap_done();
	}
	test_open_anywhere(true);
	test_two_domains();
	test_tries_again();
	test_drop();
	test_full_child();
	test_first_thread();
	return tap_done();
}
