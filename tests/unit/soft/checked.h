/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A machine whose checker counts what it refuses, and short forms for one address space of it. */
#ifndef MMUN_TESTS_UNIT_SOFT_CHECKED_H
#define MMUN_TESTS_UNIT_SOFT_CHECKED_H

#include "recorder.h"

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct mmun_soft_violation last;
static long live, violations;

static UNUSED void note_violation(const struct mmun_soft_violation *what, void *arg)
{
	last = *what;
	count((long *)arg);
}

static UNUSED void begin(void)
{
	struct mmun_soft_params params = {
		.memory = 1024 * PAGE,
		.swap = 64 * PAGE,
		.violation = note_violation,
		.violation_arg = &violations,
	};

	live = mmun_alloc_live();
	violations = 0;
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
}

static UNUSED void end(void)
{
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
	is(mmun_alloc_live(), live, "and leaves nothing behind");
}

static UNUSED struct mmun_soft_stats stats(void)
{
	struct mmun_soft_stats out;

	mmun_soft_stats(soft, &out);
	return out;
}

static UNUSED struct mmun_soft_entry entry_of(unsigned long address)
{
	struct mmun_soft_entry out;

	mmun_soft_pagemap(mm, address, &out);
	return out;
}

static UNUSED int translate(unsigned long address, bool write, struct mmun_soft_translation *t)
{
	int ret;

	mmap_read_lock(mm);
	ret = mmun_soft_translate(mm, address, write, t);
	mmap_read_unlock(mm);
	return ret;
}

static UNUSED struct mmun_soft_translation translation(unsigned long address, bool write)
{
	struct mmun_soft_translation t;

	if (translate(address, write, &t))
		bail_out("cannot translate");
	return t;
}

static UNUSED long get(unsigned long address, unsigned long nr, unsigned int gup_flags,
		       struct page **pages)
{
	long ret;

	mmap_read_lock(mm);
	ret = mmun_soft_get_user_pages(mm, address, nr, gup_flags, pages);
	mmap_read_unlock(mm);
	return ret;
}

static UNUSED unsigned long word_of(const struct page *page)
{
	return *(unsigned long *)mmun_soft_page_address(page);
}

#endif
