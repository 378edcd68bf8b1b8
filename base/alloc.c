// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Allocation over the C library's, with a hook that injects failures and a
 * count of live blocks for leak checks.  Never called on the path of an
 * invalidation, nor with a lock held that a callback may need.
 *
 * Tests: tests/unit/base.c, and the failure sweeps of tests/unit/.
 */
#include "alloc.h"

#include <stdlib.h>
#include <string.h>

#include "atomic.h"

bool (*mmun_alloc_fail)(size_t size);
static long live;

void *mmun_alloc(size_t size)
{
	bool (*fail)(size_t) = mmun_load_acquire(&mmun_alloc_fail);
	void *block;

	if (fail && fail(size))
		return NULL;
	if (posix_memalign(&block, MMUN_ALLOC_ALIGN, size))
		return NULL;
	memset(block, 0, size);
	mmun_add_relaxed(&live, 1);
	return block;
}

void mmun_free(void *block)
{
	if (!block)
		return;
	mmun_add_relaxed(&live, -1);
	free(block);
}

long mmun_alloc_live(void)
{
	return mmun_load_relaxed(&live);
}
