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

/* mmun_soft_section_start() for a CLEAR that may leave a pinned page behind. */
void mmun_soft_section_start_moving(struct soft_section *s, struct mm_struct *mm, enum mmun_op op,
				    unsigned long start, unsigned long end);

/* For MMU_NOTIFY_MIGRATE and _EXCLUSIVE: @owner's notifiers may ignore it. */
void mmun_soft_section_start_owned(struct soft_section *s, struct mm_struct *mm,
				   enum mmu_notifier_event event, enum mmun_op op, void *owner,
				   unsigned long start, unsigned long end);

#endif
