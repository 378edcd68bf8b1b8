/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device with shared virtual memory, as its driver builds it from drm_gpusvm: page tables,
 * faults, and memory of its own, a block for each migration.
 */
#ifndef MMUN_KERNEL_GPUSVM_DEVICE_H
#define MMUN_KERNEL_GPUSVM_DEVICE_H

#include <drm/drm_device.h>
#include <drm/drm_gpusvm.h>
#include <drm/drm_pagemap.h>
#include <linux/mutex.h>

#define PAGES  8ul
#define MEMORY 0x10000000ul
/* Ranges of so many pages, and single ones. */
#define CHUNK_PAGES 4ul

struct entry {
	bool valid, own;
	/* Physical, or in the device's memory. */
	u64 address;
};

struct gpu {
	/* Held for each access and each change of the tables. */
	struct mutex lock;
	struct entry table[PAGES];
	struct drm_gpusvm svm;
	/* For changes of ranges. */
	struct mutex svm_lock;
	struct list_head garbage;
	spinlock_t garbage_lock;
	struct dev_pagemap pagemap;
	struct drm_pagemap dpagemap;
	/* To pages of the device and of the machine in one range? */
	bool mixed;
	unsigned long removed, evicted, to_memory, to_ram, devices, destroyed;
	/* The block of the last migration, as long as it is in use. */
	struct drm_pagemap_devmem *block;
};

extern struct gpu gpu;

void gpu_start(struct mm_struct *mm);
/* The task has gone, and with it what was in the device's memory. */
void gpu_stop(void);
/* The entry of @address is there, from the device's memory if @own and if that goes.  0; -errno of
 * the driver. */
int gpu_fault(unsigned long address, bool own);
void *gpu_memory(u64 address);
/* Where in the device's memory a page is. */
u64 gpu_page_address(const struct page *page);
void gpu_collect_garbage(void);
/* What is in the block of the last migration, back to the machine; -ENOENT: there is none. */
int gpu_evict(void);

#endif
