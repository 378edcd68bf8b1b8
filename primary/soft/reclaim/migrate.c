/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Migration: a page's contents move to another frame, and everybody follows.
 *
 *   1  every entry becomes a migration entry, a section per mapping
 *   2  the old frame is frozen, which proves that nobody else looks at it, and
 *      its contents (for a file also its place in it) pass to the new one
 *   3  every migration entry names the new frame, or the old one when 1 or 2 failed
 *
 * I1  The old frame's page lock is held from the first unmapping to the last way back:
 *     a fault that meets a migration entry waits until it is released, and then the
 *     entry has gone.  The walk of 3 misses none that moves meanwhile: fork enters a child's VMA
 *     after its parent's, and mremap moves entries under the reverse-map locks.
 * I2  The old frame is freed after 3: until then entries carry its number.
 * I3  Both frames are locked: nobody unmaps or truncates half of it.
 *
 * A merged page stays one, with all that map it.
 * Tests: tests/unit/soft/migrate.c.
 */
#include <errno.h>

#include "frame/page.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "table/table.h"
#include "vma/vma.h"

#define INHERITED (SOFT_PAGE_DIRTY | SOFT_PAGE_REFERENCED | SOFT_PAGE_SWAPBACKED)

/* Frozen for as long as it takes to see that the reference left is ours: another one
 * would have to come from finding the frame through an entry. */
static bool pass_anonymous(struct page *from, struct page *to)
{
	if (!mmun_soft_page_freeze(from, 1))
		return false;
	mmun_soft_copy_page(to, from);
	mmun_soft_page_unfreeze(from, 1);
	return true;
}

static bool pass(struct page *from, struct page *to)
{
	bool passed;

	if (soft_page_test(from, SOFT_PAGE_ANON | SOFT_PAGE_KSM))
		passed = pass_anonymous(from, to);
	else
		passed = mmun_soft_cache_replace(from, to, 2);
	if (passed)
		soft_page_set(to, mmun_load_relaxed(&from->flags) & INHERITED);
	return passed;
}

static bool movable(const struct page *page)
{
	if (soft_page_pinned(page))
		return false;
	return soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM) || page->mapping;
}

static bool migrate_locked(struct page *from, struct page *to)
{
	bool moved;

	if (!movable(from))
		return false;
	moved = !soft_page_mapcount(from) || mmun_soft_try_to_unmap(from, MMUN_OP_MIGRATE, true, 0);
	moved = moved && pass(from, to);
	if (moved && soft_page_test(from, SOFT_PAGE_KSM))
		mmun_soft_ksm_move(from, to);
	mmun_soft_remove_migration(from, moved ? to : from);
	return moved;
}

/* @from is off the LRU; a reference to each is the caller's and is given up. */
static int migrate_isolated(struct page *from, struct page *to)
{
	bool moved;

	mmun_soft_page_lock(from);
	mmun_soft_page_lock(to);
	moved = migrate_locked(from, to);
	mmun_soft_page_unlock(to);
	mmun_soft_page_unlock(from);
	if (moved) {
		soft_stat_inc(from->soft, migrated);
		mmun_soft_lru_add(to);
	} else {
		mmun_soft_lru_putback(from, true);
	}
	mmun_soft_put_page(from);
	mmun_soft_put_page(to);
	return moved ? 0 : -EBUSY;
}

static int migrate(struct page *from, struct page *to)
{
	if (mmun_soft_lru_isolate(from))
		return migrate_isolated(from, to);
	mmun_soft_put_page(from);
	mmun_soft_put_page(to);
	return -EBUSY;
}

/* The page at @address with a reference. */
static int look_up(struct soft_mm *mm, unsigned long address, struct page **out, bool *huge)
{
	struct page *page = NULL;
	soft_pte value;
	int ret = 0;

	mmun_mutex_lock(&mm->page_table_lock);
	value = mmun_soft_pte_value(mm, address);
	if (value & SOFT_PTE_PRESENT && !soft_pte_special(value))
		page = soft_pte_page(mm, value);
	else
		ret = value & SOFT_PTE_MIGRATION ? -EBUSY : -ENOENT;
	*huge = value & SOFT_PTE_HUGE;
	if (page && soft_page_test(page, SOFT_PAGE_ZERO | SOFT_PAGE_DEVICE))
		ret = -ENOENT;
	else if (page && !*huge)
		mmun_soft_get_page(page);
	mmun_mutex_unlock(&mm->page_table_lock);
	if (!ret)
		*out = page;
	return ret;
}

