/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Misses: get and put of regions that were never asked for, among others that are cached;
 * and of regions that were dropped for others, at a limit.
 */
#include <errno.h>
#include <sys/mman.h>

#include "rcache_subject.h"
#include "rcache_worker.h"
#include "worker.h"

#define EVICTIONS 20000ul

static struct rcache_area area;
static unsigned long nr_fresh;

static int start(unsigned long limit)
{
	int error = subject_prepare();

	bench_pin(1);
	return error ? error : subject_start(limit);
}

/* Arguments: REGIONS FRESH, those that are cached and those that a batch adds. */
int rcache_miss_setup(char **args)
{
	int error = start(0);

	nr_fresh = bench_number(args, 1, 1000);
	if (!error)
		error = rcache_map(&area, bench_number(args, 0, 1), RCACHE_ALIGNED);
	return error ? error : rcache_fill(&area);
}

/* Figure 0: nanoseconds of one. */
void rcache_miss_batch(double *figures)
{
	struct rcache_area fresh;
	uint64_t begin;

	if (rcache_map(&fresh, nr_fresh, RCACHE_ALIGNED))
		rcache_wrong("no memory");
	begin = bench_now();
	if (rcache_fill(&fresh))
		rcache_wrong("not all were misses");
	figures[0] = (double)(bench_now() - begin) / (double)nr_fresh;
	munmap((void *)fresh.start, nr_fresh * RCACHE_REGION);
	subject_settle();
	/* Where the cache leaves it to the next get. */
	subject_put(subject_get(area.start, RCACHE_REGION));
}

/* Arguments: LIMIT.  Twice as many regions take turns, so that each is gone before its next. */
int rcache_evict_setup(char **args)
{
	unsigned long limit = bench_number(args, 0, 1000);
	int error = start(limit);

	return error ? error : rcache_map(&area, 2 * limit, RCACHE_ALIGNED);
}

/*
 * Figure 0: nanoseconds of one.
 * Figure 1: how many of a hundred were hits.
 * Figure 2: how many were registered at most, per cent of the limit.
 */
void rcache_evict_batch(double *figures)
{
	static unsigned long next;
	unsigned long count = area.regions > EVICTIONS ? area.regions : EVICTIONS;
	unsigned long before = subject_counts.registered;
	unsigned long most = 0, now;
	uint64_t begin = bench_now();

	for (unsigned long i = 0; i < count; i++) {
		void *reg = subject_get(rcache_region(&area, next), RCACHE_REGION);

		if (!reg)
			rcache_wrong("a get failed");
		subject_put(reg);
		next = next + 1 < area.regions ? next + 1 : 0;
		now = subject_counts.registered - subject_counts.deregistered;
		most = now > most ? now : most;
	}
	figures[0] = (double)(bench_now() - begin) / (double)count;
	figures[1] = 100 - 100.0 * (double)(subject_counts.registered - before) / (double)count;
	figures[2] = 200.0 * (double)most / (double)area.regions;
}
