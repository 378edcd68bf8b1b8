/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hmm_range_fault(): fill an array with what a range maps, for use under an interval
 * notifier. */
#ifndef MMUN_COMPAT_LINUX_HMM_H
#define MMUN_COMPAT_LINUX_HMM_H

#include <linux/mm.h>
#include <linux/mmu_notifier.h>

enum hmm_pfn_flags {
	HMM_PFN_VALID = 1ul << 63,
	HMM_PFN_WRITE = 1ul << 62,
	HMM_PFN_ERROR = 1ul << 61,
	/* Of linux/hmm-dma.h; hmm_range_fault() keeps these three. */
	HMM_PFN_DMA_MAPPED = 1ul << 60,
	HMM_PFN_P2PDMA = 1ul << 59,
	HMM_PFN_P2PDMA_BUS = 1ul << 58,
	HMM_PFN_ORDER_SHIFT = 53,
	HMM_PFN_REQ_FAULT = HMM_PFN_VALID,
	HMM_PFN_REQ_WRITE = HMM_PFN_WRITE,
	HMM_PFN_FLAGS = ~((1ul << HMM_PFN_ORDER_SHIFT) - 1),
};

#define HMM_RANGE_DEFAULT_TIMEOUT 1000

struct hmm_range {
	struct mmu_interval_notifier *notifier;
	unsigned long notifier_seq;
	unsigned long start, end;
	unsigned long *hmm_pfns;
	unsigned long default_flags;
	unsigned long pfn_flags_mask;
	/* Pages in its private memory are found as they are, those in another's are faulted back. */
	void *dev_private_owner;
};

static inline struct page *hmm_pfn_to_page(unsigned long hmm_pfn)
{
	return pfn_to_page(hmm_pfn & ~(unsigned long)HMM_PFN_FLAGS);
}

static inline struct folio *hmm_pfn_to_folio(unsigned long hmm_pfn)
{
	return page_folio(hmm_pfn_to_page(hmm_pfn));
}

static inline phys_addr_t hmm_pfn_to_phys(unsigned long hmm_pfn)
{
	return PFN_PHYS(hmm_pfn & ~(unsigned long)HMM_PFN_FLAGS);
}

static inline unsigned int hmm_pfn_to_map_order(unsigned long hmm_pfn)
{
	return (hmm_pfn >> HMM_PFN_ORDER_SHIFT) & 0x1f;
}

/*
 * The mmap lock is held.  What is not asked for is only looked at: an entry that is not
 * present is 0, and HMM_PFN_ERROR where no mapping is, where it may not be read, and in
 * VM_IO and VM_PFNMAP ones.
 * 0; -EBUSY: a section came in between, begin again; -EFAULT: no page can be had where one
 * was asked for; -EPERM: one to write, in a mapping to read; -EINVAL: no pages at all.
 */
int hmm_range_fault(struct hmm_range *range);

#endif
