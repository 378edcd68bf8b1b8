/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process without anybody watching: plain libc.  Also times the
 * loading of a library that it does not otherwise use, quietly or while
 * threads map and unmap.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "worker.h"

const struct bench_mode bench_modes[] = {
	{ .name = "plain" },
	{ .name = NULL },
};

static const char *library;

static void *map_and_unmap(void *arg)
{
	for (;;) {
		void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			       0);

		madvise(p, 65536, MADV_DONTNEED);
		munmap(p, 65536);
	}
	return arg;
}

/* Arguments: LIBRARY [THREADS]. */
static int load_setup(char **args)
{
	unsigned long threads = bench_number(args, 1, 0);

	library = args[0];
	if (!library)
		return -EINVAL;
	for (unsigned long i = 0; i < threads; i++) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, map_and_unmap, NULL);

		if (error)
			return -error;
	}
	return 0;
}

/* Figure 0: milliseconds of the dlopen, -1 if it failed. */
static void load_batch(double *figures)
{
	uint64_t start = bench_now();
	void *handle = dlopen(library, RTLD_NOW);

	figures[0] = handle ? (double)(bench_now() - start) / 1e6 : -1;
	if (!handle)
		fprintf(stderr, "%s\n", dlerror());
}

const struct bench_workload bench_workloads[] = {
	{ .name = "load", .setup = load_setup, .batch = load_batch },
	{ .name = NULL },
};
