/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Hits: get and put of a region chosen at random, in one thread or in two that run at
 * the same time on two processors; and the first hit after memory that is none of the
 * cache's was unmapped.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "rcache_subject.h"
#include "rcache_worker.h"
#include "worker.h"

#define BATCH_NS 20000000.0
#define FIRST_K  10000ul
/* What is asked for: a part in the middle of each region, or all of it. */
#define OFFSET 64ul
#define LENGTH 2048ul

struct hitter {
	unsigned long index, failed;
	uint64_t random;
	double hit, loop;
} __attribute__((aligned(128)));

static struct rcache_area area;
static unsigned long nr_threads, nr_hits = FIRST_K;
static bool same, whole;
static struct hitter hitters[2];
static pthread_barrier_t barrier;

static inline unsigned long choose(struct hitter *self)
{
	unsigned long i = rcache_pick(&self->random, area.regions);

	return same ? i : (i & ~1ul) | self->index;
}

static inline bool hit(unsigned long i)
{
	unsigned long at = rcache_region(&area, i) + (whole ? 0 : OFFSET);
	void *reg = subject_get(at, whole ? rcache_size(&area, i) : LENGTH);

	if (!reg)
		return false;
	subject_put(reg);
	return true;
}

static double time_hits(struct hitter *self, unsigned long count)
{
	uint64_t start = bench_now();

	for (unsigned long i = 0; i < count; i++)
		self->failed += !hit(choose(self));
	return (double)(bench_now() - start) / (double)count;
}

/* The same, without the cache. */
static double time_loop(struct hitter *self, unsigned long count)
{
	uint64_t start = bench_now();

	for (unsigned long i = 0; i < count; i++) {
		unsigned long n = choose(self);
		unsigned long at = rcache_region(&area, n) + (whole ? 0 : OFFSET);

		__asm__ volatile("" : : "r"(at), "r"(whole ? rcache_size(&area, n) : LENGTH));
	}
	return (double)(bench_now() - start) / (double)count;
}

static void measure(struct hitter *self)
{
	self->loop = time_loop(self, nr_hits);
	if (nr_threads > 1)
		pthread_barrier_wait(&barrier);
	self->hit = time_hits(self, nr_hits);
}

static void *hit_thread(void *arg)
{
	struct hitter *self = arg;

	bench_pin((unsigned int)self->index);
	for (;;) {
		pthread_barrier_wait(&barrier);
		measure(self);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static int start_threads(void)
{
	pthread_barrier_init(&barrier, NULL, 2);
	for (unsigned long i = 1; i < nr_threads; i++) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, hit_thread, &hitters[i]);

		if (error)
			return -error;
	}
	return 0;
}

static enum rcache_layout layout_of(const char *name)
{
	if (!strcmp(name, "mixed"))
		return RCACHE_MIXED;
	return strcmp(name, "shifted") ? RCACHE_ALIGNED : RCACHE_SHIFTED;
}

static int fill_anew(unsigned long regions, enum rcache_layout layout)
{
	int error = subject_prepare();

	if (!error)
		error = subject_start(0);
	if (!error)
		error = rcache_map(&area, regions, layout);
	return error ? error : rcache_fill(&area);
}

/* Arguments: REGIONS aligned|shifted|mixed [part|whole] [THREADS same|distinct]. */
int rcache_hit_setup(char **args)
{
	unsigned long regions = bench_number(args, 0, 1);
	int error;

	if (!args[0] || !args[1])
		return -EINVAL;
	whole = args[2] && !strcmp(args[2], "whole");
	nr_threads = args[2] ? bench_number(args, 3, 1) : 1;
	same = nr_threads == 1 || !args[4] || !strcmp(args[4], "same");
	if (nr_threads > 2 || (!same && regions < 2))
		return -EINVAL;
	bench_pin(nr_threads == 1);
	for (unsigned long i = 0; i < 2; i++)
		hitters[i] = (struct hitter){ .index = i, .random = 88172645463325252u + i * 7919 };
	error = fill_anew(regions, layout_of(args[1]));
	return error || nr_threads == 1 ? error : start_threads();
}

/*
 * Figure 0: nanoseconds of a get and its put, without the loop around.
 * Figure 1: the loop.
 */
void rcache_hit_batch(double *figures)
{
	unsigned long before = subject_counts.registered;
	double hits = 0;

	if (nr_threads > 1)
		pthread_barrier_wait(&barrier);
	measure(&hitters[0]);
	if (nr_threads > 1)
		pthread_barrier_wait(&barrier);
	for (unsigned long i = 0; i < nr_threads; i++) {
		hits += hitters[i].hit / (double)nr_threads;
		figures[0] += (hitters[i].hit - hitters[i].loop) / (double)nr_threads;
		figures[1] += hitters[i].loop / (double)nr_threads;
		if (hitters[i].failed || subject_counts.registered != before)
			rcache_wrong("not all were hits");
	}
	nr_hits = (unsigned long)(BATCH_NS / hits) + 1;
}

static void *other;

/* Arguments: REGIONS. */
int rcache_first_setup(char **args)
{
	int error = fill_anew(bench_number(args, 0, 1), RCACHE_ALIGNED);
	char *hole;

	bench_pin(1);
	same = true;
	nr_threads = 1;
	hitters[0].random = 88172645463325252u;
	hole = mmap(NULL, 3 * RCACHE_REGION, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	other = hole + RCACHE_REGION;
	rcache_munmap_quietly(other, RCACHE_REGION);
	return error ? error : hole == MAP_FAILED ? -ENOMEM : 0;
}

static double first_after(int (*unmap)(void *, size_t), struct hitter *self)
{
	unsigned long region = choose(self);
	uint64_t start;

	/* Its memory, and the cache's, are as near as they are after the second hit. */
	hit(region);
	mmap(other, RCACHE_REGION, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	unmap(other, RCACHE_REGION);
	start = bench_now();
	self->failed += !hit(region);
	return (double)(bench_now() - start);
}

static double time_again(struct hitter *self)
{
	unsigned long region = choose(self);
	uint64_t start;

	hit(region);
	start = bench_now();
	self->failed += !hit(region);
	return (double)(bench_now() - start);
}

static double time_clock(void)
{
	uint64_t start = bench_now();

	return (double)(bench_now() - start);
}

/*
 * Figure 0: nanoseconds of the first hit after other memory was unmapped.
 * Figure 1: after it was unmapped without anybody hearing of it.
 * Figure 2: of the same hit once more.
 */
void rcache_first_batch(double *figures)
{
	static double first[RCACHE_TIMES], quiet[RCACHE_TIMES], again[RCACHE_TIMES],
		clock[RCACHE_TIMES];
	unsigned long before = subject_counts.registered;
	double floor;

	for (size_t i = 0; i < RCACHE_TIMES; i++) {
		first[i] = first_after(munmap, &hitters[0]);
		quiet[i] = first_after(rcache_munmap_quietly, &hitters[0]);
		again[i] = time_again(&hitters[0]);
		clock[i] = time_clock();
	}
	floor = rcache_times(clock, RCACHE_TIMES).middle;
	figures[0] = rcache_times(first, RCACHE_TIMES).middle - floor;
	figures[1] = rcache_times(quiet, RCACHE_TIMES).middle - floor;
	figures[2] = rcache_times(again, RCACHE_TIMES).middle - floor;
	if (hitters[0].failed || subject_counts.registered != before)
		rcache_wrong("not all were hits");
}
