/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The world of one input: made, checked after every operation, and taken down to nothing. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../torture/soft_gpu.h"
#include "alloc.h"

static unsigned int allocations_left;
static long live_before;

void must_failed(const char *what, const char *file, int line)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, what);
	abort();
}

/* One failure per request; 0 means none. */
static bool fail_one(size_t size)
{
	return allocations_left && !--allocations_left;
}

void world_fail_allocation(unsigned int nth)
{
	allocations_left = nth;
}

static void on_violation(const struct mmun_soft_violation *what, void *arg)
{
	fprintf(stderr, "violation: %s at %#lx, %s\n", mmun_soft_violation_name(what->kind),
		what->address, what->write ? "write" : "read");
	abort();
}

static void create_files(struct world *world)
{
	static const struct {
		enum mmun_soft_file_kind kind;
		uint64_t pages;
	} files[NR_FILES] = {
		{ MMUN_SOFT_FILE_REGULAR, 20 },
		{ MMUN_SOFT_FILE_SHMEM, 20 },
		{ MMUN_SOFT_FILE_REGULAR, 0 },
	};

	for (unsigned int i = 0; i < NR_FILES; i++)
		must(!mmun_soft_file_create(world->soft, "file", files[i].kind,
					    files[i].pages * PAGE, &world->file[i]));
}

/* @kind: bits 0-1 mm_lock, 2 room for huge pages, 3 huge ones always, 4 swap, 5 limits,
 * 6 devices with memory. */
void world_create(struct world *world, uint8_t kind)
{
	const struct mmun_soft_params params = {
		.memory = (kind & 4 ? 3 * MMUN_SOFT_HUGE_PAGES : 96) * PAGE,
		.swap = kind & 16 ? 64 * PAGE : 0,
		.max_map_count = kind & 32 ? 24 : 0,
		.address_space = kind & 32 ? 4 * ARENA_PAGES * PAGE : 0,
		.mm_lock = (enum mmun_soft_mm_lock)((kind & 3) % 3),
		.huge_always = kind & 8,
		.violation = on_violation,
	};

	memset(world, 0, sizeof(*world));
	live_before = mmun_alloc_live();
	allocations_left = 0;
	mmun_alloc_fail = fail_one;
	must(!mmun_soft_create(&params, &world->soft));
	create_files(world);
	world->gpus = kind & 64;
	if (world->gpus)
		gpus_create(world->soft);
	must(!mmun_soft_task_create(world->soft, &world->task[0]));
}

struct layout {
	struct mm_struct *mm;
	unsigned long end;
};

static int visit(const struct mmun_soft_map *map, void *arg)
{
	struct layout *layout = arg;

	must(map->start >= layout->end && map->start < map->end);
	must(!((map->start | map->end) & ~MMUN_SOFT_PAGE_MASK));
	must(map->end <= MMUN_SOFT_TASK_SIZE);
	layout->end = map->end;
	return 0;
}

void world_check(struct world *world)
{
	for (unsigned int i = 0; i < NR_TASKS; i++) {
		struct layout layout = { 0 };

		if (world->driver[i])
			driver_check(world->driver[i]);
		if (!world->task[i])
			continue;
		layout.mm = mmun_soft_task_mm(world->task[i]);
		mmun_soft_maps(layout.mm, visit, &layout);
	}
}

static void check_nothing_left(struct mmun_soft *soft)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	must(stats.frames_free == stats.frames);
	must(stats.swap_free == stats.swap_slots);
	must(stats.violations == 0);
}

void world_destroy(struct world *world)
{
	if (world->pinned)
		mmun_soft_unpin_page(world->pinned);
	for (unsigned int i = 0; i < NR_TASKS; i++) {
		if (world->task[i])
			mmun_soft_exit(world->task[i]);
		if (world->driver[i])
			driver_destroy(world->driver[i]);
	}
	for (unsigned int i = 0; i < NR_FILES; i++)
		mmun_soft_file_put(world->file[i]);
	if (world->gpus)
		gpus_destroy();
	check_nothing_left(world->soft);
	must(!mmun_soft_destroy(world->soft));
	must(mmun_alloc_live() == live_before);
	mmun_alloc_fail = NULL;
}
