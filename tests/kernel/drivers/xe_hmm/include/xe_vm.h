/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the address space of a device what its user pointers use. */
#ifndef MMUN_KERNEL_XE_VM_H
#define MMUN_KERNEL_XE_VM_H

#include <linux/dma-mapping.h>
#include <linux/dma-resv.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/rwsem.h>
#include <linux/scatterlist.h>
#include <linux/sched/mm.h>

#define XE_VMA_DESTROYED 1u
#define XE_VMA_READ_ONLY 2u

struct xe_device {
	struct {
		struct device *dev;
	} drm;
};

#define xe_assert(xe, condition) BUG_ON((xe) && !(condition))

struct xe_vm {
	struct xe_device *xe;
	struct rw_semaphore lock;
	struct dma_resv resv;
	struct {
		struct rw_semaphore notifier_lock;
	} userptr;
};

#define xe_vm_assert_held(vm) dma_resv_assert_held(&(vm)->resv)

struct xe_vma {
	struct {
		unsigned int flags;
	} gpuva;
	struct xe_vm *vm;
	u64 userptr, size;
};

struct xe_userptr {
	struct mmu_interval_notifier notifier;
	struct sg_table sgt;
	struct sg_table *sg;
	unsigned long notifier_seq;
	struct mutex unmap_mutex;
	bool mapped;
};

struct xe_userptr_vma {
	struct xe_vma vma;
	struct xe_userptr userptr;
};

static inline struct xe_vm *xe_vma_vm(struct xe_vma *vma)
{
	return vma->vm;
}

static inline u64 xe_vma_userptr(struct xe_vma *vma)
{
	return vma->userptr;
}

static inline u64 xe_vma_size(struct xe_vma *vma)
{
	return vma->size;
}

static inline bool xe_vma_read_only(struct xe_vma *vma)
{
	return vma->gpuva.flags & XE_VMA_READ_ONLY;
}

#endif
