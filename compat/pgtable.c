/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The machine's page tables as drivers read them.
 *
 * I1  An entry is a copy that was whole when it was made; it holds no reference.
 *
 * Tests: tests/contract/compat/pages.c.
 */
#include "runtime.h"

#include <linux/mm.h>

unsigned long mmun_compat_entry(struct mm_struct *mm, unsigned long address, bool huge)
{
	unsigned long flags = _PAGE_PRESENT;
	struct mmun_soft_translation t;

	if (huge)
		address &= PMD_MASK;
	if (mmun_soft_translate_present(mm, address, &t) || (huge && !t.huge))
		return 0;
	if (t.young)
		flags |= _PAGE_ACCESSED;
	if (t.writable)
		flags |= _PAGE_RW | _PAGE_DIRTY;
	if (huge)
		flags |= _PAGE_PSE;
	return page_to_pfn(t.page) << PAGE_SHIFT | flags;
}

bool mmun_compat_clear_young(struct mm_struct *mm, unsigned long address, unsigned long *copy)
{
	*copy &= ~_PAGE_ACCESSED;
	return mmun_soft_test_and_clear_young(mm, address);
}

static int apply(struct mm_struct *mm, unsigned long address, unsigned long size, pte_fn_t fn,
		 void *data, bool existing)
{
	unsigned long end = address + size;

	if (WARN_ON(address >= end))
		return -EINVAL;
	mmap_assert_locked(mm);
	for (; address < end; address += PAGE_SIZE) {
		pte_t pte = { mmun_compat_entry(mm, address, false) };
		int ret = existing && pte_none(pte) ? 0 : fn(&pte, address, data);

		if (ret)
			return ret;
	}
	return 0;
}

int apply_to_page_range(struct mm_struct *mm, unsigned long address, unsigned long size,
			pte_fn_t fn, void *data)
{
	return apply(mm, address, size, fn, data, false);
}

int apply_to_existing_page_range(struct mm_struct *mm, unsigned long address, unsigned long size,
				 pte_fn_t fn, void *data)
{
	return apply(mm, address, size, fn, data, true);
}
