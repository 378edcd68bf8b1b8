/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_BENCH_RCACHE_MMUNOTIFY_H
#define MMUN_BENCH_RCACHE_MMUNOTIFY_H

#include <mmunotify/rcache.h>

extern struct mmun_rcache *subject_cache;

static inline void *subject_get(unsigned long at, size_t size)
{
	struct mmun_registration *reg =
		mmun_rcache_get(subject_cache, at, size, MMUN_RCACHE_READ | MMUN_RCACHE_WRITE);

	return mmun_is_err(reg) ? NULL : reg;
}

static inline void subject_put(void *registration)
{
	mmun_rcache_put(subject_cache, registration);
}

#endif
