/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Pools of elements with a reserve.
 *
 * I1  An element that is freed fills the reserve before it is really freed, so that who waits
 *     for one gets it.
 *
 * Tests: tests/contract/compat/memory.c.
 */
#include "runtime.h"

#include <linux/mempool.h>
#include <linux/wait.h>

struct mempool {
	spinlock_t lock;
	wait_queue_head_t wait;
	int min_nr, reserved;
	long used;
	mempool_alloc_t *alloc;
	mempool_free_t *free;
	void *data;
	void *reserve[];
};

mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			  void *pool_data)
{
	mempool_t *pool = (mempool_t *)kzalloc(struct_size(pool, reserve, min_nr), GFP_KERNEL);

	if (!pool)
		return NULL;
	spin_lock_init(&pool->lock);
	init_waitqueue_head(&pool->wait);
	pool->min_nr = min_nr;
	pool->alloc = alloc_fn;
	pool->free = free_fn;
	pool->data = pool_data;
	for (; pool->reserved < min_nr; pool->reserved++) {
		pool->reserve[pool->reserved] = alloc_fn(GFP_KERNEL, pool_data);
		if (!pool->reserve[pool->reserved]) {
			mempool_destroy(pool);
			return NULL;
		}
	}
	return pool;
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	WARN(pool->used, "a pool is destroyed with %ld elements in use\n", pool->used);
	while (pool->reserved)
		pool->free(pool->reserve[--pool->reserved], pool->data);
	kfree(pool);
}

static void *from_reserve(mempool_t *pool)
{
	void *element = NULL;
	unsigned long flags;

	spin_lock_irqsave(&pool->lock, flags);
	if (pool->reserved)
		element = pool->reserve[--pool->reserved];
	spin_unlock_irqrestore(&pool->lock, flags);
	return element;
}

void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	void *element;

	might_sleep_if(gfpflags_allow_blocking(gfp));
	element = pool->alloc(gfp, pool->data);
	if (!element)
		element = from_reserve(pool);
	if (!element && gfpflags_allow_blocking(gfp))
		wait_event(pool->wait, (element = from_reserve(pool)) != NULL);
	if (element)
		__atomic_fetch_add(&pool->used, 1, __ATOMIC_RELAXED);
	return element;
}

/* I1 */
void mempool_free(void *element, mempool_t *pool)
{
	unsigned long flags;

	if (!element)
		return;
	__atomic_fetch_sub(&pool->used, 1, __ATOMIC_RELAXED);
	spin_lock_irqsave(&pool->lock, flags);
	if (pool->reserved < pool->min_nr) {
		pool->reserve[pool->reserved++] = element;
		element = NULL;
	}
	spin_unlock_irqrestore(&pool->lock, flags);
	if (element)
		pool->free(element, pool->data);
	else
		wake_up(&pool->wait);
}

void *mempool_kmalloc(gfp_t gfp, void *pool_data)
{
	return kmalloc((size_t)pool_data, gfp);
}

void mempool_kfree(void *element, void *pool_data)
{
	kfree(element);
}

void *mempool_alloc_slab(gfp_t gfp, void *pool_data)
{
	return kmem_cache_alloc((struct kmem_cache *)pool_data, gfp);
}

void mempool_free_slab(void *element, void *pool_data)
{
	kmem_cache_free((struct kmem_cache *)pool_data, element);
}
