/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MMU notifiers as version 15 of the patches of 2008 had them, with the functions that the
 * change to it named: for drivers of that time, instead of linux/mmu_notifier.h.  What is
 * behind them is the chain of today.
 *
 * A callback is given addresses and no section.  It cannot be asked not to sleep: where
 * nobody may sleep, a driver with ->invalidate_range_start refuses (-EAGAIN).  One that has
 * only ->invalidate_page is called for each page of a section, at both of its ends.
 * A struct mmu_notifier is zero-filled before it is registered.
 */
#ifndef MMUN_COMPAT_LINUX_MMU_NOTIFIER_V15_H
#define MMUN_COMPAT_LINUX_MMU_NOTIFIER_V15_H

#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <mmunotify/primary.h>

struct mmun_v15_notifier;

struct mmun_v15_ops {
	void (*release)(struct mmun_v15_notifier *mn, struct mm_struct *mm);
	int (*clear_flush_young)(struct mmun_v15_notifier *mn, struct mm_struct *mm,
				 unsigned long address);
	void (*invalidate_page)(struct mmun_v15_notifier *mn, struct mm_struct *mm,
				unsigned long address);
	void (*invalidate_range_start)(struct mmun_v15_notifier *mn, struct mm_struct *mm,
				       unsigned long start, unsigned long end);
	void (*invalidate_range_end)(struct mmun_v15_notifier *mn, struct mm_struct *mm,
				     unsigned long start, unsigned long end);
};

struct mmun_v15_notifier {
	const struct mmun_v15_ops *ops;
	/* private: */
	struct mmu_notifier chain;
};

/* A section by one thread, which ends it with the same addresses. */
void mmun_v15_start(struct mm_struct *mm, unsigned long start, unsigned long end);
void mmun_v15_end(struct mm_struct *mm, unsigned long start, unsigned long end);

/* As mmu_notifier_register(), __mmu_notifier_register() and mmu_notifier_unregister(). */
int mmun_v15_register(struct mmun_v15_notifier *mn, struct mm_struct *mm);
int mmun_v15_register_locked(struct mmun_v15_notifier *mn, struct mm_struct *mm);
void mmun_v15_unregister(struct mmun_v15_notifier *mn, struct mm_struct *mm);

static inline int mmun_v15_young(struct mm_struct *mm, unsigned long address)
{
	return mmu_notifier_clear_flush_young(mm, address, address + PAGE_SIZE);
}

static inline void mmun_v15_page(struct mm_struct *mm, unsigned long address)
{
	mmu_notifier_invalidate_page(mm, address);
}

/* The memory of the chain comes and goes with the mm, after the last unregister. */
static inline void mmun_v15_nothing(struct mm_struct *mm)
{
}

/* Functions too: their types are those of version 15. */
#define mmu_notifier            mmun_v15_notifier
#define mmu_notifier_ops        mmun_v15_ops
#define mmu_notifier_register   mmun_v15_register
#define __mmu_notifier_register mmun_v15_register_locked
#define mmu_notifier_unregister mmun_v15_unregister

#undef mmu_notifier_invalidate_range_start
#undef mmu_notifier_clear_flush_young
#define __mmu_notifier_invalidate_range_start mmun_v15_start
#define __mmu_notifier_invalidate_range_end   mmun_v15_end
#define mmu_notifier_invalidate_range_start   mmun_v15_start
#define mmu_notifier_invalidate_range_end     mmun_v15_end
#define __mmu_notifier_invalidate_page        mmun_v15_page
#define __mmu_notifier_clear_flush_young      mmun_v15_young
#define mmu_notifier_clear_flush_young        mmun_v15_young
/* __mmu_notifier_release() is the kernel's of today: every ->release, then no more callbacks. */
#define __mmu_notifier_mm_destroy mmun_v15_nothing
#define mmu_notifier_mm_destroy   mmun_v15_nothing
#define mmu_notifier_mm_init      mmun_v15_nothing

#endif
