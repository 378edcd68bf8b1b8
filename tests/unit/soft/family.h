/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Private memory at a known place, page by page, in an address space and its children. */
#ifndef MMUN_TESTS_UNIT_SOFT_FAMILY_H
#define MMUN_TESTS_UNIT_SOFT_FAMILY_H

#include "recorder.h"

static const unsigned long base = 0x200000000000ul;

static UNUSED int count_map(const struct mmun_soft_map *map, void *arg)
{
	*(int *)arg += map->start >= base && map->end <= base + (1ul << 20);
	return 0;
}

static UNUSED int count_maps(struct mm_struct *mm)
{
	int count = 0;

	mmun_soft_maps(mm, count_map, &count);
	return count;
}

static UNUSED void map_at(struct mm_struct *mm, unsigned long page, size_t pages, int prot)
{
	soft_map(mm, base + page * PAGE, pages, prot, PRIVATE, NULL);
}

static UNUSED void touch(struct mm_struct *mm, unsigned long page)
{
	soft_poke(mm, base + page * PAGE, page + 1);
}

static UNUSED void protect(struct mm_struct *mm, unsigned long page, int prot)
{
	if (mmun_soft_mprotect(mm, base + page * PAGE, PAGE, prot))
		bail_out("cannot protect");
}

static UNUSED struct mm_struct *forked(struct mm_struct *mm)
{
	struct mm_struct *child;

	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	return child;
}

#endif
