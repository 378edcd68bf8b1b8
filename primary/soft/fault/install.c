/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How a fault sets an entry: only if it still says what the fault was for.
 *
 * I1  The change begins before the page_table_lock is taken, and everything that may
 *     wait (frames, tables) has been got before the change (M2: it waits for no frame).
 * I2  What the entry says is compared and set under one hold of the page_table_lock.
 *     If it says something else, another fault was faster, and the caller looks again.
 *
 * Not here: what is set (fault.c, file.c, cow.c, huge.c).
 * Tests: tests/unit/soft/fault.c.
 */
#include "fault/fault.h"
#include "frame/page.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

bool mmun_soft_fault_lock(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);

	mmun_soft_change_begin(&vmf->change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	if (soft_pte_huge(vmf->orig_pte))
		vmf->pte = mmun_soft_pmd(mm, vmf->address);
	else
		vmf->pte = mmun_soft_pte(mm, vmf->address);
	if (vmf->pte && soft_pte_same(mmun_soft_pte_value(mm, vmf->address), vmf->orig_pte))
		return true;
	mmun_soft_fault_unlock(vmf);
	return false;
}

void mmun_soft_fault_unlock(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);

	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&vmf->change, mm->mm);
}

/* Zone lock inside the page_table_lock: the page cannot be unmapped and freed
 * before it is on the LRU. */
void mmun_soft_set_page(struct soft_mm *mm, unsigned long address, struct page *page, soft_pte bits)
{
	mmun_soft_pte_set(mm, address, soft_pte_make(page, bits));
	soft_page_map(page);
	if (soft_page_test(page, SOFT_PAGE_ANON))
		mmun_soft_lru_add(page);
	else if (bits & SOFT_PTE_DIRTY)
		soft_page_set(page, SOFT_PAGE_DIRTY);
}

bool mmun_soft_finish_fault(struct soft_vm_fault *vmf, soft_pte bits)
{
	struct soft_mm *mm = soft_fault_mm(vmf);

	if (!mmun_soft_fault_lock(vmf)) {
		soft_stat_inc(mm->soft, faults_minor_raced);
		mmun_soft_put_page(vmf->page);
		return false;
	}
	mmun_soft_set_page(mm, vmf->address, vmf->page, soft_fault_bits(vmf) | bits);
	mmun_soft_fault_unlock(vmf);
	return true;
}

struct page *mmun_soft_anon_page(struct soft_vma *vma, unsigned long address,
				 const struct page *from)
{
	struct mmun_soft *soft = soft_vma_mm(vma)->soft;
	bool zeroed = !from || soft_page_test(from, SOFT_PAGE_ZERO);
	struct page *page;

	if (mmun_soft_anon_prepare(vma))
		return NULL;
	page = zeroed ? mmun_soft_alloc_page(soft) : mmun_soft_page_alloc(soft);
	if (!page)
		return NULL;
	if (!zeroed)
		mmun_soft_copy_page(page, from);
	mmun_soft_page_set_anon(page, vma, address);
	return page;
}
