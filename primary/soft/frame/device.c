/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Frames of devices: numbers above those of the machine, with a struct page each.  Private ones
 * have no bytes here; coherent ones have, and entries that map them are present.
 *
 * Their structs are one array, reserved as a whole when the first device has memory, so
 * numbers and structs convert by subtraction; the host gives it memory where it is used.
 *
 * I1  A frame exists (DEVICE set) from memremap to memunmap.  Both claim each frame by one
 *     atomic change of its flags, so that two devices never share one.
 * I2  A frame without references is its driver's: it is on no list here, and no entry names
 *     it.  From ->page_free on, and not before, the driver may hand it out again.
 * I3  ->mmun_used counts frames with references, so that none is left when the memory goes.
 * I4  Memory that is going, and its end, are marked under the list_lock: under it the pgmap of a
 *     frame that exists is there.
 *
 * Not here: moving pages there and back (reclaim/migrate_device.c).
 * Tests: tests/unit/soft/device_memory.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "bug.h"
#include "frame/page.h"
#include "futex.h"

/* 16 GiB. */
#define DEVICE_FRAMES (1ul << 22)
/* The first frame's number is a multiple of it: 256 MiB. */
#define ALIGNMENT (1ul << 16)

static unsigned long first_pfn(const struct mmun_soft *soft)
{
	unsigned long machine = soft->params.memory >> MMUN_SOFT_PAGE_SHIFT;

	return (machine + ALIGNMENT) & ~(ALIGNMENT - 1);
}

void mmun_soft_device_space(const struct mmun_soft *soft, struct range *space)
{
	space->start = (uint64_t)first_pfn(soft) << MMUN_SOFT_PAGE_SHIFT;
	space->end = space->start + (DEVICE_FRAMES << MMUN_SOFT_PAGE_SHIFT) - 1;
}

struct page *mmun_soft_device_page(const struct mmun_soft *soft, unsigned long pfn)
{
	struct page *pages = mmun_load_acquire(&soft->device_pages);
	unsigned long index = pfn - first_pfn(soft);

	if (!pages || index >= DEVICE_FRAMES || !soft_page_test(&pages[index], SOFT_PAGE_DEVICE))
		return NULL;
	return &pages[index];
}

unsigned long mmun_soft_device_pfn(const struct page *page)
{
	return first_pfn(page->soft) + (unsigned long)(page - page->soft->device_pages);
}

/* The caller has a reference to it, or is its driver. */
void *mmun_soft_device_bytes(const struct page *page)
{
	const struct dev_pagemap *pgmap = page->pgmap;

	if (!pgmap->mmun_bytes)
		return NULL;
	return (char *)pgmap->mmun_bytes +
	       ((mmun_soft_device_pfn(page) << MMUN_SOFT_PAGE_SHIFT) - pgmap->range.start);
}

static void unreserve(struct page *pages)
{
	munmap(pages, DEVICE_FRAMES * sizeof(*pages));
}

/* The array, made by the first that needs it. */
static struct page *reserve(struct mmun_soft *soft)
{
	struct page *pages = mmun_load_acquire(&soft->device_pages);
	void *mapping;

	if (pages)
		return pages;
	mapping = mmap(NULL, DEVICE_FRAMES * sizeof(*pages), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapping == MAP_FAILED)
		return NULL;
	if (mmun_cas_full(&soft->device_pages, &pages, (struct page *)mapping))
		return mapping;
	unreserve(mapping);
	return pages;
}

void mmun_soft_device_destroy(struct mmun_soft *soft)
{
	if (soft->device_pages)
		unreserve(soft->device_pages);
}

/* The index of the first frame and the number of frames; false: not a part of the space. */
static bool frames_of(const struct mmun_soft *soft, const struct range *range, unsigned long *first,
		      unsigned long *nr)
{
	struct range space;

	mmun_soft_device_space(soft, &space);
	if (range->start < space.start || range->end > space.end || range->start > range->end)
		return false;
	if (range->start & ~MMUN_SOFT_PAGE_MASK || (range->end + 1) & ~MMUN_SOFT_PAGE_MASK)
		return false;
	*first = (range->start - space.start) >> MMUN_SOFT_PAGE_SHIFT;
	*nr = (range->end + 1 - range->start) >> MMUN_SOFT_PAGE_SHIFT;
	return true;
}

static bool valid(const struct dev_pagemap *pgmap)
{
	if (pgmap->nr_range != 1 || !pgmap->owner || !pgmap->ops ||
	    !(pgmap->ops->page_free || pgmap->ops->folio_free))
		return false;
	return pgmap->type == MEMORY_DEVICE_COHERENT ||
	       (pgmap->type == MEMORY_DEVICE_PRIVATE && pgmap->ops->migrate_to_ram);
}

/* I1 */
static bool claim(struct page *page, struct dev_pagemap *pgmap)
{
	const unsigned int type = SOFT_PAGE_DEVICE | (pgmap->mmun_bytes ? 0 : SOFT_PAGE_PRIVATE);
	unsigned int none = 0;

	if (!mmun_cas_full(&page->flags, &none, type))
		return false;
	page->soft = pgmap->mmun_soft;
	page->pgmap = pgmap;
	page->zone_device_data = NULL;
	return true;
}

