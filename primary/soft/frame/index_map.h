/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A sparse array of words: a tree of tables with 512 entries each, as high as
 * the largest index needs.  0 means that nothing is there.
 *
 * Not here: locks; the caller's.  Tests: tests/unit/soft/index_map.c.
 */
#ifndef MMUN_SOFT_FRAME_INDEX_MAP_H
#define MMUN_SOFT_FRAME_INDEX_MAP_H

#include "types.h"

/* 0 when nothing is there. */
uintptr_t mmun_soft_index_get(const struct soft_index_map *map, unsigned long index);
/* Stores @value, which is not 0.  0 or -ENOMEM; replacing a value needs no memory. */
int mmun_soft_index_set(struct soft_index_map *map, unsigned long index, uintptr_t value);
/* Returns what was there; tables that became empty are freed. */
uintptr_t mmun_soft_index_erase(struct soft_index_map *map, unsigned long index);
/* The first value at or above *@index, and *@index where it is; 0 when there is none. */
uintptr_t mmun_soft_index_next(const struct soft_index_map *map, unsigned long *index);

#endif
