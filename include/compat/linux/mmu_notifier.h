/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * MMU notifiers and interval notifiers: the library's own, with the names and types of Linux around
 * them.  Those of 6.12; others by MMUN_COMPAT_LINUX (linux/version.h).
 */
#ifndef MMUN_COMPAT_LINUX_MMU_NOTIFIER_H
#define MMUN_COMPAT_LINUX_MMU_NOTIFIER_H

#include <linux/interval_tree.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/lockdep.h>
#include <linux/mm_types.h>
#include <linux/mmap_lock.h>
#include <linux/pgtable.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/version.h>

#include <mmunotify/mmu_notifier.h>
#include <mmunotify/primary.h>

struct mmu_notifier_subscriptions;

/* Nothing takes it: the order of locks is the sanitizer's. */
extern struct lockdep_map __mmu_notifier_invalidate_range_start_map;

/* Is it mprotect() that leaves the right to read?  Context: in a callback for @range. */
bool mmu_notifier_range_update_to_read_only(const struct mmu_notifier_range *range);

/*
 * What follows is for who is a primary MMU.  Linux's names with two underlines are called where
 * there are notifiers; here they may be called anywhere.
 */

static inline void __mmu_notifier_release(struct mm_struct *mm)
{
	mmun_mm_exit(mm);
}

static inline void mmu_notifier_release(struct mm_struct *mm)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_release(mm);
}

/* Nothing: the memory of the chain comes and goes with the mm. */
static inline void mmu_notifier_subscriptions_init(struct mm_struct *mm)
{
}

static inline void __mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
}

static inline void mmu_notifier_subscriptions_destroy(struct mm_struct *mm)
{
}

static inline mmun_young_t __mmu_notifier_clear_flush_young(struct mm_struct *mm,
							    unsigned long start, unsigned long end)
{
	return mmu_notifier_clear_flush_young(mm, start, end);
}

static inline mmun_young_t __mmu_notifier_clear_young(struct mm_struct *mm, unsigned long start,
						      unsigned long end)
{
	return mmu_notifier_clear_young(mm, start, end);
}

static inline mmun_young_t __mmu_notifier_test_young(struct mm_struct *mm, unsigned long address)
{
	return mmu_notifier_test_young(mm, address);
}

#if MMUN_COMPAT_LINUX >= 0x0700
#define mmu_notifier_clear_flush_young __mmu_notifier_clear_flush_young
#define mmu_notifier_clear_young       __mmu_notifier_clear_young
#define mmu_notifier_test_young        __mmu_notifier_test_young
#endif

static inline void __mmu_notifier_change_pte(struct mm_struct *mm, unsigned long address, pte_t pte)
{
	mmu_notifier_change_pte(mm, address, pte);
}

static inline int __mmu_notifier_invalidate_range_start(struct mmu_notifier_range *range)
{
	return mmu_notifier_range_blockable(range)
		       ? mmu_notifier_invalidate_range_start(range)
		       : mmu_notifier_invalidate_range_start_nonblock(range);
}

/* Linux's cannot fail, nor can a section that may block. */
static inline void mmun_compat_range_start(struct mmu_notifier_range *range)
{
	might_sleep();
	(void)mmu_notifier_invalidate_range_start(range);
}
#define mmu_notifier_invalidate_range_start mmun_compat_range_start

#if MMUN_COMPAT_LINUX < 0x0606
static inline void __mmu_notifier_invalidate_range(struct mm_struct *mm, unsigned long start,
						   unsigned long end)
{
	mmu_notifier_invalidate_range(mm, start, end);
}

static inline void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range,
						       bool only_end)
{
	if (only_end)
		mmu_notifier_invalidate_range_only_end(range);
	else
		mmu_notifier_invalidate_range_end(range);
}
#else
static inline void __mmu_notifier_invalidate_range_end(struct mmu_notifier_range *range)
{
	mmu_notifier_invalidate_range_end(range);
}
#endif

