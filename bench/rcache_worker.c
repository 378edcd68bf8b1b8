/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See rcache_worker.h; and what the measured process can be asked for. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rcache_subject.h"
#include "rcache_worker.h"
#include "worker.h"

#define GUARD (4ul << 20)

int rcache_map(struct rcache_area *area, unsigned long regions, enum rcache_layout layout)
{
	const unsigned long unit = 2ul << 20;
	size_t size = regions * RCACHE_REGION;
	char *all;

	if (layout == RCACHE_MIXED)
		size = (regions + RCACHE_SIZES - 1) / RCACHE_SIZES * RCACHE_MIXED_SIZE;
	all = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		   -1, 0);
	if (all == MAP_FAILED)
		return -ENOMEM;
	area->start = ((unsigned long)all + GUARD / 2 + unit - 1) & ~(unit - 1);
	if (layout == RCACHE_SHIFTED)
		area->start += RCACHE_PAGE;
	area->regions = regions;
	area->layout = layout;
	return mprotect((void *)area->start, size, PROT_READ | PROT_WRITE) ? -errno : 0;
}

/* Nobody redirects an instruction whose number is not known. */
static volatile long munmap_nr = SYS_munmap;

int rcache_munmap_quietly(void *at, size_t size)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(munmap_nr), "D"(at), "S"(size)
			 : "rcx", "r11", "memory");
	return (int)ret;
}

int rcache_fill(const struct rcache_area *area)
{
	unsigned long before = subject_counts.registered;

	for (unsigned long i = 0; i < area->regions; i++) {
		void *reg = subject_get(rcache_region(area, i), rcache_size(area, i));

		if (!reg)
			return -ENOMEM;
		subject_put(reg);
	}
	return subject_counts.registered - before == area->regions ? 0 : -ENOTSUP;
}

void rcache_wrong(const char *what)
{
	fprintf(stderr, "%s\n", what);
	_exit(1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double mean(const double *values, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += values[i];
	return sum / (double)count;
}

/* The slowest hundredth met another program or an interrupt. */
struct rcache_times rcache_times(double *nanoseconds, size_t count)
{
	qsort(nanoseconds, count, sizeof(*nanoseconds), compare);
	return (struct rcache_times){
		.middle = mean(nanoseconds + count / 4, count / 2),
		.mean = mean(nanoseconds, count - count / 100),
	};
}

const struct bench_mode bench_modes[] = {
	{ .name = NULL },
};

#define WORKLOAD(text) \
	{ \
		.name = #text, .setup = rcache_##text##_setup, .batch = rcache_##text##_batch \
	}

const struct bench_workload bench_workloads[] = {
	WORKLOAD(hit),   WORKLOAD(first), WORKLOAD(miss),   WORKLOAD(evict),  WORKLOAD(unmap),
	WORKLOAD(large), WORKLOAD(idle),  WORKLOAD(memory), { .name = NULL },
};
