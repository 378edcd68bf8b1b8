/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The layouts are those of libfabric 1.17 and of 1.20 to 2.6 (and the development branch
 * behind it).
 */
#include "fi_cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <rdma/fabric.h>
#include <rdma/fi_errno.h>

#define INTERFACES 6

struct ofi_mr_info {
	struct iovec iov;
	int iface;
	uint64_t device;
	union {
		struct {
			void *ipc_mapped_addr;
			uint8_t ipc_handle[64];
		} v1_17;
		struct {
			uint64_t flags, peer_id;
			void *mapped_addr;
			uint8_t handle[64];
		} v1_20;
	};
};

struct list {
	void *next, *prev;
};

struct tail {
	size_t entry_data_size;
	/* struct ofi_rbmap */
	void *root;
	struct {
		void *left, *right, *parent;
		int color;
		void *data;
	} sentinel;
	void *free_list;
	void *compare;
	struct list lru_list, dead_region_list;
	pthread_mutex_t lock;
};

struct ofi_mr_entry;

struct ops {
	void *entry_pool;
	int (*add_region)(void *cache, struct ofi_mr_entry *entry);
	void (*delete_region)(void *cache, struct ofi_mr_entry *entry);
};

struct cache_1_17 {
	void *domain;
	void *monitors[INTERFACES];
	struct list notify_entries[INTERFACES];
	struct tail tail;
	size_t counts[8];
	struct ops ops;
};

struct cache_1_20 {
	void *domain;
	const struct fi_provider *prov;
	void *monitors[INTERFACES];
	struct list notify_entries[INTERFACES];
	struct tail tail;
	size_t counts[10];
	struct ops ops;
};

extern void *default_monitor;
extern int ofi_mr_cache_init(void *domain, void **monitors, void *cache);
extern void ofi_mr_cache_cleanup(void *cache);
extern int ofi_mr_cache_search(void *cache, struct ofi_mr_info *info, struct ofi_mr_entry **entry);
extern void ofi_mr_cache_delete(void *cache, struct ofi_mr_entry *entry);

struct fi_cache {
	/* First, so that a callback's cache is this one. */
	union {
		struct cache_1_17 v1_17;
		struct cache_1_20 v1_20;
	} ofi;
	const struct fi_cache_ops *ops;
	/* In place of a domain: whatever is looked for in it is this provider without a name. */
	void *domain[512];
	char provider[4096];
};

static int is_1_17(void)
{
	return fi_version() < FI_VERSION(1, 20);
}

/* What follows the entry's own members, the last of which is hmem_info, is ours. */
static size_t offset_of_data(void)
{
	const size_t info = is_1_17() ? offsetof(struct ofi_mr_info, v1_17.ipc_handle) + 64
				      : offsetof(struct ofi_mr_info, v1_20.handle) + 64;

	return info + sizeof(void *) + sizeof(long) + sizeof(struct list) + sizeof(uint64_t);
}

static struct fi_cached *cached_of(struct ofi_mr_entry *entry)
{
	return (struct fi_cached *)((char *)entry + offset_of_data());
}

static struct ofi_mr_entry *entry_of(struct fi_cached *cached)
{
	return (struct ofi_mr_entry *)((char *)cached - offset_of_data());
}

static int add_region(void *cache, struct ofi_mr_entry *entry)
{
	const struct ofi_mr_info *info = (const struct ofi_mr_info *)entry;
	struct fi_cached *cached = cached_of(entry);

	cached->cache = cache;
	cached->start = info->iov.iov_base;
	cached->length = info->iov.iov_len;
	return cached->cache->ops->add(cached);
}

static void delete_region(void *cache, struct ofi_mr_entry *entry)
{
	((struct fi_cache *)cache)->ops->remove(cached_of(entry));
}

struct fi_cache *fi_cache_create(const struct fi_cache_ops *ops, const char **why)
{
	const struct ops callbacks = { .add_region = add_region, .delete_region = delete_region };
	void *monitors[INTERFACES] = { NULL };
	struct fi_info *info = NULL;
	struct fi_cache *cache = calloc(1, sizeof(*cache));
	size_t i;
	int ret;

	/* Any call of the library initialises it. */
	if (!fi_getinfo(FI_VERSION(1, 17), NULL, NULL, 0, NULL, &info))
		fi_freeinfo(info);
	for (i = 0; i < 512; i++)
		cache->domain[i] = cache->provider;
	cache->ops = ops;
	if (is_1_17()) {
		cache->ofi.v1_17.tail.entry_data_size = sizeof(struct fi_cached);
		cache->ofi.v1_17.ops = callbacks;
	} else {
		cache->ofi.v1_20.tail.entry_data_size = sizeof(struct fi_cached);
		cache->ofi.v1_20.ops = callbacks;
	}
	monitors[0] = default_monitor;
	ret = default_monitor ? ofi_mr_cache_init(cache->domain, monitors, cache) : -FI_ENOSYS;
	if (ret) {
		*why = fi_strerror(-ret);
		free(cache);
		return NULL;
	}
	return cache;
}

void fi_cache_destroy(struct fi_cache *cache)
{
	ofi_mr_cache_cleanup(cache);
	free(cache);
}

struct fi_cached *fi_cache_get(struct fi_cache *cache, char *start, size_t length)
{
	struct ofi_mr_info info = { .iov = { start, length } };
	struct ofi_mr_entry *entry;

	return ofi_mr_cache_search(cache, &info, &entry) ? NULL : cached_of(entry);
}

void fi_cache_put(struct fi_cached *cached)
{
	ofi_mr_cache_delete(cached->cache, entry_of(cached));
}
