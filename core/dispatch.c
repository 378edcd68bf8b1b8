// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a primary MMU calls: walks over the notifiers of an mm.
 *
 * I1  Nothing here allocates, takes a lock or waits, except in a callback that
 *     may (blockable) and at an SRCU domain's own counters.  (Interval notifiers
 *     have exceptions of their own: interval.c.)
 * I2  A section is one read section from its start to its end: the caller's
 *     (MMUN_RANGE_READ_LOCKED), else one of its own.  It takes the head of the list
 *     once and walks from there at both ends, so it ends for those whose start it
 *     has called (R1); a registration waits for those that did not meet it (R2).
 *     It says in the range whether it entered the interval notifiers.
 * I3  The first refusal stops the walk; nothing else does (S8), test_young
 *     excepted (S9).
 * I4  The next notifier is read before a callback runs: one that detaches
 *     itself against the rules does not take the walk with it.
 * I5  In a forked child nothing is called: its notifiers watch the parent.
 * I6  No callback is cancelled half way: a walk runs with cancellation disabled.
 * I7  Interval notifiers go first, at the start and at the end.  If the list
 *     refuses, the section is over for them as well (B8).
 *
 * Not here: how a notifier gets on or off the list (notifier.c).
 * Tests: tests/unit/dispatch.c, tests/model/join.pml.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>

#include "bug.h"

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

/* NULL when there is nobody to tell: then a walk, which is over before a registration
 * could matter to it, needs no read section. */
static inline struct mmu_notifier_mm *listeners(struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_load_acquire(&mm->mmu_notifier_mm);

	if (mmun_likely(!chain) || mmun_unlikely(mmun_mm_copied(mm)))
		return NULL;
	return chain;
}

static inline struct mmu_notifier *to_notifier(struct mmun_list_node *node)
{
	return mmun_container_of(node, struct mmu_notifier, hlist);
}

#define for_each_notifier(mn, node, next, from) \
	for (node = (from); \
	     node && (next = mmun_list_next(node), mn = to_notifier(node), true); \
	     node = next)

bool mm_has_notifiers(struct mm_struct *mm)
{
	return mmun_load_relaxed(&mm->mmu_notifier_mm) != NULL;
}

static inline bool has_intervals(const struct mmu_notifier_mm *chain)
{
	return mmun_unlikely(mmun_chain_itree(chain) != NULL);
}

#define COLD static __attribute__((noinline, cold))

/*
 * Ends to all from @head on: each of them saw the start or has left, which does not take it
 * out of our way, and who has joined since stands before @head.
 */
static inline void end_list(struct mmun_list_node *head, const struct mmu_notifier_range *range)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	for_each_notifier(mn, node, next, head) {
		if (mn->ops->invalidate_range_end)
			mn->ops->invalidate_range_end(mn, range);
	}
}

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
static void unwind(const struct mmu_notifier_range *range, struct mmun_list_node *head,
		   const struct mmun_list_node *refuser)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	for_each_notifier(mn, node, next, head) {
		if (is_from(node, refuser))
			break;
		if (!mn->ops->invalidate_range_end)
			continue;
		mmun_stat_inc(range->mm, unwound);
		mn->ops->invalidate_range_end(mn, range);
	}
}

/* 0: what the notifier answered is taken as done; else the section is over. */
COLD int start_failed(const struct mmu_notifier_range *range, struct mmun_list_node *head,
		      const struct mmun_list_node *refuser)
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
	unwind(range, head, refuser);
	return -EAGAIN;
}

static inline int start_list(struct mmun_list_node *head, const struct mmu_notifier_range *range)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	for_each_notifier(mn, node, next, head) {
		if (mn->ops->invalidate_range_start &&
		    mmun_unlikely(mn->ops->invalidate_range_start(mn, range)) &&
		    start_failed(range, head, node))
			return -EAGAIN;
	}
	return 0;
}

/* The head that the section keeps, loaded once: nobody who joins later is met at its end. */
static inline int start_all(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	struct mmun_list_node *head;
	int ret;

	if (has_intervals(chain)) {
		ret = mmun_intervals_start(chain, range);
		if (ret)
			return ret;
	}
	range->section.head = head = mmun_list_first(&chain->list);
	ret = start_list(head, range);
	if (mmun_unlikely(ret) && range->section.interval)
		mmun_intervals_end(chain, range);
	return ret;
}

/* Neither are the callbacks cancelled, nor is what the caller holds left open. */
#define CANCELLED_BY_NOBODY (MMUN_RANGE_READ_LOCKED | MMUN_RANGE_NOT_CANCELLED)

static inline int start_heard(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	int ret = start_all(chain, range);

	if (mmun_unlikely(ret) && !(range->flags & MMUN_RANGE_READ_LOCKED))
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
	return ret;
}

/* A call: what the sections of an event source run through stays small. */
static __attribute__((noinline)) int start_uncancelled(struct mmu_notifier_mm *chain,
						       struct mmu_notifier_range *range)
{
	int cancel, ret;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	ret = start_heard(chain, range);
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
	return mmun_likely(range->flags & CANCELLED_BY_NOBODY) ? start_heard(chain, range) :
								 start_uncancelled(chain, range);
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

/* A head that was unregistered inside the section, which is misuse, may be gone: what came
 * after it stands for it. */
COLD struct mmun_list_node *skip_detached(const struct mmu_notifier_mm *chain,
					  struct mmun_list_node *head)
{
	for (unsigned int i = 0; i < MMUN_DETACHED; i++) {
		if (head && mmun_load_acquire(&chain->detached[i].node) == head) {
			head = mmun_load_acquire(&chain->detached[i].next);
			i = -1u;
		}
	}
	return head;
}

static inline void end_all(struct mmu_notifier_range *range)
{
	struct mmu_notifier_mm *chain = mmun_load_acquire(&range->mm->mmu_notifier_mm);
	struct mmun_list_node *head = range->section.head;

	if (mmun_unlikely(range->section.interval != NULL))
		mmun_intervals_end(chain, range);
	if (mmun_unlikely(head && mmun_load_relaxed(&chain->nr_detached)))
		head = skip_detached(chain, head);
	end_list(head, range);
}

static inline void end_heard(struct mmu_notifier_range *range)
{
	end_all(range);
	if (!(range->flags & MMUN_RANGE_READ_LOCKED))
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
}

static __attribute__((noinline)) void end_uncancelled(struct mmu_notifier_range *range)
{
	int cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	end_heard(range);
	pthread_setcancelstate(cancel, NULL);
}

void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	if (mmun_unlikely(mmun_mm_copied(range->mm)))
		return;
	if (!range->section.head && !range->section.interval) {
		if (range->section.reader.slot)
			srcu_read_unlock(&range->mm->srcu, &range->section.reader);
	} else if (mmun_likely(range->flags & CANCELLED_BY_NOBODY)) {
		end_heard(range);
	} else {
		end_uncancelled(range);
	}
}

void mmu_notifier_invalidate_page(struct mm_struct *mm, unsigned long address)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain)
		return;

	WALK(walk, mm);

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->invalidate_page)
			mn->ops->invalidate_page(mn, mm, address);
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

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
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

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->clear_flush_young)
			young |= !!mn->ops->clear_flush_young(mn, mm, start, end);
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

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->clear_young)
			young |= !!mn->ops->clear_young(mn, mm, start, end);
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

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->test_young)
			young = !!mn->ops->test_young(mn, mm, address);
		if (young)
			break;
	}
	return young;
}
