/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * remap_file_pages: pages of a shared file mapping in any order, in one VMA.
 *
 * As Linux had it until 4.0: the entry says which page of the file it is for, also
 * when it is not present, and the VMA stands in the file's list of nonlinear ones,
 * because its place in the tree would not say where a page may be.
 *
 * I1  Tables are made before the section, so inside it nothing can fail.
 * I2  The VMA changes from the tree to the list under the i_mmap lock: a truncate
 *     that walks finds it in one of them.
 *
 * Tests: tests/unit/soft/remap.c.
 */
#include <errno.h>
#include <sys/mman.h>

#include "call/call.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"
#include "vma/vma.h"

struct choice {
	struct soft_mm *mm;
	unsigned long start, end;
	unsigned long pgoff;
};

static int make_range_tables(const struct choice *c)
{
	int ret = 0;

	for (unsigned long at = c->start; !ret && at < c->end; at += MMUN_SOFT_PAGE_SIZE)
		ret = mmun_soft_pte_make(c->mm, at);
	return ret;
}

static void set_entries(const struct choice *c)
{
	soft_pte pgoff = c->pgoff;

	mmun_mutex_lock(&c->mm->page_table_lock);
	for (unsigned long at = c->start; at < c->end; at += MMUN_SOFT_PAGE_SIZE)
		mmun_soft_pte_set(c->mm, at, pgoff++ << SOFT_PTE_SHIFT | SOFT_PTE_NONLINEAR);
	mmun_mutex_unlock(&c->mm->page_table_lock);
}

static void make_nonlinear(struct soft_vma *vma)
{
	mmun_soft_rmap_change_begin(vma, NULL);
	soft_vma_set_flags(vma, vma->v.vm_flags | VM_NONLINEAR);
	mmun_soft_rmap_change_end(vma, NULL);
}

static struct soft_vma *find_target(const struct choice *c)
{
	struct soft_vma *vma = mmun_soft_vma_find(c->mm, c->start);

	if (!vma || vma->v.vm_start > c->start || vma->v.vm_end < c->end)
		return NULL;
	/* A driver's pages have no offset in a file. */
	return vma->v.vm_flags & VM_SHARED && soft_vma_mapping(vma) ? vma : NULL;
}

static int choose(const struct choice *c, bool *changed)
{
	struct soft_vma *vma = find_target(c);
	struct soft_section section;
	int ret;

	if (!vma)
		return -EINVAL;
	if (!(vma->v.vm_flags & VM_NONLINEAR) && c->pgoff == soft_vma_index(vma, c->start))
		return 0;
	ret = make_range_tables(c);
	if (ret)
		return ret;
	if (!(vma->v.vm_flags & VM_NONLINEAR))
		make_nonlinear(vma);
	mmun_soft_section_start(&section, c->mm->mm, MMU_NOTIFY_CLEAR, MMUN_OP_REMAP_FILE_PAGES,
				c->start, c->end, false);
	mmun_soft_zap(vma, c->start, c->end, NULL);
	set_entries(c);
	mmun_soft_section_end(&section, false);
	*changed = true;
	return 0;
}

/* The prefault is a favour: what cannot be had now faults later. */
int mmun_soft_remap_file_pages(struct mm_struct *mm, unsigned long address, size_t length, int prot,
			       unsigned long pgoff, int flags)
{
	unsigned long start = address & MMUN_SOFT_PAGE_MASK, size = length & MMUN_SOFT_PAGE_MASK;
	struct choice c = { soft_mm(mm), start, start + size, pgoff };
	bool changed = false;
	int ret;

	/* Entries have 52 bits for the offset. */
	if (prot || c.end <= c.start || pgoff + (size >> MMUN_SOFT_PAGE_SHIFT) < pgoff ||
	    (pgoff + (size >> MMUN_SOFT_PAGE_SHIFT)) >> (64 - SOFT_PTE_SHIFT))
		return -EINVAL;
	mmap_write_lock(mm);
	ret = choose(&c, &changed);
	mmun_soft_write_unlock(c.mm);
	if (changed && !(flags & MAP_NONBLOCK))
		mmun_soft_populate_quietly(mm, c.start, c.end);
	return ret;
}
