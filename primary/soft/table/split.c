/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A huge entry becomes small ones.
 *
 * I1  Each frame of a huge page has its own counts: splitting changes entries only.
 * I2  A split has its leaf from the time the huge entry was made, needs no memory
 *     and takes no reverse-map lock: it may be called inside a walk.
 *
 * Not here: making a huge page (fault/huge.c, reclaim/collapse.c).
 * Tests: tests/unit/soft/huge.c.
 */
#include "section.h"
#include "table/table.h"

static bool is_huge(struct soft_mm *mm, unsigned long address)
{
	soft_pte *entry;
	bool huge;

	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pmd(mm, address);
	huge = entry && soft_pte_huge(*entry);
	mmun_mutex_unlock(&mm->page_table_lock);
	return huge;
}

static bool split_entry(struct soft_mm *mm, unsigned long address)
{
	soft_pte *entry;
	bool huge;

	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pmd(mm, address);
	huge = entry && soft_pte_huge(*entry);
	if (huge) {
		mmun_soft_pmd_split(mm, address);
		mmun_soft_flush(mm, soft_huge_start(address),
				soft_huge_start(address) + MMUN_SOFT_HUGE_SIZE,
				MMUN_SOFT_PAGE_SIZE);
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return huge;
}

int mmun_soft_split_huge(struct soft_vma *vma, unsigned long address)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	unsigned long start = soft_huge_start(address);
	struct soft_section section;
	bool split;

	if (!is_huge(mm, address))
		return 0;
	mmun_soft_section_start(&section, mm->mm, MMU_NOTIFY_CLEAR, MMUN_OP_HUGE_SPLIT, start,
				start + MMUN_SOFT_HUGE_SIZE, false);
	split = split_entry(mm, address);
	mmun_soft_section_only_end(&section, !split);
	return 0;
}

int mmun_soft_split_huge_edges(struct soft_vma *vma, unsigned long start, unsigned long end)
{
	int ret = 0;

	if (start != soft_huge_start(start))
		ret = mmun_soft_split_huge(vma, start);
	if (!ret && end != soft_huge_start(end))
		ret = mmun_soft_split_huge(vma, end);
	return ret;
}
