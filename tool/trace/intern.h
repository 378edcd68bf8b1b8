/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Strings kept once each; equal strings are the same pointer. */
#ifndef MMUN_TOOL_TRACE_INTERN_H
#define MMUN_TOOL_TRACE_INTERN_H

#include <stddef.h>
#include <stdint.h>

struct intern;

/* NULL when there is no memory. */
struct intern *intern_new(void);
void intern_free(struct intern *intern);

/* The one copy of @text, or NULL when there is no memory. */
const char *intern_text(struct intern *intern, const char *text, size_t length);

/*
 * A map from 64-bit keys to pointers, for whatever else is known by a number:
 * hashes that processes send, pointers that a file numbers.
 */
struct key_map {
	struct key_entry {
		uint64_t key;
		void *value;
	} * entries;
	size_t nr, size;
};

/* The value's place, made if it is not there (value NULL); NULL without memory. */
void **key_map_place(struct key_map *map, uint64_t key);
/* The value or NULL. */
void *key_map_find(const struct key_map *map, uint64_t key);
void key_map_clear(struct key_map *map);
/* The same, and free() for each value. */
void key_map_free_values(struct key_map *map);

#endif
