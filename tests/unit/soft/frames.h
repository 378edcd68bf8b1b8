/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What tests of reclaim, merging and migration ask of pages. */
#ifndef MMUN_TESTS_UNIT_SOFT_FRAMES_H
#define MMUN_TESTS_UNIT_SOFT_FRAMES_H

#include "entries.h"

#define HUGE_PAGES MMUN_SOFT_HUGE_PAGES

static UNUSED struct recorder recorder;

static UNUSED struct page *page_at(unsigned long address)
{
	return mmun_soft_pfn_page(soft, soft_entry(mm, address).pfn);
}

static UNUSED struct page *hold(unsigned long address, unsigned int gup_flags)
{
	struct page *page;
	long got;

	mmap_read_lock(mm);
	got = mmun_soft_get_user_pages(mm, address, 1, gup_flags, &page);
	mmap_read_unlock(mm);
	if (got != 1)
		bail_out("cannot get a page");
	return page;
}

static UNUSED size_t reclaim_all(void)
{
	return mmun_soft_reclaim(soft, soft_stats_of(soft).frames);
}

static UNUSED size_t slots_used(void)
{
	const struct mmun_soft_stats stats = soft_stats_of(soft);

	return stats.swap_slots - stats.swap_free;
}

/* Present, and nobody but its entries has it. */
static UNUSED bool only_mapped(unsigned long address)
{
	const struct mmun_soft_entry entry = soft_entry(mm, address);

	return entry.present && entry.refcount == entry.mapcount;
}

static UNUSED size_t count_present(unsigned long at, size_t pages)
{
	size_t there = 0;

	for (size_t i = 0; i < pages; i++)
		there += soft_entry(mm, at + i * PAGE).present;
	return there;
}

static UNUSED size_t count_young(unsigned long at, size_t pages)
{
	size_t young = 0;

	for (size_t i = 0; i < pages; i++)
		young += soft_entry(mm, at + i * PAGE).young;
	return young;
}

#endif
