/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes to what is mapped read-only: copied, reused, or made writable.
 *
 * A page that others may see is copied: the notifiers are told (CLEAR, one
 * page) before the copy takes its place.  A page that is known to be nobody
 * else's, and a shared page, become writable as they are: the translations
 * that a secondary MMU has stay good, and nobody is told.
 *
 * I1  Nobody else's means: the entry says EXCLUSIVE, or the frame has one
 *     reference, which is this entry's.  Both are looked at under the
 *     page_table_lock, where no new reference can come from this mm, and from no
 *     other, as none maps the page.
 * I2  The copy is made before the section.  The page is mapped read-only
 *     everywhere then, or belongs to a file, whose writers a private mapping
 *     sees or not as it happens.
 * I3  A section that says pinned pages stay (MMUN_RANGE_PINNED_SAFE) replaces
 *     none that has a pin, which is looked at again inside it.  Pins of the zero
 *     page are not counted, so it is never said of that one.
 *
 * Not here: the first write to a private file page that nobody mapped (file.c).
 * Tests: tests/unit/soft/cow.c.
 */
#include <errno.h>

#include "fault/fault.h"
#include "frame/page.h"
#include "section.h"
#include "table/table.h"

/* What a page that became ours alone gets. */
static soft_pte exclusive_bits(const struct soft_vma *vma, unsigned int flags, soft_pte old)
{
	return soft_fault_bits(vma, flags) | SOFT_PTE_EXCLUSIVE |
	       (old & (SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY));
}

static bool raced(struct soft_mm *mm)
{
	soft_stat_inc(mm->soft, faults_minor_raced);
	return false;
}

/* Shared: nobody's translation changes.  mkclean sees the entry and the page
 * dirty together, or neither. */
static int make_writable(struct soft_vma *vma, unsigned long address, unsigned int flags,
			 soft_pte old)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	soft_pte *entry;
	bool same;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	same = entry && soft_pte_same(*entry, old);
	if (same) {
		*entry |= soft_fault_bits(vma, flags);
		soft_page_set(soft_pte_page(mm, old), SOFT_PAGE_DIRTY);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	if (!same)
		raced(mm);
	return 0;
}

/* I1 */
static bool only_ours(struct soft_mm *mm, soft_pte pte)
{
	const struct page *page = soft_pte_page(mm, pte);

	if (!soft_page_test(page, SOFT_PAGE_ANON) || soft_page_test(page, SOFT_PAGE_KSM))
		return false;
	return (pte & SOFT_PTE_EXCLUSIVE) || mmun_load_full(&page->refcount) == 1;
}

static bool reuse(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	soft_pte *entry;
	bool reused;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	reused = entry && soft_pte_same(*entry, old) && only_ours(mm, *entry);
	if (reused)
		*entry |= exclusive_bits(vma, flags, 0);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	if (reused)
		soft_stat_inc(mm->soft, cow_reused);
	return reused;
}

/* The page that @old maps, if it still does, so that it cannot go. */
static struct page *hold(struct soft_mm *mm, unsigned long address, soft_pte old)
{
	struct page *page = NULL;
	soft_pte *entry;

	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	if (entry && soft_pte_same(*entry, old)) {
		page = soft_pte_page(mm, old);
		mmun_soft_page_get(page);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return page;
}

/* Inside the section. */
static bool set_copy(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old,
		     struct page *copy, bool pins_stay)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct page *page = soft_pte_page(mm, old);
	soft_pte *entry;
	bool same;

	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	same = entry && soft_pte_same(*entry, old) && !(pins_stay && soft_page_pinned(page));
	if (same) {
		mmun_soft_place(mm, address, copy, exclusive_bits(vma, flags, *entry));
		soft_page_unmap(page);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return same;
}

static bool replace(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old,
		    const struct page *page, struct page *copy)
{
	struct mm_struct *mm = vma->v.vm_mm;
	bool pins_stay = !soft_page_test(page, SOFT_PAGE_ZERO) && !soft_page_pinned(page);
	struct soft_section section;
	bool same;

	if (pins_stay)
		mmun_soft_section_start(&section, mm, MMU_NOTIFY_CLEAR, MMUN_OP_COW, address,
					address + MMUN_SOFT_PAGE_SIZE, false);
	else
		mmun_soft_section_start_moving(&section, mm, MMUN_OP_COW, address,
					       address + MMUN_SOFT_PAGE_SIZE);
	same = set_copy(vma, address, flags, old, copy, pins_stay);
	mmun_soft_section_end(&section, !same);
	return same || raced(soft_vma_mm(vma));
}

static void count_copy(struct mmun_soft *soft, const struct page *page)
{
	soft_stat_inc(soft, cow_copied);
	if (soft_page_test(page, SOFT_PAGE_KSM))
		soft_stat_inc(soft, ksm_unmerged);
}

/* @page is held by the caller. */
static int copy_held(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old,
		     struct page *page)
{
	struct page *copy = mmun_soft_anon_page(vma, address, page);

	if (!copy)
		return -ENOMEM;
	if (!replace(vma, address, flags, old, page, copy)) {
		mmun_soft_page_put(copy);
		return 0;
	}
	count_copy(soft_vma_mm(vma)->soft, page);
	/* The reference that the entry had. */
	mmun_soft_page_put(page);
	return 0;
}

static int copy_apart(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte old)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct page *page = hold(mm, address, old);
	int ret;

	if (!page) {
		raced(mm);
		return 0;
	}
	ret = copy_held(vma, address, flags, old, page);
	mmun_soft_page_put(page);
	return ret;
}

/* All parts of a huge page; its first frame is @pte's. */
static bool huge_only_ours(struct soft_mm *mm, soft_pte pte)
{
	struct page *first = soft_pte_page(mm, pte);

	if (pte & SOFT_PTE_EXCLUSIVE)
		return true;
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		if (mmun_load_full(&mmun_soft_page_next(first, i)->refcount) != 1)
			return false;
	return true;
}

static bool reuse_huge(struct soft_vma *vma, unsigned long address, unsigned int flags)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	soft_pte *entry;
	bool reused;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pmd(mm, address);
	reused = entry && (*entry & SOFT_PTE_HUGE) && huge_only_ours(mm, *entry);
	if (reused)
		*entry |= exclusive_bits(vma, flags, 0);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	if (reused)
		soft_stat_inc(mm->soft, cow_reused);
	return reused;
}

int mmun_soft_fault_protected(struct soft_vma *vma, unsigned long address, unsigned int flags,
			      soft_pte pte)
{
	if (!soft_vma_private(vma))
		return make_writable(vma, address, flags, pte);
	if (pte & SOFT_PTE_HUGE)
		return reuse_huge(vma, address, flags) ? 0 : mmun_soft_split_huge(vma, address);
	if (reuse(vma, address, flags, pte))
		return 0;
	return copy_apart(vma, address, flags, pte);
}

static bool maps_ksm(struct soft_mm *mm, soft_pte pte)
{
	return (pte & SOFT_PTE_PRESENT) && soft_page_test(soft_pte_page(mm, pte), SOFT_PAGE_KSM);
}

int mmun_soft_break_ksm(struct soft_vma *vma, unsigned long address)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	soft_pte pte;
	int ret = 0;

	address &= MMUN_SOFT_PAGE_MASK;
	while (!ret) {
		mmun_mutex_lock(&mm->page_table_lock);
		pte = mmun_soft_pte_value(mm, address);
		mmun_mutex_unlock(&mm->page_table_lock);
		if (!maps_ksm(mm, pte))
			break;
		ret = copy_apart(vma, address, SOFT_FAULT_UNSHARE, pte);
	}
	return ret;
}
