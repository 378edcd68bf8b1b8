/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a primary MMU calls: walks over the notifiers of an mm.
 *
 * I1  Nothing here allocates, takes a lock or waits, except in a callback that
 *     may (blockable) and at an SRCU domain's own counters.  (Interval notifiers
 *     have exceptions of their own: interval_seq.c.)
 * I2  A section is one read section from its start to its end: the caller's
 *     (MMUN_RANGE_READ_LOCKED), else one of its own.  It takes the head of the list
 *     once and walks from there at both ends, so it calls the ends of those whose
 *     starts it has called (R1: no end without its start); a registration waits for
 *     sections that did not meet it (R2: none that opened before is still open).
 *     It says in the range whether it entered the interval notifiers.
 * I3  The first refusal stops the walk; nothing else does (S8: every callback
 *     runs), test_young excepted (S9: it stops at the first young answer).
 * I4  The next notifier is read before a callback runs: one that detaches
 *     itself against the rules does not take the walk with it.
 * I5  In a forked child nothing is called: its notifiers watch the parent.
 * I6  No callback is cancelled half way: a walk runs with cancellation disabled.
 * I7  Interval notifiers go first, at the start and at the end.  If the list
 *     refuses, the section is over for them as well (B8: it would stay open).
 *
 * Not here: how a notifier gets on or off the list (notifier.c).
 * Tests: tests/unit/core/dispatch.c, tests/model/join.pml.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>

#include "bug.h"
#include "chain.h"
#include "interval_seq.h"
#include "section.h"

/* A walk's read section; ends with its scope.  Within, no callback is cancelled. */
struct walk {
	struct mm_struct *mm;
	struct mmun_reader reader;
	int cancel;
};

static inline void walk_begin(struct walk *walk, struct mm_struct *mm)
{
	walk->mm = mm;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &walk->cancel);
	walk->reader = srcu_read_lock(&mm->srcu);
}

static inline void walk_end(struct walk *walk)
{
	srcu_read_unlock(&walk->mm->srcu, &walk->reader);
	pthread_setcancelstate(walk->cancel, NULL);
}

#define WALK(w, mm) \
	struct walk w __attribute__((cleanup(walk_end))); \
	walk_begin(&w, (mm))

/* NULL when there is nobody to notify: then a walk, which is over before a registration
 * could matter to it, needs no read section. */
static inline struct mmu_notifier_mm *listeners(struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_load_acquire(&mm->mmu_notifier_mm);

	if (mmun_likely(!chain) || mmun_unlikely(mmun_mm_copied(mm)))
		return NULL;
	return chain;
}

int mm_has_notifiers(struct mm_struct *mm)
{
	return mmun_load_relaxed(&mm->mmu_notifier_mm) != NULL;
}

#define COLD static __attribute__((noinline, cold))

/* Is @node @from or behind it?  Also when @from, or what came after it, has left: then it
 * still leads to all that we can meet behind it. */
static bool is_from(const struct mmun_list_node *node, const struct mmun_list_node *from)
{
	while (from && from != node)
		from = mmun_list_next(from);
	return from;
}

/*
 * B7: those that began before @refuser get their end, in the order in which they began.
 * The refuser may leave meanwhile, so it is not enough to look for it on the way.
 */
static void unwind(const struct mmu_notifier_range *range, const struct mmun_list_node *refuser)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	mmun_for_each_notifier(mn, node, next, range->section.head) {
		if (is_from(node, refuser))
			break;
		if (!mn->ops->invalidate_range_end)
			continue;
		mmun_stat_inc(range->mm, unwound);
		mn->ops->invalidate_range_end(mn, range);
	}
}

/* 0: what the notifier answered is taken as done; else the section is over. */
COLD int start_failed(const struct mmu_notifier_range *range, const struct mmun_list_node *refuser)
{
	if (mmu_notifier_range_blockable(range)) {
		mmun_misuse("invalidate_range_start failed although it may sleep; taken as done");
		return 0;
	}
	if (range->flags & MMUN_RANGE_NOT_REFUSABLE) {
		mmun_stat_inc(range->mm, overruled);
		return 0;
	}
	mmun_stat_inc(range->mm, refused);
	unwind(range, refuser);
	return -EAGAIN;
}

/* The refuser's section, and all others', has not come about. */
static void give_up(struct mmu_notifier_range *range)
{
	if (range->section.interval)
		mmun_intervals_end(mmun_load_acquire(&range->mm->mmu_notifier_mm), range);
	if (range->section.reader.slot)
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
}

__attribute__((cold)) int mmun_start_answered(struct mmu_notifier_range *range,
					      struct mmun_list_node *node,
					      struct mmun_list_node *next)
{
	do {
		if (start_failed(range, node)) {
			give_up(range);
			return -EAGAIN;
		}
		do {
			node = next;
			if (!node)
				return 0;
			next = mmun_list_next(node);
		} while (!mmun_call_start(mmun_to_notifier(node), range));
	} while (true);
}

static int start_intervals(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	int ret = mmun_intervals_start(chain, range);

	if (!ret)
		return mmun_start_list(chain, range);
	if (range->section.reader.slot)
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
	return ret;
}

