/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Memory from malloc(), so that sanitizers watch it.  An allocation that may sleep where
 * sleeping is forbidden ends the program; mmun_compat_fail_allocations() makes some fail. */
#ifndef MMUN_COMPAT_LINUX_SLAB_H
#define MMUN_COMPAT_LINUX_SLAB_H

#include <linux/cache.h>
#include <linux/gfp.h>
#include <linux/overflow.h>
#include <linux/types.h>

void *kmalloc(size_t size, gfp_t gfp) __malloc;
void *kzalloc(size_t size, gfp_t gfp) __malloc;
void *krealloc(const void *old, size_t size, gfp_t gfp);
void kfree(const void *block);
/* What a block may hold, which is what was asked for or more. */
size_t ksize(const void *block);

static inline void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc(size_mul(n, size), gfp);
}

static inline void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kzalloc(size_mul(n, size), gfp);
}

static inline void *krealloc_array(void *old, size_t n, size_t size, gfp_t gfp)
{
	return krealloc(old, size_mul(n, size), gfp);
}

#define kmalloc_node(size, gfp, node)          ((void)(node), kmalloc(size, gfp))
#define kzalloc_node(size, gfp, node)          ((void)(node), kzalloc(size, gfp))
#define kmalloc_array_node(n, size, gfp, node) ((void)(node), kmalloc_array(n, size, gfp))
#define kcalloc_node(n, size, gfp, node)       ((void)(node), kcalloc(n, size, gfp))
#define kvmalloc(size, gfp)                    kmalloc(size, gfp)
#define kvzalloc(size, gfp)                    kzalloc(size, gfp)
#define kvmalloc_array(n, size, gfp)           kmalloc_array(n, size, gfp)
#define kvcalloc(n, size, gfp)                 kcalloc(n, size, gfp)
#define kvfree(block)                          kfree(block)
#define kfree_sensitive(block)                 kfree(block)

/* By type, or by a thing of it; GFP_KERNEL unless another follows. */
#define MMUN_COMPAT_GFP(ignored, gfp, ...) (gfp)
#define MMUN_COMPAT_OBJS(alloc, obj, n, args...) \
	((__typeof__(obj) *)alloc(size_mul(sizeof(__typeof__(obj)), n), \
				  MMUN_COMPAT_GFP(, ##args, GFP_KERNEL)))
#define MMUN_COMPAT_FLEX(alloc, obj, member, n, args...) \
	((__typeof__(obj) *)alloc(struct_size((__typeof__(obj) *)NULL, member, n), \
				  MMUN_COMPAT_GFP(, ##args, GFP_KERNEL)))
#define kmalloc_obj(obj, gfp...)              MMUN_COMPAT_OBJS(kmalloc, obj, 1, ##gfp)
#define kzalloc_obj(obj, gfp...)              MMUN_COMPAT_OBJS(kzalloc, obj, 1, ##gfp)
#define kvmalloc_obj(obj, gfp...)             MMUN_COMPAT_OBJS(kvmalloc, obj, 1, ##gfp)
#define kvzalloc_obj(obj, gfp...)             MMUN_COMPAT_OBJS(kvzalloc, obj, 1, ##gfp)
#define kmalloc_objs(obj, n, gfp...)          MMUN_COMPAT_OBJS(kmalloc, obj, n, ##gfp)
#define kzalloc_objs(obj, n, gfp...)          MMUN_COMPAT_OBJS(kzalloc, obj, n, ##gfp)
#define kvmalloc_objs(obj, n, gfp...)         MMUN_COMPAT_OBJS(kvmalloc, obj, n, ##gfp)
#define kvzalloc_objs(obj, n, gfp...)         MMUN_COMPAT_OBJS(kvzalloc, obj, n, ##gfp)
#define kmalloc_flex(obj, member, n, gfp...)  MMUN_COMPAT_FLEX(kmalloc, obj, member, n, ##gfp)
#define kzalloc_flex(obj, member, n, gfp...)  MMUN_COMPAT_FLEX(kzalloc, obj, member, n, ##gfp)
#define kvmalloc_flex(obj, member, n, gfp...) MMUN_COMPAT_FLEX(kvmalloc, obj, member, n, ##gfp)
#define kvzalloc_flex(obj, member, n, gfp...) MMUN_COMPAT_FLEX(kvzalloc, obj, member, n, ##gfp)

struct kmem_cache;
#define SLAB_HWCACHE_ALIGN 0x2000u
#define SLAB_PANIC         0x40000u
#define SLAB_ACCOUNT       0x400000u

struct kmem_cache *kmem_cache_create(const char *name, unsigned int size, unsigned int align,
				     slab_flags_t flags, void (*ctor)(void *object));
/* Warns when objects are left. */
void kmem_cache_destroy(struct kmem_cache *cache);
void *kmem_cache_alloc(struct kmem_cache *cache, gfp_t gfp);
void *kmem_cache_zalloc(struct kmem_cache *cache, gfp_t gfp);
void kmem_cache_free(struct kmem_cache *cache, void *object);

#define KMEM_CACHE(name, flags) \
	kmem_cache_create(#name, sizeof(struct name), __alignof__(struct name), flags, NULL)

#include <linux/cleanup.h>
DEFINE_FREE(kfree, void *, kfree(_T))
DEFINE_FREE(kvfree, void *, kvfree(_T))

#endif
