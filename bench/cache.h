/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The registration cache that cache.c measures: of UCX or of libfabric. */
#ifndef MMUN_BENCH_CACHE_H
#define MMUN_BENCH_CACHE_H

#include <stddef.h>

/* Loads the library and makes its cache.  0 or -errno. */
int bench_cache_start(void);
/* Get the registration of [start, start + size) and put it back. */
void bench_cache_use(char *start, size_t size);
/* How many were made since, none of them dropped; 0 if one was. */
unsigned long bench_cache_registered(void);

#endif
