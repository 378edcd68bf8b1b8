/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process with a library's registration cache in it, as a program has it that
 * communicates: fed by the library's own hooks, or by the chain if the adapter is there.
 *
 * Modes: an empty cache, and one that holds CACHED regions.
 */
#include "cache.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "worker.h"

#define CACHED      1000
#define REGION_SIZE (64u * 1024)
#define HITS        200000u

static char *buffers;

static void use(unsigned long i)
{
	bench_cache_use(buffers + i * REGION_SIZE, REGION_SIZE);
}

static int start_cached(void)
{
	int error = bench_cache_start();

	if (error)
		return error;
	buffers = mmap(NULL, (size_t)CACHED * REGION_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buffers == MAP_FAILED)
		return -ENOMEM;
	for (unsigned long i = 0; i < CACHED; i++)
		use(i);
	return bench_cache_registered() == CACHED ? 0 : -ENOTSUP;
}

const struct bench_mode bench_modes[] = {
	{ .name = "empty", .start = bench_cache_start },
	{ .name = "cached", .start = start_cached },
	{ .name = NULL },
};

static int hit_setup(char **args)
{
	bench_pin(1);
	return start_cached();
}

/* Figure 0: nanoseconds to get a cached region and put it back; -1: not all were hits. */
static void hit_batch(double *figures)
{
	uint64_t start = bench_now();

	/* 377 and 1000 have no common divisor: all of them, and never the neighbour. */
	for (unsigned int i = 0; i < HITS; i++)
		use(i * 377ul % CACHED);
	figures[0] = (double)(bench_now() - start) / HITS;
	if (bench_cache_registered() != CACHED)
		figures[0] = -1;
}

static int nothing(char **args)
{
	return 0;
}

/* Figure 0: milliseconds until there is a cache; -1: there is none. */
static void first_batch(double *figures)
{
	uint64_t start = bench_now();

	figures[0] = bench_cache_start() ? -1 : (double)(bench_now() - start) / 1e6;
}

const struct bench_workload bench_workloads[] = {
	{ .name = "hit", .setup = hit_setup, .batch = hit_batch },
	{ .name = "first", .setup = nothing, .batch = first_batch },
	{ .name = NULL },
};
