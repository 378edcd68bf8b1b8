/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration cache that is measured: the workers are compiled once for each, with its header
 * in RCACHE_SUBJECT, so that a call costs what it costs a program.
 *
 * All have the same backend: it counts, and registers nothing.
 */
#ifndef MMUN_BENCH_RCACHE_SUBJECT_H
#define MMUN_BENCH_RCACHE_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>

struct subject_counts {
	unsigned long registered, deregistered;
	unsigned long registered_bytes, deregistered_bytes;
};

extern struct subject_counts subject_counts;

/* The library, and its hooks where they can be had before a cache.  0 or -errno. */
int subject_prepare(void);
/* The cache, of at most @limit regions; 0: as many as wanted.  0 or -errno. */
int subject_start(unsigned long limit);
/* It may deregister what memory has gone of. */
void subject_settle(void);

/* Deregistration may happen in a thread of the cache. */
static inline void subject_count(unsigned long *number, unsigned long *bytes, size_t size)
{
	__atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(bytes, size, __ATOMIC_RELAXED);
}

static inline void subject_registered(size_t size)
{
	subject_count(&subject_counts.registered, &subject_counts.registered_bytes, size);
}

static inline void subject_deregistered(size_t size)
{
	subject_count(&subject_counts.deregistered, &subject_counts.deregistered_bytes, size);
}

static inline unsigned long subject_pinned(void)
{
	return __atomic_load_n(&subject_counts.registered_bytes, __ATOMIC_RELAXED) -
	       __atomic_load_n(&subject_counts.deregistered_bytes, __ATOMIC_RELAXED);
}

/*
 * The header has, inline: a registration of [at, at + size), NULL if there is none, and its end.
 *
 *     static inline void *subject_get(unsigned long at, size_t size);
 *     static inline void subject_put(void *registration);
 */
#ifdef RCACHE_SUBJECT
#include RCACHE_SUBJECT
#endif

#endif
