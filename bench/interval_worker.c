/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers of an address space of our own making: only the tree and the
 * sequence cost anything.  Intervals are a page each with a page between them,
 * inserted in random order; the objects lie in the order of their addresses.
 *
 * changes COUNT: figure 0: nanoseconds of an insertion, 1: of a removal.
 * sections COUNT THREADS: nanoseconds of a section, start and end, and thread,
 * at a random place of the thread's part; figures 0, 1, 2: touching 0, 1, 16.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

#include "worker.h"

#define PAGE        4096ul
#define STRIDE      (2 * PAGE)
#define MAX_THREADS 2
#define SECTIONS    20000ul
#define CHANGES     2000ul
#define MANY        16ul

const struct bench_mode bench_modes[] = { { .name = NULL } };

struct interval {
	struct mmu_interval_notifier notifier;
	bool dropped;
} __attribute__((aligned(64)));

static struct mm_struct *mm;
static struct interval *intervals;
static unsigned long nr_intervals, nr_threads;

static bool drop(struct mmu_interval_notifier *notifier, const struct mmu_notifier_range *range,
		 unsigned long seq)
{
	(void)range;
	mmu_interval_set_seq(notifier, seq);
	((struct interval *)(void *)notifier)->dropped = true;
	return true;
}

static const struct mmu_interval_notifier_ops ops = { .invalidate = drop };

static const struct mmun_primary_ops primary = { .name = "bench" };

static unsigned long next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int insert(unsigned long i)
{
	return mmu_interval_notifier_insert(&intervals[i].notifier, mm, i * STRIDE, PAGE, &ops);
}

/* A random order of the numbers below @count. */
static unsigned long *shuffled(unsigned long count)
{
	unsigned long *order = calloc(count, sizeof(*order));
	uint64_t random = 88172645463325252ull;

	for (unsigned long i = 0; order && i < count; i++) {
		unsigned long j = next_random(&random) % (i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

/* Arguments: COUNT [THREADS]. */
static int interval_setup(char **args)
{
	const struct mmun_mm_params params = { .ops = &primary };
	unsigned long *order;
	int error = mmun_mm_create(&params, &mm);

	nr_intervals = bench_number(args, 0, 1000);
	nr_threads = bench_number(args, 1, 1);
	if (!nr_threads || nr_threads > MAX_THREADS || nr_intervals < 4 * MANY)
		return -EINVAL;
	order = shuffled(nr_intervals);
	intervals = aligned_alloc(64, nr_intervals * sizeof(*intervals));
	if (!order || !intervals)
		return -ENOMEM;
	memset(intervals, 0, nr_intervals * sizeof(*intervals));
	for (unsigned long i = 0; i < nr_intervals && !error; i++)
		error = insert(order[i]);
	free(order);
	bench_pin(1);
	return error;
}

static void section(unsigned long start, unsigned long end)
{
	struct mmu_notifier_range range = {
		.mm = mm,
		.start = start,
		.end = end,
		.flags = MMUN_RANGE_READ_LOCKED,
	};
	struct mmun_reader reader;

	mmun_mm_read_lock(mm, &reader);
	if (!mmu_notifier_invalidate_range_start_nonblock(&range))
		mmu_notifier_invalidate_range_end(&range);
	mmun_mm_read_unlock(mm, &reader);
}

struct part {
	pthread_t thread;
	unsigned long index, hits;
	double spent;
};

static void *run(void *arg)
{
	struct part *part = arg;
	const unsigned long share = nr_intervals / nr_threads, first = part->index * share;
	uint64_t random = 88172645463325252ull + part->index, start;

	bench_pin((unsigned int)part->index + 1);
	start = bench_now();
	for (unsigned long n = 0; n < SECTIONS; n++) {
		unsigned long at = first + next_random(&random) % (share - MANY);

		if (part->hits)
			section(at * STRIDE, (at + part->hits) * STRIDE);
		else
			section(at * STRIDE + PAGE, (at + 1) * STRIDE);
	}
	part->spent = (double)(bench_now() - start) / SECTIONS;
	return NULL;
}

static double measure(unsigned long hits)
{
	struct part parts[MAX_THREADS];
	double sum = 0;

	for (unsigned long i = 0; i < nr_threads; i++) {
		parts[i] = (struct part){ .index = i, .hits = hits };
		if (pthread_create(&parts[i].thread, NULL, run, &parts[i]))
			abort();
	}
	for (unsigned long i = 0; i < nr_threads; i++) {
		pthread_join(parts[i].thread, NULL);
		sum += parts[i].spent;
	}
	return sum / (double)nr_threads;
}

static void sections_batch(double *figures)
{
	figures[0] = measure(0);
	figures[1] = measure(1);
	figures[2] = measure(MANY);
}

static void changes_batch(double *figures)
{
	static uint64_t random = 88172645463325252ull;
	const unsigned long step = nr_intervals > CHANGES ? nr_intervals / CHANGES : 1;
	const unsigned long count = nr_intervals / step < CHANGES ? nr_intervals / step : CHANGES;
	unsigned long *order = shuffled(count), offset = next_random(&random) % step;
	uint64_t start;

	if (!order)
		return;
	start = bench_now();
	for (unsigned long i = 0; i < count; i++)
		mmu_interval_notifier_remove(&intervals[order[i] * step + offset].notifier);
	figures[1] = (double)(bench_now() - start) / (double)count;
	start = bench_now();
	for (unsigned long i = 0; i < count; i++)
		if (insert(order[i] * step + offset))
			abort();
	figures[0] = (double)(bench_now() - start) / (double)count;
	free(order);
}

const struct bench_workload bench_workloads[] = {
	{ .name = "sections", .setup = interval_setup, .batch = sections_batch },
	{ .name = "changes", .setup = interval_setup, .batch = changes_batch },
	{ .name = NULL },
};
