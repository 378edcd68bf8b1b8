/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Taking a page, or a part of a file, out of everybody's page tables; and back in,
 * when the page has only moved.
 *
 * I1  An entry is taken away inside a section of its own mm: the page is mapped when
 *     start returns, and its reference is dropped after end.
 * I2  What an entry knew is not lost: dirty goes to the page; write, exclusive,
 *     soft-dirty and no access stay in a migration entry; which page of the file a nonlinear
 *     entry had chosen stays in the entry.
 * I3  Under the page_table_lock nobody gets a new pin or reference through this
 *     mm.  A page that is pinned stays; an anonymous one also if anybody but its
 *     entries and the caller holds it, because its copy in the swap store would
 *     not see what they write.
 *
 * Not here: where to look (rmap.c), what to do with the page then (reclaim/reclaim.c, reclaim/migrate.c).
 * Tests: tests/unit/soft/rmap.c.
 */
#include "frame/page.h"
#include "frame/swap.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

struct unmap {
	struct page *page;
	enum mmun_op op;
	bool migrate;
	unsigned long slot;
};

enum outcome {
	UNMAPPED,
	RACED,   /* somebody else has changed the entry */
	REFUSED, /* the page stays: no use to go on */
};

static bool is_anon(const struct unmap *u)
{
	return soft_page_test(u->page, SOFT_PAGE_ANON | SOFT_PAGE_KSM);
}

/* MADV_FREE gave it up, and nobody wrote to it since. */
static bool given_up(const struct page *page, soft_pte value)
{
	return !soft_page_test(page, SOFT_PAGE_SWAPBACKED | SOFT_PAGE_DIRTY) &&
	       !(value & SOFT_PTE_DIRTY);
}

/* I3. */
static bool must_stay(const struct unmap *u, soft_pte value)
{
	struct page *page = u->page;

	if (soft_page_pinned(page))
		return true;
	if (!is_anon(u) || u->migrate)
		return false;
	if (mmun_load_full(&page->refcount) != soft_page_mapcount(page) + 1)
		return true;
	if (u->slot || given_up(page, value))
		return false;
	/* Needed again. */
	soft_page_set(page, SOFT_PAGE_SWAPBACKED);
	return true;
}

/* I2. */
static soft_pte replacement(const struct unmap *u, const struct soft_vma *vma,
			    unsigned long address, soft_pte value)
{
	const struct page *page = u->page;

	if (u->migrate)
		return soft_pte_migration(page, value);
	if (is_anon(u))
		return u->slot ? (soft_pte)u->slot << SOFT_PTE_SHIFT | SOFT_PTE_SWAP |
					 (value & SOFT_PTE_SOFT_DIRTY)
			       : 0;
	if (page->index != soft_vma_index(vma, address))
		return (soft_pte)page->index << SOFT_PTE_SHIFT | SOFT_PTE_NONLINEAR;
	return 0;
}

/* page_table_lock held. */
static enum outcome unmap_entry(const struct unmap *u, struct soft_vma *vma, unsigned long address)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	soft_pte value = mmun_soft_pte_value(mm, address);

	if (!soft_pte_maps(value, u->page) || soft_pte_huge(value))
		return RACED;
	if (must_stay(u, value))
		return REFUSED;
	if (value & SOFT_PTE_DIRTY)
		soft_page_set(u->page, SOFT_PAGE_DIRTY);
	mmun_soft_pte_set(mm, address, replacement(u, vma, address, value));
	mmun_soft_flush_page(mm, address);
	if (is_anon(u) && !u->migrate && u->slot)
		mmun_soft_swap_get(mm->soft, u->slot);
	soft_page_unmap(u->page);
	return UNMAPPED;
}

/* mlock may be changing it: either answer is right then. */
static bool is_locked(const struct soft_vma *vma)
{
	return mmun_load_relaxed(&vma->v.vm_flags) & VM_LOCKED;
}

static bool try_to_unmap_one(struct soft_vma *vma, unsigned long address, void *arg)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	const struct unmap *u = arg;
	struct soft_section section;
	enum outcome outcome;
	soft_pte value;

	if (!mmun_soft_entry_maps(vma, address, u->page, &value))
		return true;
	if (is_locked(vma) && !u->migrate)
		return false;
	if (soft_pte_huge(value) && mmun_soft_split_huge(vma, address))
		return false;
	mmun_soft_section_start(&section, mm->mm, MMU_NOTIFY_CLEAR, u->op, address,
				address + MMUN_SOFT_PAGE_SIZE, false);
	mmun_mutex_lock(&mm->page_table_lock);
	outcome = unmap_entry(u, vma, address);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_section_end(&section, outcome != UNMAPPED);
	if (outcome == UNMAPPED)
		mmun_soft_put_page(u->page);
	return outcome != REFUSED;
}

