/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See registration.h. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "registration.h"
#include "worker.h"

#define SAMPLES  200
#define STALL_NS 1000000000u
/* Pages that the faulting thread touches before it drops them and starts anew. */
#define TOUCHED_PAGES 512

static int (*in)(void);
static void (*out)(void);
static unsigned long nr_vmas;

static unsigned long count_vmas(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long count = 0;
	int c;

	if (!maps)
		return 0;
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

/* Populated anonymous pages, every second one read-only: a mapping each. */
static int grow_to(unsigned long wanted)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned long have = count_vmas();
	unsigned long more = wanted > have ? wanted - have : 0;
	char *area;

	if (!more)
		return 0;
	area = mmap(NULL, more * page, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	for (unsigned long i = 0; i < more; i += 2)
		if (mprotect(area + i * page, page, PROT_READ))
			return -errno;
	return 0;
}

static int setup(char **args, int (*register_one)(void), void (*unregister_one)(void))
{
	int error = grow_to(bench_number(args, 0, 0));

	in = register_one;
	out = unregister_one;
	nr_vmas = count_vmas();
	return error;
}

int bench_registration_setup(char **args, int (*register_one)(void), void (*unregister_one)(void))
{
	bench_pin(1);
	return setup(args, register_one, unregister_one);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

void bench_registration_batch(double *figures)
{
	static double ins[SAMPLES], outs[SAMPLES];

	for (unsigned int i = 0; i < SAMPLES; i++) {
		uint64_t t0 = bench_now(), t1;

		if (in())
			return;
		t1 = bench_now();
		out();
		ins[i] = (double)(t1 - t0) / 1e3;
		outs[i] = (double)(bench_now() - t1) / 1e3;
	}
	figures[0] = median(ins, SAMPLES);
	figures[1] = median(outs, SAMPLES);
	figures[2] = (double)nr_vmas;
}

struct faulting {
	bool stop;
	uint64_t longest_fault, longest_cycle;
	unsigned long faults;
	/* How often another program had taken the processor from this thread. */
	long preempted;
};

static bool registering;

static uint64_t since(uint64_t *last)
{
	uint64_t now = bench_now(), spent = now - *last;

	*last = now;
	return spent;
}

/* Did another program run here since the last question?  Waiting for a lock or
 * at a futex is not that: then the thread gave the processor up itself. */
static bool was_preempted(struct faulting *f)
{
	struct rusage usage;
	bool preempted;

	getrusage(RUSAGE_THREAD, &usage);
	preempted = usage.ru_nivcsw != f->preempted;
	f->preempted = usage.ru_nivcsw;
	return preempted;
}

static void keep_longest(struct faulting *f, uint64_t *longest, uint64_t spent)
{
	if (spent > *longest && !was_preempted(f))
		*longest = spent;
}

static void touch_all(struct faulting *f, volatile char *area, size_t page)
{
	uint64_t last;

	was_preempted(f);
	last = bench_now();
	for (unsigned long i = 0; i < TOUCHED_PAGES; i++) {
		area[i * page] = 1;
		keep_longest(f, &f->longest_fault, since(&last));
	}
	f->faults += TOUCHED_PAGES;
}

static void one_cycle(struct faulting *f, size_t size)
{
	uint64_t last;
	void *p;

	was_preempted(f);
	last = bench_now();
	p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(p, size);
	keep_longest(f, &f->longest_cycle, since(&last));
}

static void *fault(void *arg)
{
	struct faulting *f = arg;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *area = mmap(NULL, TOUCHED_PAGES * page, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bench_pin(0);
	madvise(area, TOUCHED_PAGES * page, MADV_NOHUGEPAGE);
	while (!__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE)) {
		touch_all(f, area, page);
		one_cycle(f, page);
		madvise(area, TOUCHED_PAGES * page, MADV_DONTNEED);
	}
	munmap(area, TOUCHED_PAGES * page);
	return NULL;
}

int bench_stall_setup(char **args, int (*register_one)(void), void (*unregister_one)(void))
{
	registering = bench_number(args, 1, 0);
	return setup(args, register_one, unregister_one);
}

void bench_stall_batch(double *figures)
{
	struct faulting f = { .stop = false };
	unsigned long registrations = 0;
	uint64_t end;
	pthread_t thread;

	bench_pin(1);
	if (pthread_create(&thread, NULL, fault, &f))
		return;
	end = bench_now() + STALL_NS;
	while (bench_now() < end) {
		/* Without registering this thread keeps its processor busy all
		 * the same, so that only the registrations differ. */
		if (!registering)
			continue;
		if (in())
			break;
		out();
		registrations++;
	}
	__atomic_store_n(&f.stop, true, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	figures[0] = (double)f.longest_fault / 1e3;
	figures[1] = (double)f.longest_cycle / 1e3;
	figures[2] = (double)f.faults;
	figures[3] = (double)registrations;
}
