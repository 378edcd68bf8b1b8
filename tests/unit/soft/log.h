/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A notifier that records every section it sees, and is as young as it is set. */
#ifndef MMUN_TESTS_UNIT_SOFT_LOG_H
#define MMUN_TESTS_UNIT_SOFT_LOG_H

#include "soft.h"

#define LOG_MAX 4096

struct logged {
	unsigned long start, end;
	enum mmu_notifier_event event;
	enum mmun_op op;
	bool blockable;
};

struct log {
	struct mmu_notifier mn;
	unsigned int nr;
	struct logged sections[LOG_MAX];
	/* Sections open now. */
	int open;
	/* clear_flush_young: how often asked, what to answer. */
	unsigned int asked;
	int young;
	/* change_pte: how often called, and how often inside a section. */
	unsigned int changed, changed_inside;
	/* Sections that must not sleep are refused. */
	bool refuse;
};

static UNUSED struct log *log_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct log, mn);
}

static UNUSED int log_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct log *log = log_of(mn);

	if (log->refuse && !mmu_notifier_range_blockable(range))
		return -EAGAIN;
	if (log->nr < LOG_MAX)
		log->sections[log->nr] = (struct logged){
			range->start,
			range->end,
			range->event,
			range->origin->op,
			mmu_notifier_range_blockable(range),
		};
	log->nr++;
	log->open++;
	return 0;
}

static UNUSED void log_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	log_of(mn)->open--;
}

static UNUSED int log_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					unsigned long start, unsigned long end)
{
	log_of(mn)->asked++;
	return log_of(mn)->young;
}

static UNUSED void log_change_pte(struct mmu_notifier *mn, struct mm_struct *mm,
				  unsigned long address, unsigned long pte)
{
	log_of(mn)->changed++;
	log_of(mn)->changed_inside += log_of(mn)->open > 0;
}

static UNUSED const struct mmu_notifier_ops log_ops = {
	.invalidate_range_start = log_start,
	.invalidate_range_end = log_end,
	.clear_flush_young = log_clear_flush_young,
	.change_pte = log_change_pte,
};

static UNUSED void log_register(struct log *log, struct mm_struct *mm)
{
	memset(log, 0, sizeof(*log));
	log->mn.ops = &log_ops;
	if (mmu_notifier_register(&log->mn, mm))
		bail_out("cannot register");
}

/* Forgets what was recorded so far. */
static UNUSED void log_clear(struct log *log)
{
	log->nr = log->asked = log->changed = log->changed_inside = 0;
}

/* How many sections are exactly one page with this cause. */
static UNUSED unsigned int log_single_pages(const struct log *log, enum mmun_op op,
					    enum mmu_notifier_event event)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < log->nr && i < LOG_MAX; i++)
		n += log->sections[i].op == op && log->sections[i].event == event &&
		     log->sections[i].end - log->sections[i].start == PAGE;
	return n;
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
