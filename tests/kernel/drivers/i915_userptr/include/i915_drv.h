/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A device: what its user pointers ask of it. */
#ifndef MMUN_KERNEL_I915_DRV_H
#define MMUN_KERNEL_I915_DRV_H

#include <drm/drm_device.h>
#include <drm/drm_print.h>
#include <linux/bug.h>
#include <linux/dma-mapping.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/overflow.h>
#include <linux/pagemap.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#define GEM_BUG_ON(condition)  BUG_ON(condition)
#define GEM_WARN_ON(condition) WARN_ON(condition)

struct i915_address_space {
	bool has_read_only;
};

struct intel_gt {
	struct i915_address_space *vm;
};

struct drm_i915_private {
	struct drm_device drm;
	struct intel_gt gt;
	bool has_llc, has_snoop;
};

#define to_i915(dev)    container_of(dev, struct drm_i915_private, drm)
#define to_gt(i915)     (&(i915)->gt)
#define HAS_LLC(i915)   ((i915)->has_llc)
#define HAS_SNOOP(i915) ((i915)->has_snoop)

#endif
