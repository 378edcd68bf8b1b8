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
#define copy_page(to, from)     memcpy(to, from, PAGE_SIZE)
#define clear_page(page)        memset(page, 0, PAGE_SIZE)
#define flush_dcache_page(page) ((void)(page))

#endif
