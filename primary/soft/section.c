/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sections of a software address space: what holds them, and the notifiers called.
 *
 * I1  From start to end the thread holds the mm's ->changes for reading, a read
 *     section of the mm, and cannot be cancelled, as MMUN_RANGE_READ_LOCKED promises:
 *     a registration waits for the whole section, not for its callbacks only.
 * I2  A refused start leaves nothing behind: nothing held, no open section.
 * I3  MMUN_RANGE_PINNED_SAFE is the operation's word that pages with FOLL_PIN
 *     users stay where they are.  It is given by operation, in one table; only what
 *     copies may have to take it back, a copy-on-write and a collapse.
 *
 * Not here: what changes entries; every caller of its own.
 * Tests: tests/unit/soft/fault.c, tests/unit/soft/cow.c.
 */
#include <pthread.h>

#include "section.h"

static bool leaves_pinned_pages(enum mmun_op op)
{
	switch (op) {
	case MMUN_OP_MPROTECT:
	case MMUN_OP_MADV_FREE:
	case MMUN_OP_MADV_PAGEOUT:
	case MMUN_OP_MADV_COLLAPSE:
	case MMUN_OP_MADV_UNMERGEABLE:
	case MMUN_OP_FORK:
	case MMUN_OP_COW:
	case MMUN_OP_RECLAIM:
	case MMUN_OP_KSM:
	case MMUN_OP_MIGRATE:
	case MMUN_OP_HUGE_SPLIT:
	case MMUN_OP_MKCLEAN:
	case MMUN_OP_SOFT_DIRTY:
		return true;
	default:
		return false;
	}
}

static void describe_section(struct soft_section *s, struct mm_struct *mm,
			     enum mmu_notifier_event event, enum mmun_op op, unsigned long start,
			     unsigned long end)
{
	s->origin = (struct mmun_origin){ .op = op, .nr = -1 };
	s->range = (struct mmu_notifier_range){
		.mm = mm,
		.start = start,
		.end = end,
		.flags = MMUN_RANGE_READ_LOCKED,
		.event = event,
		.origin = &s->origin,
	};
}

void mmun_soft_change_begin(struct soft_change *c, struct mm_struct *mm)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &c->cancel);
	c->slot = mmun_percpu_read_lock(&soft_mm(mm)->changes);
	mmun_mm_read_lock(mm, &c->reader);
}

void mmun_soft_change_end(struct soft_change *c, struct mm_struct *mm)
{
	mmun_mm_read_unlock(mm, &c->reader);
	mmun_percpu_read_unlock(&soft_mm(mm)->changes, c->slot);
	pthread_setcancelstate(c->cancel, NULL);
}

int mmun_soft_section_start(struct soft_section *s, struct mm_struct *mm,
			    enum mmu_notifier_event event, enum mmun_op op, unsigned long start,
			    unsigned long end, bool nonblock)
{
	int ret;

	describe_section(s, mm, event, op, start, end);
	if (leaves_pinned_pages(op))
		s->range.flags |= MMUN_RANGE_PINNED_SAFE;
	mmun_soft_change_begin(&s->change, mm);
	ret = nonblock ? mmu_notifier_invalidate_range_start_nonblock(&s->range)
		       : mmu_notifier_invalidate_range_start(&s->range);
	if (ret)
		mmun_soft_change_end(&s->change, mm);
	return ret;
}

/* Blockable, so it cannot be refused. */
void mmun_soft_section_start_moving(struct soft_section *s, struct mm_struct *mm, enum mmun_op op,
				    unsigned long start, unsigned long end)
{
	describe_section(s, mm, MMU_NOTIFY_CLEAR, op, start, end);
	mmun_soft_change_begin(&s->change, mm);
	mmu_notifier_invalidate_range_start(&s->range);
}

void mmun_soft_section_start_owned(struct soft_section *s, struct mm_struct *mm,
				   enum mmu_notifier_event event, enum mmun_op op, void *owner,
				   unsigned long start, unsigned long end)
{
	describe_section(s, mm, event, op, start, end);
	s->range.owner = owner;
	if (leaves_pinned_pages(op))
		s->range.flags |= MMUN_RANGE_PINNED_SAFE;
	mmun_soft_change_begin(&s->change, mm);
	mmu_notifier_invalidate_range_start(&s->range);
}

void mmun_soft_section_end(struct soft_section *s, bool unchanged)
{
	if (unchanged)
		s->range.flags |= MMUN_RANGE_UNCHANGED;
	mmu_notifier_invalidate_range_end(&s->range);
	mmun_soft_change_end(&s->change, s->range.mm);
}

void mmun_soft_section_only_end(struct soft_section *s, bool unchanged)
{
	s->range.flags |= MMUN_RANGE_ONLY_END;
	mmun_soft_section_end(s, unchanged);
}

static __thread bool flushing __attribute__((tls_model("initial-exec")));

bool mmun_soft_is_flushing(void)
{
	return flushing;
}

static void flush(struct soft_mm *mm, unsigned long start, unsigned long end)
{
	flushing = true;
	mmu_notifier_arch_invalidate_secondary_tlbs(mm->mm, start, end);
	flushing = false;
}

void mmun_soft_flush_all(struct soft_mm *mm)
{
	flush(mm, 0, ~0ul);
}

/* The older callback has no form for everything. */
void mmun_soft_flush(struct soft_mm *mm, unsigned long start, unsigned long end, unsigned long size)
{
	flushing = true;
	mmu_notifier_invalidate_range(mm->mm, start, end);
	if ((end - start) / size > SOFT_FLUSH_CEILING)
		flush(mm, 0, ~0ul);
	else
		flush(mm, start, end);
}
