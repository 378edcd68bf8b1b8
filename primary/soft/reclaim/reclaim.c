/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reclaim: frames that nobody has used for a while become free.
 *
 * What happens to a page, with the page lock taken by trylock throughout:
 *
 *   used since the last look       another round (reclaim, not MADV_PAGEOUT)
 *   pinned, or referenced by more  stays
 *   than its mappings and cache
 *   anonymous, merged              entries become a swap slot; no slot, no reclaim
 *   anonymous after MADV_FREE      dropped if nobody wrote to it since
 *   file with a store              unmapped, stored if dirty, dropped from the cache
 *   shmem                          unmapped, the cache remembers a swap slot
 *
 * I1  A frame is freed only frozen: with exactly the references that are ours.
 * I2  Entries give way to a slot only while nobody but mappings and reclaim has a
 *     reference (try_to_unmap looks under the page_table_lock), so after the last
 *     one is gone nobody writes to the frame, and its copy is the truth.
 * I3  When some entries are gone and others stay, the slot gets its copy while our
 *     reference still keeps those that stay from writing in place.
 * I4  An unmapped file page may be mapped and written again at any time until it is
 *     frozen: dirty ones are not dropped (mmun_soft_cache_remove() looks once more).
 *
 * It does not choose between file and anonymous pages: one LRU, oldest first.
 * Tests: tests/unit/soft/reclaim.c.
 */
#include "frame/page.h"
#include "frame/swap.h"
#include "reclaim/reclaim.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

/* One page of @op; isolated, locked, with a reference of ours. */
struct victim {
	struct page *page;
	enum mmun_op op;
};

static bool unmap(const struct victim *v, unsigned long slot)
{
	if (!soft_page_mapcount(v->page))
		return true;
	return mmun_soft_try_to_unmap(v->page, v->op, false, slot);
}

/* All of these: true when @page is frozen and belongs to nobody. */

static bool drop_lazily_freed(const struct victim *v)
{
	return unmap(v, 0) && mmun_soft_page_freeze(v->page, 1);
}

static bool swap_out_anonymous(const struct victim *v)
{
	struct mmun_soft *soft = v->page->soft;
	const unsigned long slot = mmun_soft_swap_alloc(soft, v->page);
	bool frozen;

	if (!slot)
		return false;
	frozen = unmap(v, slot);
	/* Also when some mapping stayed: I3. */
	mmun_soft_swap_write(soft, slot);
	frozen = frozen && mmun_soft_page_freeze(v->page, 1);
	mmun_soft_swap_put(soft, slot);
	if (frozen)
		soft_stat_inc(soft, swapped_out);
	return frozen;
}

static bool swap_out_shmem(const struct victim *v)
{
	struct mmun_soft *soft = v->page->soft;
	unsigned long slot;
	bool frozen;

	if (!unmap(v, 0))
		return false;
	slot = mmun_soft_swap_alloc(soft, v->page);
	if (!slot)
		return false;
	/* One reference of the slot passes to the cache; ours keeps it until it is
	 * written: a fault may take the cache's away at once.  It copies from the
	 * frozen frame until then. */
	mmun_soft_swap_get(soft, slot);
	frozen = mmun_soft_cache_remove(v->page, 2, slot);
	if (frozen) {
		mmun_soft_swap_write(soft, slot);
		soft_stat_inc(soft, swapped_out);
	} else {
		mmun_soft_swap_put(soft, slot);
	}
	mmun_soft_swap_put(soft, slot);
	return frozen;
}

static bool drop_stored(const struct victim *v)
{
	if (!unmap(v, 0))
		return false;
	if (soft_page_clear(v->page, SOFT_PAGE_DIRTY)) {
		mmun_soft_store_page(v->page);
		/* A fault that mapped it again marked it before or after that; if before, the
		 * mark is gone and its entry may be written without another one. */
		if (soft_page_mapcount(v->page))
			soft_page_set(v->page, SOFT_PAGE_DIRTY);
		soft_stat_inc(v->page->soft, cleaned);
	}
	return mmun_soft_cache_remove(v->page, 2, 0);
}

static bool drop_victim(const struct victim *v)
{
	const struct page *page = v->page;

	if (soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM))
		return soft_page_test(page, SOFT_PAGE_SWAPBACKED) ? swap_out_anonymous(v)
								  : drop_lazily_freed(v);
	if (!page->mapping)
		return false; /* truncated: its last user frees it */
	if (page->mapping->file->kind == MMUN_SOFT_FILE_SHMEM)
		return swap_out_shmem(v);
	return drop_stored(v);
}

/* Would it need a slot when there is none?  Saves asking everybody about a page that
 * cannot go. */
static bool lacks_swap(const struct page *page)
{
	if (mmun_soft_swap_has_room(page->soft))
		return false;
	if (soft_page_test(page, SOFT_PAGE_ANON | SOFT_PAGE_KSM))
		return soft_page_test(page, SOFT_PAGE_SWAPBACKED);
	return page->mapping && page->mapping->file->kind == MMUN_SOFT_FILE_SHMEM;
}

static bool recently_used(struct page *page)
{
	bool used = mmun_soft_page_referenced(page) > 0;

	used |= soft_page_clear(page, SOFT_PAGE_REFERENCED);
	if (used)
		soft_stat_inc(page->soft, reclaim_young);
	return used;
}

static bool reclaim_locked(const struct victim *v, bool even_young)
{
	struct page *page = v->page;

	if (soft_page_pinned(page) || lacks_swap(page))
		return false;
	if (!even_young && recently_used(page))
		return false;
	return drop_victim(v);
}

