/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page frames: references, contents, the page lock.
 *
 * I1  The drop of the last reference frees the frame, once; nobody gets a
 *     reference from zero, and a freeze takes the count to zero only if all
 *     references are accounted for.
 * I2  A freed frame has no mappings and no pins, and reads as poison.
 * I3  The page lock is a bit beside the other flags, so all of them change by
 *     atomic operations.  A thread that finds it taken marks that it waits and sleeps on
 *     the whole word: any change of it only makes the sleeper look again.
 * I4  The zero page is neither counted nor written; references and pins of it cost nothing
 *     and mean nothing.
 * I5  The pin goes before its reference: a frame without references has no pins.
 *
 * Not here: free frames and the LRU (zone.c).  Tests: tests/unit/soft/{page,device}.c.
 */
#include <string.h>

#include "bug.h"
#include "frame/page.h"
#include "futex.h"

#define PAGE_WORDS (MMUN_SOFT_PAGE_SIZE / sizeof(uint64_t))

/* Nobody refers to @page any more. */
static void release(struct page *page)
{
	MMUN_BUG_ON(soft_page_mapcount(page));
	MMUN_BUG_ON(soft_page_pinned(page));
	if (soft_page_test(page, SOFT_PAGE_KSM))
		page->soft->upcalls->ksm_forget(page);
	else if (soft_page_test(page, SOFT_PAGE_ANON))
		page->soft->upcalls->anon_put(page->anon_vma);
	if (soft_page_test(page, SOFT_PAGE_DEVICE)) {
		mmun_soft_device_page_free(page);
		return;
	}
	memset(mmun_soft_page_address(page), MMUN_SOFT_POISON, MMUN_SOFT_PAGE_SIZE);
	mmun_soft_zone_free(page);
}

void mmun_soft_put_page(struct page *page)
{
	int left;

	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return;
	left = mmun_sub_full(&page->refcount, 1);
	MMUN_BUG_ON(left < 0);
	if (!left)
		release(page);
}

void mmun_soft_get_page(struct page *page)
{
	int now;

	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return;
	now = mmun_add_full(&page->refcount, 1);
	MMUN_BUG_ON(now <= 1);
	(void)now;
}

bool mmun_soft_page_tryget(struct page *page)
{
	int count = mmun_load_full(&page->refcount);

	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return true;
	while (count > 0) {
		if (mmun_cas_full(&page->refcount, &count, count + 1))
			return true;
	}
	return false;
}

bool mmun_soft_page_freeze(struct page *page, int expected)
{
	return mmun_cas_full(&page->refcount, &expected, 0);
}

void mmun_soft_page_unfreeze(struct page *page, int count)
{
	mmun_store_full(&page->refcount, count);
}

void mmun_soft_page_free_frozen(struct page *page)
{
	MMUN_BUG_ON(mmun_load_full(&page->refcount));
	release(page);
}

void mmun_soft_unpin_page(struct page *page)
{
	if (soft_page_test(page, SOFT_PAGE_ZERO))
		return;
	if (mmun_sub_full(&page->pincount, 1) < 0) {
		(void)mmun_add_full(&page->pincount, 1);
		mmun_misuse("a page is unpinned that is not pinned");
		return;
	}
	mmun_soft_put_page(page);
}

bool mmun_soft_page_pinned(const struct page *page)
{
	return soft_page_pinned(page);
}

void mmun_soft_set_page_dirty(struct page *page)
{
	if (!soft_page_test(page, SOFT_PAGE_ZERO))
		soft_page_set(page, SOFT_PAGE_DIRTY);
}

bool mmun_soft_page_is_free(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_FREE);
}

void *mmun_soft_page_address(const struct page *page)
{
	if (soft_page_test(page, SOFT_PAGE_DEVICE))
		return mmun_soft_device_bytes(page);
	return page->soft->bytes.start + (mmun_soft_page_pfn(page) << MMUN_SOFT_PAGE_SHIFT);
}

