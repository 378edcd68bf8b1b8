/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Huge pages, made on first touch.
 *
 * I1  A huge entry maps 512 aligned frames of anonymous memory, all of them in
 *     one VMA, each with its own counts: splitting changes entries only.
 * I2  Filling takes the place of nothing: not even of an empty leaf, which
 *     another fault may be about to use.  So it opens no section.
 * I3  In a VM_HUGETLB mapping each aligned 2 MiB is empty or huge: boundaries are
 *     aligned, no entry is split there, and its pages are not on the LRU, where they
 *     would be found to go or move.
 *
 * Not here: the split (table/split.c), a huge page of small ones (reclaim/collapse.c).
 * Tests: tests/unit/soft/huge.c.
 */
#include <errno.h>
#include <signal.h>

#include "alloc.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

bool mmun_soft_huge_fits(const struct soft_vma *vma, unsigned long start)
{
	return soft_vma_anonymous(vma) && !(vma->v.vm_flags & (VM_SHARED | SOFT_VM_SPECIAL)) &&
	       start >= vma->v.vm_start && vma->v.vm_end >= MMUN_SOFT_HUGE_SIZE &&
	       start <= vma->v.vm_end - MMUN_SOFT_HUGE_SIZE;
}

/* What the new entry says: as a write fault, to a page of 512 zeroed frames that are only ours. */
static soft_pte first_value(const struct soft_vma *vma, const struct page *page)
{
	soft_pte flags = SOFT_PTE_HUGE | SOFT_PTE_YOUNG | SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY |
			 SOFT_PTE_EXCLUSIVE | soft_no_access(vma);

	if (vma->v.vm_flags & VM_WRITE)
		flags |= SOFT_PTE_WRITE;
	return soft_pte_make(page, flags);
}

void mmun_soft_huge_install(struct soft_vma *vma, unsigned long start, struct page *page,
			    struct soft_table *leaf)
{
	mmun_soft_pmd_set_huge(soft_vma_mm(vma), start, first_value(vma, page), leaf);
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++) {
		soft_page_map(mmun_soft_page_next(page, i));
		if (!(vma->v.vm_flags & VM_HUGETLB))
			mmun_soft_lru_add(mmun_soft_page_next(page, i));
	}
}

struct page *mmun_soft_huge_alloc(struct soft_vma *vma, unsigned long start)
{
	struct page *page = mmun_soft_page_alloc_huge(soft_vma_mm(vma)->soft);

	for (unsigned long i = 0; page && i < MMUN_SOFT_HUGE_PAGES; i++)
		mmun_soft_page_set_anon(mmun_soft_page_next(page, i), vma,
					start + (i << MMUN_SOFT_PAGE_SHIFT));
	return page;
}

void mmun_soft_huge_put(struct page *page)
{
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		mmun_soft_put_page(mmun_soft_page_next(page, i));
}

static bool wants_huge(const struct soft_vma *vma, unsigned long start)
{
	unsigned long flags = vma->v.vm_flags;

	if (flags & VM_NOHUGEPAGE)
		return false;
	if (!(flags & VM_HUGEPAGE) && !soft_vma_mm(vma)->soft->params.huge_always)
		return false;
	return mmun_soft_huge_fits(vma, start);
}

/* Not where a table of small entries is in use. */
static bool has_leaf(struct soft_mm *mm, unsigned long address)
{
	bool found;

	mmun_mutex_lock(&mm->page_table_lock);
	found = mmun_soft_pte(mm, address);
	mmun_mutex_unlock(&mm->page_table_lock);
	return found;
}

/* Under the page_table_lock, so that nobody meets the frames half made. */
static bool install_if_empty(struct soft_vma *vma, unsigned long start, struct page *page,
			     struct soft_table *leaf)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	bool empty;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	empty = !*mmun_soft_pmd(mm, start);
	if (empty)
		mmun_soft_huge_install(vma, start, page, leaf);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	return empty;
}

/* 0; -EAGAIN: something is there now; -ENOSPC: no huge page is free; -ENOMEM. */
static int fill(struct soft_vma *vma, unsigned long start)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_table *leaf;
	struct page *page;

	if (mmun_soft_anon_prepare(vma) || mmun_soft_pmd_make(mm, start))
		return -ENOMEM;
	leaf = mmun_soft_leaf_alloc();
	if (!leaf)
		return -ENOMEM;
	page = mmun_soft_huge_alloc(vma, start);
	if (!page) {
		mmun_free(leaf);
		return -ENOSPC;
	}
	if (install_if_empty(vma, start, page, leaf)) {
		soft_stat_inc(mm->soft, huge_filled);
		return 0;
	}
	mmun_soft_huge_put(page);
	mmun_free(leaf);
	return -EAGAIN;
}

/* A read takes the zero page, which is small. */
bool mmun_soft_do_huge_pmd_anonymous_page(struct soft_vm_fault *vmf)
{
	unsigned long start = soft_huge_start(vmf->address);

	if (!wants_huge(vmf->vma, start) || has_leaf(soft_fault_mm(vmf), vmf->address))
		return false;
	return vmf->flags & SOFT_FAULT_WRITE && !fill(vmf->vma, start);
}

/* I3: there is never a leaf in the way. */
int mmun_soft_do_hugetlb(struct soft_vm_fault *vmf)
{
	int ret = fill(vmf->vma, soft_huge_start(vmf->address));

	if (ret == -ENOSPC)
		return mmun_soft_refuse(vmf->why, vmf->real_address, SIGBUS, BUS_ADRERR,
					"no huge page is free");
	return ret == -EAGAIN ? 0 : ret;
}
