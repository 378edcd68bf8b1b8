/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* libfabric's registration cache.  It finds the adapter as usual, through FI_PROVIDER_PATH. */
#include <sys/uio.h>
#include <unistd.h>

#include "../fi_cache.h"
#include "stack.h"

static struct fi_cache *cache;
static unsigned long nr_registrations;

/* Without a fault: another thread may have unmapped it. */
static int add(struct fi_cached *cached)
{
	struct iovec to = { &cached->stamp[0], sizeof(cached->stamp[0]) };
	struct iovec from = { cached->start, sizeof(cached->stamp[0]) };

	__atomic_add_fetch(&nr_registrations, 1, __ATOMIC_RELAXED);
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)to.iov_len ? 0 : -1;
}

static void drop(struct fi_cached *cached)
{
}

static const struct fi_cache_ops ops = { add, drop };

static const char *start(void)
{
	const char *why = NULL;

	cache = fi_cache_create(&ops, &why);
	return why;
}

static bool lookup_in(struct fi_cache *in, void *at, size_t size, uint64_t *number)
{
	struct fi_cached *cached = fi_cache_get(in, at, size);

	if (!cached)
		return false;
	*number = cached->stamp[0];
	fi_cache_put(cached);
	return true;
}

static bool lookup(void *at, size_t size, uint64_t *number)
{
	return lookup_in(cache, at, size, number);
}

static unsigned long registrations(void)
{
	return __atomic_load_n(&nr_registrations, __ATOMIC_RELAXED);
}

/* Caches come and go. */
static void disturb(void)
{
	static char memory[4096];
	const char *why;
	struct fi_cache *other = fi_cache_create(&ops, &why);
	uint64_t number;

	if (!other)
		return;
	lookup_in(other, memory, sizeof(memory), &number);
	fi_cache_destroy(other);
}

const struct stack stack_libfabric = { "libfabric", start, lookup, registrations, disturb };
