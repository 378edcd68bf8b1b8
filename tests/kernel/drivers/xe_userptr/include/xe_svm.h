/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of the address space of a device what its user pointers use; test.c has the device. */
#ifndef MMUN_KERNEL_XE_SVM_H
#define MMUN_KERNEL_XE_SVM_H

#include <drm/drm_device.h>
#include <drm/drm_gpusvm.h>
#include <drm/drm_print.h>
#include <linux/dma-resv.h>
#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/mmu_notifier.h>
#include <linux/rwsem.h>
#include <linux/sched/mm.h>

#include "xe_userptr.h"

#define XE_VMA_DESTROYED 1u
#define XE_VMA_READ_ONLY 2u

struct xe_device {
	struct drm_device drm;
};

#define xe_assert(xe, condition) BUG_ON((xe) && !(condition))
#define XE_WARN_ON(condition)    WARN_ON(condition)
#define vm_dbg(drm, format, ...) drm_dbg(drm, format, ##__VA_ARGS__)

struct xe_vm {
	struct xe_device *xe;
	struct rw_semaphore lock;
	struct dma_resv resv;
	struct list_head rebind_list;
	bool fault_mode;
	struct {
		struct drm_gpusvm gpusvm;
	} svm;
	struct xe_userptr_vm userptr;
};

struct xe_vma {
	struct {
		unsigned int flags;
	} gpuva;
	struct {
		struct list_head rebind;
	} combined_links;
	struct xe_vm *vm;
	u64 userptr, size;
};

struct xe_userptr_vma {
	struct xe_vma vma;
	struct xe_userptr userptr;
};

/* Entries are cleared and translations forgotten; _submit(): but for what is still under way,
 * which xe_tlb_inval_batch_wait() waits for. */
int xe_vm_invalidate_vma(struct xe_vma *vma);
int xe_vm_invalidate_vma_submit(struct xe_vma *vma, struct xe_tlb_inval_batch *batch);

#define xe_vma_vm(vma)                       ((vma)->vm)
#define xe_vma_userptr(vma)                  ((vma)->userptr)
#define xe_vma_start(vma)                    ((vma)->userptr)
#define xe_vma_size(vma)                     ((vma)->size)
#define xe_vma_is_userptr(vma)               true
#define xe_vma_read_only(vma)                (!!((vma)->gpuva.flags & XE_VMA_READ_ONLY))
#define xe_vm_in_fault_mode(vm)              ((vm)->fault_mode)
#define xe_vm_resv(vm)                       (&(vm)->resv)
#define xe_vm_lock(vm, intr)                 dma_resv_lock(xe_vm_resv(vm), NULL)
#define xe_vm_unlock(vm)                     dma_resv_unlock(xe_vm_resv(vm))
#define xe_vm_assert_held(vm)                dma_resv_assert_held(xe_vm_resv(vm))
#define xe_svm_private_page_owner(vm, force) ((void)(vm), (void *)NULL)

#endif
