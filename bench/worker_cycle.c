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
 * MADV_DONTNEED of a page that nobody touched.  It takes less than processes differ by, so
 * each measures beside the C library's function the bare instruction, in turns.
 *
 * And a call that is none of anybody's business, getppid(): what strict mode makes of it.
 *
 * Figure 0: nanoseconds per cycle (or call) and thread.
 * Figure 1: how many of them more than the bare instruction takes.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "worker.h"

#define CYCLE_SIZE (64u * 1024)
#define BATCH_NS   20000000u
/* More than entries in a node of the kernel's tree of mappings. */
#define NEIGHBOURS  17
#define MAX_THREADS 8

static const struct bench_mode *mode;
static unsigned long nr_threads, nr_cycles;
static void *(*make_place)(void);
static void *own_hole;
static pthread_barrier_t barrier;
static struct measured {
	double each, more;
} measured[MAX_THREADS];

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
		mmap(NULL, 4096, i & 1 ? PROT_NONE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *make_hole(void)
{
	static const size_t guard = 4096;
	char *area =
		mmap(NULL, CYCLE_SIZE + 2 * guard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return NULL;
	munmap(area + guard, CYCLE_SIZE);
	return area + guard;
}

/* One of the three below, in the place @at. */
static struct measured (*run)(void *at, unsigned long count);

#define CHUNK      64
#define MAX_CHUNKS 4096

/* Nobody can redirect an instruction whose number he does not know. */
static volatile long bare_nr;

static __attribute__((noinline)) long bare_call(void *at)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(bare_nr), "D"(at), "S"(4096), "d"(MADV_DONTNEED)
			 : "rcx", "r11", "memory");
	return ret;
}

static __attribute__((noinline)) long advise(void *at)
{
	return madvise(at, 4096, MADV_DONTNEED);
}

static __attribute__((noinline)) long ask_parent(void *at)
{
	return getppid();
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, unsigned long count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

/* The calls go through libc's entry points, as a program's do. */
static inline __attribute__((always_inline)) struct measured
run_beside_bare(long (*call)(void *), void *at, unsigned long count)
{
	static __thread double each[MAX_CHUNKS], more[MAX_CHUNKS];
	unsigned long chunks = count / CHUNK + 1;

	if (chunks > MAX_CHUNKS)
		chunks = MAX_CHUNKS;
	for (unsigned long i = 0; i < chunks; i++) {
		uint64_t start = bench_now(), middle;

		for (int j = 0; j < CHUNK; j++)
			bare_call(at);
		middle = bench_now();
		for (int j = 0; j < CHUNK; j++)
			call(at);
		each[i] = (double)(bench_now() - middle) / CHUNK;
		more[i] = each[i] - (double)(middle - start) / CHUNK;
	}
	return (struct measured){ median(each, chunks), median(more, chunks) };
}

static struct measured run_advice(void *at, unsigned long count)
{
	return run_beside_bare(advise, at, count);
}

static struct measured run_parent(void *at, unsigned long count)
{
	return run_beside_bare(ask_parent, at, count);
}

static struct measured run_cycles(void *hole, unsigned long count)
{
	uint64_t start = bench_now();

	for (unsigned long i = 0; i < count; i++) {
		void *p = mmap(hole, CYCLE_SIZE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (mode->each)
			mode->each(p, CYCLE_SIZE);
		munmap(p, CYCLE_SIZE);
	}
	return (struct measured){ (double)(bench_now() - start) / (double)count, 0 };
}

static void *cycle_thread(void *arg)
{
	unsigned long index = (unsigned long)arg;
	void *own = make_place();

	bench_pin((unsigned int)index);
	for (;;) {
		pthread_barrier_wait(&barrier);
		measured[index] = run(own, nr_cycles);
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
	double each;

	run(own_hole, 1000);
	each = run(own_hole, 2000).each;
	nr_cycles = (unsigned long)(BATCH_NS / (each > 1 ? each : 1)) + 1;
}

/* Arguments: MODE [THREADS]. */
static int setup(char **args)
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
	make_place = make_hole;
	return setup(args);
}

static void *make_page(void)
{
	char *area = make_hole();

	return mmap(area, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		    0);
}

static int advice_setup(char **args)
{
	run = run_advice;
	bare_nr = SYS_madvise;
	make_place = make_page;
	return setup(args);
}

static int parent_setup(char **args)
{
	run = run_parent;
	bare_nr = SYS_getppid;
	make_place = make_page;
	return setup(args);
}

static void cycle_batch(double *figures)
{
	if (nr_threads == 1) {
		measured[0] = run(own_hole, nr_cycles);
	} else {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	for (unsigned long i = 0; i < nr_threads; i++) {
		figures[0] += measured[i].each / (double)nr_threads;
		figures[1] += measured[i].more / (double)nr_threads;
	}
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

const struct bench_workload bench_parent_workload = {
	.name = "parent",
	.setup = parent_setup,
	.batch = cycle_batch,
};