/* As many bytes as can go as one word: 8 when @at is aligned, else 1. */
static size_t step(const void *at, size_t length)
{
	return length >= sizeof(uint64_t) && !((uintptr_t)at % sizeof(uint64_t)) ? sizeof(uint64_t)
										 : 1;
}

void mmun_soft_copy_in(void *page_bytes, const void *from, size_t length)
{
	char *to = page_bytes;
	const char *bytes = from;
	uint64_t word;
	size_t n;

	for (; length; to += n, bytes += n, length -= n) {
		n = step(to, length);
		if (n == 1) {
			mmun_store_relaxed(to, *bytes);
			continue;
		}
		memcpy(&word, bytes, sizeof(word));
		mmun_store_relaxed((uint64_t *)(void *)to, word);
	}
}

void mmun_soft_copy_out(void *to, const void *page_bytes, size_t length)
{
	char *bytes = to;
	const char *from = page_bytes;
	uint64_t word;
	size_t n;

	for (; length; from += n, bytes += n, length -= n) {
		n = step(from, length);
		if (n == 1) {
			*bytes = mmun_load_relaxed(from);
			continue;
		}
		word = mmun_load_relaxed((const uint64_t *)(const void *)from);
		memcpy(bytes, &word, sizeof(word));
	}
}

void mmun_soft_copy_page(struct page *to, const struct page *from)
{
	const uint64_t *source = mmun_soft_page_address(from);
	uint64_t *target = mmun_soft_page_address(to);

	for (size_t i = 0; i < PAGE_WORDS; i++)
		mmun_store_relaxed(&target[i], mmun_load_relaxed(&source[i]));
}

bool mmun_soft_same_contents(const struct page *a, const struct page *b)
{
	const uint64_t *left = mmun_soft_page_address(a), *right = mmun_soft_page_address(b);

	for (size_t i = 0; i < PAGE_WORDS; i++) {
		if (mmun_load_relaxed(&left[i]) != mmun_load_relaxed(&right[i]))
			return false;
	}
	return true;
}

bool mmun_soft_page_trylock(struct page *page)
{
	return !(__atomic_fetch_or(&page->flags, SOFT_PAGE_LOCKED, __ATOMIC_SEQ_CST) &
		 SOFT_PAGE_LOCKED);
}

unsigned int mmun_soft_page_announce_wait(struct page *page)
{
	unsigned int flags = mmun_load_full(&page->flags);

	while (flags & SOFT_PAGE_LOCKED && !(flags & SOFT_PAGE_WAITERS)) {
		if (mmun_cas_full(&page->flags, &flags, flags | SOFT_PAGE_WAITERS))
			flags |= SOFT_PAGE_WAITERS;
	}
	return flags;
}

void mmun_soft_page_wait(struct page *page, unsigned int flags)
{
	if (flags & SOFT_PAGE_LOCKED)
		mmun_futex_wait(&page->flags, flags);
}

void mmun_soft_page_lock(struct page *page)
{
	while (!mmun_soft_page_trylock(page))
		mmun_soft_page_wait(page, mmun_soft_page_announce_wait(page));
}

void mmun_soft_page_unlock(struct page *page)
{
	unsigned int was = __atomic_fetch_and(&page->flags, ~(SOFT_PAGE_LOCKED | SOFT_PAGE_WAITERS),
					      __ATOMIC_SEQ_CST);

	MMUN_BUG_ON(!(was & SOFT_PAGE_LOCKED));
	if (was & SOFT_PAGE_WAITERS)
		mmun_futex_wake_all(&page->flags);
}

void mmun_soft_lock_page(struct page *page)
{
	mmun_soft_page_lock(page);
}

bool mmun_soft_trylock_page(struct page *page)
{
	return mmun_soft_page_trylock(page);
}

void mmun_soft_unlock_page(struct page *page)
{
	mmun_soft_page_unlock(page);
}

bool mmun_soft_page_locked(const struct page *page)
{
	return soft_page_test(page, SOFT_PAGE_LOCKED);
}
