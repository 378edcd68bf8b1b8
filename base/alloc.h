/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The one place where the library allocates, so that a test can make any allocation fail. */
#ifndef MMUN_BASE_ALLOC_H
#define MMUN_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* Every block starts on a boundary of this many bytes: a pair of cache lines,
 * because processors prefetch the neighbour of a line. */
#define MMUN_ALLOC_ALIGN 128

/* Zero-filled; NULL when there is no memory.  Context: where malloc() is legal. */
void *mmun_alloc(size_t size);

/* NULL is fine. */
void mmun_free(void *block);

/* The same from the kernel, in whole pages.  Context: also in a callback, whoever
 * it interrupted may hold the locks of malloc().  Two MiB are a huge page if there
 * is one. */
void *mmun_alloc_pages(size_t size);
void mmun_free_pages(void *block, size_t size);

/* Tests: asked before each allocation of either kind when set, true makes it fail. */
extern bool (*mmun_alloc_fail)(size_t size);

/* Tests: blocks allocated and not freed yet. */
long mmun_alloc_live(void);

#endif
