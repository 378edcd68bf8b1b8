/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a cache adds to munmap(): of a region that is cached, and of one that is not.  In
 * turns with the bare instruction on memory of the same form, of which no cache hears: two
 * processes would differ by more than the cache costs.
 *
 * Nobody touches the memory: it is what the kernel does fastest.
 */
#include <errno.h>
#include <sys/mman.h>

#include "rcache_subject.h"
#include "rcache_worker.h"
#include "worker.h"

#define LARGE (1ul << 30)

static struct rcache_area cached, uncached, plain;
static uint64_t random_state = 88172645463325252u;
static bool same;

static int start(unsigned long regions)
{
	int error = subject_prepare();

	bench_pin(1);
	if (!error)
		error = subject_start(0);
	if (!error)
		error = rcache_map(&cached, regions, RCACHE_ALIGNED);
	return error;
}

/* Arguments: REGIONS [same], not any of them but always the one in the middle. */
int rcache_unmap_setup(char **args)
{
	unsigned long regions = bench_number(args, 0, 1);
	int error = start(regions);

	same = regions && args[1];
	if (!error)
		error = rcache_map(&uncached, regions, RCACHE_ALIGNED);
	if (!error)
		error = rcache_map(&plain, regions, RCACHE_ALIGNED);
	return error ? error : rcache_fill(&cached);
}

static double time_munmap(unsigned long at, size_t size, int (*unmap)(void *, size_t))
{
	uint64_t start = bench_now();
	double each;

	unmap((void *)at, size);
	each = (double)(bench_now() - start);
	mmap((void *)at, size, PROT_READ | PROT_WRITE,
	     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	return each;
}

static double time_one(const struct rcache_area *area, int (*unmap)(void *, size_t))
{
	const unsigned long one = same ? area->regions / 2
				       : rcache_pick(&random_state, area->regions);
	const unsigned long at = rcache_region(area, one);
	double each = time_munmap(at, RCACHE_REGION, unmap);

	if (area == &cached)
		subject_put(subject_get(at, RCACHE_REGION));
	return each;
}

/*
 * Figure 0: nanoseconds that munmap() takes longer if the region is cached; most of them.
 * Figure 1: the mean of them all.
 * Figure 2: as figure 0, if it is not cached.
 * Figure 3: what the bare one takes.
 */
void rcache_unmap_batch(double *figures)
{
	static double with[RCACHE_TIMES], without[RCACHE_TIMES], bare[RCACHE_TIMES];
	struct rcache_times times[3];

	for (size_t i = 0; i < RCACHE_TIMES; i++) {
		with[i] = time_one(&cached, munmap);
		bare[i] = time_one(&plain, rcache_munmap_quietly);
		without[i] = time_one(&uncached, munmap);
	}
	times[0] = rcache_times(with, RCACHE_TIMES);
	times[1] = rcache_times(without, RCACHE_TIMES);
	times[2] = rcache_times(bare, RCACHE_TIMES);
	figures[0] = times[0].middle - times[2].middle;
	figures[1] = times[0].mean - times[2].mean;
	figures[2] = times[1].middle - times[2].middle;
	figures[3] = times[2].middle;
}

/* Arguments: REGIONS. */
int rcache_large_setup(char **args)
{
	int error = start(bench_number(args, 0, 1));

	if (!error)
		error = rcache_map(&uncached, 2 * LARGE / RCACHE_REGION, RCACHE_ALIGNED);
	return error ? error : rcache_fill(&cached);
}

/*
 * Figure 0: nanoseconds that munmap() of 1 GiB takes longer, none of which is cached; most of them.
 * Figure 3: what the bare one takes.
 */
void rcache_large_batch(double *figures)
{
	static double heard[RCACHE_TIMES], bare[RCACHE_TIMES];
	const size_t count = RCACHE_TIMES / 100;

	for (size_t i = 0; i < count; i++) {
		unsigned long at =
			rcache_region(&uncached, rcache_pick(&random_state, LARGE / RCACHE_REGION));

		heard[i] = time_munmap(at, LARGE, munmap);
		bare[i] = time_munmap(at, LARGE, rcache_munmap_quietly);
	}
	figures[3] = rcache_times(bare, count).middle;
	figures[0] = rcache_times(heard, count).middle - figures[3];
}
