// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What a primary MMU calls: walks over the notifiers of an mm.
 *
 * I1  Nothing here allocates, takes a lock or waits, except in a callback that
 *     may (blockable) and at an SRCU domain's own counters.  (Interval notifiers
 *     have exceptions of their own: interval.c.)
 * I2  A walk is one SRCU read section; under the gate the gate is that section.
 * I3  No callback stops the walk (S8), test_young excepted (S9).
 * I4  The next notifier is read before a callback runs: one that detaches
 *     itself against the rules does not take the walk with it.
 * I5  In a forked child nothing is called: its notifiers watch the parent.
 * I6  No callback is cancelled half way: a walk runs with cancellation disabled.
 * I7  Interval notifiers go first, at the start and at the end.  If the list
 *     refuses, the section is over for them as well (B8).
 *
 * Not here: how a notifier gets on or off the list (notifier.c).
 * Tests: tests/unit/dispatch.c.
 */
#include "internal.h"

#include <errno.h>
#include <pthread.h>

#include "bug.h"

/* NULL when there is nobody to tell. */
static inline struct mmu_notifier_mm *listeners(struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_load_acquire(&mm->mmu_notifier_mm);

	if (mmun_likely(!chain) || mmun_unlikely(mmun_mm_copied(mm)))
		return NULL;
	return chain;
}

struct section {
	struct mmun_walk walk;
	int bank;
	int cancel;
	bool gated;
};

/* The thread's books say so from before it counts as a reader until after: a signal
 * handler in between must not wait for the section that it has interrupted. */
static inline void section_begin(struct section *s, struct mm_struct *mm, bool gated)
{
	s->gated = gated;
	mmun_walk_push(&s->walk, mm);
	if (gated)
		return;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &s->cancel);
	s->bank = srcu_read_lock(&mm->srcu);
}

static inline void section_end(struct section *s)
{
	if (!s->gated) {
		srcu_read_unlock(&s->walk.mm->srcu, s->bank);
		pthread_setcancelstate(s->cancel, NULL);
	}
	mmun_walk_pop(&s->walk);
}

/* A walk's read section; ends with its scope. */
#define SECTION(s, mm, gated) \
	struct section s __attribute__((cleanup(section_end))); \
	section_begin(&s, (mm), (gated))

/* Under the gate, and the thread's books say so: neither a section of its own
 * nor a mark on the thread is needed. */
static inline bool gate_is_enough(const struct mmu_notifier_range *range)
{
	return (range->flags & MMUN_RANGE_READ_LOCKED) && mmun_task_gate_is(range->mm);
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

/* Who refused a section, on the stacks of start_rest()'s calls. */
struct refusal {
	const struct mmu_notifier *mn;
	const struct refusal *earlier;
};

static bool refused_by(const struct mmu_notifier *mn, const struct refusal *refusal)
{
	for (; refusal; refusal = refusal->earlier) {
		if (refusal->mn == mn)
			return true;
	}
	return false;
}

/*
 * The two loops that matter are inlined into their callers with the refusal
 * known to be NULL; their cold continuations after a refusal are calls.
 */
#define HOT static inline __attribute__((always_inline))
#define COLD static __attribute__((noinline, cold))

/*
 * Ends to all, or to all but those that refused (B7): nobody can have joined
 * since the starts, the section is open; so everybody on the list saw one, and
 * whoever left expects nothing.
 */
HOT void end_loop(struct mmun_list_node *from, const struct mmu_notifier_range *range,
		  const struct refusal *refusal)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	for_each_notifier(mn, node, next, from) {
		if (!mn->ops->invalidate_range_end || refused_by(mn, refusal))
			continue;
		if (refusal)
			mmun_stat_inc(range->mm, unwound);
		mn->ops->invalidate_range_end(mn, range);
	}
}

COLD void end_rest(struct mmun_list_node *from, const struct mmu_notifier_range *range,
		   const struct refusal *refusal)
{
	end_loop(from, range, refusal);
}

/* 0 if what the notifier answered is to be taken as done. */
COLD int start_failed(const struct mmu_notifier_range *range)
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
	return -EAGAIN;
}

