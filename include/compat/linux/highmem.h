/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A page's bytes are always there.  What is copied by the functions here may be accessed by
 * a task at the same time; a driver's plain accesses to such bytes are races and are
 * reported as such by ThreadSanitizer. */
#ifndef MMUN_COMPAT_LINUX_HIGHMEM_H
#define MMUN_COMPAT_LINUX_HIGHMEM_H

#include <linux/mm.h>
#include <linux/uaccess.h>

#define kmap(page)            page_address(page)
#define kunmap(page)          ((void)(page))
#define kmap_local_page(page) page_address(page)
#define kunmap_local(address) ((void)(address))
#define kmap_atomic(page)     (preempt_disable(), page_address(page))
#define kunmap_atomic(address) \
	do { \
		(void)(address); \
		preempt_enable(); \
	} while (0)

void memcpy_from_page(char *to, struct page *page, size_t offset, size_t length);
void memcpy_to_page(struct page *page, size_t offset, const char *from, size_t length);
void copy_highpage(struct page *to, struct page *from);
void clear_highpage(struct page *page);
#define folio_copy(to, from) copy_highpage(folio_page(to, 0), folio_page(from, 0))
/* These end the program, with the place, when nobody has the frame any more. */
#define MMUN_COMPAT_IN_USE(used) \
	({ \
		struct page *mmun_page = (used); \
		if (mmun_soft_page_is_free(mmun_page)) \
			mmun_compat_bug("a page is accessed after its frame was freed", __FILE__, \
					__LINE__); \
		mmun_page; \
	})
#define memcpy_from_page(to, page, offset, length) \
	memcpy_from_page(to, MMUN_COMPAT_IN_USE(page), offset, length)
#define memcpy_to_page(page, offset, from, length) \
	memcpy_to_page(MMUN_COMPAT_IN_USE(page), offset, from, length)
#define copy_page(to, from)     memcpy(to, from, PAGE_SIZE)
#define clear_page(page)        memset(page, 0, PAGE_SIZE)
#define flush_dcache_page(page) ((void)(page))

#endif