bool mmun_soft_try_to_unmap(struct page *page, enum mmun_op op, bool migrate, unsigned long slot)
{
	struct unmap u = { page, op, migrate, slot };

	if (!is_anon(&u) || migrate || slot || !soft_page_test(page, SOFT_PAGE_SWAPBACKED))
		mmun_soft_rmap_walk(page, try_to_unmap_one, &u);
	return !soft_page_mapcount(page);
}

/* The way back. */

struct move {
	struct page *old, *new;
};

/* page_table_lock held. */
static void restore_entry(struct soft_mm *mm, unsigned long address, soft_pte value,
			  struct page *page)
{
	mmun_soft_get_page(page);
	soft_page_map(page);
	mmun_soft_pte_set(mm, address, soft_pte_make(page, value & SOFT_PTE_KEPT));
}

static bool remove_migration_pte(struct soft_vma *vma, unsigned long address, void *arg)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	const struct move *move = arg;
	struct soft_change change;
	soft_pte value;

	/* Nothing is translated there: nobody to notify. */
	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	value = mmun_soft_pte_value(mm, address);
	if (value & SOFT_PTE_MIGRATION && soft_pte_number(value) == mmun_soft_page_pfn(move->old))
		restore_entry(mm, address, value, move->new);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	return true;
}

static void inherit_anon(struct page *old, struct page *new)
{
	mmun_soft_anon_get(old->anon_vma);
	new->anon_vma = old->anon_vma;
	new->index = old->index;
	soft_page_set(new, SOFT_PAGE_ANON);
}

void mmun_soft_remove_migration(struct page *old, struct page *new)
{
	struct move move = { old, new };

	if (soft_page_test(old, SOFT_PAGE_ANON) && !soft_page_test(new, SOFT_PAGE_ANON))
		inherit_anon(old, new);
	mmun_soft_rmap_walk_for(new, old, remove_migration_pte, &move);
}

/* A part of a file. */

static void unmap_part(struct soft_vma *vma, unsigned long start, unsigned long end,
		       const struct soft_zap *how, enum mmun_op op)
{
	struct soft_section section;

	mmun_soft_section_start(&section, vma->v.vm_mm, MMU_NOTIFY_CLEAR, op, start, end, false);
	mmun_soft_zap(vma, start, end, how);
	mmun_soft_section_end(&section, false);
}

static unsigned long start_of(const struct soft_vma *vma, unsigned long first)
{
	if (first <= vma->v.vm_pgoff)
		return vma->v.vm_start;
	return vma->v.vm_start + ((first - vma->v.vm_pgoff) << MMUN_SOFT_PAGE_SHIFT);
}

static unsigned long end_of(const struct soft_vma *vma, unsigned long last)
{
	if (last - vma->v.vm_pgoff >= soft_vma_pages(vma))
		return vma->v.vm_end;
	return vma->v.vm_start + ((last - vma->v.vm_pgoff + 1) << MMUN_SOFT_PAGE_SHIFT);
}

void mmun_soft_unmap_mapping(struct address_space *mapping, unsigned long first, unsigned long last,
			     bool private_too, enum mmun_op op)
{
	const struct soft_zap how = { first, last, .keep_private = !private_too,
				      .keep_nonlinear = true };
	struct mmun_interval *it;
	struct mmun_dlist *node;

	mmun_rwlock_read_lock(&mapping->i_mmap_lock.lock);
	mmun_for_each_interval(it, &mapping->i_mmap, first, last) {
		struct soft_vma *vma = mmun_container_of(it, struct soft_vma, i_mmap);

		unmap_part(vma, start_of(vma, first), end_of(vma, last), &how, op);
	}
	mmun_dlist_for_each(node, &mapping->nonlinear) {
		struct soft_vma *vma = mmun_container_of(node, struct soft_vma, nonlinear);

		unmap_part(vma, vma->v.vm_start, vma->v.vm_end, &how, op);
	}
	mmun_rwlock_read_unlock(&mapping->i_mmap_lock.lock);
}
