/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Looking at an address space: mappings as /proc/PID/maps has them, entries as
 * /proc/PID/pagemap.
 *
 * I1  A visitor runs with the mmap lock held for read: what it is shown is one
 *     moment's layout.
 *
 * Tests: tests/unit/soft/vma.c.
 */
#include <string.h>

#include "frame/page.h"
#include "table/table.h"
#include "vma/vma.h"

static const char *name_of(const struct soft_mm *mm, struct soft_vma *vma)
{
	const char *name = NULL;

	if (vma->v.vm_ops && vma->v.vm_ops->name)
		name = vma->v.vm_ops->name(&vma->v);
	if (name)
		return name;
	if (vma->v.vm_file)
		return mmun_soft_file_name(vma->v.vm_file);
	if (vma->v.vm_start < mm->brk && vma->v.vm_end > mm->start_brk)
		return "[heap]";
	return vma->v.vm_flags & VM_GROWSDOWN ? "[stack]" : "";
}

int mmun_soft_maps(struct mm_struct *mm, int (*visit)(const struct mmun_soft_map *map, void *arg),
		   void *arg)
{
	struct soft_mm *self = soft_mm(mm);
	struct soft_vma *vma;
	int ret = 0;

	mmap_read_lock(mm);
	soft_for_each_vma(vma, self) {
		const struct mmun_soft_map map = {
			.start = vma->v.vm_start,
			.end = vma->v.vm_end,
			.flags = vma->v.vm_flags,
			.offset = vma->v.vm_file ? (uint64_t)vma->v.vm_pgoff << MMUN_SOFT_PAGE_SHIFT
						 : 0,
			.name = name_of(self, vma),
			.anon_vma = mmun_load_acquire(&vma->anon_vma),
		};

		ret = visit(&map, arg);
		if (ret)
			break;
	}
	mmap_read_unlock(mm);
	return ret;
}

static void describe_page(const struct page *page, struct mmun_soft_entry *out)
{
	out->pfn = mmun_soft_page_pfn(page);
	out->zero = soft_page_test(page, SOFT_PAGE_ZERO);
	out->ksm = soft_page_test(page, SOFT_PAGE_KSM);
	out->file = !soft_page_test(page, SOFT_PAGE_ZERO | SOFT_PAGE_KSM | SOFT_PAGE_ANON);
	out->refcount = mmun_load_relaxed(&page->refcount);
	out->mapcount = mmun_load_relaxed(&page->mapcount);
}

static void describe_entry(struct soft_mm *mm, soft_pte pte, struct mmun_soft_entry *out)
{
	out->soft_dirty |= !!(pte & SOFT_PTE_SOFT_DIRTY);
	if (pte & SOFT_PTE_PRESENT) {
		out->present = true;
		out->writable = pte & SOFT_PTE_WRITE;
		out->young = pte & SOFT_PTE_YOUNG;
		out->dirty = pte & SOFT_PTE_DIRTY;
		out->huge = pte & SOFT_PTE_HUGE;
		describe_page(soft_pte_page(mm, pte), out);
	} else if (pte & SOFT_PTE_DEVICE) {
		out->device = true;
		out->writable = pte & SOFT_PTE_WRITE;
		describe_page(soft_pte_page(mm, pte), out);
	} else if (pte & SOFT_PTE_SWAP) {
		out->swapped = true;
		out->pfn = soft_pte_number(pte);
	}
}

void mmun_soft_pagemap(struct mm_struct *mm, unsigned long address, struct mmun_soft_entry *out)
{
	struct soft_mm *self = soft_mm(mm);
	const struct soft_vma *vma;

	memset(out, 0, sizeof(*out));
	mmap_read_lock(mm);
	vma = mmun_soft_vma_at(self, address);
	if (vma) {
		/* All of a new mapping counts as written. */
		out->soft_dirty = vma->v.vm_flags & VM_SOFTDIRTY;
		mmun_mutex_lock(&self->page_table_lock);
		describe_entry(self, mmun_soft_pte_value(self, address), out);
		mmun_mutex_unlock(&self->page_table_lock);
	}
	mmap_read_unlock(mm);
}
