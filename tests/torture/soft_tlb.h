/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device for the torture of software address spaces that walks the page tables itself and
 * learns of changes by flushes alone.  It looks at its own translations: one that says more
 * than the tables is counted.
 */
#ifndef MMUN_TESTS_TORTURE_SOFT_TLB_H
#define MMUN_TESTS_TORTURE_SOFT_TLB_H

#include <stdbool.h>

#include <mmunotify/soft.h>

struct tlb;

/** One on @mm's window from @base.  NULL when it cannot register. */
struct tlb *tlb_create(struct mm_struct *mm, unsigned long base);
/** The mm may be gone already. */
void tlb_destroy(struct tlb *tlb);

/** The whole page @page of the window, to or from @buffer.  0; -EFAULT; -ENOMEM; -EAGAIN. */
int tlb_access(struct tlb *tlb, unsigned int page, bool write, void *buffer);

/** Of all that ever were: translations found stale, flushes. */
long tlb_stale(void);
long tlb_flushes(void);

#endif