/* @page is off the LRU with a reference of ours; gives both up. */
static bool reclaim_isolated(struct page *page, enum mmun_op op, bool even_young)
{
	const struct victim v = { page, op };
	bool freed;

	if (!mmun_soft_page_trylock(page)) {
		mmun_soft_lru_putback(page, true);
		mmun_soft_put_page(page);
		return false;
	}
	freed = reclaim_locked(&v, even_young);
	mmun_soft_page_unlock(page);
	if (freed) {
		soft_stat_inc(page->soft, reclaimed);
		mmun_soft_page_free_frozen(page);
	} else {
		mmun_soft_lru_putback(page, true);
		mmun_soft_put_page(page);
	}
	return freed;
}

size_t mmun_soft_reclaim(struct mmun_soft *soft, size_t nr)
{
	/* Twice around: the first time may find all of them young. */
	size_t budget = 2 * mmun_soft_lru_size(soft), freed = 0;
	struct page *page;

	while (freed < nr && budget-- > 0) {
		page = mmun_soft_lru_isolate_oldest(soft);
		if (!page)
			break;
		freed += reclaim_isolated(page, MMUN_OP_RECLAIM, false);
	}
	return freed;
}

/*
 * Pages of a range, some at a time: nothing can be done to them under the
 * page_table_lock.  A huge entry is gathered whole.
 */
#define GATHER MMUN_SOFT_HUGE_PAGES

struct gather {
	struct soft_mm *mm;
	unsigned long next, end; /* what has not been looked at */
	bool make_old;           /* else huge entries stop the walk */
	bool at_huge;
	struct soft_gather flush;
	unsigned int nr;
	struct page *pages[GATHER];
};

static bool reclaimable(const struct page *page)
{
	/* The zero page is not on the LRU, and of a page that others map
	 * too nobody alone can say that it is not needed. */
	return soft_page_test(page, SOFT_PAGE_LRU) && soft_page_mapcount(page) == 1;
}

static void gather_page(struct gather *g, struct page *page)
{
	if (!reclaimable(page))
		return;
	mmun_soft_get_page(page);
	g->pages[g->nr++] = page;
}

static int stop_at(struct gather *g, unsigned long address)
{
	g->next = address;
	return 1;
}

static int gather_huge(struct gather *g, unsigned long address, struct page *page)
{
	const unsigned long block_end = (address | (MMUN_SOFT_HUGE_SIZE - 1)) + 1;
	const unsigned long end = block_end < g->end ? block_end : g->end;

	g->at_huge = !g->make_old;
	if (g->at_huge || g->nr + ((end - address) >> MMUN_SOFT_PAGE_SHIFT) > GATHER)
		return stop_at(g, address);
	if (*mmun_soft_pmd(g->mm, address) & SOFT_PTE_YOUNG)
		soft_gather_add(&g->flush, address, end - address);
	*mmun_soft_pmd(g->mm, address) &= ~SOFT_PTE_YOUNG;
	for (; address < end; address += MMUN_SOFT_PAGE_SIZE, page = mmun_soft_page_next(page, 1))
		gather_page(g, page);
	return 0;
}

static int gather_one(unsigned long address, soft_pte value, void *arg)
{
	struct gather *g = arg;
	struct page *page;

	if (!(value & SOFT_PTE_PRESENT) || soft_pte_special(value))
		return 0;
	page = soft_pte_page(g->mm, value);
	if (value & SOFT_PTE_HUGE)
		return gather_huge(g, address, page);
	if (g->nr == GATHER)
		return stop_at(g, address);
	if (g->make_old && reclaimable(page) && value & SOFT_PTE_YOUNG) {
		mmun_soft_pte_set(g->mm, address, value & ~SOFT_PTE_YOUNG);
		soft_gather_add(&g->flush, address, MMUN_SOFT_PAGE_SIZE);
	}
	gather_page(g, page);
	return 0;
}

static void gather(struct gather *g)
{
	g->nr = 0;
	g->at_huge = false;
	if (!mmun_soft_for_each_entry(g->mm, g->next, g->end, gather_one, g))
		g->next = g->end;
}

size_t mmun_soft_reclaim_range(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct gather g = { .mm = soft_vma_mm(vma), .next = start, .end = end };
	size_t freed = 0;

	while (g.next < g.end) {
		gather(&g);
		for (unsigned int i = 0; i < g.nr; i++) {
			if (mmun_soft_lru_isolate(g.pages[i]))
				freed += reclaim_isolated(g.pages[i], MMUN_OP_MADV_PAGEOUT, true);
			else
				mmun_soft_put_page(g.pages[i]);
		}
		if (g.at_huge && mmun_soft_split_huge(vma, g.next))
			g.next = (g.next | (MMUN_SOFT_HUGE_SIZE - 1)) + 1;
	}
	return freed;
}

static void to_old_end(struct page *page)
{
	(void)soft_page_clear(page, SOFT_PAGE_REFERENCED);
	if (mmun_soft_lru_isolate(page))
		mmun_soft_lru_putback(page, false);
	mmun_soft_put_page(page);
}

void mmun_soft_cold_range(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	struct gather g = { .mm = soft_vma_mm(vma), .next = start, .end = end, .make_old = true };
	struct soft_change change;

	while (g.next < g.end) {
		mmun_soft_change_begin(&change, vma->v.vm_mm);
		gather(&g);
		/* No right was taken away: it may come late. */
		mmun_soft_flush_gathered(g.mm, &g.flush);
		mmun_soft_change_end(&change, vma->v.vm_mm);
		for (unsigned int i = 0; i < g.nr; i++)
			to_old_end(g.pages[i]);
	}
}
