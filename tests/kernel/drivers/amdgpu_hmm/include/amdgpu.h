/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of a buffer what its notifier uses: the fences of its jobs. */
#ifndef MMUN_KERNEL_AMDGPU_H
#define MMUN_KERNEL_AMDGPU_H

#include <drm/drm_print.h>
#include <linux/dma-resv.h>
#include <linux/hmm.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>
#include <linux/sizes.h>

struct kgd_mem;

struct ttm_device {
	int unused;
};

struct amdgpu_device {
	struct ttm_device bdev;
	struct mutex notifier_lock;
};

struct amdgpu_bo {
	struct {
		struct {
			struct dma_resv *resv;
			size_t size;
		} base;
		struct ttm_device *bdev;
	} tbo;
	struct mmu_interval_notifier notifier;
	struct kgd_mem *kfd_bo;
	/* Whose fences count, and what the address space of the device says, since 7.0. */
	struct amdgpu_bo *parent;
	bool moved;
};

static inline void amdgpu_vm_bo_invalidate(struct amdgpu_bo *bo, bool evicted)
{
	bo->moved = true;
}

/* The test keeps its buffer. */
#define amdgpu_bo_ref(bo)   (bo)
#define amdgpu_bo_unref(bo) ((void)(*(bo) = NULL))

static inline struct amdgpu_device *amdgpu_ttm_adev(struct ttm_device *bdev)
{
	return container_of(bdev, struct amdgpu_device, bdev);
}

static inline unsigned long amdgpu_bo_size(struct amdgpu_bo *bo)
{
	return bo->tbo.base.size;
}

#endif
