/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The interval notifiers of an mm: what their two files share.
 *
 * interval_seq.c says who may read or change the tree when and keeps the
 * sequence; interval.c is the notifiers and their callbacks.
 */
#ifndef MMUN_CORE_INTERVAL_H
#define MMUN_CORE_INTERVAL_H

#include "internal.h"
#include "itree.h"

/* Each pair counts entries and exits, like a bank of SRCU. */
enum mmun_itree_count {
	/* First walks: a section looks for its first interval. */
	MMUN_WALKS_BEGUN,
	MMUN_WALKS_DONE,
	/* Sections, from start to end. */
	MMUN_SECTIONS_OPENED,
	MMUN_SECTIONS_CLOSED,
	MMUN_ITREE_COUNTS
};

/* One per CPU up to a limit, the index is that of the mm's SRCU slot. */
struct mmun_itree_slot {
	unsigned long count[MMUN_ITREE_COUNTS];
} __attribute__((aligned(2 * MMUN_CACHE_LINE)));

struct mmun_itree {
	/* A futex word: who changes the tree keeps first walks out; enum in
	 * interval_seq.c. */
	unsigned int writer;
	unsigned int nr_slots;
	/* Read by every section. */
	struct mmun_itree_root root;

	/* Even: no open section has met an interval.  In a line of its own. */
	unsigned long seq __attribute__((aligned(2 * MMUN_CACHE_LINE)));
	/* Somebody tries to make it even. */
	unsigned int closing;
	/* How many sleep on ->seq. */
	unsigned int waiters;
	/* Insertions and removals that wait for the sequence to become even;
	 * under the chain lock. */
	struct mmun_list_head deferred;
	/* How many intervals are in the tree or deferred to be: it always has room
	 * for them; under the chain lock. */
	unsigned long promised;

	struct mmun_itree_slot slots[];
};

/* mmu_interval_notifier.state; anything else, as in memory never used: not inserted. */
#define MMUN_INTERVAL_ABANDONED 1ul

static inline unsigned long mmun_interval_inserted(const struct mmu_interval_notifier *sub)
{
	return (unsigned long)sub ^ 0x6d6d756e746565ul;
}

/* While ->seq has this bit somebody is about to make it even. */
#define MMUN_SEQ_CLOSING (1ul << 63)

/* The sequence as everybody else knows it. */
static inline unsigned long mmun_itree_seq(const struct mmun_itree *itree)
{
	return mmun_load_full(&itree->seq) & ~MMUN_SEQ_CLOSING;
}

static inline bool mmun_itree_odd(const struct mmun_itree *itree)
{
	return mmun_load_full(&itree->seq) & 1;
}

static inline struct mmun_itree_slot *mmun_itree_slot(struct mm_struct *mm,
						      struct mmun_itree *itree)
{
	return &itree->slots[mmun_srcu_slot(&mm->srcu) - mm->srcu.slots];
}

/*
 * A section opens: the first interval that it touches, or NULL.  If there is
 * one the sequence is odd and the tree stays as it is until mmun_itree_leave();
 * it is what the callbacks get.  mmun_itree_next() finds the others until then.
 */
struct mmun_interval_node *mmun_itree_enter(struct mm_struct *mm, struct mmun_itree *itree,
					    unsigned long start, unsigned long last,
					    struct mmun_itree_cursor *cursor, unsigned long *seq);
void mmun_itree_leave(struct mm_struct *mm, struct mmu_notifier_mm *chain);

/* Make the sequence even if no section is open, with what was deferred. */
void mmun_itree_close(struct mm_struct *mm, struct mmu_notifier_mm *chain);

/*
 * Under the chain lock, to change the tree: no first walk is under way on a
 * true return, nor begins before write_end.  On false somebody walks: drop the
 * lock, mmun_itree_back_off(), and begin again.
 */
bool mmun_itree_write_begin(struct mmun_itree *itree);
void mmun_itree_write_end(struct mmun_itree *itree);
void mmun_itree_back_off(const struct mmun_itree *itree);

/* Is no section open?  Exact for a writer, but for sections that end meanwhile. */
bool mmun_itree_idle(const struct mmun_itree *itree);

/* Under the chain lock: leave it to whoever makes the sequence even.  False, and
 * nothing is done, when it is not @seq (odd) any more. */
bool mmun_itree_defer(struct mmun_itree *itree, struct mmu_interval_notifier *sub,
		      unsigned long seq);

/* Sleeps while the sequence is @seq. */
void mmun_itree_wait(struct mmun_itree *itree, unsigned long seq);

#endif
