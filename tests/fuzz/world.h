/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one input of the operations target plays in: a machine, a few tasks and files,
 * a driver per task.  Everything is made again for every input.
 */
#ifndef MMUN_TESTS_FUZZ_WORLD_H
#define MMUN_TESTS_FUZZ_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <mmunotify/soft.h>

#define PAGE     MMUN_SOFT_PAGE_SIZE
#define NR_TASKS 3
#define NR_FILES 3
/* Two aligned 2 MiB blocks and the end of the one before. */
#define ARENA       0x20000000ul
#define ARENA_FIRST (ARENA - 32 * PAGE)
#define ARENA_PAGES (32 + 2 * MMUN_SOFT_HUGE_PAGES)

/* An input is a header of one byte and records of this size. */
struct record {
	uint8_t op, a, b, c;
};

struct driver;

struct world {
	struct mmun_soft *soft;
	struct mmun_soft_task *task[NR_TASKS];
	struct driver *driver[NR_TASKS];
	struct file *file[NR_FILES];
	/* There are devices with memory. */
	bool gpus;
	/* A pinned page, or NULL. */
	struct page *pinned;
};

/* Never returns when @condition does not hold: prints it and aborts. */
#define must(condition) \
	do { \
		if (!(condition)) \
			must_failed(#condition, __FILE__, __LINE__); \
	} while (0)
__attribute__((noreturn)) void must_failed(const char *what, const char *file, int line);

/* The target. */
int fuzz_operations(const uint8_t *data, size_t size);

/* world.c */
void world_create(struct world *world, uint8_t kind);
void world_check(struct world *world);
void world_destroy(struct world *world);
void world_fail_allocation(unsigned int nth);

/* driver.c: a list notifier and an interval of the same mm, with a cache each. */
struct driver *driver_create(struct mm_struct *mm);
void driver_destroy(struct driver *driver);
/* Reads or writes one byte at @address by the retry protocol, through the list notifier's or the
 * interval's cache; what was read must be what the processor sees. */
void driver_access(struct driver *driver, unsigned long address, bool write, bool interval);
/* Every cached translation must still be good, and no section open. */
void driver_check(struct driver *driver);
/* The next non-blocking section is refused. */
void driver_refuse(struct driver *driver);

#endif
