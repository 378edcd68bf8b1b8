/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libfabric's cache, with the monitor that its variables choose. */
#include "cache.h"

#include <errno.h>
#include <stdio.h>

#include "fi_cache.h"

static unsigned long registered, deregistered;
static struct fi_cache *cache;

static int add(struct fi_cached *cached)
{
	registered++;
	return 0;
}

static void drop(struct fi_cached *cached)
{
	deregistered++;
}

int bench_cache_start(void)
{
	static const struct fi_cache_ops ops = { .add = add, .remove = drop };
	const char *why = NULL;

	cache = fi_cache_create(&ops, &why);
	if (!cache)
		fprintf(stderr, "%s\n", why);
	return cache ? 0 : -ENOTSUP;
}

void bench_cache_use(char *start, size_t size)
{
	struct fi_cached *region = fi_cache_get(cache, start, size);

	if (region)
		fi_cache_put(region);
}

unsigned long bench_cache_registered(void)
{
	return deregistered ? 0 : registered;
}
