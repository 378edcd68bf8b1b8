/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "mmunotify/rcache.h"

#include <errno.h>

int mmun_rcache_create(struct mm_struct *mm, const struct mmun_rcache_ops *ops, void *arg,
		       const struct mmun_rcache_options *options, struct mmun_rcache **cache)
{
	return -ENOSYS;
}

int mmun_rcache_destroy(struct mmun_rcache *cache)
{
	return -ENOSYS;
}

struct mmun_registration *mmun_rcache_get(struct mmun_rcache *cache, unsigned long address,
					  size_t length, unsigned int access)
{
	return mmun_err_ptr(-ENOSYS);
}

void mmun_rcache_put(struct mmun_rcache *cache, struct mmun_registration *reg)
{
}

bool mmun_rcache_is_current(struct mmun_rcache *cache, const struct mmun_registration *reg)
{
	return false;
}

void mmun_rcache_invalidate(struct mmun_rcache *cache, unsigned long start, unsigned long end)
{
}

long mmun_rcache_flush(struct mmun_rcache *cache)
{
	return -ENOSYS;
}

long mmun_rcache_progress(struct mmun_rcache *cache)
{
	return -ENOSYS;
}

void mmun_rcache_own(struct mmun_rcache *cache)
{
}

void mmun_rcache_limit_process(unsigned long regions, unsigned long bytes)
{
}

void mmun_rcache_stats(struct mmun_rcache *cache, struct mmun_rcache_stats *out)
{
	*out = (struct mmun_rcache_stats){ 0 };
}

int mmun_rcache_for_each(struct mmun_rcache *cache,
			 int (*visit)(struct mmun_registration *reg, void *arg), void *arg)
{
	return -ENOSYS;
}
