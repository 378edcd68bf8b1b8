/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Page frames as drivers see them: the page functions of mmunotify/soft.h.
 *
 * I1  The zero page is never counted: references and pins of it cost nothing
 *     and mean nothing.
 * I2  The pin goes before its reference: a frame without references has no pins.
 *
 * Tests: tests/unit/soft/device.c.
 */
#include <mmunotify/soft.h>

#include "bug.h"
#include "frame/page.h"

void mmun_soft_get_page(struct page *page)
{
	mmun_soft_page_get(page);
}

void mmun_soft_put_page(struct page *page)
{
	mmun_soft_page_put(page);
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
	mmun_soft_page_put(page);
}

void mmun_soft_set_page_dirty(struct page *page)
{
	if (!soft_page_test(page, SOFT_PAGE_ZERO))
		soft_page_set(page, SOFT_PAGE_DIRTY);
}

struct page *mmun_soft_alloc_page(struct mmun_soft *soft)
{
	return mmun_soft_page_alloc_zeroed(soft);
}

unsigned long mmun_soft_page_pfn(const struct page *page)
{
	return mmun_soft_pfn_of_page(page);
}

struct page *mmun_soft_pfn_page(struct mmun_soft *soft, unsigned long pfn)
{
	return mmun_soft_page_of_pfn(soft, pfn);
}

void *mmun_soft_page_address(const struct page *page)
{
	return mmun_soft_page_bytes(page);
}
