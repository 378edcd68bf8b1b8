/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A machine with a few address spaces for the tests of secondary MMUs.  Each access
 * through a stale translation is counted: machine_done() says that there was none.
 */
#ifndef MMUN_TESTS_SECONDARY_MACHINE_H
#define MMUN_TESTS_SECONDARY_MACHINE_H

#include <errno.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mmunotify/soft.h>

#include "../../tap.h"
#include "alloc.h"
#include "atomic.h"

#define PAGE   MMUN_SOFT_PAGE_SIZE
#define UNUSED __attribute__((unused))

static struct mmun_soft *machine;
static long violations;

static UNUSED void violation(const struct mmun_soft_violation *what, void *arg)
{
	(void)mmun_add_full(&violations, 1);
}

static UNUSED void machine_begin(void)
{
	const struct mmun_soft_params params = { .memory = 16ul << 20,
						 .swap = 16ul << 20,
						 .violation = violation };

	mmun_store_full(&violations, 0);
	if (mmun_soft_create(&params, &machine))
		bail_out("no machine");
}

static UNUSED void machine_done(const char *what)
{
	is(mmun_load_full(&violations), 0, "%s: no access through a stale translation", what);
	is(mmun_soft_destroy(machine), 0, "%s: nothing is left of the machine", what);
}

static UNUSED struct mm_struct *new_mm(void)
{
	struct mm_struct *mm;

	if (mmun_soft_mm_create(machine, &mm))
		bail_out("no address space");
	return mm;
}

static UNUSED struct mm_struct *fork_mm(struct mm_struct *mm)
{
	struct mm_struct *child;

	if (mmun_soft_mm_fork(mm, &child))
		bail_out("no fork");
	return child;
}

static UNUSED struct file *new_file(enum mmun_soft_file_kind kind, unsigned long pages)
{
	struct file *file;

	if (mmun_soft_file_create(machine, "file", kind, pages * PAGE, &file))
		bail_out("no file");
	return file;
}

static UNUSED unsigned long map_at(struct mm_struct *mm, unsigned long address, unsigned long pages,
				   int flags, struct file *file)
{
	mmun_soft_address at = mmun_soft_mmap(mm, address, pages * PAGE, PROT_READ | PROT_WRITE,
					      flags | (file ? 0 : MAP_ANONYMOUS), file, 0);

	if (mmun_soft_is_error(at))
		bail_out("no mapping");
	return at;
}

static UNUSED unsigned long map(struct mm_struct *mm, unsigned long pages)
{
	return map_at(mm, 0, pages, MAP_PRIVATE, NULL);
}

static UNUSED void put(struct mm_struct *mm, unsigned long address, long value)
{
	if (mmun_soft_write(mm, address, &value, sizeof(value), NULL))
		bail_out("a task cannot write its memory");
}

static UNUSED long get(struct mm_struct *mm, unsigned long address)
{
	long value = -1;

	if (mmun_soft_read(mm, address, &value, sizeof(value), NULL))
		return -1;
	return value;
}

/* A section opened by hand, as some operation of another thread would. */
static UNUSED void section_open(struct mmu_notifier_range *range, struct mm_struct *mm,
				unsigned long start, unsigned long end)
{
	*range = (struct mmu_notifier_range){
		.mm = mm, .start = start, .end = end, .event = MMU_NOTIFY_CLEAR
	};
	if (mmu_notifier_invalidate_range_start(range))
		bail_out("a section that may sleep was refused");
}

static UNUSED pthread_t spawn(void *(*fn)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, fn, arg))
		bail_out("no thread");
	return thread;
}

/* For showing that something waits: a wrong one is caught with high probability, a
 * right one never fails. */
static UNUSED void let_others_run(void)
{
	for (int i = 0; i < 50; i++) {
		sched_yield();
		usleep(100);
	}
}

static UNUSED void wait_until_set(long *flag)
{
	while (!mmun_load_full(flag))
		usleep(100);
}

/* How often the others of a torture have gone round. */
static long rounds_of_others;

static UNUSED void others_begin(void)
{
	mmun_store_full(&rounds_of_others, 0);
}

static UNUSED bool others_done(long rounds)
{
	return mmun_load_full(&rounds_of_others) >= rounds;
}

static UNUSED void another_round(void)
{
	(void)mmun_add_full(&rounds_of_others, 1);
}

/* A hook that runs once, in whichever thread comes first. */
static UNUSED void once(void (**hook)(void))
{
	void (*now)(void) = mmun_swap_full(hook, NULL);

	if (now)
		now();
}

/* The nth allocation of the device from now on fails; 0: none. */
static long fail_countdown;

static UNUSED bool fail_nth(size_t size)
{
	return mmun_load_full(&fail_countdown) && mmun_sub_full(&fail_countdown, 1) == 0;
}

static UNUSED void fail_allocation(long nth)
{
	mmun_store_full(&fail_countdown, nth);
	mmun_alloc_fail = nth ? fail_nth : NULL;
}

#endif
