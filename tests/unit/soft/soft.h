/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Short forms for tests of the software address space: what cannot fail here
 * ends the program. */
#ifndef MMUN_TESTS_UNIT_SOFT_H
#define MMUN_TESTS_UNIT_SOFT_H

#include <mmunotify/soft.h>

#include "fake.h"

#define PAGE    MMUN_SOFT_PAGE_SIZE
#define RW      (PROT_READ | PROT_WRITE)
#define PRIVATE (MAP_PRIVATE | MAP_ANONYMOUS)

static UNUSED struct mmun_soft *soft_machine(const struct mmun_soft_params *params)
{
	struct mmun_soft *soft;

	if (mmun_soft_create(params, &soft))
		bail_out("cannot make a machine");
	return soft;
}

static UNUSED struct mm_struct *soft_new_mm(struct mmun_soft *soft)
{
	struct mm_struct *mm;

	if (mmun_soft_mm_create(soft, &mm))
		bail_out("cannot make an address space");
	return mm;
}

static UNUSED struct file *soft_new_file(struct mmun_soft *soft, const char *name,
					 enum mmun_soft_file_kind kind, uint64_t pages)
{
	struct file *file;

	if (mmun_soft_file_create(soft, name, kind, pages * PAGE, &file))
		bail_out("cannot make a file");
	return file;
}

static UNUSED unsigned long soft_map(struct mm_struct *mm, unsigned long address, size_t pages,
				     int prot, int flags, struct file *file)
{
	unsigned long at = mmun_soft_mmap(mm, address, pages * PAGE, prot,
					  flags | (address ? MAP_FIXED : 0), file, 0);

	if (mmun_soft_is_error(at))
		bail_out("cannot map");
	return at;
}

static UNUSED void soft_poke(struct mm_struct *mm, unsigned long address, unsigned long value)
{
	if (mmun_soft_write(mm, address, &value, sizeof(value), NULL))
		bail_out("cannot write");
}

static UNUSED unsigned long soft_peek(struct mm_struct *mm, unsigned long address)
{
	unsigned long value = 0;

	if (mmun_soft_read(mm, address, &value, sizeof(value), NULL))
		bail_out("cannot read");
	return value;
}

static UNUSED size_t soft_free_frames(struct mmun_soft *soft)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	return stats.frames_free;
}

static UNUSED struct mmun_soft_entry soft_entry(struct mm_struct *mm, unsigned long address)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(mm, address, &entry);
	return entry;
}

static UNUSED struct mmun_soft_stats soft_stats_of(struct mmun_soft *soft)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	return stats;
}

/* Page i of the mapping holds @tag + i. */
static UNUSED void soft_tag(struct mm_struct *mm, unsigned long at, size_t pages, unsigned long tag)
{
	for (size_t i = 0; i < pages; i++)
		soft_poke(mm, at + i * PAGE, tag + i);
}

static UNUSED size_t soft_tagged(struct mm_struct *mm, unsigned long at, size_t pages,
				 unsigned long tag)
{
	size_t right = 0;

	for (size_t i = 0; i < pages; i++)
		right += soft_peek(mm, at + i * PAGE) == tag + i;
	return right;
}

/* The machine ends, and everything that it allocated is back. */
static UNUSED void soft_gone(struct mmun_soft *soft, long live_before)
{
	mmu_notifier_synchronize();
	is(mmun_soft_destroy(soft), 0, "the machine can go");
	is(mmun_alloc_live(), live_before, "nothing is left behind");
}

#endif
