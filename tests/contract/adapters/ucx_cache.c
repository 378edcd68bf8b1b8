/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UCX's registration cache, old layout (1.13 to 1.15) and new (since 1.17).
 *
 * Contract: ucs/memory/rcache.h and ucm/api/ucm.h of those versions.
 */
#include "ucx_cache.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Its own locks are to do; in versions that do not know it nothing is missed. */
#define FLAG_NO_PFN_CHECK  (1 << 0)
#define FLAG_PURGE_ON_FORK (1 << 1)
#define FLAG_SYNC_EVENTS   (1 << 2)
#define FLAG_NEED_LRU_LOCK (1 << 3)
#define MINIMAL_ALIGNMENT  16
#define READ_AND_WRITE     3

struct params_tail {
	int events;
	int priority;
	const void *ops;
	void *context;
	int flags;
	unsigned long max_regions;
	size_t max_size;
	size_t max_unreleased;
};

struct old_params {
	size_t region_size;
	size_t alignment;
	size_t max_alignment;
	struct params_tail tail;
};

struct new_params {
	size_t region_size;
	struct params_tail tail;
	/* What later versions may have added. */
	char reserved[1024];
};

static void allocate(const struct cache *cache)
{
	void *volatile block = cache->allocates ? malloc(cache->allocates) : NULL;

	free(block);
}

/* Pins: notes down what is in the page now. */
static signed char mem_reg(void *context, void *handle, void *arg, struct cached *region,
			   uint16_t flags)
{
	struct iovec to = { &region->word, sizeof(region->word) };
	struct iovec from = { (void *)region->start, sizeof(region->word) };
	struct cache *cache = context;

	__atomic_add_fetch(&cache->registered, 1, __ATOMIC_RELAXED);
	allocate(cache);
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == sizeof(region->word) ? 0 : -5;
}

static void mem_dereg(void *context, void *handle, struct cached *region)
{
	struct cache *cache = context;

	__atomic_add_fetch(&cache->deregistered, 1, __ATOMIC_RELAXED);
	allocate(cache);
}

static void merge(void *context, void *handle, void *arg, struct cached *region)
{
}

static void dump_region(void *context, void *handle, struct cached *region, char *buffer,
			size_t size)
{
	if (size)
		*buffer = '\0';
}

static const void *const old_ops[] = { (void *)mem_reg, (void *)mem_dereg, (void *)dump_region };
static const void *const new_ops[] = { (void *)mem_reg, (void *)mem_dereg, (void *)merge,
				       (void *)dump_region };

const char *ucx_load(struct ucx *ucx, const char *libucs, int flags)
{
	void *object = dlopen(libucs, RTLD_NOW | flags);

	if (!object)
		return dlerror();
	ucx->get = dlsym(object, "ucs_rcache_get");
	ucx->create = (__typeof__(ucx->create))dlsym(object, "ucs_rcache_create");
	ucx->destroy = (__typeof__(ucx->destroy))dlsym(object, "ucs_rcache_destroy");
	ucx->put = (__typeof__(ucx->put))dlsym(object, "ucs_rcache_region_put");
	ucx->set_defaults =
		(__typeof__(ucx->set_defaults))dlsym(object, "ucs_rcache_set_default_params");
	/* In libucm, which comes with it; what everybody sees comes first. */
	ucx->set_handler = (__typeof__(ucx->set_handler))dlsym(
		flags & RTLD_GLOBAL ? RTLD_DEFAULT : object, "ucm_set_event_handler");
	ucx->unset_handler =
		(__typeof__(ucx->unset_handler))dlsym(object, "ucm_unset_event_handler");
	if (!ucx->get || !ucx->create || !ucx->destroy || !ucx->put || !ucx->set_handler ||
	    !ucx->unset_handler)
		return "this UCX has no public registration cache";
	return NULL;
}

bool cache_create(struct cache *cache, const struct ucx *ucx, bool synchronous)
{
	struct params_tail tail = {
		.events = UCM_VM_UNMAPPED,
		.priority = 1000,
		.ops = ucx->set_defaults ? new_ops : old_ops,
		.context = cache,
		.flags = FLAG_NO_PFN_CHECK | FLAG_PURGE_ON_FORK,
		.max_regions = 1000,
		.max_size = -1ul,
		.max_unreleased = 1 << 20,
	};
	union {
		struct old_params old;
		struct new_params new;
	} params;

	cache->ucx = ucx;
	memset(&params, 0, sizeof(params));
	if (ucx->set_defaults) {
		ucx->set_defaults(&params);
		params.new.region_size = sizeof(struct cached);
		tail.flags |= FLAG_NEED_LRU_LOCK | (synchronous ? FLAG_SYNC_EVENTS : 0);
		params.new.tail = tail;
	} else {
		params.old.region_size = sizeof(struct cached);
		params.old.alignment = MINIMAL_ALIGNMENT;
		params.old.max_alignment = (size_t)getpagesize();
		params.old.tail = tail;
	}
	return ucx->create(&params, "test", NULL, &cache->handle) == 0;
}

void cache_destroy(struct cache *cache)
{
	cache->ucx->destroy(cache->handle);
}

typedef signed char (*old_get_fn)(void *cache, void *at, size_t size, int prot, void *arg,
				  struct cached **region);
typedef signed char (*new_get_fn)(void *cache, void *at, size_t size, size_t alignment, int prot,
				  void *arg, struct cached **region);

struct cached *cache_get(struct cache *cache, void *at, size_t size)
{
	struct cached *region = NULL;
	signed char status;

	if (cache->ucx->set_defaults)
		status = ((new_get_fn)cache->ucx->get)(cache->handle, at, size, MINIMAL_ALIGNMENT,
						       READ_AND_WRITE, NULL, &region);
	else
		status = ((old_get_fn)cache->ucx->get)(cache->handle, at, size, READ_AND_WRITE,
						       NULL, &region);
	return status ? NULL : region;
}

void cache_put(struct cache *cache, struct cached *region)
{
	cache->ucx->put(cache->handle, region);
}
