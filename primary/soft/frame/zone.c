/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The zone: which frames are free, and in which order the others were used.
 *
 * Frames are one array, in order of frame number.  512 aligned frames are a block with a bitmap of the free ones.
 * Single frames come out of blocks that are broken already as long as there is
 * one, so whole blocks last for huge pages.
 *
 * I1  A frame is free (FREE set, bit set, no references) or allocated; it
 *     changes sides under the zone lock, where its generation grows too.
 * I2  A block is on the list that its count of free frames says: whole, broken,
 *     or none.  An incomplete last block is never whole.
 * I3  A page on the LRU may lose its last reference there.  Whatever takes one
 *     off gets a reference first, and leaves those alone that have none left.
 * I4  A frame that was never used is not written: its bytes are the host's
 *     zeroes, and so a fresh machine costs the host nothing.
 *
 * Not here: when a frame becomes free (page.c), the bytes (bytes.c), which page is old enough
 * (reclaim/reclaim.c).
 * Tests: tests/unit/soft/page.c.
 */
#include <errno.h>
#include <sched.h>
#include <string.h>

#include "alloc.h"
#include "bug.h"
#include "frame/page.h"
#include "futex.h"

#define BLOCK_PAGES MMUN_SOFT_HUGE_PAGES
#define WORD_BITS   64
#define BLOCK_WORDS (BLOCK_PAGES / WORD_BITS)

/* Attempts to reclaim that gave nothing, before memory is called exhausted: a
 * young page survives one, and others may hold pages isolated for a moment. */
#define FRUITLESS_ROUNDS 16
#define RECLAIM_BATCH    32

struct block {
	uint64_t free[BLOCK_WORDS];
	unsigned int nr_free;
	struct mmun_dlist link;
};

struct soft_zone {
	/* Set once. */
	struct page *pages; /* nr of them, and the zero page */
	struct block *blocks;
	unsigned long nr, nr_blocks;

	struct mmun_mutex lock; /* MMUN_RANK_SOFT_ZONE */
	/* Under it: */
	struct mmun_dlist whole, broken;
	unsigned long nr_free;
	struct mmun_dlist lru; /* oldest first */
	size_t lru_size;
};

static void place_block(struct soft_zone *zone, struct block *block)
{
	mmun_dlist_del(&block->link);
	if (block->nr_free == BLOCK_PAGES)
		mmun_dlist_add_tail(&block->link, &zone->whole);
	else if (block->nr_free)
		mmun_dlist_add(&block->link, &zone->broken);
}

static void change_free(struct soft_zone *zone, struct block *block, int by)
{
	bool was_broken = block->nr_free && block->nr_free < BLOCK_PAGES;

	zone->nr_free += (unsigned long)by;
	block->nr_free += (unsigned int)by;
	if (!was_broken || !block->nr_free || block->nr_free == BLOCK_PAGES)
		place_block(zone, block);
}

static void give_frame(struct soft_zone *zone, unsigned long pfn)
{
	struct block *block = &zone->blocks[pfn / BLOCK_PAGES];
	unsigned long bit = pfn % BLOCK_PAGES;

	block->free[bit / WORD_BITS] |= 1ull << bit % WORD_BITS;
	change_free(zone, block, 1);
}

static void claim(struct page *page)
{
	page->index = 0;
	page->anon_vma = NULL;
	page->mapcount = 0;
	mmun_store_relaxed(&page->flags, 0);
	mmun_store_full(&page->refcount, 1);
}

/* The lowest free frame of @block, which has one. */
static unsigned long lowest_free(const struct soft_zone *zone, const struct block *block)
{
	unsigned long word = 0;

	while (!block->free[word])
		word++;
	return (unsigned long)(block - zone->blocks) * BLOCK_PAGES + word * WORD_BITS +
	       (unsigned long)__builtin_ctzll(block->free[word]);
}

static struct page *take_frame(struct soft_zone *zone, unsigned long pfn)
{
	struct block *block = &zone->blocks[pfn / BLOCK_PAGES];
	unsigned long bit = pfn % BLOCK_PAGES;

	block->free[bit / WORD_BITS] &= ~(1ull << bit % WORD_BITS);
	change_free(zone, block, -1);
	claim(&zone->pages[pfn]);
	return &zone->pages[pfn];
}

static struct block *first_block(const struct mmun_dlist *list)
{
	return mmun_dlist_empty(list) ? NULL : mmun_container_of(list->next, struct block, link);
}

static struct page *take_any(struct soft_zone *zone)
{
	struct page *page = NULL;
	struct block *block;

	mmun_mutex_lock(&zone->lock);
	block = first_block(&zone->broken);
	if (!block)
		block = first_block(&zone->whole);
	if (block)
		page = take_frame(zone, lowest_free(zone, block));
	mmun_mutex_unlock(&zone->lock);
	return page;
}

