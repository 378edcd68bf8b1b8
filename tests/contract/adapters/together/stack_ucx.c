/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UCX's registration cache, loaded when it runs and seen by nobody else, as Open MPI and
 * Python's modules load it.
 */
#include <dlfcn.h>

#include "../ucx_cache.h"
#include "stack.h"

static struct ucx ucx;
static struct cache cache;

static const char *start(void)
{
	const char *why = ucx_load(&ucx, "libucs.so.0", RTLD_LOCAL);

	if (why)
		return why;
	return cache_create(&cache, &ucx, false) ? NULL : "UCX creates no registration cache";
}

static bool lookup_in(struct cache *in, void *at, size_t size, uint64_t *number)
{
	struct cached *region = cache_get(in, at, size);

	if (!region)
		return false;
	*number = region->word;
	cache_put(in, region);
	return true;
}

static bool lookup(void *at, size_t size, uint64_t *number)
{
	return lookup_in(&cache, at, size, number);
}

static unsigned long registrations(void)
{
	return __atomic_load_n(&cache.registered, __ATOMIC_RELAXED);
}

static void handle_nothing(int event, struct ucm_range *range, void *arg)
{
}

/* Handlers come and go, and so do caches. */
static void disturb(void)
{
	static char memory[4096];
	struct cache other = { 0 };
	uint64_t number;

	if (!ucx.set_handler(UCM_VM_UNMAPPED, 5, handle_nothing, NULL))
		ucx.unset_handler(UCM_VM_UNMAPPED, handle_nothing, NULL);
	if (!cache_create(&other, &ucx, true))
		return;
	lookup_in(&other, memory, sizeof(memory), &number);
	cache_destroy(&other);
}

const struct stack stack_ucx = { "UCX", start, lookup, registrations, disturb };
