/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page frames: contents, counts, free ones, and the order of use (LRU).
 *
 * A frame's references: one per entry that maps it, one of the page cache, one
 * per user outside (get_user_pages, an isolation, a fault in progress).  At zero
 * it is poisoned, its generation grows, and it is free.
 *
 * A huge page is 512 aligned frames mapped by one upper entry; each frame has
 * its own counts, so splitting a huge mapping changes entries only.
 *
 * page.c (counts, contents, page lock), zone.c (free frames, LRU), bytes.c (where contents are),
 * device.c (frames of devices).
 * Tests: tests/unit/soft/page.c.
 */
#ifndef MMUN_SOFT_FRAME_PAGE_H
#define MMUN_SOFT_FRAME_PAGE_H

#include "types.h"

int mmun_soft_zone_create(struct mmun_soft *soft);
void mmun_soft_zone_destroy(struct mmun_soft *soft);
void mmun_soft_zone_stats(struct mmun_soft *soft, struct mmun_soft_stats *out);

/*
 * A frame with one reference, contents undefined (zeroed by the _zeroed form).
 * Reclaims when there is none; NULL when that does not help.  Asks mmun_alloc_fail too
 * (with size 4096), so tests can make it fail.
 * Context: M2, it may wait for a frame.  Must hold neither ->changes nor reverse-map lock nor page lock.
 */
struct page *mmun_soft_page_alloc(struct mmun_soft *soft);
/* Zeroed: mmun_soft_alloc_page(). */
/* Without reclaim: for reclaim's own use and for huge pages. */
struct page *mmun_soft_page_alloc_nowait(struct mmun_soft *soft);
/* 512 aligned frames, one reference each, zeroed; the first one, or NULL.  Does not reclaim. */
struct page *mmun_soft_page_alloc_huge(struct mmun_soft *soft);
/* How many of those there are now. */
unsigned long mmun_soft_free_huge(struct mmun_soft *soft);
/* The lowest free frame below @pfn, for compaction; NULL. */
struct page *mmun_soft_page_alloc_below(struct mmun_soft *soft, unsigned long pfn);

static inline struct page *mmun_soft_page_next(struct page *page, unsigned long n)
{
	return page + n; /* frames are one array */
}

/* What drivers have as well is in mmunotify/soft_driver.h.  mmun_soft_put_page(): the last
 * one frees the frame: off the LRU, anon_vma put, poisoned.  Context: any lock but the zone
 * lock (it is innermost but for swap). */
/* Get unless free or being freed. */
bool mmun_soft_page_tryget(struct page *page);
/* Exactly @expected references -> 0, so that nobody can get one any more; then
 * mmun_soft_page_free_frozen(). */
bool mmun_soft_page_freeze(struct page *page, int expected);
void mmun_soft_page_unfreeze(struct page *page, int count);
void mmun_soft_page_free_frozen(struct page *page); /* its page lock, if held, ends with it */

struct page *mmun_soft_zero_page(struct mmun_soft *soft);

/* Contents are read and written by several "processors" at once: word by word, atomically. */
void mmun_soft_copy_in(void *page_bytes, const void *from, size_t length);
void mmun_soft_copy_out(void *to, const void *page_bytes, size_t length);
void mmun_soft_copy_page(struct page *to, const struct page *from);
bool mmun_soft_same_contents(const struct page *a, const struct page *b);

/* The page lock.  lock sleeps. */
void mmun_soft_page_lock(struct page *page);
bool mmun_soft_page_trylock(struct page *page);
void mmun_soft_page_unlock(struct page *page);
/* To wait for the end of another's page lock without a reference: announce while something keeps
 * the frame, then wait with nothing held.  Returns at any change of the flags. */
unsigned int mmun_soft_page_announce_wait(struct page *page);
void mmun_soft_page_wait(struct page *page, unsigned int flags);

/* LRU: new pages go to the young end.  Being on it is no reference. */
void mmun_soft_lru_add(struct page *page);
/* Takes the oldest page off, with a reference for the caller; NULL at the end.
 * @skip pages may have been put back meanwhile: callers bound their scan by a count. */
struct page *mmun_soft_lru_isolate_oldest(struct mmun_soft *soft);
/* Takes this page off; false when it is not on it.  The caller has a reference and gets no other. */
bool mmun_soft_lru_isolate(struct page *page);
/* @young: to the young end, else to the old end.  The caller's reference stays the caller's. */
void mmun_soft_lru_putback(struct page *page, bool young);
size_t mmun_soft_lru_size(struct mmun_soft *soft);

/* device.c.  The frame with this number, NULL if no device has one; the number of a device's frame;
 * the bytes of a coherent one; its last reference has gone. */
struct page *mmun_soft_device_page(const struct mmun_soft *soft, unsigned long pfn);
unsigned long mmun_soft_device_pfn(const struct page *page);
void *mmun_soft_device_bytes(const struct page *page);
void mmun_soft_device_page_free(struct page *page);
/* All devices'; no address space is left. */
void mmun_soft_device_destroy(struct mmun_soft *soft);

/* page.c to zone.c: a frame without references, poisoned, goes off the LRU and is free. */
void mmun_soft_zone_free(struct page *page);

/* bytes.c: the bytes of the machine's frames.  -EINVAL, -ENOMEM, or what the given memory_fd refused
 * with. */
int mmun_soft_bytes_create(struct mmun_soft *soft);
void mmun_soft_bytes_destroy(struct mmun_soft *soft);
/* Zeroes, for the frames of a device that processors reach; NULL: no memory. */
void *mmun_soft_bytes_add(struct mmun_soft *soft, const struct range *range);
void mmun_soft_bytes_remove(struct mmun_soft *soft, void *bytes, const struct range *range);
/* Of frames that turned out to be another device's: what they hold stays. */
void mmun_soft_bytes_unmap(void *bytes, const struct range *range);

#endif
