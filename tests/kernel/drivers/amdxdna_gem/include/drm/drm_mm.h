/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of the device, one after the other. */
#ifndef MMUN_KERNEL_DRM_DRM_MM_H
#define MMUN_KERNEL_DRM_DRM_MM_H

#include <linux/types.h>

#define DRM_MM_INSERT_BEST 0

struct drm_mm {
	u64 next, end;
};

struct drm_mm_node {
	u64 start, size;
};

static inline int drm_mm_insert_node_generic(struct drm_mm *mm, struct drm_mm_node *node, u64 size,
					     u64 align, unsigned long color, int mode)
{
	if (mm->end - mm->next < size)
		return -ENOSPC;
	*node = (struct drm_mm_node){ mm->next, size };
	mm->next += size;
	return 0;
}

#define drm_mm_remove_node(node) ((void)((node)->size = 0))

#endif
