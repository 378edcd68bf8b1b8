/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_BENCH_RCACHE_UCX_H
#define MMUN_BENCH_RCACHE_UCX_H

#include <sys/mman.h>

#include <ucs/memory/rcache.h>

extern ucs_rcache_t *subject_cache;

static inline void *subject_get(unsigned long at, size_t size)
{
	ucs_rcache_region_t *region;

	return ucs_rcache_get(subject_cache, (void *)at, size, PROT_READ | PROT_WRITE, NULL,
			      &region) == UCS_OK
		       ? region
		       : NULL;
}

static inline void subject_put(void *registration)
{
	ucs_rcache_region_put(subject_cache, registration);
}

#endif
