/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Emptying entries: unmap, MADV_DONTNEED, truncate, and MADV_FREE.
 *
 * I1  What an entry says of the page (dirty, young) reaches the page before the
 *     entry is gone; its map count drops with the entry; its reference drops
 *     after the page_table_lock was released, so a page that no entry maps any
 *     more may be freed elsewhere, with the last one.
 * I2  A migration entry has neither reference nor map count: it is only erased,
 *     and a migration of the page finds nothing to restore.
 * I3  A special entry has neither: processors are flushed, and its page is left alone.
 *
 * Not here: sections (the caller's), splitting of huge mappings with notice
 * (fault/huge.c).  Tests: tests/unit/soft/table.c.
 */
#include "alloc.h"
#include "bug.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "section.h"
#include "table/table.h"

/* Pages to put when the lock is released; @count of them from @first. */
struct run {
	struct page *first;
	unsigned long count;
};

#define BATCH 64

struct zap {
	struct soft_vma *vma;
	const struct soft_zap *how;
	struct mmun_soft *soft;
	struct soft_walk walk;
	struct soft_gather flush;
	unsigned int nr;
	struct run runs[BATCH];
};

/* The page that an entry maps or mapped; NULL for swap slots, file offsets and what is a driver's (I3). */
static struct page *page_of(const struct zap *zap, soft_pte pte)
{
	if (!(pte & (SOFT_PTE_PRESENT | SOFT_PTE_MIGRATION | SOFT_PTE_DEVICE)) ||
	    soft_pte_special(pte))
		return NULL;
	return mmun_soft_pfn_page(zap->soft, soft_pte_number(pte));
}

/* Which page of the file an entry stands for. */
static unsigned long index_of(const struct zap *zap, soft_pte pte, const struct page *page)
{
	if (mmun_load_relaxed(&zap->vma->v.vm_flags) & VM_NONLINEAR)
		return page ? page->index : soft_pte_number(pte);
	return soft_vma_index(zap->vma, zap->walk.address);
}

static bool is_private(soft_pte pte, const struct page *page)
{
	return page ? soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM)
		    : !!(pte & SOFT_PTE_SWAP);
}

/* What stays of an entry: itself when it is not meant. */
static soft_pte remainder_of(const struct zap *zap, soft_pte pte, const struct page *page)
{
	unsigned long index = index_of(zap, pte, page);
	const struct soft_zap *how = zap->how;

	if (!how)
		return 0;
	if (index < how->first || index > how->last)
		return pte;
	if (how->keep_private && is_private(pte, page))
		return pte;
	if (how->keep_nonlinear && index != soft_vma_index(zap->vma, zap->walk.address))
		return (soft_pte)index << SOFT_PTE_SHIFT | SOFT_PTE_NONLINEAR;
	return 0;
}

static void unmap_page(soft_pte pte, struct page *page)
{
	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return;
	if (pte & SOFT_PTE_DIRTY)
		soft_page_set(page, SOFT_PAGE_DIRTY);
	if (pte & SOFT_PTE_YOUNG && !soft_page_test(page, SOFT_PAGE_ANON))
		soft_page_set(page, SOFT_PAGE_REFERENCED);
	soft_page_unmap(page);
}

static void add_run(struct zap *zap, struct page *first, unsigned long count)
{
	zap->runs[zap->nr++] = (struct run){ first, count };
}

static void zap_huge(struct zap *zap)
{
	soft_pte pte = *zap->walk.entry;
	struct page *page = page_of(zap, pte);

	mmun_free(mmun_soft_pmd_clear_huge(zap->walk.mm, zap->walk.address));
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		unmap_page(pte, mmun_soft_page_next(page, i));
	soft_gather_add(&zap->flush, zap->walk.address, MMUN_SOFT_HUGE_SIZE);
	add_run(zap, page, MMUN_SOFT_HUGE_PAGES);
}

static void zap_small(struct zap *zap)
{
	soft_pte pte = *zap->walk.entry;
	struct page *page = page_of(zap, pte);
	soft_pte rest = remainder_of(zap, pte, page);

	if (rest == pte)
		return;
	mmun_soft_walk_set(&zap->walk, rest);
	if (soft_pte_special(pte)) {
		soft_gather_add(&zap->flush, zap->walk.address, MMUN_SOFT_PAGE_SIZE);
	} else if (pte & SOFT_PTE_SWAP) {
		mmun_soft_swap_put(zap->soft, soft_pte_number(pte));
	} else if (pte & (SOFT_PTE_PRESENT | SOFT_PTE_DEVICE)) {
		unmap_page(pte, page);
		if (pte & SOFT_PTE_PRESENT)
			soft_gather_add(&zap->flush, zap->walk.address, MMUN_SOFT_PAGE_SIZE);
		add_run(zap, page, 1);
	}
}

