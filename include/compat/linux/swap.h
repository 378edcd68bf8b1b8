/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/mm.h.  A page's age is that of the entries that map it. */
#ifndef MMUN_COMPAT_LINUX_SWAP_H
#define MMUN_COMPAT_LINUX_SWAP_H

#include <linux/mm.h>
#include <linux/pagemap.h>

#define mark_page_accessed(page)   ((void)(page))
#define folio_mark_accessed(folio) ((void)(folio))

#endif
