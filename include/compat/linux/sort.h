/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sorting, not stable, in place. */
#ifndef MMUN_COMPAT_LINUX_SORT_H
#define MMUN_COMPAT_LINUX_SORT_H

#include <linux/types.h>

typedef int (*cmp_func_t)(const void *a, const void *b);
typedef void (*swap_func_t)(void *a, void *b, int size);

/* @swap may be NULL.  No recursion, no memory: any context. */
void sort(void *base, size_t num, size_t size, cmp_func_t cmp, swap_func_t swap);

#endif
