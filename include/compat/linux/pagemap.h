/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The page lock (linux/page-flags.h says what it excludes).  The page cache is the
 * machine's. */
#ifndef MMUN_COMPAT_LINUX_PAGEMAP_H
#define MMUN_COMPAT_LINUX_PAGEMAP_H

#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/uaccess.h>

#define trylock_page(page)   mmun_soft_trylock_page(page)
#define lock_page(page)      mmun_compat_page_lock(page)
#define unlock_page(page)    mmun_compat_page_unlock(page)
#define folio_trylock(folio) trylock_page(folio_page(folio, 0))
#define folio_lock(folio)    lock_page(folio_page(folio, 0))
#define folio_unlock(folio)  unlock_page(folio_page(folio, 0))

#endif
