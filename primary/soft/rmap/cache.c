/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page cache: which page holds which part of a file, and what lies behind it.
 *
 * An index of ->pages has nothing, a page, or (shmem) the swap slot that its page went to.
 * ->store is the "disk" of a regular file: plain memory, with nothing where the
 * file has a hole.
 *
 * I1  A cached page of a regular file has its place in the store from the start, so
 *     writing it back cannot fail and reclaim never has to keep it.
 * I2  A page enters the cache and gets its contents in one step under pages_lock:
 *     between a look into the store and the entry nobody can put a newer
 *     page there, write it back and drop it.
 * I3  page->mapping changes under the page lock and pages_lock, but for a page that
 *     nobody else has seen.  The cache holds one reference; what takes the
 *     page out freezes it first, or leaves it to its other holders with ->mapping NULL.
 * I4  A frozen page is not in the cache: freezing and taking out are one step.
 *
 * Not here: how pages are mapped (fault/file.c) and unmapped (unmap.c).
 * Tests: tests/unit/soft/file.c.
 */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "bug.h"
#include "frame/index_map.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "rmap/rmap.h"

/* A value of ->pages is a page, or a slot with the lowest bit set. */
static inline bool is_slot(uintptr_t value)
{
	return value & 1;
}

static inline unsigned long slot_of(uintptr_t value)
{
	return value >> 1;
}

static inline uintptr_t slot_value(unsigned long slot)
{
	return slot ? (uintptr_t)slot << 1 | 1 : 0;
}

static inline struct page *page_of(uintptr_t value)
{
	return is_slot(value) ? NULL : (struct page *)value;
}

static inline struct mmun_soft *machine_of(const struct address_space *mapping)
{
	return mapping->file->soft;
}

static bool is_shmem(const struct address_space *mapping)
{
	return mapping->file->kind == MMUN_SOFT_FILE_SHMEM;
}

/* pages_lock held, here and below.  What is cached at @index, with a reference. */
static struct page *get_cached(struct address_space *mapping, unsigned long index)
{
	struct page *page = page_of(mmun_soft_index_get(&mapping->pages, index));

	if (page)
		mmun_soft_get_page(page);
	return page;
}

static int reserve_store(struct address_space *mapping, unsigned long index)
{
	void *block;

	if (is_shmem(mapping) || mmun_soft_index_get(&mapping->store, index))
		return 0;
	block = mmun_alloc(MMUN_SOFT_PAGE_SIZE);
	if (block && !mmun_soft_index_set(&mapping->store, index, (uintptr_t)block))
		return 0;
	mmun_free(block);
	return -ENOMEM;
}

static void fill_page(struct address_space *mapping, struct page *page, uintptr_t behind)
{
	uintptr_t block = mmun_soft_index_get(&mapping->store, page->index);

	if (behind)
		mmun_soft_swap_read(machine_of(mapping), slot_of(behind), page);
	else if (block)
		mmun_soft_copy_in(mmun_soft_page_address(page), (void *)block, MMUN_SOFT_PAGE_SIZE);
}

/* @page is zeroed and nobody else's. */
static int insert(struct address_space *mapping, struct page *page, unsigned long index)
{
	uintptr_t behind = mmun_soft_index_get(&mapping->pages, index);

	if (reserve_store(mapping, index))
		return -ENOMEM;
	if (mmun_soft_index_set(&mapping->pages, index, (uintptr_t)page))
		return -ENOMEM;
	page->mapping = mapping;
	page->index = index;
	fill_page(mapping, page, behind);
	/* The swap slot goes, a hole has none: there is no other copy of a shmem page. */
	if (is_shmem(mapping))
		soft_page_set(page, SOFT_PAGE_SWAPBACKED | SOFT_PAGE_DIRTY);
	if (behind)
		mmun_soft_swap_put(machine_of(mapping), slot_of(behind));
	mmun_soft_get_page(page);
	return 0;
}

