/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_BENCH_RCACHE_LIBFABRIC_H
#define MMUN_BENCH_RCACHE_LIBFABRIC_H

#include "fi_cache.h"

extern struct fi_cache *subject_cache;

static inline void *subject_get(unsigned long at, size_t size)
{
	return fi_cache_get(subject_cache, (char *)at, size);
}

static inline void subject_put(void *registration)
{
	fi_cache_put(registration);
}

#endif
