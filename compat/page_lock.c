/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page lock, for drivers.
 *
 * I1  Who unlocks need not be who locked; a page that is not locked must not be unlocked.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/pagemap.h>

void mmun_compat_page_lock(struct page *page)
{
	might_sleep();
	mmun_soft_lock_page(page);
}

/* I1 */
void mmun_compat_page_unlock(struct page *page)
{
	if (!mmun_soft_page_locked(page))
		mmun_compat_broken("a page is unlocked that is not locked");
	mmun_soft_unlock_page(page);
}
