/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Anonymous pages to and from the memory of a device; the contracts are those of
 * mmunotify/soft_device.h. */
#ifndef MMUN_COMPAT_LINUX_MIGRATE_H
#define MMUN_COMPAT_LINUX_MIGRATE_H

#include <linux/memremap.h>
#include <linux/mm.h>

static inline struct page *migrate_pfn_to_page(unsigned long mpfn)
{
	return mpfn & MIGRATE_PFN_VALID ? pfn_to_page(mpfn >> MIGRATE_PFN_SHIFT) : NULL;
}

static inline unsigned long migrate_pfn(unsigned long pfn)
{
	return pfn << MIGRATE_PFN_SHIFT | MIGRATE_PFN_VALID;
}

int migrate_vma_setup(struct migrate_vma *args);
void migrate_vma_pages(struct migrate_vma *args);
void migrate_vma_finalize(struct migrate_vma *args);
int migrate_device_range(unsigned long *src_pfns, unsigned long start, unsigned long npages);
/* @src_pfns are numbers of frames; the entries replace them. */
int migrate_device_pfns(unsigned long *src_pfns, unsigned long npages);
void migrate_device_pages(unsigned long *src_pfns, unsigned long *dst_pfns, unsigned long npages);
void migrate_device_finalize(unsigned long *src_pfns, unsigned long *dst_pfns,
			     unsigned long npages);

#endif
