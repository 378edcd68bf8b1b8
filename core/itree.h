/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tree of an mm's interval notifiers: closed intervals in the order of
 * ->start, found by overlap.  Not here: locks; see interval.h.
 */
#ifndef MMUN_CORE_ITREE_H
#define MMUN_CORE_ITREE_H

#include <stdbool.h>

#include <mmunotify/mmu_notifier.h>

#include "atomic.h"

/* As many as fill eight cache lines together with their number. */
#define MMUN_ITREE_FANOUT 21
/* Every node but the root has as many. */
#define MMUN_ITREE_LEAST 10
/* Deep enough for as many intervals as memory has bytes: 2 * 10^19. */
#define MMUN_ITREE_LEVELS 20

struct mmun_itree_entry {
	/* The first start and the largest last below. */
	unsigned long start, last;
	/* A struct mmun_itree_node, in a leaf a struct mmun_interval_node. */
	void *below;
};

struct mmun_itree_node {
	unsigned long nr;
	struct mmun_itree_entry entry[MMUN_ITREE_FANOUT];
} __attribute__((aligned(MMUN_CACHE_LINE)));

struct mmun_itree_chunk;

struct mmun_itree_root {
	/* NULL: empty. */
	struct mmun_itree_node *node;
	unsigned int levels;
	/* Of the latest insertion. */
	unsigned long serial;
	/* Spare nodes, the next one in the place of the first ->below. */
	struct mmun_itree_node *spare;
	/* In use and spare. */
	unsigned long nr_nodes;
	struct mmun_itree_chunk *chunks;
	/* The memory of the first MMUN_ITREE_FANOUT intervals. */
	struct mmun_itree_node first;
};

/* Where an iteration stands; good until the tree is changed. */
struct mmun_itree_cursor {
	unsigned long start, last;
	unsigned int levels;
	/* From the leaf up. */
	struct {
		const struct mmun_itree_node *node;
		unsigned long slot;
	} at[MMUN_ITREE_LEVELS];
};

/* @root is filled with zeroes. */
void mmun_itree_root_init(struct mmun_itree_root *root);
void mmun_itree_root_destroy(struct mmun_itree_root *root);

/*
 * Insertions and removals allocate nothing and cannot fail, as long as there is
 * room: enough nodes for @nr intervals, in whatever order they came and whoever
 * left in between.  A chunk is allocated where no lock is held (NULL: no memory),
 * the larger the more nodes there are, and added where the tree may be changed.
 */
bool mmun_itree_has_room(const struct mmun_itree_root *root, unsigned long nr);
struct mmun_itree_chunk *mmun_itree_chunk_alloc(unsigned long nr_nodes);
void mmun_itree_add_chunk(struct mmun_itree_root *root, struct mmun_itree_chunk *chunk);

/* ->start and ->last are set, ->serial is 0.  Equal intervals are allowed. */
void mmun_itree_insert(struct mmun_itree_root *root, struct mmun_interval_node *node);
void mmun_itree_remove(struct mmun_itree_root *root, struct mmun_interval_node *node);

/* The first one that overlaps [start, last], and the next; NULL: none. */
struct mmun_interval_node *mmun_itree_first(const struct mmun_itree_root *root, unsigned long start,
					    unsigned long last, struct mmun_itree_cursor *cursor);
struct mmun_interval_node *mmun_itree_next(struct mmun_itree_cursor *cursor);
/* The first one that does and comes behind @node, which need not be in the tree any
 * more. */
struct mmun_interval_node *mmun_itree_behind(const struct mmun_itree_root *root,
					     const struct mmun_interval_node *node,
					     unsigned long start, unsigned long last,
					     struct mmun_itree_cursor *cursor);

static inline bool mmun_itree_contains(const struct mmun_interval_node *node)
{
	return node->serial;
}

#endif