static struct page *take_whole(struct soft_zone *zone)
{
	struct page *page = NULL;
	struct block *block;

	mmun_mutex_lock(&zone->lock);
	block = first_block(&zone->whole);
	if (block) {
		page = &zone->pages[(unsigned long)(block - zone->blocks) * BLOCK_PAGES];
		memset(block->free, 0, sizeof(block->free));
		change_free(zone, block, -(int)BLOCK_PAGES);
		for (unsigned long i = 0; i < BLOCK_PAGES; i++)
			claim(page + i);
	}
	mmun_mutex_unlock(&zone->lock);
	return page;
}

static bool injected_failure(size_t size)
{
	bool (*fail)(size_t) = mmun_load_acquire(&mmun_alloc_fail);

	return fail && fail(size);
}

static struct page *take_or_reclaim(struct mmun_soft *soft)
{
	unsigned int fruitless = 0;
	struct page *page;

	while (!(page = take_any(soft->zone)) && fruitless < FRUITLESS_ROUNDS) {
		if (soft->upcalls->reclaim(soft, RECLAIM_BATCH))
			continue;
		fruitless++;
		sched_yield();
	}
	return page;
}

struct page *mmun_soft_page_alloc(struct mmun_soft *soft)
{
	struct page *page = NULL;

	if (!injected_failure(MMUN_SOFT_PAGE_SIZE))
		page = take_or_reclaim(soft);
	if (!page)
		soft_stat_inc(soft, out_of_memory);
	return page;
}

/* Frames that were never freed were never used either (I4). */
static void zero(struct page *page)
{
	if (page->generation)
		memset(mmun_soft_page_address(page), 0, MMUN_SOFT_PAGE_SIZE);
}

struct page *mmun_soft_alloc_page(struct mmun_soft *soft)
{
	struct page *page = mmun_soft_page_alloc(soft);

	if (page)
		zero(page);
	return page;
}

struct page *mmun_soft_page_alloc_nowait(struct mmun_soft *soft)
{
	return injected_failure(MMUN_SOFT_PAGE_SIZE) ? NULL : take_any(soft->zone);
}

struct page *mmun_soft_page_alloc_huge(struct mmun_soft *soft)
{
	struct page *page = NULL;

	if (!injected_failure(MMUN_SOFT_HUGE_SIZE))
		page = take_whole(soft->zone);
	for (unsigned long i = 0; page && i < BLOCK_PAGES; i++)
		zero(page + i);
	return page;
}

unsigned long mmun_soft_free_huge(struct mmun_soft *soft)
{
	struct soft_zone *zone = soft->zone;
	struct mmun_dlist *link;
	unsigned long nr = 0;

	mmun_mutex_lock(&zone->lock);
	mmun_dlist_for_each(link, &zone->whole)
		nr++;
	mmun_mutex_unlock(&zone->lock);
	return nr;
}

struct page *mmun_soft_page_alloc_below(struct mmun_soft *soft, unsigned long pfn)
{
	struct soft_zone *zone = soft->zone;
	struct page *page = NULL;
	unsigned long i = 0, lowest = zone->nr;

	if (injected_failure(MMUN_SOFT_PAGE_SIZE))
		return NULL;
	mmun_mutex_lock(&zone->lock);
	while (i < zone->nr_blocks && !zone->blocks[i].nr_free)
		i++;
	if (i < zone->nr_blocks)
		lowest = lowest_free(zone, &zone->blocks[i]);
	if (lowest < pfn && lowest < zone->nr)
		page = take_frame(zone, lowest);
	mmun_mutex_unlock(&zone->lock);
	return page;
}

static void lru_del(struct soft_zone *zone, struct page *page)
{
	soft_page_clear(page, SOFT_PAGE_LRU);
	mmun_dlist_del(&page->link);
	zone->lru_size--;
}

void mmun_soft_zone_free(struct page *page)
{
	struct soft_zone *zone = page->soft->zone;
	unsigned int flags;

	mmun_mutex_lock(&zone->lock);
	if (soft_page_test(page, SOFT_PAGE_LRU))
		lru_del(zone, page);
	mmun_store_full(&page->generation, page->generation + 1);
	flags = __atomic_exchange_n(&page->flags, SOFT_PAGE_FREE, __ATOMIC_SEQ_CST);
	give_frame(zone, mmun_soft_page_pfn(page));
	mmun_mutex_unlock(&zone->lock);
	/* The page lock, if held, ends here. */
	if (flags & SOFT_PAGE_WAITERS)
		mmun_futex_wake_all(&page->flags);
}

static void lru_insert(struct page *page, bool young)
{
	struct soft_zone *zone = page->soft->zone;

	if (soft_page_test(page, SOFT_PAGE_ZERO | SOFT_PAGE_DEVICE))
		return;
	mmun_mutex_lock(&zone->lock);
	if (!soft_page_test(page, SOFT_PAGE_LRU)) {
		soft_page_set(page, SOFT_PAGE_LRU);
		mmun_dlist_add(&page->link, young ? zone->lru.prev : &zone->lru);
		zone->lru_size++;
	}
	mmun_mutex_unlock(&zone->lock);
}