COLD int start_rest(struct mmu_notifier_mm *chain, struct mmun_list_node *from,
		    const struct mmu_notifier_range *range, const struct refusal *refusal);

HOT int start_loop(struct mmu_notifier_mm *chain, struct mmun_list_node *from,
		   const struct mmu_notifier_range *range, const struct refusal *refusal)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	for_each_notifier(mn, node, next, from) {
		if (!mn->ops->invalidate_range_start)
			continue;
		if (mmun_unlikely(mn->ops->invalidate_range_start(mn, range)) &&
		    start_failed(range)) {
			const struct refusal mine = { mn, refusal };

			return start_rest(chain, next, range, &mine);
		}
	}
	if (!refusal)
		return 0;
	end_rest(mmun_list_first(&chain->list), range, refusal);
	return -EAGAIN;
}

/*
 * One level of recursion per refusal, not per notifier: the stack is the memory
 * in which refusals are remembered.
 */
int start_rest(struct mmu_notifier_mm *chain, struct mmun_list_node *from,
	       const struct mmu_notifier_range *range, const struct refusal *refusal)
{
	return start_loop(chain, from, range, refusal);
}

static inline bool has_intervals(const struct mmu_notifier_mm *chain)
{
	return mmun_unlikely(mmun_chain_itree(chain) != NULL);
}

/* Calls, to keep what an mm without interval notifiers runs through small. */
#define APART static __attribute__((noinline))

APART int start_with_intervals(struct mmu_notifier_mm *chain,
			      const struct mmu_notifier_range *range)
{
	int ret = mmun_intervals_start(chain, range);

	if (ret)
		return ret;
	ret = start_loop(chain, mmun_list_first(&chain->list), range, NULL);
	if (ret)
		mmun_intervals_end(chain, range);
	return ret;
}

APART void end_with_intervals(struct mmu_notifier_mm *chain,
			     const struct mmu_notifier_range *range)
{
	mmun_intervals_end(chain, range);
	end_loop(mmun_list_first(&chain->list), range, NULL);
}

HOT int start_all(struct mmu_notifier_mm *chain, const struct mmu_notifier_range *range)
{
	if (has_intervals(chain))
		return start_with_intervals(chain, range);
	return start_loop(chain, mmun_list_first(&chain->list), range, NULL);
}

HOT void end_all(struct mmu_notifier_mm *chain, const struct mmu_notifier_range *range)
{
	if (has_intervals(chain))
		end_with_intervals(chain, range);
	else
		end_loop(mmun_list_first(&chain->list), range, NULL);
}

static int start_in_section(struct mmu_notifier_mm *chain, const struct mmu_notifier_range *range)
{
	SECTION(s, range->mm, range->flags & MMUN_RANGE_READ_LOCKED);

	return start_all(chain, range);
}

static inline int range_start(const struct mmu_notifier_range *range)
{
	struct mmu_notifier_mm *chain = listeners(range->mm);

	if (!chain)
		return 0;
	if (mmun_likely(gate_is_enough(range)))
		return start_all(chain, range);
	return start_in_section(chain, range);
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

static void end_in_section(struct mmu_notifier_mm *chain, const struct mmu_notifier_range *range)
{
	SECTION(s, range->mm, range->flags & MMUN_RANGE_READ_LOCKED);

	end_all(chain, range);
}

void mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	struct mmu_notifier_mm *chain = listeners(range->mm);

	if (!chain)
		return;
	if (mmun_likely(gate_is_enough(range)))
		end_all(chain, range);
	else
		end_in_section(chain, range);
}

void mmu_notifier_invalidate_page(struct mm_struct *mm, unsigned long address)
{
	struct mmu_notifier_mm *chain = listeners(mm);
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	if (!chain)
		return;

	SECTION(s, mm, false);

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

	SECTION(s, mm, false);

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

	SECTION(s, mm, false);

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

	SECTION(s, mm, false);

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

	SECTION(s, mm, false);

	for_each_notifier(mn, node, next, mmun_list_first(&chain->list)) {
		if (mn->ops->test_young)
			young = !!mn->ops->test_young(mn, mm, address);
		if (young)
			break;
	}
	return young;
}
