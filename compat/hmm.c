/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * hmm_range_fault(), and DMA mappings of what it found.
 *
 * I1  The notifier is looked at before each page, so a section in between is seen at the
 *     latest by the caller's own check.
 * I2  An entry is written once its page is as asked for; after an error those of the page
 *     that failed and of the pages behind it are the caller's still.
 *
 * Tests: tests/contract/compat/hmm.c.
 */
#include "runtime.h"

#include <linux/hmm-dma.h>
#include <linux/hmm.h>
#include <linux/mm.h>

/* What an entry keeps of its old value. */
#define KEPT (HMM_PFN_DMA_MAPPED | HMM_PFN_P2PDMA | HMM_PFN_P2PDMA_BUS)

static void set(unsigned long *entry, unsigned long value)
{
	*entry = (*entry & KEPT) | value;
}

/* What must be done for one page that is @have now. */
enum needed {
	NOTHING,
	A_FAULT,
	A_WRITE_FAULT,
};

static enum needed needed(const struct hmm_range *range, unsigned long entry, unsigned long have)
{
	unsigned long want = range->default_flags | (entry & range->pfn_flags_mask);

	if (!(want & HMM_PFN_REQ_FAULT))
		return NOTHING;
	if ((want & HMM_PFN_REQ_WRITE) && !(have & HMM_PFN_WRITE))
		return A_WRITE_FAULT;
	return have & HMM_PFN_VALID ? NOTHING : A_FAULT;
}

/* From @address to @end is nothing that a device may reach. */
static int refuse(const struct hmm_range *range, unsigned long address, unsigned long end)
{
	unsigned long *first = &range->hmm_pfns[(address - range->start) >> PAGE_SHIFT];
	unsigned long pages = (end - address) >> PAGE_SHIFT;

	for (unsigned long i = 0; i < pages; i++) {
		if (needed(range, first[i], 0))
			return -EFAULT;
	}
	for (unsigned long i = 0; i < pages; i++)
		set(&first[i], HMM_PFN_ERROR);
	return 0;
}

static unsigned long look(const struct hmm_range *range, unsigned long address)
{
	struct mmun_soft_translation t;
	unsigned long entry;

	if (mmun_soft_translate_device(range->notifier->mm, address, range->dev_private_owner, &t))
		return 0;
	entry = page_to_pfn(t.page) | HMM_PFN_VALID;
	if (t.writable)
		entry |= HMM_PFN_WRITE;
	if (t.huge)
		entry |= (unsigned long)HPAGE_PMD_ORDER << HMM_PFN_ORDER_SHIFT;
	return entry;
}

/* -EBUSY: faulted in, to be looked at again. */
static int one(const struct hmm_range *range, const struct vm_area_struct *vma,
	       unsigned long address)
{
	unsigned long *entry = &range->hmm_pfns[(address - range->start) >> PAGE_SHIFT];
	unsigned long have = look(range, address);
	enum needed what = needed(range, *entry, have);
	struct mmun_soft_translation t;

	if (what == NOTHING) {
		set(entry, have);
		return 0;
	}
	if (what == A_WRITE_FAULT && !(vma->vm_flags & VM_WRITE))
		return -EPERM;
	if (mmun_soft_translate(vma->vm_mm, address, what == A_WRITE_FAULT, &t))
		return -EFAULT;
	return -EBUSY;
}

/* As far as one step goes; *@address: how far that was. */
static int step(const struct hmm_range *range, unsigned long *address)
{
	const struct vm_area_struct *vma = find_vma(range->notifier->mm, *address);
	unsigned long end = range->end;
	int ret;

	if (vma && vma->vm_start <= *address && (vma->vm_flags & VM_READ) &&
	    !(vma->vm_flags & (VM_IO | VM_PFNMAP))) {
		ret = one(range, vma, *address);
		if (!ret)
			*address += PAGE_SIZE;
		return ret;
	}
	if (vma)
		end = min(end, vma->vm_start > *address ? vma->vm_start : vma->vm_end);
	ret = refuse(range, *address, end);
	if (!ret)
		*address = end;
	return ret;
}

int hmm_range_fault(struct hmm_range *range)
{
	unsigned long address = range->start;
	int ret;

	might_sleep();
	mmap_assert_locked(range->notifier->mm);
	if (range->start >= range->end)
		return -EINVAL;
	do {
		if (mmu_interval_check_retry(range->notifier, range->notifier_seq))
			return -EBUSY;
		ret = step(range, &address);
	} while (ret == -EBUSY || (!ret && address < range->end));
	return ret;
}

int hmm_dma_map_alloc(struct device *dev, struct hmm_dma_map *map, size_t nr_entries,
		      size_t dma_entry_size)
{
	map->dma_entry_size = dma_entry_size;
	map->pfn_list = (unsigned long *)kvcalloc(nr_entries, sizeof(*map->pfn_list), GFP_KERNEL);
	if (!map->pfn_list)
		return -ENOMEM;
	map->dma_list = (dma_addr_t *)kvcalloc(nr_entries, sizeof(*map->dma_list), GFP_KERNEL);
	if (map->dma_list)
		return 0;
	kvfree(map->pfn_list);
	return -ENOMEM;
}

void hmm_dma_map_free(struct device *dev, struct hmm_dma_map *map)
{
	kvfree(map->pfn_list);
	kvfree(map->dma_list);
}

dma_addr_t hmm_dma_map_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx,
			   struct pci_p2pdma_map_state *p2pdma_state)
{
	dma_addr_t address;

	if (map->pfn_list[idx] & HMM_PFN_DMA_MAPPED)
		return map->dma_list[idx];
	address = dma_map_page(dev, hmm_pfn_to_page(map->pfn_list[idx]), 0, map->dma_entry_size,
			       DMA_BIDIRECTIONAL);
	if (dma_mapping_error(dev, address))
		return DMA_MAPPING_ERROR;
	map->dma_list[idx] = address;
	map->pfn_list[idx] |= HMM_PFN_DMA_MAPPED;
	return address;
}

bool hmm_dma_unmap_pfn(struct device *dev, struct hmm_dma_map *map, size_t idx)
{
	const unsigned long both = HMM_PFN_VALID | HMM_PFN_DMA_MAPPED;

	if ((map->pfn_list[idx] & both) != both)
		return false;
	dma_unmap_page(dev, map->dma_list[idx], map->dma_entry_size, DMA_BIDIRECTIONAL);
	map->pfn_list[idx] &= ~(unsigned long)KEPT;
	return true;
}