/* mmap lock held.  A huge mapping is split first: pages move one by one. */
static int isolate_small(struct soft_mm *mm, unsigned long address, struct page **out)
{
	struct soft_vma *vma = mmun_soft_vma_at(mm, address);
	bool huge;
	int ret;

	if (!vma)
		return -ENOENT;
	if (vma->v.vm_flags & VM_HUGETLB)
		return -EBUSY;
	for (;;) {
		ret = look_up(mm, address, out, &huge);
		if (ret || !huge)
			return ret;
		ret = mmun_soft_split_huge(vma, address);
		if (ret)
			return ret;
	}
}

int mmun_soft_migrate(struct mm_struct *mm, unsigned long address)
{
	struct page *from, *to;
	int ret;

	address &= MMUN_SOFT_PAGE_MASK;
	mmap_read_lock(mm);
	ret = isolate_small(soft_mm(mm), address, &from);
	mmap_read_unlock(mm);
	if (ret)
		return ret;
	to = mmun_soft_page_alloc(from->soft);
	if (!to) {
		mmun_soft_put_page(from);
		return -ENOMEM;
	}
	return migrate(from, to);
}

/*
 * Compaction empties a block at the high end by filling holes at the low end.
 */
static bool block_all(struct mmun_soft *soft, unsigned long block,
		      bool (*what)(const struct page *page))
{
	const unsigned long first = block * MMUN_SOFT_HUGE_PAGES;

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++) {
		if (!what(mmun_soft_pfn_page(soft, first + i)))
			return false;
	}
	return true;
}

static bool is_free(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_FREE);
}

/* A guess: what else would keep the block busy when all others had gone. */
static bool can_become_free(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_FREE | SOFT_PAGE_LRU) && !soft_page_pinned(page);
}

/* 0; -ENOENT: nothing to move there; -ENOMEM: no free frame below; -EBUSY. */
static int move_down(struct mmun_soft *soft, unsigned long pfn)
{
	struct page *from = mmun_soft_pfn_page(soft, pfn), *to;

	if (!soft_page_test(from, SOFT_PAGE_LRU) || !mmun_soft_page_tryget(from))
		return -ENOENT;
	to = mmun_soft_page_alloc_below(soft, pfn);
	if (to)
		return migrate(from, to);
	mmun_soft_put_page(from);
	return -ENOMEM;
}

static int empty_block(struct mmun_soft *soft, unsigned long block, size_t *moved)
{
	const unsigned long first = block * MMUN_SOFT_HUGE_PAGES;
	int ret = 0;

	for (unsigned long i = MMUN_SOFT_HUGE_PAGES; i-- > 0 && ret != -ENOMEM;) {
		ret = move_down(soft, first + i);
		*moved += !ret;
	}
	return ret;
}

/* The number of whole blocks; an incomplete last one never becomes a huge page. */
static unsigned long whole_blocks(const struct mmun_soft *soft)
{
	return soft->params.memory >> MMUN_SOFT_HUGE_SHIFT;
}

static bool any_block_free(struct mmun_soft *soft)
{
	for (unsigned long block = 0; block < whole_blocks(soft); block++) {
		if (block_all(soft, block, is_free))
			return true;
	}
	return false;
}

size_t mmun_soft_compact(struct mmun_soft *soft)
{
	size_t moved = 0;

	if (any_block_free(soft))
		return 0;
	for (unsigned long block = whole_blocks(soft); block-- > 0;) {
		if (!block_all(soft, block, can_become_free))
			continue;
		if (empty_block(soft, block, &moved) == -ENOMEM || block_all(soft, block, is_free))
			break;
	}
	return moved;
}
