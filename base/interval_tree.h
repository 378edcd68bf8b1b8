/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Closed intervals [start, last], found by overlap in O(log n + hits).
 * Not here: locks; the caller's.  Tests: tests/unit/base/tree.c.
 */
#ifndef MMUN_BASE_INTERVAL_TREE_H
#define MMUN_BASE_INTERVAL_TREE_H

#include "tree.h"

struct mmun_interval {
	struct mmun_tree_node node;
	unsigned long start, last;
	/* The largest ->last in this subtree. */
	unsigned long max_last;
};

struct mmun_interval_tree {
	struct mmun_tree tree;
};

/* The node is the first member. */
MMUN_TREE_INLINE struct mmun_interval *mmun_interval_of(const struct mmun_tree_node *node)
{
	return (struct mmun_interval *)(uintptr_t)node;
}

MMUN_TREE_INLINE bool mmun_interval_less(const struct mmun_tree_node *a,
					 const struct mmun_tree_node *b)
{
	return mmun_interval_of(a)->start < mmun_interval_of(b)->start;
}

MMUN_TREE_INLINE bool mmun_interval_update(struct mmun_tree_node *node)
{
	struct mmun_interval *self = mmun_interval_of(node);
	unsigned long max = self->last;

	if (node->left && mmun_interval_of(node->left)->max_last > max)
		max = mmun_interval_of(node->left)->max_last;
	if (node->right && mmun_interval_of(node->right)->max_last > max)
		max = mmun_interval_of(node->right)->max_last;
	if (self->max_last == max)
		return false;
	self->max_last = max;
	return true;
}

/* Set ->start and ->last first. */
static inline void mmun_interval_insert(struct mmun_interval_tree *tree,
					struct mmun_interval *interval)
{
	interval->max_last = interval->last;
	mmun_tree_insert(&tree->tree, &interval->node, mmun_interval_less, mmun_interval_update);
}

static inline void mmun_interval_remove(struct mmun_interval_tree *tree,
					struct mmun_interval *interval)
{
	mmun_tree_remove(&tree->tree, &interval->node, mmun_interval_update);
}

/* The leftmost interval of @node's subtree that overlaps [start, last]; the
 * caller knows that the subtree reaches @start. */
static inline struct mmun_interval *mmun_interval_leftmost(struct mmun_interval *node,
							   unsigned long start, unsigned long last)
{
	struct mmun_interval *left;

	for (;;) {
		left = mmun_interval_of(node->node.left);
		if (left && left->max_last >= start) {
			node = left;
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		node = mmun_interval_of(node->node.right);
		if (!node || node->max_last < start)
			return NULL;
	}
}

/* The first interval that overlaps [start, last], in order of ->start; or NULL. */
static inline struct mmun_interval *mmun_interval_first(const struct mmun_interval_tree *tree,
							unsigned long start, unsigned long last)
{
	struct mmun_interval *root = mmun_interval_of(tree->tree.root);

	if (!root || root->max_last < start)
		return NULL;
	return mmun_interval_leftmost(root, start, last);
}

/* The one after @node. */
static inline struct mmun_interval *mmun_interval_next(struct mmun_interval *node,
						       unsigned long start, unsigned long last)
{
	struct mmun_interval *right, *came_from;

	for (;;) {
		right = mmun_interval_of(node->node.right);
		if (right && right->max_last >= start)
			return mmun_interval_leftmost(right, start, last);
		/* Up to the first one that comes after; its right side is next if it does not hit. */
		do {
			came_from = node;
			node = mmun_interval_of(node->node.parent);
			if (!node)
				return NULL;
		} while (mmun_interval_of(node->node.right) == came_from);
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
	}
}

#define mmun_for_each_interval(it, tree, start, last) \
	for ((it) = mmun_interval_first((tree), (start), (last)); (it); \
	     (it) = mmun_interval_next((it), (start), (last)))

#endif
