/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The device: page tables of one address space, a fault buffer, memory, and a copy engine
 * that executes what the driver writes into its channel.
 */
#ifndef MMUN_KERNEL_NOUVEAU_DEVICE_H
#define MMUN_KERNEL_NOUVEAU_DEVICE_H

#include <linux/highmem.h>
#include <nouveau_drv.h>

#define PAGES  8ul
#define MEMORY 0x10000000ul

enum access { READ_ACCESS, WRITE_ACCESS, ATOMIC_ACCESS, PREFETCH_ACCESS };

struct gpu {
	/* Held for each access and each change of the tables: a change waits for accesses. */
	struct mutex lock;
	/* Of the pages from MEMORY on: an address and NVIF_VMM_PFNMAP_V0_* bits. */
	u64 table[PAGES];
	unsigned long mapped, cleared, replays, cancels, copies;
	/* Between the copies of a migration and what follows them. */
	void (*copied)(void);
};

extern struct gpu gpu;

/* The device and its driver; false: the driver does not come up. */
bool gpu_start(struct nouveau_drm *drm);
void gpu_stop(struct nouveau_drm *drm);
/* A fault of @inst: an entry in the buffer and the interrupt; returns when the driver has been
 * through it. */
void gpu_fault(struct nouveau_drm *drm, u64 inst, unsigned long address, enum access access);
/* The entry for @address if it allows @access, or 0; gpu.lock held. */
u64 gpu_entry(unsigned long address, enum access access);
/* A byte of the device's memory. */
void *gpu_memory(u64 at);

#endif
