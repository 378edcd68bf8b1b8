/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Interval notifiers: subscriptions to one range of an address space.  A part of
 * mmunotify/mmu_notifier.h, which includes it.
 */
#ifndef MMUNOTIFY_INTERVAL_H
#define MMUNOTIFY_INTERVAL_H

#include <mmunotify/mmu_notifier.h>

#ifdef __cplusplus
extern "C" {
#endif

#pragma GCC visibility push(default)

struct mmu_interval_notifier;

/** An interval in its mm's tree; ->start and ->last may be read, the rest is the tree's. */
struct mmun_interval_node {
	unsigned long start, last;
	/* private: */
	unsigned long serial;
};

/**
 * struct mmu_interval_notifier_finish - what an ->invalidate_start has left to do.
 *
 * Embed it in an object of your own and hand it back through @finish.  Sections
 * run at once in several threads: each call needs an object of its own until
 * its ->invalidate_finish, which may free it.
 */
struct mmu_interval_notifier_finish {
	/* private: */
	struct mmu_interval_notifier_finish *link;
	/* public: set by the core. */
	struct mmu_interval_notifier *notifier;
};

/**
 * struct mmu_interval_notifier_ops - what a subscriber to one range does.
 *
 * One of ->invalidate and ->invalidate_start is needed; ->invalidate_start is
 * preferred.  Context: as the members of struct mmu_notifier_ops; the section
 * is open and stays so after the return.  No member may call
 * mmu_interval_notifier_remove() or mmu_interval_read_begin() for an interval that
 * the section overlaps: they would wait for the section.
 */
struct mmu_interval_notifier_ops {
	/**
	 * A section that touches the interval opens: take the lock of your own
	 * that readers hold around mmu_interval_read_retry(), call
	 * mmu_interval_set_seq(@interval_sub, @cur_seq), drop the translations
	 * of @range, unlock.  There is no end callback: readers wait for the end in
	 * mmu_interval_read_begin().  @range is the whole section, not cut down to
	 * the interval, and at the exit of the mm it is everything
	 * (MMU_NOTIFY_RELEASE).
	 *
	 * Context: sleeps only if mmu_notifier_range_blockable(@range).
	 * Return: true; false only when not blockable and it would have to
	 * sleep: the operation is then not performed.
	 */
	bool (*invalidate)(struct mmu_interval_notifier *interval_sub,
			   const struct mmu_notifier_range *range, unsigned long cur_seq);
	/**
	 * The same in two passes: begin here what takes long, set *@finish, and
	 * wait for it in ->invalidate_finish.  With *@finish left NULL everything
	 * is done at once.  What is set is ignored when false is returned.
	 */
	bool (*invalidate_start)(struct mmu_interval_notifier *interval_sub,
				 const struct mmu_notifier_range *range, unsigned long cur_seq,
				 struct mmu_interval_notifier_finish **finish);
	/** Called in order after every ->invalidate_start of the section, also when
	 *  one of them refused; before the section's start returns. */
	void (*invalidate_finish)(struct mmu_interval_notifier_finish *finish);
};

/**
 * struct mmu_interval_notifier - one subscription to one range; embed it.
 *
 * Nothing has to be set before the insertion.
 * Lifetime: from insertion until mmu_interval_notifier_remove() returned.
 */
struct mmu_interval_notifier {
	struct mmun_interval_node interval_tree;
	/* private: */
	const struct mmu_interval_notifier_ops *ops;
	unsigned long invalidate_seq;
	struct mm_struct *mm;
	unsigned long state;
	unsigned long clean_seq;
	unsigned long reserved[4];
};

/**
 * mmu_interval_notifier_insert() - subscribe to [@start, @start + @length - 1] of @mm.
 *
 * After it returned 0 every section that touches the interval and starts later
 * calls @ops; those that are open may call it or not, and mmu_interval_read_begin()
 * waits for their end.  The first one of an mm switches it to interval mode, as
 * mmu_notifier_register(NULL, mm) does; only then the mm is quiesced.
 *
 * Context: sleeps; not async-signal-safe.  Later ones may be called from a
 * callback: memory for the tree comes from the kernel, not from malloc().
 * Locks: must not hold the mmap lock; mmu_interval_notifier_insert_locked():
 * held for write, and kept.
 * Return: 0; -EOVERFLOW (@length is 0, or the range wraps); -EINVAL (mm_users is 0,
 * or @ops has no way to invalidate); -EEXIST (already inserted); -ENOMEM; -ESRCH
 * (exit has begun, or @mm is the copy that fork left in a child); -EDEADLK (the
 * mmap lock is held for write, or for _locked is not; the first one of an mm inside
 * a callback); or what the event source said.  On error nothing has changed.
 * Lifetime: @mm's struct is held until remove.  mm_users must be above zero
 * throughout, and again whenever a translation is established.
 */
int mmu_interval_notifier_insert(struct mmu_interval_notifier *interval_sub, struct mm_struct *mm,
				 unsigned long start, unsigned long length,
				 const struct mmu_interval_notifier_ops *ops);
int mmu_interval_notifier_insert_locked(struct mmu_interval_notifier *interval_sub,
					struct mm_struct *mm, unsigned long start,
					unsigned long length,
					const struct mmu_interval_notifier_ops *ops);

/**
 * mmu_interval_notifier_remove() - end a subscription and wait for its callbacks.
 *
 * After the return no callback of it runs or will run, and it may be freed.  It
 * waits for the end of the sections that overlap it, and of no others.
 * No callback runs for the removal: drop the translations yourself.  In a forked
 * child it only forgets the inherited subscription.
 *
 * Context: sleeps; not inside a section of the same thread that overlaps it, neither
 * in a callback nor between start and end (debug builds abort; otherwise it is
 * reported on stderr, that section is not waited for, and the object must stay until
 * it has ended).
 * Locks: must hold no lock that a callback takes.  Lifetime: @mm may be gone on return.
 */
void mmu_interval_notifier_remove(struct mmu_interval_notifier *interval_sub);

/**
 * mmu_interval_read_begin() - begin to look translations of the interval up.
 *
 *     again:
 *         seq = mmu_interval_read_begin(sub);
 *         look the pages up;
 *         lock;                                (the lock of ->invalidate)
 *         if (mmu_interval_read_retry(sub, seq)) { unlock; goto again; }
 *         establish the translations;
 *         unlock;
 *
 * Context: sleeps while a section is open that overlaps the interval, and for no other.
 * In a forked child, and inside such a section of the same thread, it does not wait
 * and every retry says true.
 * Locks: must hold no lock that a callback takes.
 */
unsigned long mmu_interval_read_begin(struct mmu_interval_notifier *interval_sub);

/** mmu_interval_set_seq() - in ->invalidate, under the lock that readers take: let
 *  them retry.  To be called always, whatever @range is.  Inlined always: instrumented by
 *  sanitizers only where the callback is. */
static inline __attribute__((always_inline)) void
mmu_interval_set_seq(struct mmu_interval_notifier *interval_sub, unsigned long cur_seq)
{
	__atomic_store_n(&interval_sub->invalidate_seq, cur_seq, __ATOMIC_RELEASE);
}

/** mmu_interval_read_retry() - under the same lock: has a section called the
 *  subscription since @seq?  Then what was looked up must be thrown away. */
static inline bool mmu_interval_read_retry(struct mmu_interval_notifier *interval_sub,
					   unsigned long seq)
{
	return __atomic_load_n(&interval_sub->invalidate_seq, __ATOMIC_RELAXED) != seq;
}

/** mmu_interval_check_retry() - a hint without the lock: true is certain, false is not. */
static inline bool mmu_interval_check_retry(struct mmu_interval_notifier *interval_sub,
					    unsigned long seq)
{
	return __atomic_load_n(&interval_sub->invalidate_seq, __ATOMIC_ACQUIRE) != seq;
}

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