/* One hold of the lock; false when the range is done. */
static bool zap_pte_range(struct zap *zap)
{
	bool more;

	mmun_mutex_lock(&zap->walk.mm->page_table_lock);
	while ((more = mmun_soft_walk_find(&zap->walk)) && zap->nr < BATCH) {
		if (soft_walk_huge(&zap->walk))
			zap_huge(zap);
		else
			zap_small(zap);
		mmun_soft_walk_advance(&zap->walk);
	}
	mmun_soft_flush_gathered(zap->walk.mm, &zap->flush);
	mmun_mutex_unlock(&zap->walk.mm->page_table_lock);
	return more;
}

static void put_runs(struct zap *zap)
{
	for (unsigned int i = 0; i < zap->nr; i++) {
		for (unsigned long n = 0; n < zap->runs[i].count; n++)
			mmun_soft_put_page(mmun_soft_page_next(zap->runs[i].first, n));
	}
	zap->nr = 0;
}

void mmun_soft_zap(struct soft_vma *vma, unsigned long start, unsigned long end,
		   const struct soft_zap *how)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct zap zap = {
		.vma = vma,
		.how = how,
		.soft = mm->soft,
		.walk = { .mm = mm, .address = start, .end = end, .whole = true },
	};
	bool more;

	do {
		more = zap_pte_range(&zap);
		put_runs(&zap);
	} while (more);
	if (!vma->v.vm_file)
		mmun_soft_leaves_emptied(mm, start, end);
}

/* Reclaim may drop @page unless it is written again.  False: others map or use it, or it is in
 * the memory of a device, which reclaim leaves alone. */
static bool make_lazy(struct page *page)
{
	if (!soft_page_test(page, SOFT_PAGE_ANON) || soft_page_test(page, SOFT_PAGE_DEVICE) ||
	    soft_page_mapcount(page) != 1 || !mmun_soft_page_trylock(page))
		return false;
	soft_page_clear(page, SOFT_PAGE_DIRTY | SOFT_PAGE_SWAPBACKED | SOFT_PAGE_REFERENCED);
	mmun_soft_page_unlock(page);
	if (mmun_soft_lru_isolate(page))
		mmun_soft_lru_putback(page, false);
	return true;
}

/* A huge mapping becomes clean as a whole or not at all. */
static bool make_huge_lazy(struct page *page)
{
	bool all = true;

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		all &= make_lazy(mmun_soft_page_next(page, i));
	return all;
}

static void zap_lazily(struct mmun_soft *soft, struct soft_walk *walk, struct soft_gather *flush)
{
	const soft_pte used = SOFT_PTE_DIRTY | SOFT_PTE_YOUNG;
	soft_pte pte = *walk->entry;
	struct page *page;
	bool lazy;

	if (pte & SOFT_PTE_SWAP) {
		mmun_soft_walk_set(walk, 0);
		mmun_soft_swap_put(soft, soft_pte_number(pte));
	}
	if (!(pte & SOFT_PTE_PRESENT))
		return;
	page = mmun_soft_pfn_page(soft, soft_pte_number(pte));
	lazy = soft_walk_huge(walk) ? make_huge_lazy(page) : make_lazy(page);
	if (!lazy || !(pte & used))
		return;
	mmun_soft_walk_set(walk, pte & ~used);
	soft_gather_add(flush, walk->address, soft_walk_size(walk));
}

void mmun_soft_zap_lazily(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_walk walk = { .mm = mm, .address = start, .end = end, .whole = true };
	struct soft_gather flush = { .end = 0 };

	mmun_mutex_lock(&mm->page_table_lock);
	while (mmun_soft_walk_find(&walk)) {
		zap_lazily(mm->soft, &walk, &flush);
		mmun_soft_walk_advance(&walk);
	}
	mmun_soft_flush_gathered(mm, &flush);
	mmun_mutex_unlock(&mm->page_table_lock);
}
