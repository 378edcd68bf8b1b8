/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The measured process without anybody watching: plain libc.  Also times the
 * loading of a library that it does not otherwise use, quietly or while
 * threads map and unmap; large blocks of an allocator; and starts of another program.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

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

static int nothing(char **args)
{
	bench_pin(1);
	return 0;
}

#define BLOCK     (4ul << 20)
#define NR_BLOCKS 4000u

/* Figure 0: nanoseconds of one large block that is allocated, touched and freed. */
static void blocks_batch(double *figures)
{
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < NR_BLOCKS; i++) {
		char *volatile block = malloc(BLOCK);

		*(volatile char *)block = 1;
		free(block);
	}
	figures[0] = (double)(bench_now() - start) / NR_BLOCKS;
}

#define NR_STARTS 20

/* Figure 0: milliseconds of one start and end of /bin/true. */
static void start_batch(double *figures)
{
	char *argv[] = { "true", NULL };
	uint64_t start = bench_now();

	for (unsigned int i = 0; i < NR_STARTS; i++) {
		pid_t pid;
		int status;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, environ) ||
		    waitpid(pid, &status, 0) < 0 || status)
			_exit(1);
	}
	figures[0] = (double)(bench_now() - start) / 1e6 / NR_STARTS;
}

const struct bench_workload bench_workloads[] = {
	{ .name = "load", .setup = load_setup, .batch = load_batch },
	{ .name = "blocks", .setup = nothing, .batch = blocks_batch },
	{ .name = "start", .setup = nothing, .batch = start_batch },
	{ .name = NULL },
};