int mmun_start_any(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	bool cancellable = !(range->flags & MMUN_CANCELLED_BY_NOBODY) &&
			   mmun_load_relaxed(&range->mm->cancellable);
	int cancel, ret;

	if (cancellable)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ret = mmun_has_intervals(chain) ? start_intervals(chain, range)
					: mmun_start_list(chain, range);
	if (cancellable)
		pthread_setcancelstate(cancel, NULL);
	return ret;
}

/*
 * A section is a read section from start to end also where nobody listens: the first
 * registration waits for it.
 */
static inline int range_start(struct mmu_notifier_range *range)
{
	struct mm_struct *mm = range->mm;
	struct mmu_notifier_mm *chain;

	range->section.head = NULL;
	range->section.interval = NULL;
	range->section.reader.slot = NULL;
	if (mmun_unlikely(mmun_mm_copied(mm)))
		return 0;
	if (!(range->flags & MMUN_RANGE_READ_LOCKED))
		range->section.reader = srcu_read_lock(&mm->srcu);
	chain = mmun_load_acquire(&mm->mmu_notifier_mm);
	if (!chain)
		return 0;
	return mmun_start_heard(chain, range);
}

int mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	range->flags |= MMU_NOTIFIER_RANGE_BLOCKABLE;
	return range_start(range);
}

int mmu_notifier_invalidate_range_start_nonblock(struct mmu_notifier_range *range)
{
	range->flags &= ~MMU_NOTIFIER_RANGE_BLOCKABLE;
	return range_start(range);
}

/* As before Linux 6.6: a notifier with ->invalidate_range needs no other callback. */
static void end_list_and_ranges(struct mmun_list_node *head, const struct mmu_notifier_range *range)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	mmun_for_each_notifier(mn, node, next, head) {
		if (mn->ops->invalidate_range)
			mn->ops->invalidate_range(mn, range->mm, range->start, range->end);
		if (mn->ops->invalidate_range_end)
			mn->ops->invalidate_range_end(mn, range);
	}
}

void mmun_end_any(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	bool cancellable = !(range->flags & MMUN_CANCELLED_BY_NOBODY) &&
			   mmun_load_relaxed(&range->mm->cancellable);
	struct mmun_list_node *head = range->section.head;
	int cancel;

	if (cancellable)
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	if (range->section.interval)
		mmun_intervals_end(chain, range);
	if (head && mmun_load_relaxed(&chain->nr_detached))
		head = mmun_detached_skip(chain, head);
	if (mmun_load_relaxed(&chain->invalidates_ranges) && !(range->flags & MMUN_RANGE_ONLY_END))
		end_list_and_ranges(head, range);
	else
		mmun_end_list(head, range);
	if (range->section.reader.slot)
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
	if (cancellable)
		pthread_setcancelstate(cancel, NULL);
}

void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	struct mm_struct *mm = range->mm;
	struct mmu_notifier_mm *chain = mmun_load_acquire(&mm->mmu_notifier_mm);

	if (mmun_unlikely(mmun_mm_copied(mm)))
		return;
	if (range->section.head || range->section.interval)
		mmun_end_heard(chain, range);
	else if (range->section.reader.slot)
		srcu_read_unlock(&mm->srcu, &range->section.reader);
}

void mmu_notifier_invalidate_range_only_end(struct mmu_notifier_range *range)
{
	range->flags |= MMUN_RANGE_ONLY_END;
	mmu_notifier_invalidate_range_end(range);
}

void mmu_notifier_invalidate_page(struct mm_struct *mm, unsigned long address)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain)
		return;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->invalidate_page)
			mn->ops->invalidate_page(mn, mm, address);
	}
}

void mmu_notifier_invalidate_range(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain || !mmun_load_relaxed(&chain->invalidates_ranges))
		return;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->invalidate_range)
			mn->ops->invalidate_range(mn, mm, start, end);
	}
}

void mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm, unsigned long start,
						 unsigned long end)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain)
		return;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->arch_invalidate_secondary_tlbs)
			mn->ops->arch_invalidate_secondary_tlbs(mn, mm, start, end);
	}
}

void mmu_notifier_change_pte(struct mm_struct *mm, unsigned long address, unsigned long pte)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain)
		return;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->change_pte)
			mn->ops->change_pte(mn, mm, address, pte);
	}
}

int mmu_notifier_clear_flush_young(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;
	int young = 0;

	if (!chain)
		return 0;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->clear_flush_young)
			young |= !!mn->ops->clear_flush_young(mn, mm, start, end);
		if (mn->ops->clear_flush_young_bool)
			young |= mn->ops->clear_flush_young_bool(mn, mm, start, end);
	}
	return young;
}

int mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start, unsigned long end)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;
	int young = 0;

	if (!chain)
		return 0;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->clear_young)
			young |= !!mn->ops->clear_young(mn, mm, start, end);
		if (mn->ops->clear_young_bool)
			young |= mn->ops->clear_young_bool(mn, mm, start, end);
	}
	return young;
}

int mmu_notifier_test_young(struct mm_struct *mm, unsigned long address)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;
	int young = 0;

	if (!chain)
		return 0;

	WALK(walk, mm);

	mmun_for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->test_young)
			young = !!mn->ops->test_young(mn, mm, address);
		if (!young && mn->ops->test_young_bool)
			young = mn->ops->test_young_bool(mn, mm, address);
		if (young)
			break;
	}
	return young;
}
