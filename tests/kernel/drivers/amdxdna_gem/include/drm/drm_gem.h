/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Buffers: counted, with a handle for each client, and mapped by its tasks. */
#ifndef MMUN_KERNEL_DRM_DRM_GEM_H
#define MMUN_KERNEL_DRM_DRM_GEM_H

#include <drm/drm_device.h>
#include <linux/dma-buf.h>
#include <linux/highmem.h>
#include <linux/kref.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

struct drm_gem_object;

struct drm_file {
	void *driver_priv;
	/* The only buffer that a client has, by the handle 1. */
	struct drm_gem_object *object;
};

struct drm_gem_object_funcs {
	void (*free)(struct drm_gem_object *obj);
	int (*open)(struct drm_gem_object *obj, struct drm_file *file);
	void (*close)(struct drm_gem_object *obj, struct drm_file *file);
	void (*print_info)(void);
	int (*pin)(struct drm_gem_object *obj);
	void (*unpin)(struct drm_gem_object *obj);
	struct sg_table *(*get_sg_table)(struct drm_gem_object *obj);
	int (*vmap)(struct drm_gem_object *obj, struct iosys_map *map);
	void (*vunmap)(struct drm_gem_object *obj, struct iosys_map *map);
	int (*mmap)(struct drm_gem_object *obj, struct vm_area_struct *vma);
	const struct vm_operations_struct *vm_ops;
	struct dma_buf *(*export)(struct drm_gem_object *obj, int flags);
};

struct drm_gem_object {
	struct kref refcount;
	struct drm_device *dev;
	size_t size;
	struct dma_resv *resv, own_resv;
	const struct drm_gem_object_funcs *funcs;
	int vma_node;
};

#define drm_vma_node_offset_addr(node) ((void)(node), 0ull)

static inline void drm_gem_private_object_init(struct drm_device *dev, struct drm_gem_object *obj,
					       size_t size)
{
	kref_init(&obj->refcount);
	obj->dev = dev;
	obj->size = size;
	dma_resv_init(&obj->own_resv);
	obj->resv = &obj->own_resv;
}

static inline void drm_gem_object_release(struct drm_gem_object *obj)
{
	dma_resv_fini(&obj->own_resv);
}

static inline void mmun_gem_free(struct kref *refcount)
{
	struct drm_gem_object *obj = container_of(refcount, struct drm_gem_object, refcount);

	obj->funcs->free(obj);
}

static inline void drm_gem_object_get(struct drm_gem_object *obj)
{
	kref_get(&obj->refcount);
}

static inline void drm_gem_object_put(struct drm_gem_object *obj)
{
	kref_put(&obj->refcount, mmun_gem_free);
}

static inline int drm_gem_handle_create(struct drm_file *file, struct drm_gem_object *obj,
					u32 *handle)
{
	int ret = obj->funcs->open(obj, file);

	if (ret)
		return ret;
	drm_gem_object_get(obj);
	file->object = obj;
	*handle = 1;
	return 0;
}

static inline void mmun_gem_handle_close(struct drm_file *file)
{
	struct drm_gem_object *obj = file->object;

	file->object = NULL;
	obj->funcs->close(obj, file);
	drm_gem_object_put(obj);
}

static inline struct drm_gem_object *drm_gem_object_lookup(struct drm_file *file, u32 handle)
{
	if (handle != 1 || !file->object)
		return NULL;
	drm_gem_object_get(file->object);
	return file->object;
}

static inline int drm_gem_vmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	int ret;

	dma_resv_lock(obj->resv, NULL);
	ret = obj->funcs->vmap(obj, map);
	dma_resv_unlock(obj->resv);
	return ret;
}

static inline void drm_gem_vunmap(struct drm_gem_object *obj, struct iosys_map *map)
{
	dma_resv_lock(obj->resv, NULL);
	obj->funcs->vunmap(obj, map);
	dma_resv_unlock(obj->resv);
}

#define drm_gem_map_attach     NULL
#define drm_gem_map_detach     NULL
#define drm_gem_map_dma_buf    NULL
#define drm_gem_unmap_dma_buf  NULL
#define drm_gem_dmabuf_release NULL
#define drm_gem_dmabuf_vmap    NULL
#define drm_gem_dmabuf_vunmap  NULL
#define drm_gem_dmabuf_export(dev, info) \
	((void)(dev), (void)(info), (struct dma_buf *)ERR_PTR(-ENODEV))

#endif
