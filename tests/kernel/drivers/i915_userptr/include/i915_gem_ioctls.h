/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a program passes to have an object of its memory. */
#ifndef MMUN_KERNEL_I915_GEM_IOCTLS_H
#define MMUN_KERNEL_I915_GEM_IOCTLS_H

#include <linux/types.h>

#define I915_USERPTR_READ_ONLY      1u
#define I915_USERPTR_PROBE          2u
#define I915_USERPTR_UNSYNCHRONIZED 0x80000000u

struct drm_i915_gem_userptr {
	u64 user_ptr, user_size;
	u32 flags, handle;
};

struct drm_device;
struct drm_file;

int i915_gem_userptr_ioctl(struct drm_device *dev, void *data, struct drm_file *file);

#endif
