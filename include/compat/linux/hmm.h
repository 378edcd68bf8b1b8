/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* hmm_range_fault(): fill an array with what a range maps, for use under an interval
 * notifier.  Device-private memory is outside. */
#ifndef MMUN_COMPAT_LINUX_HMM_H
#define MMUN_COMPAT_LINUX_HMM_H

#include <linux/mm.h>
#include <linux/mmu_notifier.h>

enum hmm_pfn_flags {
	HMM_PFN_VALID = 1ul << 63,
	HMM_PFN_WRITE = 1ul << 62,
	HMM_PFN_ERROR = 1ul << 61,
	HMM_PFN_ORDER_SHIFT = 56,
	HMM_PFN_REQ_FAULT = HMM_PFN_VALID,
	HMM_PFN_REQ_WRITE = HMM_PFN_WRITE,
	HMM_PFN_FLAGS = 0xfful << HMM_PFN_ORDER_SHIFT,
};

#define HMM_RANGE_DEFAULT_TIMEOUT 1000

struct hmm_range {
	struct mmu_interval_notifier *notifier;
	unsigned long notifier_seq;
	unsigned long start, end;
	unsigned long *hmm_pfns;
	unsigned long default_flags;
	unsigned long pfn_flags_mask;
	void *dev_private_owner;
};

static inline struct page *hmm_pfn_to_page(unsigned long hmm_pfn)
{
	return pfn_to_page(hmm_pfn & ~(unsigned long)HMM_PFN_FLAGS);
}

static inline phys_addr_t hmm_pfn_to_phys(unsigned long hmm_pfn)
{
	return PFN_PHYS(hmm_pfn & ~(unsigned long)HMM_PFN_FLAGS);
}

static inline unsigned int hmm_pfn_to_map_order(unsigned long hmm_pfn)
{
	return (hmm_pfn >> HMM_PFN_ORDER_SHIFT) & 0x1f;
}

/* The mmap lock is held.  0; -EBUSY: a section came in between, begin again; -EFAULT: no
 * mapping or no right to what was asked for; -ENOMEM; -EINVAL: no pages at all. */
int hmm_range_fault(struct hmm_range *range);

#endif
