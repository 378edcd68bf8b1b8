/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A sparse array of words: a tree of tables with 512 entries each.
 *
 * I1  A table holds at least one entry, except while a set is on its way down:
 *     one that runs out of memory takes the empty tables away again.
 * I2  The root covers every index that is there; it grows a level at a time
 *     and goes when it is empty.
 *
 * Not here: locks; the caller's.  Tests: tests/unit/soft/index_map.c.
 */
#include <errno.h>
#include <stddef.h>

#include "alloc.h"
#include "frame/index_map.h"

#define BITS    9
#define ENTRIES (1u << BITS)
/* 52 bits of index: a file has at most 2^63 bytes. */
#define LEVELS 6

struct soft_index_node {
	uintptr_t entry[ENTRIES];
	unsigned int used;
};

static inline struct soft_index_node *node_of(uintptr_t entry)
{
	return (struct soft_index_node *)entry;
}

static inline unsigned int entry_of(unsigned long index, unsigned int level)
{
	return index >> (level * BITS) & (ENTRIES - 1);
}

static bool covers(const struct soft_index_map *map, unsigned long index)
{
	return map->height && !(index >> (map->height * BITS));
}

uintptr_t mmun_soft_index_get(const struct soft_index_map *map, unsigned long index)
{
	uintptr_t entry = (uintptr_t)map->root;
	unsigned int level;

	if (!covers(map, index))
		return 0;
	for (level = map->height; entry && level-- > 0;)
		entry = node_of(entry)->entry[entry_of(index, level)];
	return entry;
}

static int grow(struct soft_index_map *map, unsigned long index)
{
	struct soft_index_node *root;

	while (!covers(map, index)) {
		root = mmun_alloc(sizeof(*root));
		if (!root)
			return -ENOMEM;
		if (!map->root) {
			for (map->height = 1; index >> (map->height * BITS);)
				map->height++;
		} else {
			root->entry[0] = (uintptr_t)map->root;
			root->used = 1;
			map->height++;
		}
		map->root = root;
	}
	return 0;
}

int mmun_soft_index_set(struct soft_index_map *map, unsigned long index, uintptr_t value)
{
	struct soft_index_node *node, *child;
	unsigned int level;
	uintptr_t *entry;

	if (grow(map, index))
		return -ENOMEM;
	node = map->root;
	for (level = map->height - 1; level > 0; level--) {
		entry = &node->entry[entry_of(index, level)];
		if (!*entry) {
			child = mmun_alloc(sizeof(*child));
			if (!child)
				goto prune;
			*entry = (uintptr_t)child;
			node->used++;
		}
		node = node_of(*entry);
	}
	entry = &node->entry[entry_of(index, 0)];
	node->used += !*entry;
	*entry = value;
	return 0;
prune:
	/* Nothing is there yet: a value that is replaced needs no memory. */
	mmun_soft_index_erase(map, index);
	return -ENOMEM;
}

/* path[level] and above lead to @index. */
static void free_empty(struct soft_index_map *map, struct soft_index_node *const *path,
		       unsigned int level, unsigned long index)
{
	for (; !path[level]->used; level++) {
		mmun_free(path[level]);
		if (level + 1 == map->height) {
			*map = (struct soft_index_map){ NULL, 0 };
			return;
		}
		path[level + 1]->entry[entry_of(index, level + 1)] = 0;
		path[level + 1]->used--;
	}
}

uintptr_t mmun_soft_index_erase(struct soft_index_map *map, unsigned long index)
{
	struct soft_index_node *path[LEVELS];
	unsigned int level = map->height - 1;
	uintptr_t value, *entry;

	if (!covers(map, index))
		return 0;
	for (path[level] = map->root; level > 0; level--) {
		entry = &path[level]->entry[entry_of(index, level)];
		if (!*entry) {
			/* A set that failed has come this far. */
			free_empty(map, path, level, index);
			return 0;
		}
		path[level - 1] = node_of(*entry);
	}
	entry = &path[0]->entry[entry_of(index, 0)];
	value = *entry;
	*entry = 0;
	path[0]->used -= !!value;
	free_empty(map, path, 0, index);
	return value;
}

static uintptr_t next_in(const struct soft_index_node *node, unsigned int level,
			 unsigned long *index)
{
	const unsigned int first = entry_of(*index, level);
	const unsigned long prefix = *index >> (level * BITS) >> BITS << BITS;
	uintptr_t value;

	for (unsigned int i = first; i < ENTRIES; i++) {
		if (i != first)
			*index = (prefix | i) << (level * BITS);
		value = node->entry[i];
		if (value && level)
			value = next_in(node_of(value), level - 1, index);
		if (value)
			return value;
	}
	return 0;
}

uintptr_t mmun_soft_index_next(const struct soft_index_map *map, unsigned long *index)
{
	return covers(map, *index) ? next_in(map->root, map->height - 1, index) : 0;
}
