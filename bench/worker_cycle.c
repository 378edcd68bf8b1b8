/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The workload of every table in this field: mmap and munmap 64 KiB that
 * nobody touches, in one thread or in two on two processors.
 *
 * What a kernel pays for a new mapping depends on its neighbours (does it merge
 * with one, is there a gap to search for), and those differ with every library
 * a process loads.  So each thread makes itself a hole of the right size between
 * two guard pages that nothing merges with, and asks for that address.  How full
 * the kernel's tree nodes are there is luck of the same kind: each generation of
 * processes adds another number of mappings beside the hole.
 *
 * The other workload is the smallest call that a notifier hears of: madvise() with
 * MADV_DONTNEED of a page that nobody touched.
 *
 * Figure 0: nanoseconds per cycle (or call) and thread.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "worker.h"

#define CYCLE_SIZE (64u * 1024)
#define BATCH_NS 20000000u
/* More than entries in a node of the kernel's tree of mappings. */
#define NEIGHBOURS 17
#define MAX_THREADS 8

static const struct bench_mode *mode;
static unsigned long nr_threads, nr_cycles;
static void *own_hole;
static pthread_barrier_t barrier;
static uint64_t spent[MAX_THREADS];

static const struct bench_mode *find_mode(const char *name)
{
	for (const struct bench_mode *m = bench_modes; m->name; m++)
		if (!strcmp(m->name, name))
			return m;
	return NULL;
}

/* Pages with alternating rights: a mapping each. */
static void add_neighbours(void)
{
	const char *generation = getenv("BENCH_GENERATION");
	unsigned long count = generation ? strtoul(generation, NULL, 10) % NEIGHBOURS : 0;

	for (unsigned long i = 0; i < count; i++)
		mmap(NULL, 4096, i & 1 ? PROT_NONE : PROT_READ,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *make_hole(void)
{
	static const size_t guard = 4096;
	char *area = mmap(NULL, CYCLE_SIZE + 2 * guard, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	munmap(area + guard, CYCLE_SIZE);
	return area + guard;
}

/* One of the two below, in the place @at. */
static uint64_t (*run)(void *at, unsigned long count);

/* The calls go through libc's entry points, as a program's do. */
static uint64_t run_advice(void *at, unsigned long count)
{
	uint64_t start = bench_now();

	for (unsigned long i = 0; i < count; i++)
		madvise(at, 4096, MADV_DONTNEED);
	return bench_now() - start;
}

static uint64_t run_cycles(void *hole, unsigned long count)
{
	uint64_t start = bench_now();

	for (unsigned long i = 0; i < count; i++) {
		void *p = mmap(hole, CYCLE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mode->each)
			mode->each(p, CYCLE_SIZE);
		munmap(p, CYCLE_SIZE);
	}
	return bench_now() - start;
}

static void *cycle_thread(void *arg)
{
	unsigned long index = (unsigned long)arg;
	void *own = make_hole();

	bench_pin((unsigned int)index);
	for (;;) {
		pthread_barrier_wait(&barrier);
		spent[index] = run(own, nr_cycles);
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static int start_threads(void)
{
	pthread_barrier_init(&barrier, NULL, (unsigned int)nr_threads + 1);
	for (unsigned long i = 0; i < nr_threads; i++) {
		pthread_t thread;
		int error = pthread_create(&thread, NULL, cycle_thread, (void *)i);

		if (error)
			return -error;
	}
	return 0;
}

/* As many cycles as fill a batch. */
static void calibrate(void)
{
	uint64_t ns;

	run(own_hole, 1000);
	ns = run(own_hole, 2000);
	nr_cycles = BATCH_NS * 2000ul / (ns ? ns : 1) + 1;
}

/* Arguments: MODE [THREADS]. */
static int setup(char **args, void *(*make_place)(void))
{
	int error;

	mode = args[0] ? find_mode(args[0]) : NULL;
	nr_threads = mode ? bench_number(args, 1, 1) : 0;
	if (!nr_threads || nr_threads > MAX_THREADS)
		return -EINVAL;
	bench_pin(1);
	error = mode->start ? mode->start() : 0;
	if (error)
		return error;
	add_neighbours();
	own_hole = make_place();
	calibrate();
	return nr_threads > 1 ? start_threads() : 0;
}

static int cycle_setup(char **args)
{
	run = run_cycles;
	return setup(args, make_hole);
}

static void *make_page(void)
{
	char *area = make_hole();

	return mmap(area, 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

static int advice_setup(char **args)
{
	run = run_advice;
	return setup(args, make_page);
}

static void cycle_batch(double *figures)
{
	double sum = 0;

	if (nr_threads == 1) {
		figures[0] = (double)run(own_hole, nr_cycles) / (double)nr_cycles;
		return;
	}
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (unsigned long i = 0; i < nr_threads; i++)
		sum += (double)spent[i];
	figures[0] = sum / (double)nr_threads / (double)nr_cycles;
}

const struct bench_workload bench_cycle_workload = {
	.name = "cycle",
	.setup = cycle_setup,
	.batch = cycle_batch,
};

const struct bench_workload bench_advice_workload = {
	.name = "advice",
	.setup = advice_setup,
	.batch = cycle_batch,
};
