/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache of libfabric, driven as its providers do, without their hardware.
 *
 * The library's public interface makes one only for a provider with RDMA hardware.  The cache itself
 * needs none, so its static archive is linked; what is called is global there.
 */
#ifndef MMUN_TESTS_CONTRACT_ADAPTERS_FI_CACHE_H
#define MMUN_TESTS_CONTRACT_ADAPTERS_FI_CACHE_H

#include <stddef.h>

struct fi_cache;

/* What a cache holds of one range; lives as long as it is cached or in use. */
struct fi_cached {
	struct fi_cache *cache;
	char *start;
	size_t length;
	/* Of the callers of fi_cache_create(). */
	unsigned long stamp[4];
};

struct fi_cache_ops {
	/* Take the pages of @cached; 0 or -errno. */
	int (*add)(struct fi_cached *cached);
	void (*remove)(struct fi_cached *cached);
};

/* Two caches of one process may exist.  NULL, and why, if it cannot be made. */
struct fi_cache *fi_cache_create(const struct fi_cache_ops *ops, const char **why);
/* No registration may be in use. */
void fi_cache_destroy(struct fi_cache *cache);

/* A registration of [start, start + length), from the cache or new. */
struct fi_cached *fi_cache_get(struct fi_cache *cache, char *start, size_t length);
void fi_cache_put(struct fi_cached *cached);

#endif
