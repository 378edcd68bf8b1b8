/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A pool whose reserve the driver itself looks at: it is always full. */
#ifndef MMUN_KERNEL_MLX5_MEMPOOL_H
#define MMUN_KERNEL_MLX5_MEMPOOL_H

#include <linux/slab.h>

typedef struct mempool {
	int min_nr, curr_nr;
	size_t size;
} mempool_t;

static inline mempool_t *mempool_create_kmalloc_pool(int min_nr, size_t size)
{
	mempool_t *pool = kzalloc(sizeof(*pool), GFP_KERNEL);

	if (pool)
		*pool = (mempool_t){ min_nr, min_nr, size };
	return pool;
}

#define mempool_alloc(pool, gfp)    kmalloc((pool)->size, gfp)
#define mempool_free(element, pool) kfree(element)
#define mempool_destroy(pool)       kfree(pool)

#endif
