/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The sections of the chain, inline: for dispatch.c, and for the one event source whose
 * sections stand beside every system call (primary/self/plain.c).  What is unusual is a
 * call.
 */
#ifndef MMUN_CORE_SECTION_H
#define MMUN_CORE_SECTION_H

#include "internal.h"

static inline struct mmu_notifier *mmun_to_notifier(struct mmun_list_node *node)
{
	return mmun_container_of(node, struct mmu_notifier, hlist);
}

#define mmun_for_each_notifier(mn, node, next, from) \
	for (node = (from); \
	     node && (next = mmun_list_next(node), mn = mmun_to_notifier(node), true); \
	     node = next)

static inline bool mmun_has_intervals(const struct mmu_notifier_mm *chain)
{
	return mmun_unlikely(mmun_chain_itree(chain) != NULL);
}

/* Neither are the callbacks cancelled, nor is what the caller holds left open. */
#define MMUN_CANCELLED_BY_NOBODY (MMUN_RANGE_READ_LOCKED | MMUN_RANGE_NOT_CANCELLED)

/*
 * Cancellation and interval notifiers as well.  -EAGAIN: the section is over, its read section
 * too.
 */
int mmun_start_any(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range);
void mmun_end_any(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range);
/* The rest of a start after @node has answered other than 0, and @next comes after it. */
int mmun_start_answered(struct mmu_notifier_range *range, struct mmun_list_node *node,
			struct mmun_list_node *next);

static inline int mmun_call_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return mn->ops->invalidate_range_start ? mn->ops->invalidate_range_start(mn, range) : 0;
}

/* What comes after the load of a list's head, where ThreadSanitizer does not see it. */
#ifndef MMUN_LIST_WAS_LOADED
#define MMUN_LIST_WAS_LOADED(list) ((void)0)
#endif

/* The head that the section keeps, loaded once: nobody who joins later is met at its end. */
static inline int mmun_start_list(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	struct mmun_list_node *head = mmun_list_first(&chain->list), *node, *next;
	struct mmu_notifier *mn;

	MMUN_LIST_WAS_LOADED(&chain->list);
	range->section.head = head;
	mmun_for_each_notifier(mn, node, next, head) {
		if (mmun_unlikely(mmun_call_start(mn, range)))
			return mmun_start_answered(range, node, next);
	}
	return 0;
}

/*
 * Ends to all from @head on: each of them saw the start or has left, which does not take it
 * out of our way, and who has joined since stands before @head.
 */
static inline void mmun_end_list(struct mmun_list_node *head,
				 const struct mmu_notifier_range *range)
{
	struct mmun_list_node *node, *next;
	struct mmu_notifier *mn;

	mmun_for_each_notifier(mn, node, next, head) {
		if (mn->ops->invalidate_range_end)
			mn->ops->invalidate_range_end(mn, range);
	}
}

/* @range->section is NULL but for the reader. */
static inline int mmun_start_heard(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	if (mmun_likely(range->flags & MMUN_CANCELLED_BY_NOBODY && !mmun_has_intervals(chain)))
		return mmun_start_list(chain, range);
	return mmun_start_any(chain, range);
}

/* With the read section, if it is the range's own. */
static inline void mmun_end_heard(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range)
{
	if (mmun_unlikely(!(range->flags & MMUN_CANCELLED_BY_NOBODY) || range->section.interval ||
			  mmun_load_relaxed(&chain->unusual))) {
		mmun_end_any(chain, range);
		return;
	}
	mmun_end_list(range->section.head, range);
	if (range->section.reader.slot)
		srcu_read_unlock(&range->mm->srcu, &range->section.reader);
}

#endif