static void unclaim(struct page *page)
{
	MMUN_BUG_ON(mmun_load_full(&page->refcount));
	mmun_store_full(&page->flags, 0);
}

/* All of them or none. */
static bool claim_all(struct page *first, unsigned long nr, struct dev_pagemap *pgmap)
{
	unsigned long i = 0;

	while (i < nr && claim(first + i, pgmap))
		i++;
	if (i == nr)
		return true;
	while (i--)
		unclaim(first + i);
	return false;
}

static int add_bytes(struct dev_pagemap *pgmap)
{
	pgmap->mmun_bytes = NULL;
	if (pgmap->type == MEMORY_DEVICE_PRIVATE)
		return 0;
	pgmap->mmun_bytes = mmun_soft_bytes_add(pgmap->mmun_soft, &pgmap->range);
	return pgmap->mmun_bytes ? 0 : -ENOMEM;
}

static void remove_bytes(struct dev_pagemap *pgmap)
{
	if (pgmap->mmun_bytes)
		mmun_soft_bytes_remove(pgmap->mmun_soft, pgmap->mmun_bytes, &pgmap->range);
}

int mmun_soft_memremap_pages(struct mmun_soft *soft, struct dev_pagemap *pgmap)
{
	unsigned long first, nr;
	struct page *pages;

	if (!valid(pgmap) || !frames_of(soft, &pgmap->range, &first, &nr))
		return -EINVAL;
	pages = reserve(soft);
	pgmap->mmun_soft = soft;
	pgmap->mmun_used = 0;
	pgmap->mmun_going = false;
	if (!pages || add_bytes(pgmap))
		return -ENOMEM;
	if (claim_all(&pages[first], nr, pgmap))
		return 0;
	if (pgmap->mmun_bytes)
		mmun_soft_bytes_unmap(pgmap->mmun_bytes, &pgmap->range);
	pgmap->mmun_bytes = NULL;
	return -EBUSY;
}

void mmun_soft_memunmap_pages(struct dev_pagemap *pgmap)
{
	struct mmun_soft *soft = pgmap->mmun_soft;
	unsigned long first = 0, nr = 0;
	unsigned int used;

	mmun_mutex_lock(&soft->list_lock);
	pgmap->mmun_going = true;
	mmun_mutex_unlock(&soft->list_lock);
	while ((used = mmun_load_full(&pgmap->mmun_used)))
		mmun_futex_wait(&pgmap->mmun_used, used);
	/* Before another device may have these frames. */
	remove_bytes(pgmap);
	frames_of(soft, &pgmap->range, &first, &nr);
	mmun_mutex_lock(&soft->list_lock);
	for (unsigned long i = 0; i < nr; i++)
		unclaim(&soft->device_pages[first + i]);
	mmun_mutex_unlock(&soft->list_lock);
}

/* I4 */
struct dev_pagemap *mmun_soft_get_dev_pagemap(struct mmun_soft *soft, unsigned long pfn)
{
	struct dev_pagemap *pgmap = NULL;
	struct page *page;

	mmun_mutex_lock(&soft->list_lock);
	page = mmun_soft_device_page(soft, pfn);
	if (page && !page->pgmap->mmun_going) {
		pgmap = page->pgmap;
		(void)mmun_add_full(&pgmap->mmun_used, 1);
	}
	mmun_mutex_unlock(&soft->list_lock);
	return pgmap;
}

void mmun_soft_put_dev_pagemap(struct dev_pagemap *pgmap)
{
	if (!mmun_sub_full(&pgmap->mmun_used, 1))
		mmun_futex_wake_all(&pgmap->mmun_used);
}

void mmun_soft_zone_device_page_init(struct page *page)
{
	bool locked;

	MMUN_BUG_ON(!soft_page_test(page, SOFT_PAGE_DEVICE) || mmun_load_full(&page->refcount));
	(void)mmun_add_full(&page->pgmap->mmun_used, 1);
	mmun_store_full(&page->refcount, 1);
	locked = mmun_soft_page_trylock(page);
	MMUN_BUG_ON(!locked);
}

unsigned int mmun_soft_page_memory_type(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_DEVICE) ? page->pgmap->type : 0;
}

/* I2 */
void mmun_soft_device_page_free(struct page *page)
{
	struct dev_pagemap *pgmap = page->pgmap;
	unsigned int flags;

	page->anon_vma = NULL;
	page->index = 0;
	mmun_store_full(&page->generation, page->generation + 1);
	flags = __atomic_fetch_and(&page->flags, SOFT_PAGE_DEVICE | SOFT_PAGE_PRIVATE,
				   __ATOMIC_SEQ_CST);
	/* The page lock, if held, ends here. */
	if (flags & SOFT_PAGE_WAITERS)
		mmun_futex_wake_all(&page->flags);
	if (pgmap->ops->folio_free)
		pgmap->ops->folio_free((struct folio *)page);
	else
		pgmap->ops->page_free(page);
	mmun_soft_put_dev_pagemap(pgmap);
}