void mmun_soft_lru_add(struct page *page)
{
	lru_insert(page, true);
}

void mmun_soft_lru_putback(struct page *page, bool young)
{
	lru_insert(page, young);
}

struct page *mmun_soft_lru_isolate_oldest(struct mmun_soft *soft)
{
	struct soft_zone *zone = soft->zone;
	struct page *page = NULL;
	struct mmun_dlist *link;

	mmun_mutex_lock(&zone->lock);
	mmun_dlist_for_each(link, &zone->lru) {
		page = mmun_container_of(link, struct page, link);
		if (mmun_soft_page_tryget(page)) {
			lru_del(zone, page);
			break;
		}
		page = NULL;
	}
	mmun_mutex_unlock(&zone->lock);
	return page;
}

bool mmun_soft_lru_isolate(struct page *page)
{
	struct soft_zone *zone = page->soft->zone;
	bool on;

	mmun_mutex_lock(&zone->lock);
	on = soft_page_test(page, SOFT_PAGE_LRU);
	if (on)
		lru_del(zone, page);
	mmun_mutex_unlock(&zone->lock);
	return on;
}

size_t mmun_soft_lru_size(struct mmun_soft *soft)
{
	size_t size;

	mmun_mutex_lock(&soft->zone->lock);
	size = soft->zone->lru_size;
	mmun_mutex_unlock(&soft->zone->lock);
	return size;
}

struct page *mmun_soft_zero_page(struct mmun_soft *soft)
{
	return &soft->zone->pages[soft->zone->nr];
}

struct page *mmun_soft_pfn_page(struct mmun_soft *soft, unsigned long pfn)
{
	return pfn <= soft->zone->nr ? &soft->zone->pages[pfn] : mmun_soft_device_page(soft, pfn);
}

unsigned long mmun_soft_page_pfn(const struct page *page)
{
	if (soft_page_test(page, SOFT_PAGE_DEVICE))
		return mmun_soft_device_pfn(page);
	return (unsigned long)(page - page->soft->zone->pages);
}

void mmun_soft_zone_stats(struct mmun_soft *soft, struct mmun_soft_stats *out)
{
	struct soft_zone *zone = soft->zone;

	mmun_mutex_lock(&zone->lock);
	out->frames = zone->nr;
	out->frames_free = zone->nr_free;
	mmun_mutex_unlock(&zone->lock);
}

static void init_pages(struct mmun_soft *soft, struct soft_zone *zone)
{
	for (unsigned long pfn = 0; pfn <= zone->nr; pfn++) {
		zone->pages[pfn].soft = soft;
		zone->pages[pfn].flags = SOFT_PAGE_FREE;
		mmun_dlist_init(&zone->pages[pfn].link);
	}
	zone->pages[zone->nr].flags = SOFT_PAGE_ZERO;
	zone->pages[zone->nr].refcount = 1;
	for (unsigned long i = 0; i < zone->nr_blocks; i++)
		mmun_dlist_init(&zone->blocks[i].link);
	for (unsigned long pfn = 0; pfn < zone->nr; pfn++)
		give_frame(zone, pfn);
}

int mmun_soft_zone_create(struct mmun_soft *soft)
{
	unsigned long nr = soft->params.memory >> MMUN_SOFT_PAGE_SHIFT;
	struct soft_zone *zone = mmun_alloc(sizeof(*zone));

	if (!zone)
		return -ENOMEM;
	zone->nr = nr;
	zone->nr_blocks = (nr + BLOCK_PAGES - 1) / BLOCK_PAGES;
	zone->pages = mmun_alloc((nr + 1) * sizeof(*zone->pages));
	if (!zone->pages)
		goto free_zone;
	zone->blocks = mmun_alloc(zone->nr_blocks * sizeof(*zone->blocks));
	if (!zone->blocks)
		goto free_pages;
	mmun_mutex_init(&zone->lock, MMUN_RANK_SOFT_ZONE);
	mmun_dlist_init(&zone->whole);
	mmun_dlist_init(&zone->broken);
	mmun_dlist_init(&zone->lru);
	init_pages(soft, zone);
	soft->zone = zone;
	return 0;

free_pages:
	mmun_free(zone->pages);
free_zone:
	mmun_free(zone);
	return -ENOMEM;
}

void mmun_soft_zone_destroy(struct mmun_soft *soft)
{
	struct soft_zone *zone = soft->zone;

	mmun_mutex_destroy(&zone->lock);
	mmun_free(zone->blocks);
	mmun_free(zone->pages);
	mmun_free(zone);
	soft->zone = NULL;
}
