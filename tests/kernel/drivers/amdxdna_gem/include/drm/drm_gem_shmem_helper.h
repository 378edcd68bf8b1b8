/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Buffers of the machine's pages; test.c has what is behind them. */
#ifndef MMUN_KERNEL_DRM_GEM_SHMEM_HELPER_H
#define MMUN_KERNEL_DRM_GEM_SHMEM_HELPER_H

#include <drm/drm_gem.h>

struct drm_gem_shmem_object {
	struct drm_gem_object base;
	struct page **pages;
	struct sg_table *sgt;
	bool map_wc;
};

extern const struct vm_operations_struct drm_gem_shmem_vm_ops;

struct drm_gem_shmem_object *drm_gem_shmem_create(struct drm_device *dev, size_t size);
void drm_gem_shmem_free(struct drm_gem_shmem_object *shmem);
int drm_gem_shmem_mmap(struct drm_gem_shmem_object *shmem, struct vm_area_struct *vma);

#define drm_gem_shmem_pin(shmem)              ((void)(shmem), 0)
#define drm_gem_shmem_unpin(shmem)            ((void)(shmem))
#define drm_gem_shmem_object_vmap(obj, map)   ((void)(obj), -ENOMEM)
#define drm_gem_shmem_object_vunmap(obj, map) ((void)(obj))
#define drm_gem_shmem_object_print_info       NULL
#define drm_gem_shmem_object_pin              NULL
#define drm_gem_shmem_object_unpin            NULL
#define drm_gem_shmem_object_get_sg_table     NULL
#define drm_gem_shmem_prime_import_sg_table(dev, attach, sgt) \
	((void)(attach), (struct drm_gem_object *)ERR_PTR(-ENODEV))

#endif
