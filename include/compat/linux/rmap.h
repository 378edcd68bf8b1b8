/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pages that only a device reaches for a while.  Reverse maps are the machine's own. */
#ifndef MMUN_COMPAT_LINUX_RMAP_H
#define MMUN_COMPAT_LINUX_RMAP_H

#include <linux/mm.h>
#include <linux/pagemap.h>

/* Until 6.14.  Each of @pages is locked and has a reference, or is NULL.  Context: mmap lock held. */
int make_device_exclusive_range(struct mm_struct *mm, unsigned long start, unsigned long end,
				struct page **pages, void *owner);
/* Since 6.15: one page, or an ERR_PTR(): -EBUSY, or of get_user_pages(). */
struct page *make_device_exclusive(struct mm_struct *mm, unsigned long address, void *owner,
				   struct folio **folio);

#endif
