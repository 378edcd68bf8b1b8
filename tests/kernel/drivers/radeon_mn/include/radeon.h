/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Of a buffer what its notifier uses: its lock and fences, and whether the device has its
 * pages.  test.c has what binds and unbinds them. */
#ifndef MMUN_KERNEL_RADEON_H
#define MMUN_KERNEL_RADEON_H

#include <drm/drm_print.h>
#include <linux/dma-resv.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>

#define RADEON_GEM_DOMAIN_CPU 1
#define RADEON_GEM_DOMAIN_GTT 2

struct ttm_device;
struct ttm_tt;

struct ttm_operation_ctx {
	bool interruptible, no_wait_gpu;
};

struct ttm_placement {
	unsigned int domain;
};

struct ttm_buffer_object {
	struct {
		struct dma_resv *resv;
		size_t size;
	} base;
	struct ttm_device *bdev;
	struct ttm_tt *ttm;
};

struct radeon_bo {
	struct ttm_buffer_object tbo;
	struct ttm_placement placement;
	struct mmu_interval_notifier notifier;
};

bool radeon_ttm_tt_is_bound(struct ttm_device *bdev, struct ttm_tt *ttm);
int ttm_bo_validate(struct ttm_buffer_object *bo, struct ttm_placement *placement,
		    struct ttm_operation_ctx *ctx);

static inline void radeon_ttm_placement_from_domain(struct radeon_bo *bo, unsigned int domain)
{
	bo->placement.domain = domain;
}

static inline int radeon_bo_reserve(struct radeon_bo *bo, bool no_intr)
{
	return dma_resv_lock(bo->tbo.base.resv, NULL);
}

static inline void radeon_bo_unreserve(struct radeon_bo *bo)
{
	dma_resv_unlock(bo->tbo.base.resv);
}

static inline unsigned long radeon_bo_size(struct radeon_bo *bo)
{
	return bo->tbo.base.size;
}

int radeon_mn_register(struct radeon_bo *bo, unsigned long addr);
void radeon_mn_unregister(struct radeon_bo *bo);

#endif
