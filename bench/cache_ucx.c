/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* UCX's cache.  UCX is loaded at run time: one executable measures every version. */
#include "cache.h"

#include <errno.h>
#include <stdio.h>

#include "ucx_cache.h"

static struct ucx ucx;
static struct cache cache;

int bench_cache_start(void)
{
	const char *wrong = ucx_load(&ucx, "libucs.so.0", 0);

	if (!wrong && !cache_create(&cache, &ucx, false))
		wrong = "this UCX makes no cache";
	if (wrong)
		fprintf(stderr, "%s\n", wrong);
	return wrong ? -ENOTSUP : 0;
}

void bench_cache_use(char *start, size_t size)
{
	struct cached *region = cache_get(&cache, start, size);

	if (region)
		cache_put(&cache, region);
}

unsigned long bench_cache_registered(void)
{
	return cache.deregistered ? 0 : cache.registered;
}
