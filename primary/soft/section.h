/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What holds a change of entries, and notifies: changes and sections.
 *
 * Tests: tests/unit/soft/fault.c, tests/unit/soft/cow.c.
 */
#ifndef MMUN_SOFT_SECTION_H
#define MMUN_SOFT_SECTION_H

#include "types.h"

/* The mm's ->changes for reading, a read section of the mm, cancellation off.  Without
 * a section it is for entries that only come to be (nothing was translated there
 * before).  Nests inside a section of the same mm. */
struct soft_change {
	struct mmun_reader reader;
	unsigned int slot;
	int cancel;
};
void mmun_soft_change_begin(struct soft_change *c, struct mm_struct *mm);
void mmun_soft_change_end(struct soft_change *c, struct mm_struct *mm);

/*
 * One section of one mm: a change, and start...end.
 *
 * soft_section_start() begins the change and notifies; the caller then
 * takes the page_table_lock and changes entries, releases it, and ends.
 * start fails only with @nonblock (-EAGAIN; then nothing is held and end is not
 * called).  Called with the page_table_lock not held.
 */
struct soft_section {
	struct mmu_notifier_range range;
	struct mmun_origin origin;
	struct soft_change change;
};

int mmun_soft_section_start(struct soft_section *s, struct mm_struct *mm,
			    enum mmu_notifier_event event, enum mmun_op op, unsigned long start,
			    unsigned long end, bool nonblock);
/* @unchanged: nothing in the range changed (adds MMUN_RANGE_UNCHANGED). */
void mmun_soft_section_end(struct soft_section *s, bool unchanged);
/* All that has changed was flushed, and the older callback for that is not called once more: where
 * Linux 6.1 leaves it out. */
void mmun_soft_section_only_end(struct soft_section *s, bool unchanged);

/*
 * The processors' TLBs are flushed: those of devices that walk these tables too.  Under the
 * page_table_lock that entries of [start, end) were taken away under, or rights from them: so
 * nobody puts another page there, moves the entry's page on or frees it before.  As on x86
 * everything is flushed when there are many entries; all are of @size.
 */
#define SOFT_FLUSH_CEILING 33
void mmun_soft_flush(struct soft_mm *mm, unsigned long start, unsigned long end,
		     unsigned long size);
/* Not under it: of everything, when a fork or the like is done. */
void mmun_soft_flush_all(struct soft_mm *mm);

static inline void mmun_soft_flush_page(struct soft_mm *mm, unsigned long address)
{
	mmun_soft_flush(mm, address, address + MMUN_SOFT_PAGE_SIZE, MMUN_SOFT_PAGE_SIZE);
}

/* What is to be flushed: from the first entry to the last, the smallest of them of ->size;
 * ->end 0 for none. */
struct soft_gather {
	unsigned long start, end, size;
};

static inline void soft_gather_add(struct soft_gather *g, unsigned long address, unsigned long size)
{
	if (!g->end) {
		g->start = address;
		g->size = size;
	}
	g->size = soft_min(g->size, size);
	g->end = address + size;
}

static inline void mmun_soft_flush_gathered(struct soft_mm *mm, struct soft_gather *g)
{
	if (g->end)
		mmun_soft_flush(mm, g->start, g->end, g->size);
	g->end = 0;
}

/* mmun_soft_section_start() for a CLEAR that may leave a pinned page behind. */
void mmun_soft_section_start_moving(struct soft_section *s, struct mm_struct *mm, enum mmun_op op,
				    unsigned long start, unsigned long end);

/* For MMU_NOTIFY_MIGRATE and _EXCLUSIVE: @owner's notifiers may ignore it. */
void mmun_soft_section_start_owned(struct soft_section *s, struct mm_struct *mm,
				   enum mmu_notifier_event event, enum mmun_op op, void *owner,
				   unsigned long start, unsigned long end);

#endif
