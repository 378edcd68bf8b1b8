/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What stays: memory pinned of regions that were unmapped, in a process that does nothing
 * afterwards; and the memory that the cache itself takes.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>

#include "rcache_subject.h"
#include "rcache_worker.h"
#include "worker.h"

#define IDLE_MS 300

static unsigned long nr_regions;

/* Arguments: REGIONS. */
int rcache_idle_setup(char **args)
{
	int error = subject_prepare();

	nr_regions = bench_number(args, 0, 1000);
	return error ? error : subject_start(0);
}

static void sleep_ms(long ms)
{
	const struct timespec time = { .tv_nsec = ms * 1000000 };

	nanosleep(&time, NULL);
}

/*
 * Figure 0: bytes of unmapped regions that are registered 300 ms after the last was unmapped.
 * Figure 1: milliseconds after which some were seen last, looking every two.
 */
void rcache_idle_batch(double *figures)
{
	struct rcache_area area;
	uint64_t start;

	if (rcache_map(&area, nr_regions, RCACHE_ALIGNED) || rcache_fill(&area))
		rcache_wrong("not all were misses");
	for (unsigned long i = 0; i < nr_regions; i++)
		munmap((void *)rcache_region(&area, i), RCACHE_REGION);
	start = bench_now();
	for (double past = 0; past < IDLE_MS; past = (double)(bench_now() - start) / 1e6) {
		if (subject_pinned())
			figures[1] = past;
		sleep_ms(2);
	}
	figures[0] = (double)subject_pinned();
}

/* Bytes of memory that is this process's own, as the kernel counts page by page. */
static double own_memory(void)
{
	FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
	unsigned long sum = 0, kb;
	char line[128];

	if (!rollup)
		return 0;
	while (fgets(line, sizeof(line), rollup))
		if (sscanf(line, "Pss_Anon: %lu", &kb) == 1 ||
		    sscanf(line, "Pss_Shmem: %lu", &kb) == 1)
			sum += kb;
	fclose(rollup);
	return (double)sum * 1024;
}

/* Arguments: REGIONS. */
int rcache_memory_setup(char **args)
{
	nr_regions = bench_number(args, 0, 1000);
	return subject_prepare();
}

/*
 * The first time.  Figure 0: bytes for a region, all that came since before the cache was made.
 * Figure 1: bytes for a region, of what came since one of them was used.
 */
void rcache_memory_batch(double *figures)
{
	static double once[2];
	struct rcache_area area, one;
	double before, empty;

	if (once[0])
		goto measured;
	own_memory();
	before = own_memory();
	if (subject_start(0) || rcache_map(&one, 1, RCACHE_ALIGNED) || rcache_fill(&one))
		rcache_wrong("no cache");
	empty = own_memory();
	if (rcache_map(&area, nr_regions, RCACHE_ALIGNED) || rcache_fill(&area))
		rcache_wrong("not all were misses");
	once[0] = (own_memory() - before) / (double)nr_regions;
	once[1] = (own_memory() - empty) / (double)nr_regions;
measured:
	figures[0] = once[0];
	figures[1] = once[1];
}
