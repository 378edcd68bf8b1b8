/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A machine with one address space, for tests of many entries at once. */
#ifndef MMUN_TESTS_UNIT_SOFT_ENTRIES_H
#define MMUN_TESTS_UNIT_SOFT_ENTRIES_H

#include "recorder.h"

#include "fault/fault.h"
#include "frame/page.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

#define HUGE MMUN_SOFT_HUGE_SIZE
#define AT   0x40000000ul

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct soft_mm *sm;

static UNUSED int refusals;

static UNUSED void note_violation(const struct mmun_soft_violation *what, void *arg)
{
	refusals += what->kind == MMUN_SOFT_WRITE_PROTECTED;
}

static UNUSED void begin(size_t pages, size_t swap_pages)
{
	const struct mmun_soft_params params = {
		.memory = pages * PAGE,
		.swap = swap_pages * PAGE,
		.violation = note_violation,
	};

	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	sm = soft_mm(mm);
}

static UNUSED void end(void)
{
	size_t frames;
	struct mmun_soft_stats stats;

	mmput(mm);
	mmun_soft_stats(soft, &stats);
	frames = stats.frames - stats.frames_free;
	is(frames, 0, "every frame came back");
	is(stats.swap_slots - stats.swap_free, 0, "and every swap slot");
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

static UNUSED struct mmun_soft_entry entry_of(struct mm_struct *which, unsigned long address)
{
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(which, address, &entry);
	return entry;
}

#endif
