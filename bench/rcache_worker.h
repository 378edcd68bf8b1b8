/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the workers that measure registration caches have in common: where the regions are. */
#ifndef MMUN_BENCH_RCACHE_WORKER_H
#define MMUN_BENCH_RCACHE_WORKER_H

#include <stddef.h>
#include <stdint.h>

#define RCACHE_PAGE   4096ul
#define RCACHE_REGION (64ul << 10)

/* Regions of one size, on a multiple of it or a page behind one, or of 4 KiB, 8 KiB ... 4 MiB in turn. */
enum rcache_layout { RCACHE_ALIGNED, RCACHE_SHIFTED, RCACHE_MIXED };

#define RCACHE_SIZES      11ul
#define RCACHE_MIXED_SIZE ((RCACHE_PAGE << RCACHE_SIZES) - RCACHE_PAGE)

struct rcache_area {
	unsigned long start, regions;
	enum rcache_layout layout;
};

/* One mapping that nobody touches, guards on both sides.  0 or -errno. */
int rcache_map(struct rcache_area *area, unsigned long regions, enum rcache_layout layout);
/* munmap() that no cache hears of. */
int rcache_munmap_quietly(void *at, size_t size);
/* Gets each region, which is not cached, and puts it back.  0 or -errno. */
int rcache_fill(const struct rcache_area *area);

/* What was measured is not what was to be measured: the process ends. */
void rcache_wrong(const char *what) __attribute__((noreturn));

static inline size_t rcache_size(const struct rcache_area *area, unsigned long i)
{
	return area->layout == RCACHE_MIXED ? RCACHE_PAGE << i % RCACHE_SIZES : RCACHE_REGION;
}

static inline unsigned long rcache_region(const struct rcache_area *area, unsigned long i)
{
	if (area->layout == RCACHE_MIXED)
		return area->start + i / RCACHE_SIZES * RCACHE_MIXED_SIZE +
		       (RCACHE_PAGE << i % RCACHE_SIZES) - RCACHE_PAGE;
	return area->start + i * RCACHE_REGION;
}

static inline uint64_t rcache_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Less than @count, which has at most 32 bits. */
static inline unsigned long rcache_pick(uint64_t *state, unsigned long count)
{
	return (rcache_random(state) >> 32) * count >> 32;
}

/* The mean of calls timed one by one: of the middle half, and of nearly all. */
struct rcache_times {
	double middle, mean;
};

#define RCACHE_TIMES 2000

/* Sorts @nanoseconds. */
struct rcache_times rcache_times(double *nanoseconds, size_t count);

/* The workloads; what their arguments and figures are is said there. */
int rcache_hit_setup(char **args);
void rcache_hit_batch(double *figures);
int rcache_first_setup(char **args);
void rcache_first_batch(double *figures);
int rcache_miss_setup(char **args);
void rcache_miss_batch(double *figures);
int rcache_evict_setup(char **args);
void rcache_evict_batch(double *figures);
int rcache_unmap_setup(char **args);
void rcache_unmap_batch(double *figures);
int rcache_large_setup(char **args);
void rcache_large_batch(double *figures);
int rcache_idle_setup(char **args);
void rcache_idle_batch(double *figures);
int rcache_memory_setup(char **args);
void rcache_memory_batch(double *figures);

#endif
