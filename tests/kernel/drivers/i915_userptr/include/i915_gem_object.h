/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A buffer of the device: its lock and its jobs' fences, its pages, and whether the device's
 * address space has them.  test.c has the functions that are not a line.
 */
#ifndef MMUN_KERNEL_I915_GEM_OBJECT_H
#define MMUN_KERNEL_I915_GEM_OBJECT_H

#include <linux/dma-resv.h>
#include <linux/kref.h>
#include <linux/mmu_notifier.h>

#include "i915_drv.h"
#include "i915_scatterlist.h"

#define I915_BO_CACHE_COHERENT_FOR_WRITE  2u
#define I915_BO_ALLOC_USER                8u
#define I915_BO_FLAG_STRUCT_PAGE          1u
#define I915_CACHE_LLC                    1
#define I915_GEM_DOMAIN_CPU               1u
#define I915_GEM_OBJECT_IS_SHRINKABLE     2u
#define I915_GEM_OBJECT_IS_PROXY          4u
#define I915_GEM_OBJECT_NO_MMAP           8u
#define I915_GEM_OBJECT_UNBIND_ACTIVE     1u
#define i915_gem_object_size_2big(size)   ((size) >> PAGE_SHIFT > INT_MAX)
#define i915_gem_object_can_bypass_llc(o) ((void)(o), false)

struct drm_i915_gem_object;
struct drm_i915_gem_pread;
struct drm_i915_gem_pwrite;

struct drm_i915_gem_object_ops {
	const char *name;
	unsigned int flags;
	int (*get_pages)(struct drm_i915_gem_object *obj);
	void (*put_pages)(struct drm_i915_gem_object *obj, struct sg_table *pages);
	int (*dmabuf_export)(struct drm_i915_gem_object *obj);
	int (*pwrite)(struct drm_i915_gem_object *obj, const struct drm_i915_gem_pwrite *arg);
	int (*pread)(struct drm_i915_gem_object *obj, const struct drm_i915_gem_pread *arg);
	void (*release)(struct drm_i915_gem_object *obj);
};

struct drm_gem_object {
	struct drm_device *dev;
	size_t size;
	struct kref refcount;
	struct dma_resv resv;
};

struct drm_i915_gem_object {
	struct drm_gem_object base;
	const struct drm_i915_gem_object_ops *ops;
	unsigned int mem_flags, read_domains, write_domain, cache_coherent;
	bool readonly, cache_dirty, bound;
	struct {
		struct sg_table *pages;
		int pages_pin_count;
		bool dirty;
	} mm;
	struct {
		uintptr_t ptr;
		unsigned long notifier_seq;
		struct mmu_interval_notifier notifier;
		struct page **pvec;
		int page_ref;
	} userptr;
};

/* The device, opened: it has one handle. */
struct drm_file {
	struct drm_i915_gem_object *object;
};

#define assert_object_held(obj) dma_resv_assert_held(&(obj)->base.resv)

/* The last reference needs no lock. */
static inline void assert_object_held_shared(struct drm_i915_gem_object *obj)
{
	if (kref_read(&obj->base.refcount))
		assert_object_held(obj);
}

static inline int i915_gem_object_lock_interruptible(struct drm_i915_gem_object *obj, void *ww)
{
	return dma_resv_lock_interruptible(&obj->base.resv, ww);
}

static inline void i915_gem_object_unlock(struct drm_i915_gem_object *obj)
{
	dma_resv_unlock(&obj->base.resv);
}

static inline struct drm_i915_gem_object *i915_gem_object_alloc(void)
{
	return kzalloc(sizeof(struct drm_i915_gem_object), GFP_KERNEL);
}

static inline void drm_gem_private_object_init(struct drm_device *dev, struct drm_gem_object *obj,
					       size_t size)
{
	obj->dev = dev;
	obj->size = size;
	kref_init(&obj->refcount);
	dma_resv_init(&obj->resv);
}

static inline void i915_gem_object_init(struct drm_i915_gem_object *obj,
					const struct drm_i915_gem_object_ops *ops,
					struct lock_class_key *key, unsigned int flags)
{
	obj->ops = ops;
}

static inline void i915_gem_object_set_cache_coherency(struct drm_i915_gem_object *obj, int level)
{
	obj->cache_coherent = I915_BO_CACHE_COHERENT_FOR_WRITE;
}

static inline void i915_gem_object_set_readonly(struct drm_i915_gem_object *obj)
{
	obj->readonly = true;
}

static inline bool i915_gem_object_is_readonly(const struct drm_i915_gem_object *obj)
{
	return obj->readonly;
}

static inline bool i915_gem_object_has_pinned_pages(struct drm_i915_gem_object *obj)
{
	return obj->mm.pages_pin_count;
}

static inline int i915_gem_gtt_prepare_pages(struct drm_i915_gem_object *obj,
					     struct sg_table *pages)
{
	return dma_map_sgtable(obj->base.dev->dev, pages, DMA_BIDIRECTIONAL, 0);
}

static inline void i915_gem_gtt_finish_pages(struct drm_i915_gem_object *obj,
					     struct sg_table *pages)
{
	dma_unmap_sgtable(obj->base.dev->dev, pages, DMA_BIDIRECTIONAL, 0);
}

/* The device may have written. */
static inline void __i915_gem_object_release_shmem(struct drm_i915_gem_object *obj,
						   struct sg_table *pages, bool needs_clflush)
{
	obj->mm.dirty = true;
}

static inline void __i915_gem_object_set_pages(struct drm_i915_gem_object *obj,
					       struct sg_table *pages)
{
	assert_object_held(obj);
	obj->mm.pages = pages;
}

static inline struct sg_table *__i915_gem_object_unset_pages(struct drm_i915_gem_object *obj)
{
	struct sg_table *pages = obj->mm.pages;

	assert_object_held_shared(obj);
	obj->mm.pages = NULL;
	return pages;
}

int drm_gem_handle_create(struct drm_file *file, struct drm_gem_object *obj, u32 *handle);
void i915_gem_object_put(struct drm_i915_gem_object *obj);
int i915_gem_object_unbind(struct drm_i915_gem_object *obj, unsigned long flags);
int ____i915_gem_object_get_pages(struct drm_i915_gem_object *obj);
int i915_gem_object_pin_pages(struct drm_i915_gem_object *obj);
void i915_gem_object_unpin_pages(struct drm_i915_gem_object *obj);

int i915_gem_object_userptr_submit_init(struct drm_i915_gem_object *obj);
int i915_gem_object_userptr_submit_done(struct drm_i915_gem_object *obj);
int i915_gem_object_userptr_validate(struct drm_i915_gem_object *obj);

#endif