static inline void __mmu_notifier_arch_invalidate_secondary_tlbs(struct mm_struct *mm,
								 unsigned long start,
								 unsigned long end)
{
	mmu_notifier_arch_invalidate_secondary_tlbs(mm, start, end);
}

static inline void mmun_compat_range_init(struct mmu_notifier_range *range,
					  enum mmu_notifier_event event, unsigned int flags,
					  struct mm_struct *mm, unsigned long start,
					  unsigned long end, void *owner)
{
	*range = (struct mmu_notifier_range){
		.mm = mm, .start = start, .end = end, .flags = flags, .event = event, .owner = owner
	};
}

/* Before 6.3 with the mapping, which nobody here needs. */
#if MMUN_COMPAT_LINUX < 0x0603
static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event, unsigned int flags,
					   struct vm_area_struct *vma, struct mm_struct *mm,
					   unsigned long start, unsigned long end)
{
	mmun_compat_range_init(range, event, flags, mm, start, end, NULL);
}

static inline void mmu_notifier_range_init_owner(struct mmu_notifier_range *range,
						 enum mmu_notifier_event event, unsigned int flags,
						 struct vm_area_struct *vma, struct mm_struct *mm,
						 unsigned long start, unsigned long end,
						 void *owner)
{
	mmun_compat_range_init(range, event, flags, mm, start, end, owner);
}
#else
static inline void mmu_notifier_range_init(struct mmu_notifier_range *range,
					   enum mmu_notifier_event event, unsigned int flags,
					   struct mm_struct *mm, unsigned long start,
					   unsigned long end)
{
	mmun_compat_range_init(range, event, flags, mm, start, end, NULL);
}

static inline void mmu_notifier_range_init_owner(struct mmu_notifier_range *range,
						 enum mmu_notifier_event event, unsigned int flags,
						 struct mm_struct *mm, unsigned long start,
						 unsigned long end, void *owner)
{
	mmun_compat_range_init(range, event, flags, mm, start, end, owner);
}
#endif

/* The entry's young bit or a device's: both are cleared. */
#define MMUN_COMPAT_YOUNG(entry, vma, address, size, ask) \
	({ \
		struct vm_area_struct *mmun_vma = (vma); \
		unsigned long mmun_at = (address); \
		int mmun_young = entry; \
		mmun_young |= ask(mmun_vma->vm_mm, mmun_at, mmun_at + (size)); \
		mmun_young; \
	})
#define ptep_clear_flush_young_notify(vma, address, ptep) \
	MMUN_COMPAT_YOUNG(ptep_clear_flush_young(mmun_vma, mmun_at, ptep), vma, address, \
			  PAGE_SIZE, mmu_notifier_clear_flush_young)
#define pmdp_clear_flush_young_notify(vma, address, pmdp) \
	MMUN_COMPAT_YOUNG(pmdp_clear_flush_young(mmun_vma, mmun_at, pmdp), vma, address, PMD_SIZE, \
			  mmu_notifier_clear_flush_young)
#define ptep_clear_young_notify(vma, address, ptep) \
	MMUN_COMPAT_YOUNG(ptep_test_and_clear_young(mmun_vma, mmun_at, ptep), vma, address, \
			  PAGE_SIZE, mmu_notifier_clear_young)
#define pmdp_clear_young_notify(vma, address, pmdp) \
	MMUN_COMPAT_YOUNG(pmdp_test_and_clear_young(mmun_vma, mmun_at, pmdp), vma, address, \
			  PMD_SIZE, mmu_notifier_clear_young)

/* They write entries, which is outside: where one is used compiling stops (linux/pgtable.h). */
#define ptep_clear_flush_notify(vma, address, ptep)      ptep_clear_flush(vma, address, ptep)
#define pmdp_huge_clear_flush_notify(vma, address, pmdp) pmdp_huge_clear_flush(vma, address, pmdp)
#define pudp_huge_clear_flush_notify(vma, address, pudp) pudp_huge_clear_flush(vma, address, pudp)
#define set_pte_at_notify(mm, address, ptep, pte)        set_pte_at(mm, address, ptep, pte)

#endif
