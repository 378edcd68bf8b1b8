/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Collapse: the small pages of an aligned 2 MiB become one huge page.
 *
 * I1  Everything that can fail is found out before anything changes: memory
 *     before the section, pages that others use at the start of the one
 *     page_table_lock hold that also copies and replaces.
 * I2  A page is copied if all its references are its mappings'.  Then no
 *     device, no get_user_pages() and no reclaim or migration in progress knows
 *     the frame.  A merged page is never written, so others' references to it
 *     do not matter.
 * I3  The old leaf keeps the old entries until what they refer to was put.
 * I4  Pins of the zero page are not counted, so with one among the pages the section
 *     does not say that pinned pages stay.  The mmap lock for write keeps faults from
 *     bringing one after it was looked for.
 * I5  What a device writes by an old entry is in the copy: it is flushed between.
 *
 * As in Linux pages that are shared with other address spaces are copied
 * apart, and empty entries become zeroes.  Only anonymous memory collapses.
 *
 * Tests: tests/unit/soft/huge.c.
 */
#include <errno.h>

#include "alloc.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "reclaim/reclaim.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

struct collapse {
	struct soft_vma *vma;
	struct soft_mm *mm;
	struct mmun_soft *soft;
	unsigned long start;
	struct page *huge;
	/* Goes below the huge entry. */
	struct soft_table *leaf;
	/* What was there; was the zero page among it? */
	struct soft_table *old;
	bool zero;
};

/* I2.  Only the counts of a page that other address spaces have too can change
 * meanwhile, and of such a page nobody has a pin. */
static bool only_mapped(const struct page *page)
{
	if (soft_page_test(page, SOFT_PAGE_ZERO | SOFT_PAGE_KSM))
		return true;
	return soft_page_test(page, SOFT_PAGE_ANON) &&
	       mmun_load_full(&page->refcount) == soft_page_mapcount(page);
}

static int check_entry(struct collapse *c, soft_pte pte)
{
	if (!pte || pte & SOFT_PTE_SWAP)
		return 0;
	if (pte & SOFT_PTE_PRESENT && soft_page_test(soft_pte_page(c->mm, pte), SOFT_PAGE_DEVICE))
		return -EINVAL;
	if (!(pte & SOFT_PTE_PRESENT) || !only_mapped(soft_pte_page(c->mm, pte)))
		return -EAGAIN;
	c->zero |= soft_page_test(soft_pte_page(c->mm, pte), SOFT_PAGE_ZERO);
	return 0;
}

/* 1: it is huge already. */
static int check_range(struct collapse *c)
{
	soft_pte *entry = mmun_soft_pmd(c->mm, c->start);
	soft_pte *small = mmun_soft_pte(c->mm, c->start);
	int ret = 0;

	if (entry && soft_pte_huge(*entry))
		return 1;
	if (!small)
		return -EINVAL;
	c->old = mmun_container_of(small, struct soft_table, entry);
	if (c->old->emptied)
		return -EINVAL;
	for (unsigned int i = 0; !ret && i < SOFT_TABLE_ENTRIES; i++)
		ret = check_entry(c, c->old->entry[i]);
	return ret;
}

static void copy_entry(const struct collapse *c, unsigned int i)
{
	struct page *to = mmun_soft_page_next(c->huge, i), *from;
	soft_pte pte = c->old->entry[i];

	if (pte & SOFT_PTE_SWAP) {
		mmun_soft_swap_read(c->soft, soft_pte_number(pte), to);
	} else if (pte) {
		from = soft_pte_page(c->mm, pte);
		mmun_soft_copy_page(to, from);
		soft_page_unmap(from);
	}
}

static int replace_locked(struct collapse *c)
{
	int ret = check_range(c);

	if (ret)
		return ret;
	mmun_soft_leaf_take(c->mm, c->start);
	mmun_soft_flush(c->mm, c->start, c->start + MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_PAGE_SIZE);
	for (unsigned int i = 0; i < SOFT_TABLE_ENTRIES; i++)
		copy_entry(c, i);
	mmun_soft_huge_install(c->vma, c->start, c->huge, c->leaf);
	return 0;
}

/* I3 */
static void put_old(struct collapse *c)
{
	soft_pte pte;

	for (unsigned int i = 0; i < SOFT_TABLE_ENTRIES; i++) {
		pte = c->old->entry[i];
		if (pte & SOFT_PTE_SWAP)
			mmun_soft_swap_put(c->soft, soft_pte_number(pte));
		else if (pte)
			mmun_soft_put_page(soft_pte_page(c->mm, pte));
	}
	mmun_free(c->old);
}

/* I4 */
static void start_section(const struct collapse *c, struct soft_section *section)
{
	const unsigned long end = c->start + MMUN_SOFT_HUGE_SIZE;

	if (c->zero)
		mmun_soft_section_start_moving(section, c->mm->mm, MMUN_OP_MADV_COLLAPSE, c->start,
					       end);
	else
		mmun_soft_section_start(section, c->mm->mm, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_COLLAPSE,
					c->start, end, false);
}

static int replace_pages(struct collapse *c)
{
	struct soft_section section;
	int ret;

	start_section(c, &section);
	mmun_mutex_lock(&c->mm->page_table_lock);
	ret = replace_locked(c);
	mmun_mutex_unlock(&c->mm->page_table_lock);
	if (!ret)
		put_old(c);
	mmun_soft_section_end(&section, ret);
	return ret;
}

/* No section for what cannot be done, or is done already. */
static int can_collapse(struct collapse *c)
{
	int ret;

	mmun_mutex_lock(&c->mm->page_table_lock);
	ret = check_range(c);
	mmun_mutex_unlock(&c->mm->page_table_lock);
	return ret;
}

static int collapse(struct collapse *c)
{
	int ret = -ENOMEM;

	c->leaf = mmun_soft_leaf_alloc();
	if (!c->leaf)
		return ret;
	c->huge = mmun_soft_huge_alloc(c->vma, c->start);
	if (!c->huge)
		goto free_leaf;
	ret = replace_pages(c);
	if (ret)
		goto put_huge;
	soft_stat_inc(c->soft, huge_collapsed);
	return 0;

put_huge:
	mmun_soft_huge_put(c->huge);
free_leaf:
	mmun_free(c->leaf);
	return ret;
}

int mmun_soft_collapse_locked(struct soft_vma *vma, unsigned long address)
{
	struct collapse c = {
		.vma = vma,
		.mm = soft_vma_mm(vma),
		.soft = soft_vma_mm(vma)->soft,
		.start = soft_huge_start(address),
	};
	int ret;

	if (!mmun_soft_huge_fits(vma, c.start) || vma->v.vm_flags & VM_NOHUGEPAGE || !vma->anon_vma)
		return -EINVAL;
	ret = can_collapse(&c);
	if (!ret)
		ret = collapse(&c);
	return ret > 0 ? 0 : ret;
}

int mmun_soft_collapse(struct mm_struct *mm, unsigned long address)
{
	struct soft_vma *vma;
	int ret = -EINVAL;

	mmap_write_lock(mm);
	vma = mmun_soft_vma_at(soft_mm(mm), address);
	if (vma)
		ret = mmun_soft_collapse_locked(vma, address);
	mmap_write_unlock(mm);
	return ret == -EAGAIN ? -EBUSY : ret;
}
