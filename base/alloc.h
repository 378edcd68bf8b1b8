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

/* Tests: asked before each allocation when set, true makes it fail. */
extern bool (*mmun_alloc_fail)(size_t size);

/* Tests: blocks allocated and not freed yet. */
long mmun_alloc_live(void);

#endif
