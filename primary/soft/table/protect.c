/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Taking rights away from entries: mprotect and soft-dirty tracking.
 *
 * I1  No entry gains the right to write here; a fault gives it back after it has
 *     looked at the VMA.  So an entry may say less than the VMA allows, never more.
 * I2  A migration entry loses the right that its page would come back with.
 * I3  An entry says NO_ACCESS exactly if its VMA has no right: mprotect changes both
 *     with the mmap lock held for write, and a migration entry keeps what it said.
 *
 * Not here: sections (the caller's), mkclean (rmap/rmap.c), fork (call/copy.c).
 * Tests: tests/unit/soft/table.c.
 */
#include "frame/page.h"
#include "section.h"
#include "table/table.h"

static bool carries_rights(soft_pte pte)
{
	return pte & (SOFT_PTE_PRESENT | SOFT_PTE_MIGRATION | SOFT_PTE_DEVICE);
}

/* A processor keeps no translation of what is not present, or may not be accessed. */
static bool may_be_cached(soft_pte pte)
{
	return (pte & (SOFT_PTE_PRESENT | SOFT_PTE_NO_ACCESS)) == SOFT_PTE_PRESENT;
}

static void protect_entry(struct soft_walk *walk, soft_pte no_access, struct soft_gather *flush)
{
	const soft_pte pte = *walk->entry;
	const soft_pte new = (pte & ~(soft_pte)(SOFT_PTE_WRITE | SOFT_PTE_NO_ACCESS)) | no_access;

	mmun_soft_walk_set(walk, new);
	if (new != pte && may_be_cached(pte))
		soft_gather_add(flush, walk->address, soft_walk_size(walk));
}

void mmun_soft_protect(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_walk walk = { .mm = mm, .address = start, .end = end, .whole = true };
	struct soft_gather flush = { .end = 0 };

	mmun_mutex_lock(&mm->page_table_lock);
	while (mmun_soft_walk_find(&walk)) {
		if (carries_rights(*walk.entry))
			protect_entry(&walk, soft_no_access(vma), &flush);
		mmun_soft_walk_advance(&walk);
	}
	mmun_soft_flush_gathered(mm, &flush);
	mmun_mutex_unlock(&mm->page_table_lock);
}

static bool any_pinned(struct page *page, unsigned long nr)
{
	for (unsigned long i = 0; i < nr; i++) {
		if (soft_page_pinned(mmun_soft_page_next(page, i)))
			return true;
	}
	return false;
}

/* A device may write a pinned page at any time without our seeing it. */
static bool is_pinned(const struct soft_vma *vma, const struct soft_walk *walk)
{
	soft_pte pte = *walk->entry;
	struct page *page;

	if (!(pte & SOFT_PTE_PRESENT) || soft_pte_special(pte) || !soft_vma_cow(vma))
		return false;
	page = soft_pte_page(walk->mm, pte);
	return any_pinned(page, soft_walk_huge(walk) ? MMUN_SOFT_HUGE_PAGES : 1);
}

static soft_pte without_soft_dirty(soft_pte pte)
{
	pte &= ~SOFT_PTE_SOFT_DIRTY;
	return carries_rights(pte) ? pte & ~SOFT_PTE_WRITE : pte;
}

void mmun_soft_protect_soft_dirty(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_walk walk = { .mm = mm, .address = start, .end = end, .whole = true };

	mmun_mutex_lock(&mm->page_table_lock);
	while (mmun_soft_walk_find(&walk)) {
		if (!is_pinned(vma, &walk))
			mmun_soft_walk_set(&walk, without_soft_dirty(*walk.entry));
		mmun_soft_walk_advance(&walk);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
}