struct page *mmun_soft_cache_find(struct address_space *mapping, unsigned long index)
{
	struct page *page;

	mmun_mutex_lock(&mapping->pages_lock);
	page = get_cached(mapping, index);
	mmun_mutex_unlock(&mapping->pages_lock);
	return page;
}

struct page *mmun_soft_cache_make(struct address_space *mapping, unsigned long index)
{
	struct page *page = mmun_soft_cache_find(mapping, index), *fresh;
	int ret = 0;

	if (page)
		return page;
	fresh = mmun_soft_alloc_page(machine_of(mapping));
	if (!fresh)
		return NULL;
	mmun_mutex_lock(&mapping->pages_lock);
	page = get_cached(mapping, index);
	if (!page)
		ret = insert(mapping, fresh, index);
	mmun_mutex_unlock(&mapping->pages_lock);
	if (page || ret) {
		mmun_soft_put_page(fresh);
		return page;
	}
	mmun_soft_lru_add(fresh);
	soft_stat_inc(machine_of(mapping), file_filled);
	return fresh;
}

struct page *mmun_soft_cache_get(struct address_space *mapping, unsigned long index, int *error)
{
	const uint64_t size = mmun_load_relaxed(&mapping->file->size);
	struct page *page;

	*error = -ERANGE;
	if (!size || index > (size - 1) >> MMUN_SOFT_PAGE_SHIFT)
		return NULL;
	page = mmun_soft_cache_make(mapping, index);
	*error = page ? 0 : -ENOMEM;
	return page;
}

struct page *mmun_soft_cache_next(struct address_space *mapping, unsigned long *index)
{
	struct page *page = NULL;
	uintptr_t value;

	mmun_mutex_lock(&mapping->pages_lock);
	while ((value = mmun_soft_index_next(&mapping->pages, index))) {
		page = page_of(value);
		if (page) {
			mmun_soft_get_page(page);
			break;
		}
		++*index;
	}
	mmun_mutex_unlock(&mapping->pages_lock);
	return page;
}

bool mmun_soft_cache_holds(struct address_space *mapping, unsigned long index)
{
	bool holds;

	mmun_mutex_lock(&mapping->pages_lock);
	holds = mmun_soft_index_get(&mapping->pages, index) ||
		mmun_soft_index_get(&mapping->store, index);
	mmun_mutex_unlock(&mapping->pages_lock);
	return holds;
}

bool mmun_soft_cache_remove(struct page *page, int expected, unsigned long swap_slot)
{
	struct address_space *mapping = page->mapping;
	bool removed;

	if (!mapping)
		return false;
	mmun_mutex_lock(&mapping->pages_lock);
	removed = mmun_soft_page_freeze(page, expected);
	/* Asked when nobody is left that could write to it. */
	if (removed && !is_shmem(mapping) && soft_page_test(page, SOFT_PAGE_DIRTY)) {
		mmun_soft_page_unfreeze(page, expected);
		removed = false;
	}
	if (removed) {
		page->mapping = NULL;
		if (swap_slot)
			(void)mmun_soft_index_set(&mapping->pages, page->index,
						  slot_value(swap_slot));
		else
			(void)mmun_soft_index_erase(&mapping->pages, page->index);
	}
	mmun_mutex_unlock(&mapping->pages_lock);
	return removed;
}

/* Both are locked and nobody maps either: what can still see @from waits for pages_lock. */
static void hand_over(struct page *from, struct page *to, struct address_space *mapping)
{
	const unsigned int kept = SOFT_PAGE_DIRTY | SOFT_PAGE_SWAPBACKED | SOFT_PAGE_REFERENCED;

	mmun_soft_copy_page(to, from);
	soft_page_set(to, mmun_load_relaxed(&from->flags) & kept);
	to->mapping = mapping;
	to->index = from->index;
	mmun_soft_get_page(to);
	(void)mmun_soft_index_set(&mapping->pages, to->index, (uintptr_t)to);
	from->mapping = NULL;
}

