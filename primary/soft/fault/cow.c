/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Writes to what is mapped read-only: copied, reused, or made writable.
 *
 * A page that others may see is copied: the notifiers are called (CLEAR, one
 * page) before the copy takes its place.  A page that is known to be nobody
 * else's, and a shared page, become writable as they are: the translations
 * that a secondary MMU has stay good, and no notifier is called.
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

static void raced(const struct soft_vm_fault *vmf)
{
	soft_stat_inc(soft_fault_mm(vmf)->soft, faults_minor_raced);
}

/* What a page that became ours alone gets. */
static soft_pte exclusive_bits(const struct soft_vm_fault *vmf)
{
	return soft_fault_bits(vmf) | SOFT_PTE_EXCLUSIVE;
}

/* A shared mapping: nobody's translation changes.  mkclean sees the entry and the page
 * dirty together, or neither. */
static int wp_page_shared(struct soft_vm_fault *vmf)
{
	if (!mmun_soft_fault_lock(vmf)) {
		raced(vmf);
		return 0;
	}
	*vmf->pte |= soft_fault_bits(vmf);
	if (!soft_pte_special(vmf->orig_pte))
		soft_page_set(soft_pte_page(soft_fault_mm(vmf), vmf->orig_pte), SOFT_PAGE_DIRTY);
	mmun_soft_fault_unlock(vmf);
	return 0;
}

/* I1 */
static bool only_ours(struct soft_mm *mm, soft_pte pte)
{
	const struct page *page = soft_pte_page(mm, pte);

	if (soft_pte_special(pte) || !soft_page_test(page, SOFT_PAGE_ANON) ||
	    soft_page_test(page, SOFT_PAGE_KSM))
		return false;
	return (pte & SOFT_PTE_EXCLUSIVE) || mmun_load_full(&page->refcount) == 1;
}

/* All parts of a huge page. */
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

/* Small or huge.  True: done, or the entry says something else now and is to be looked at
 * again (a huge page that another thread has reused is not to be split).  False: to be copied. */
static bool wp_page_reuse(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);
	bool reused;

	if (!mmun_soft_fault_lock(vmf)) {
		raced(vmf);
		return true;
	}
	reused = soft_pte_huge(*vmf->pte) ? huge_only_ours(mm, *vmf->pte)
					  : only_ours(mm, *vmf->pte);
	if (reused)
		*vmf->pte |= exclusive_bits(vmf);
	mmun_soft_fault_unlock(vmf);
	if (reused)
		soft_stat_inc(mm->soft, cow_reused);
	return reused;
}

/* The page that ->orig_pte maps, if it still does, so that it cannot go.  What a special entry names
 * may be gone, or be another's by now. */
static struct page *hold(struct soft_vm_fault *vmf)
{
	const bool special = soft_pte_special(vmf->orig_pte);
	struct page *page;

	if (!mmun_soft_fault_lock(vmf))
		return NULL;
	page = soft_pte_page(soft_fault_mm(vmf), vmf->orig_pte);
	if (!special)
		mmun_soft_get_page(page);
	else if (!mmun_soft_page_tryget(page))
		page = NULL;
	mmun_soft_fault_unlock(vmf);
	if (page && special && soft_pte_stale(soft_fault_mm(vmf), vmf->orig_pte)) {
		mmun_soft_put_page(page);
		page = NULL;
	}
	return page;
}

/* Inside the section: ->page takes @old's place. */
static bool set_copy(struct soft_vm_fault *vmf, struct page *old, bool pins_stay)
{
	bool copied;

	if (!mmun_soft_fault_lock(vmf))
		return false;
	copied = !(pins_stay && soft_page_pinned(old));
	if (copied) {
		soft_pte written = *vmf->pte & (SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY);

		/* Empty meanwhile: nobody may find the old page after the flush. */
		mmun_soft_pte_set(soft_fault_mm(vmf), vmf->address, 0);
		mmun_soft_flush_page(soft_fault_mm(vmf), vmf->address);
		mmun_soft_set_page(soft_fault_mm(vmf), vmf->address, vmf->page,
				   exclusive_bits(vmf) | written);
		if (!soft_pte_special(vmf->orig_pte))
			soft_page_unmap(old);
	}
	mmun_soft_fault_unlock(vmf);
	return copied;
}

/* I3 */
static bool replace_with_copy(struct soft_vm_fault *vmf, struct page *old)
{
	const unsigned long start = vmf->address, end = start + MMUN_SOFT_PAGE_SIZE;
	struct mm_struct *mm = vmf->vma->v.vm_mm;
	bool pins_stay = !soft_page_test(old, SOFT_PAGE_ZERO) && !soft_page_pinned(old);
	struct soft_section section;
	bool copied;

	if (pins_stay)
		mmun_soft_section_start(&section, mm, MMU_NOTIFY_CLEAR, MMUN_OP_COW, start, end,
					false);
	else
		mmun_soft_section_start_moving(&section, mm, MMUN_OP_COW, start, end);
	copied = set_copy(vmf, old, pins_stay);
	mmun_soft_section_only_end(&section, !copied);
	return copied;
}

static int wp_page_copy(struct soft_vm_fault *vmf)
{
	struct mmun_soft *soft = soft_fault_mm(vmf)->soft;
	struct page *old = hold(vmf);
	int ret = 0;

	if (!old) {
		raced(vmf);
		return 0;
	}
	vmf->page = mmun_soft_anon_page(vmf->vma, vmf->address, old);
	if (!vmf->page) {
		ret = -ENOMEM;
	} else if (!replace_with_copy(vmf, old)) {
		raced(vmf);
		mmun_soft_put_page(vmf->page);
	} else {
		soft_stat_inc(soft, cow_copied);
		if (soft_page_test(old, SOFT_PAGE_KSM))
			soft_stat_inc(soft, ksm_unmerged);
		/* The reference that the entry had. */
		if (!soft_pte_special(vmf->orig_pte))
			mmun_soft_put_page(old);
	}
	mmun_soft_put_page(old);
	return ret;
}

int mmun_soft_do_wp_page(struct soft_vm_fault *vmf)
{
	if (!soft_vma_private(vmf->vma))
		return wp_page_shared(vmf);
	if (wp_page_reuse(vmf))
		return 0;
	if (soft_pte_huge(vmf->orig_pte))
		return mmun_soft_split_huge(vmf->vma, vmf->address);
	return wp_page_copy(vmf);
}

static bool maps_ksm(struct soft_mm *mm, soft_pte pte)
{
	return (pte & SOFT_PTE_PRESENT) && !soft_pte_special(pte) &&
	       soft_page_test(soft_pte_page(mm, pte), SOFT_PAGE_KSM);
}

int mmun_soft_break_ksm(struct soft_vma *vma, unsigned long address)
{
	struct soft_vm_fault vmf = {
		.vma = vma,
		.address = address & MMUN_SOFT_PAGE_MASK,
		.flags = SOFT_FAULT_UNSHARE,
	};
	struct soft_mm *mm = soft_vma_mm(vma);
	int ret = 0;

	while (!ret) {
		mmun_mutex_lock(&mm->page_table_lock);
		vmf.orig_pte = mmun_soft_pte_value(mm, vmf.address);
		mmun_mutex_unlock(&mm->page_table_lock);
		if (!maps_ksm(mm, vmf.orig_pte))
			break;
		ret = wp_page_copy(&vmf);
	}
	return ret;
}
