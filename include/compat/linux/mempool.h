/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Elements that are there when memory is not: so many are kept in reserve. */
#ifndef MMUN_COMPAT_LINUX_MEMPOOL_H
#define MMUN_COMPAT_LINUX_MEMPOOL_H

#include <linux/gfp.h>
#include <linux/slab.h>
#include <linux/types.h>

typedef void *(mempool_alloc_t)(gfp_t gfp, void *pool_data);
typedef void(mempool_free_t)(void *element, void *pool_data);
typedef struct mempool mempool_t;

/* NULL: no memory for the reserve of @min_nr. */
mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			  void *pool_data);
/* Warns when elements are in use. */
void mempool_destroy(mempool_t *pool);
/* From the reserve if the allocation fails; where it may sleep waits for one to come back, and
 * returns NULL only where it may not. */
void *mempool_alloc(mempool_t *pool, gfp_t gfp);
void mempool_free(void *element, mempool_t *pool);

mempool_alloc_t mempool_kmalloc, mempool_alloc_slab;
mempool_free_t mempool_kfree, mempool_free_slab;
#define mempool_create_kmalloc_pool(min_nr, size) \
	mempool_create(min_nr, mempool_kmalloc, mempool_kfree, (void *)(unsigned long)(size))
#define mempool_create_slab_pool(min_nr, cache) \
	mempool_create(min_nr, mempool_alloc_slab, mempool_free_slab, cache)

#endif
