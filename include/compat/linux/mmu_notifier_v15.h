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

/* As mmu_notifier_register(), __mmu_notifier_register() and mmu_notifier_unregister(). */
int mmun_v15_register(struct mmun_v15_notifier *mn, struct mm_struct *mm, bool locked);
void mmun_v15_unregister(struct mmun_v15_notifier *mn, struct mm_struct *mm);
/* A section by one thread, which ends it with the same addresses. */
void mmun_v15_start(struct mm_struct *mm, unsigned long start, unsigned long end);
void mmun_v15_end(struct mm_struct *mm, unsigned long start, unsigned long end);

#define mmu_notifier                    mmun_v15_notifier
#define mmu_notifier_ops                mmun_v15_ops
#define mmu_notifier_register(mn, mm)   mmun_v15_register(mn, mm, false)
#define __mmu_notifier_register(mn, mm) mmun_v15_register(mn, mm, true)
#define mmu_notifier_unregister(mn, mm) mmun_v15_unregister(mn, mm)

#undef mmu_notifier_invalidate_range_start
#define __mmu_notifier_invalidate_range_start(mm, start, end) mmun_v15_start(mm, start, end)
#define __mmu_notifier_invalidate_range_end(mm, start, end)   mmun_v15_end(mm, start, end)
#define mmu_notifier_invalidate_range_start(mm, start, end)   mmun_v15_start(mm, start, end)
#define mmu_notifier_invalidate_range_end(mm, start, end)     mmun_v15_end(mm, start, end)
#define __mmu_notifier_invalidate_page(mm, address)           mmu_notifier_invalidate_page(mm, address)
#define __mmu_notifier_clear_flush_young(mm, address) \
	(mmu_notifier_clear_flush_young)(mm, address, (address) + PAGE_SIZE)
#define mmu_notifier_clear_flush_young(mm, address) __mmu_notifier_clear_flush_young(mm, address)
/* Every ->release, then no more callbacks: what exit does first. */
#define __mmu_notifier_release(mm) mmun_mm_exit(mm)
#define mmu_notifier_release(mm)   mmun_mm_exit(mm)
/* Nothing: the memory of the chain goes with the mm, after the last unregister. */
#define __mmu_notifier_mm_destroy(mm) ((void)(mm))
#define mmu_notifier_mm_destroy(mm)   ((void)(mm))
#define mmu_notifier_mm_init(mm)      ((void)(mm))

#endif
