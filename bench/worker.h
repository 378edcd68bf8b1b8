/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a measured process is made of.  Each way of watching memory (nobody,
 * mmunotify, UCX, libfabric) is one executable: worker.c plus one subject file.
 */
#ifndef MMUN_BENCH_WORKER_H
#define MMUN_BENCH_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Figures that one batch hands back, at most. */
#define BENCH_FIGURES 4

/* The socket to the driver: one byte asks for a batch, its figures come back. */
#define BENCH_SOCKET 3

/* One thing this executable can measure, chosen by argv[1]. */
struct bench_workload {
	const char *name;
	/* Prepare; @args is the rest of the command line.  0 or -errno. */
	int (*setup)(char **args);
	/* Measure once.  @figures are zeroed before. */
	void (*batch)(double *figures);
};

/* One way of watching memory in the mmap+munmap workload, chosen by argv[2]. */
struct bench_mode {
	const char *name;
	int (*start)(void);
	/* Between mmap and munmap of each cycle, or NULL. */
	void (*each)(void *start, size_t size);
};

/* Of the subject file; both end with a NULL name. */
extern const struct bench_mode bench_modes[];
extern const struct bench_workload bench_workloads[];

/* worker_cycle.c */
extern const struct bench_workload bench_cycle_workload, bench_advice_workload,
	bench_parent_workload;

static inline uint64_t bench_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Keep the calling thread on one processor (modulo how many there are). */
void bench_pin(unsigned int cpu);

/* A decimal argument, or @fallback when there is none. */
unsigned long bench_number(char **args, unsigned int index, unsigned long fallback);

#endif
