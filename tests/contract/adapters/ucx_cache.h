/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * UCX's registration cache by its public interface, with the declarations written out, so
 * that one program drives every version that is there when it runs.
 */
#ifndef MMUN_TESTS_CONTRACT_ADAPTERS_UCX_CACHE_H
#define MMUN_TESTS_CONTRACT_ADAPTERS_UCX_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UCM_VM_UNMAPPED (1 << 17)
#define UCM_MUNMAP      (1 << 1)
#define UCM_NO_INSTALL  (1 << 24)

struct ucm_range {
	void *address;
	size_t size;
};

/* A registration: what UCX keeps, and behind it what the test notes down. */
struct cached {
	unsigned long start, end;
	char ucx[368];
	/* What the first word of the memory was when it was registered. */
	uint64_t word;
};

struct cache {
	void *handle;
	const struct ucx *ucx;
	/* As many as there were. */
	unsigned long registered, deregistered;
	/* Registering and giving back allocate and free so much: 0, nothing. */
	size_t allocates;
};

/* One copy of UCX. */
struct ucx {
	void *get;
	signed char (*create)(const void *params, const char *name, void *parent, void **cache);
	void (*destroy)(void *cache);
	void (*set_defaults)(void *params);
	void (*put)(void *cache, struct cached *region);
	signed char (*set_handler)(int events, int priority,
				   void (*cb)(int, struct ucm_range *, void *), void *arg);
	void (*unset_handler)(int events, void (*cb)(int, struct ucm_range *, void *), void *arg);
};

/** ucx_load() - NULL, or why @libucs (a name or path) cannot be used.  @flags: of dlopen(). */
const char *ucx_load(struct ucx *ucx, const char *libucs, int flags);

/** cache_create() - false: UCX refuses.  @synchronous: changes are looked at in the next get. */
bool cache_create(struct cache *cache, const struct ucx *ucx, bool synchronous);
void cache_destroy(struct cache *cache);

/** cache_get() - the registration of [at, at + size), NULL if there can be none. */
struct cached *cache_get(struct cache *cache, void *at, size_t size);
void cache_put(struct cache *cache, struct cached *region);

#endif