bool mmun_soft_cache_replace(struct page *from, struct page *to, int expected)
{
	struct address_space *mapping = from->mapping;
	bool replaced;

	if (!mapping)
		return false;
	mmun_mutex_lock(&mapping->pages_lock);
	replaced = mmun_soft_page_freeze(from, expected);
	if (replaced) {
		hand_over(from, to, mapping);
		mmun_soft_page_unfreeze(from, expected - 1);
	}
	mmun_mutex_unlock(&mapping->pages_lock);
	return replaced;
}

/* Writing back. */

/* What a mapping has written behind the end of the file is no part of it. */
static void zero_behind_end(struct page *page, uint64_t size)
{
	static const char zeros[MMUN_SOFT_PAGE_SIZE];
	const uint64_t start = (uint64_t)page->index << MMUN_SOFT_PAGE_SHIFT;
	const size_t used = size > start ? size - start : 0;

	if (used < MMUN_SOFT_PAGE_SIZE)
		mmun_soft_copy_in((char *)mmun_soft_page_address(page) + used, zeros,
				  MMUN_SOFT_PAGE_SIZE - used);
}

void mmun_soft_store_page(struct page *page)
{
	struct address_space *mapping = page->mapping;
	void *block;

	MMUN_BUG_ON(!mapping || is_shmem(mapping));
	mmun_mutex_lock(&mapping->pages_lock);
	zero_behind_end(page, mmun_load_relaxed(&mapping->file->size));
	block = (void *)mmun_soft_index_get(&mapping->store, page->index);
	mmun_soft_copy_out(block, mmun_soft_page_address(page), MMUN_SOFT_PAGE_SIZE);
	mmun_mutex_unlock(&mapping->pages_lock);
}

/* Dropping. */

void mmun_soft_cache_drop(struct page *page)
{
	struct address_space *mapping = page->mapping;

	if (!mapping)
		return;
	mmun_mutex_lock(&mapping->pages_lock);
	(void)mmun_soft_index_erase(&mapping->pages, page->index);
	page->mapping = NULL;
	(void)soft_page_clear(page, SOFT_PAGE_DIRTY);
	mmun_mutex_unlock(&mapping->pages_lock);
	/* Nothing to reclaim any more, however long somebody holds it. */
	(void)mmun_soft_lru_isolate(page);
	soft_stat_inc(machine_of(mapping), truncated);
	mmun_soft_put_page(page);
}

static void drop_pages(struct address_space *mapping, unsigned long first, unsigned long last)
{
	struct page *page;

	while ((page = mmun_soft_cache_next(mapping, &first)) && first <= last) {
		mmun_soft_page_lock(page);
		if (page->mapping == mapping)
			mmun_soft_cache_drop(page);
		mmun_soft_page_unlock(page);
		mmun_soft_put_page(page);
	}
	if (page)
		mmun_soft_put_page(page);
}

/* Only slots are left in ->pages. */
static void drop_slots(struct address_space *mapping, unsigned long first, unsigned long last)
{
	unsigned long index;
	uintptr_t value;

	mmun_mutex_lock(&mapping->pages_lock);
	for (index = first;
	     (value = mmun_soft_index_next(&mapping->pages, &index)) && index <= last; index++) {
		if (!is_slot(value))
			continue;
		(void)mmun_soft_index_erase(&mapping->pages, index);
		mmun_soft_swap_put(machine_of(mapping), slot_of(value));
	}
	for (index = first;
	     (value = mmun_soft_index_next(&mapping->store, &index)) && index <= last; index++)
		mmun_free((void *)mmun_soft_index_erase(&mapping->store, index));
	mmun_mutex_unlock(&mapping->pages_lock);
}

void mmun_soft_cache_drop_range(struct address_space *mapping, unsigned long first,
				unsigned long last)
{
	drop_pages(mapping, first, last);
	drop_slots(mapping, first, last);
}
