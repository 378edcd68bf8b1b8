/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/contract/adapters/fi.c. */
#include "shared.h"

#include <stddef.h>
#include <sys/mman.h>

#include "atomic.h"

static struct lf_shared *shared;

void *lf_map_wiped(unsigned long size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	if (madvise(map, size, MADV_WIPEONFORK)) {
		munmap(map, size);
		return NULL;
	}
	return map;
}

struct lf_shared *lf_shared(void)
{
	struct lf_shared *mine, *none = NULL;

	if (mmun_load_acquire(&shared))
		return shared;
	mine = lf_map_wiped(sizeof(*mine));
	if (mine && !mmun_cas_full(&shared, &none, mine))
		munmap(mine, sizeof(*mine));
	return mmun_load_acquire(&shared);
}
