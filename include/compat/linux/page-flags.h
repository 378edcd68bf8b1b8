/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages and folios.  Every folio is one page: huge mappings are 512 pages with counts of
 * their own.  None is poisoned or in high memory. */
#ifndef MMUN_COMPAT_LINUX_PAGE_FLAGS_H
#define MMUN_COMPAT_LINUX_PAGE_FLAGS_H

#include <linux/mm_types.h>

#define page_folio(page)          ((struct folio *)(uintptr_t)(page))
#define folio_page(folio, n)      ((void)(n), (struct page *)(uintptr_t)(folio))
#define compound_head(page)       (page)
#define clear_compound_head(page) ((void)(page))
#define folio_reset_order(folio)  ((void)(folio))
#define compound_order(page)      ((void)(page), 0u)
#define compound_nr(page)         ((void)(page), 1ul)
#define page_size(page)           ((void)(page), PAGE_SIZE)
#define PageCompound(page)        ((void)(page), false)
#define PageTail(page)            ((void)(page), false)
#define PageHead(page)            ((void)(page), false)
#define PageTransHuge(page)       ((void)(page), false)
#define PageHuge(page)            ((void)(page), false)
#define PageHighMem(page)         ((void)(page), false)
#define PageReserved(page)        ((void)(page), false)
#define PageHWPoison(page)        ((void)(page), false)

#define folio_test_large(folio)     ((void)(folio), false)
#define folio_test_hugetlb(folio)   ((void)(folio), false)
#define folio_test_hwpoison(folio)  ((void)(folio), false)
#define folio_order(folio)          ((void)(folio), 0u)
#define folio_shift(folio)          ((unsigned int)PAGE_SHIFT + folio_order(folio))
#define folio_nr_pages(folio)       ((void)(folio), 1l)
#define folio_size(folio)           ((void)(folio), PAGE_SIZE)
#define folio_page_idx(folio, page) ((void)(folio), (void)(page), 0ul)

/* Memory of devices (linux/memremap.h). */
#define is_zone_device_page(page)       (mmun_soft_page_memory_type(page) != 0)
#define is_device_private_page(page)    (mmun_soft_page_memory_type(page) == MEMORY_DEVICE_PRIVATE)
#define is_device_coherent_page(page)   (mmun_soft_page_memory_type(page) == MEMORY_DEVICE_COHERENT)
#define is_pci_p2pdma_page(page)        (mmun_soft_page_memory_type(page) == MEMORY_DEVICE_PCI_P2PDMA)
#define folio_is_zone_device(folio)     is_zone_device_page(folio_page(folio, 0))
#define folio_is_device_private(folio)  is_device_private_page(folio_page(folio, 0))
#define folio_is_device_coherent(folio) is_device_coherent_page(folio_page(folio, 0))

/* The page lock: the machine's migration, reclaim and truncation take it too. */
void mmun_compat_page_lock(struct page *page);
void mmun_compat_page_unlock(struct page *page);
#define PageLocked(page)         mmun_soft_page_locked(page)
#define folio_test_locked(folio) PageLocked(folio_page(folio, 0))

#endif
