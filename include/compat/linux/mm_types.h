/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Address spaces, mappings, pages and faults of the software address space.  Of struct mm_struct
 * and struct page only what is the driver's is there: use the functions of linux/mm.h. */
#ifndef MMUN_COMPAT_LINUX_MM_TYPES_H
#define MMUN_COMPAT_LINUX_MM_TYPES_H

#include <asm/page.h>
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/seqlock.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/workqueue.h>
#include <mmunotify/soft.h>
#include <mmunotify/soft_device.h>

struct dev_pagemap;
struct iommu_mm_data;

/* What drivers keep in an address space; zero in a new one, a forked one too. */
struct mm_struct {
	/* Pages that drivers have pinned for it, in all. */
	atomic64_t pinned_vm;
	/* There are no tables that an IOMMU could walk: set by nobody here. */
	void *pgd;
	struct iommu_mm_data *iommu_mm;
	u32 pasid;
	/* A processor's name for it; set by nobody here. */
	struct {
		u64 id;
	} context;
	/* private: */
	unsigned long mmun_words[3];
};

/* Frames lie in one array: a page + 1 is the next one.  What is not the driver's here is the
 * machine's. */
struct page {
	/* Of memory of a device; set by memremap_pages(). */
	struct dev_pagemap *pgmap;
	/* For the driver, in its own memory and in pages from alloc_page() that it has not mapped. */
	void *zone_device_data;
	/* private: */
	unsigned long mmun_words[6];
};

/* One page (linux/page-flags.h). */
struct folio {
	union {
		struct page page;
		struct {
			struct dev_pagemap *pgmap;
			void *zone_device_data;
		};
	};
};

#endif
