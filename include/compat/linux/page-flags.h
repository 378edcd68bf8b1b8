/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages and folios.  Every folio is one page: huge mappings are 512 pages with counts of
 * their own.  None is poisoned, of a device, or in high memory. */
#ifndef MMUN_COMPAT_LINUX_PAGE_FLAGS_H
#define MMUN_COMPAT_LINUX_PAGE_FLAGS_H

#include <linux/mm_types.h>

struct folio;

#define page_folio(page)             ((struct folio *)(uintptr_t)(page))
#define folio_page(folio, n)         ((void)(n), (struct page *)(uintptr_t)(folio))
#define compound_head(page)          (page)
#define compound_order(page)         ((void)(page), 0u)
#define compound_nr(page)            ((void)(page), 1ul)
#define page_size(page)              ((void)(page), PAGE_SIZE)
#define PageCompound(page)           ((void)(page), false)
#define PageTail(page)               ((void)(page), false)
#define PageHead(page)               ((void)(page), false)
#define PageTransHuge(page)          ((void)(page), false)
#define PageHuge(page)               ((void)(page), false)
#define PageHighMem(page)            ((void)(page), false)
#define PageReserved(page)           ((void)(page), false)
#define PageHWPoison(page)           ((void)(page), false)
#define is_zone_device_page(page)    ((void)(page), false)
#define is_device_private_page(page) ((void)(page), false)
#define is_pci_p2pdma_page(page)     ((void)(page), false)

#define folio_test_large(folio)        ((void)(folio), false)
#define folio_test_hugetlb(folio)      ((void)(folio), false)
#define folio_test_hwpoison(folio)     ((void)(folio), false)
#define folio_is_zone_device(folio)    ((void)(folio), false)
#define folio_is_device_private(folio) ((void)(folio), false)
#define folio_order(folio)             ((void)(folio), 0u)
#define folio_shift(folio)             ((unsigned int)PAGE_SHIFT + folio_order(folio))
#define folio_nr_pages(folio)          ((void)(folio), 1l)
#define folio_size(folio)              ((void)(folio), PAGE_SIZE)
#define folio_page_idx(folio, page)    ((void)(folio), (void)(page), 0ul)

/* The page lock.  It keeps drivers from each other; the machine's own migration, reclaim and
 * truncation have theirs and do not wait for it. */
bool mmun_compat_page_trylock(struct page *page);
void mmun_compat_page_lock(struct page *page);
void mmun_compat_page_unlock(struct page *page);
bool mmun_compat_page_locked(struct page *page);
#define PageLocked(page)         mmun_compat_page_locked(page)
#define folio_test_locked(folio) PageLocked(folio_page(folio, 0))

#endif
