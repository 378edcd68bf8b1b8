/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The address space and its notifier chain: the structs, and what is asked of them in
 * one look.
 */
#ifndef MMUN_CORE_INTERNAL_H
#define MMUN_CORE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include <mmunotify/mm.h>
#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

#include "atomic.h"
#include "clock.h"
#include "list.h"
#include "lock.h"
#include "sigmask.h"
#include "srcu.h"
#include "task.h"

struct mmun_itree;

/* How many notifiers that were detached against the rules are remembered. */
#define MMUN_DETACHED 4

/*
 * The notifiers of an mm; made by the first registration, kept until the mm
 * goes (R9: one chain per mm), so that a reader that has seen it may use it without a check.
 */
struct mmu_notifier_mm {
	/* Changed under ->lock, walked inside read sections. */
	struct mmun_list_head list;
	/* NULL unless the mm is in interval mode. */
	struct mmun_itree *itree;
	/* Every section that began before @itree was there has ended; under the mmap lock. */
	bool intervals_ready;
	/* What ends of sections look at in one load; under ->lock. */
	union {
		unsigned long unusual;
		struct {
			/* Length of the list below. */
			unsigned int nr_detached;
			/* Somebody has been registered who has ->invalidate_range; for good. */
			unsigned int invalidates_ranges;
		};
	};
	/* Unregistered by misuse inside a section that may have kept them as its head: each
	 * with what came after it. */
	struct {
		struct mmun_list_node *node, *next;
	} detached[MMUN_DETACHED];
	/* In a line of its own: interval notifiers come and go under it. */
	struct mmun_mutex lock __attribute__((aligned(2 * MMUN_CACHE_LINE)));
};

_Static_assert(sizeof(unsigned long) == 2 * sizeof(unsigned int), "->unusual does not cover all");

/* Words of an mm that are its drivers' (include/compat/linux/mm_types.h names them); zero at first. */
#define MMUN_MM_DRIVER_WORDS 8

struct mm_struct {
	/* First, and never looked at here. */
	unsigned long driver[MMUN_MM_DRIVER_WORDS];

	/* Read by every section, hardly ever written. */
	struct mmu_notifier_mm *mmu_notifier_mm;
	const unsigned int *fork_word;
	/* Somebody has been registered whose callbacks may call a cancellation point; for good. */
	bool cancellable;
	struct srcu_struct srcu;

	/* Counts, in a line of their own: users come and go. */
	long mm_users __attribute__((aligned(2 * MMUN_CACHE_LINE)));
	long mm_count;
	/* enum below; a futex word. */
	unsigned int dead;

	struct mmun_rwlock mmap_lock;
	const struct mmun_primary_ops *ops;
	void *priv;
	struct mmun_stats stats;

	struct srcu_slot slots[];
};

/* The life of the memory; each step happens once. */
enum {
	MMUN_MM_ALIVE = 0,
	/* The release step of exit has begun. */
	MMUN_MM_DYING = 1,
	MMUN_MM_DEAD = 2,
};

/*
 * Bits of mmu_notifier.state; changed under the chain lock except for the first.  Above them
 * is whose state it is: a driver of Linux registers what kmalloc() gave it, and what that
 * memory held before must not pass for a registration.
 */
enum {
	/* A registration has begun: the object is spoken for. */
	MMUN_MN_REGISTERED = 1u << 0,
	/* Somebody calls ->release or has called it, or put made it moot. */
	MMUN_MN_CLAIMED = 1u << 1,
	/* unregister or the last put has begun. */
	MMUN_MN_LEAVING = 1u << 2,
	/* Always set in a state, so that 0 is none. */
	MMUN_MN_MARKED = 1u << 3,
	MMUN_MN_BITS = MMUN_MN_REGISTERED | MMUN_MN_CLAIMED | MMUN_MN_LEAVING,
};

static inline unsigned int mmun_notifier_mark(const struct mmu_notifier *mn)
{
	uint64_t address = (uintptr_t)mn;

	return ((unsigned int)((address * 0x9e3779b97f4a7c15ull) >> 32) & ~MMUN_MN_BITS) |
	       MMUN_MN_MARKED;
}

#define mmun_stat_inc(mm, field) ((void)mmun_add_relaxed(&(mm)->stats.field, 1))

/* mmun_mm_is_stale() for the hot paths. */
static inline bool mmun_mm_copied(const struct mm_struct *mm)
{
	return mm->fork_word && !mmun_load_relaxed(mm->fork_word);
}

/* NULL until the first registration. */
static inline struct mmu_notifier_mm *mmun_chain(struct mm_struct *mm)
{
	return mmun_load_full(&mm->mmu_notifier_mm);
}

static inline struct mmun_itree *mmun_chain_itree(const struct mmu_notifier_mm *chain)
{
	return mmun_load_acquire(&chain->itree);
}

/*
 * The chain lock, with every signal blocked: a handler may leave the process,
 * whose release step takes the lock.
 */
static inline void mmun_chain_lock(struct mmu_notifier_mm *chain, mmun_sigmask *saved)
{
	mmun_signals_block(saved);
	mmun_mutex_lock(&chain->lock);
}

/* Until @deadline (clock.h) at the latest; false: nothing is locked or blocked. */
static inline bool mmun_chain_lock_until(struct mmu_notifier_mm *chain, mmun_sigmask *saved,
					 uint64_t deadline)
{
	mmun_signals_block(saved);
	if (mmun_mutex_lock_until(&chain->lock, deadline))
		return true;
	mmun_signals_restore(saved);
	return false;
}

static inline void mmun_chain_unlock(struct mmu_notifier_mm *chain, const mmun_sigmask *saved)
{
	mmun_mutex_unlock(&chain->lock);
	mmun_signals_restore(saved);
}

/* May registration proceed on @mm at all? */
static inline bool mmun_mm_alive(const struct mm_struct *mm)
{
	return mmun_load_full(&mm->mm_users) > 0 && !mmun_load_full(&mm->dead);
}

/* Is this thread inside a section or a callback of @mm? */
static inline bool mmun_task_inside(struct mm_struct *mm)
{
	return mmun_task_walks(mm) || mmun_srcu_open_here(&mm->srcu);
}

/* Not so inside a section of @mm, nor in a signal handler that interrupted this
 * thread in such a wait: it would never end. */
static inline bool mmun_may_wait(struct mm_struct *mm)
{
	return !mmun_task_inside(mm) && !mmun_task_waits_for(&mm->srcu);
}

#endif
