/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The swap store.
 *
 * A swap slot holds a page's contents and a count of the entries that name it.  While
 * the page is being unmapped the slot points to the frame; when nobody maps it any more
 * the contents are copied and the frame goes.  A fault copies from whichever there is, so
 * no swap cache is needed: every process gets its own copy of what was copy-on-write anyway.
 *
 * Tests: tests/unit/soft/reclaim.c.
 */
#ifndef MMUN_SOFT_FRAME_SWAP_H
#define MMUN_SOFT_FRAME_SWAP_H

#include "types.h"

int mmun_soft_swap_create(struct mmun_soft *soft);
void mmun_soft_swap_destroy(struct mmun_soft *soft);
void mmun_soft_swap_stats(struct mmun_soft *soft, struct mmun_soft_stats *out);

/* Slot numbers start at 1; 0 is none. A new slot has one reference (the caller's) and shows @page. */
unsigned long mmun_soft_swap_alloc(struct mmun_soft *soft, struct page *page);
/* Is there a free slot?  A hint. */
bool mmun_soft_swap_has_room(struct mmun_soft *soft);
/* fork, try_to_unmap; and under the page_table_lock before a fault lets go of it and reads
 * the slot, else the slot may be freed and come back for other contents of the same entry. */
void mmun_soft_swap_get(struct mmun_soft *soft, unsigned long slot);
void mmun_soft_swap_put(struct mmun_soft *soft,
			unsigned long slot); /* zap, swap-in, ...; any lock held */
/* Nobody writes to the frame any more: copy its contents into the slot. */
void mmun_soft_swap_write(struct mmun_soft *soft, unsigned long slot);
/* Contents of @slot, of which a reference is held, into @page, which the caller has allocated. */
void mmun_soft_swap_read(struct mmun_soft *soft, unsigned long slot, struct page *page);

#endif
