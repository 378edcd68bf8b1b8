// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A balanced (AVL) tree of intervals.  What a subtree reaches to and its height
 * are kept in the parent, beside the link: a search or an insertion reads one
 * node, one cache line, per level and no child that it does not enter.  With a
 * million intervals that and the depth are what an invalidation costs.
 *
 * I1  In order of ->start; equal ones in the order of their insertion.
 * I2  child_last[i] is the largest ->last in child[i]'s subtree and child_height[i]
 *     its height; both are 0 without child.
 * I3  The heights of two siblings differ by at most one.
 *
 * Not here: who may read or change the tree when (interval_seq.c).
 * Tests: tests/unit/itree.c.
 */
#include "itree.h"

#include <stddef.h>

static inline unsigned short height_of(const struct mmun_interval_node *node)
{
	const unsigned short left = node->child_height[0], right = node->child_height[1];

	return (unsigned short)(1 + (left > right ? left : right));
}

static inline unsigned long max(unsigned long a, unsigned long b)
{
	return a > b ? a : b;
}

static inline unsigned long reach(const struct mmun_interval_node *node)
{
	return max(node->last, max(node->child_last[0], node->child_last[1]));
}

static void adopt(struct mmun_interval_node *parent, unsigned int side,
		  struct mmun_interval_node *child)
{
	parent->child[side] = child;
	parent->child_last[side] = child ? reach(child) : 0;
	parent->child_height[side] = child ? height_of(child) : 0;
	if (child)
		child->parent = parent;
}

/* @heir takes @node's place under its parent; what is kept there about it is left
 * to the caller. */
static void take_place(struct mmun_interval_node **root, struct mmun_interval_node *node,
		       struct mmun_interval_node *heir)
{
	struct mmun_interval_node *parent = node->parent;

	if (!parent)
		*root = heir;
	else
		parent->child[parent->child[1] == node] = heir;
	if (heir)
		heir->parent = parent;
}

/* The child on @side moves up into the place of @node. */
static struct mmun_interval_node *rotate(struct mmun_interval_node **root,
					 struct mmun_interval_node *node, unsigned int side)
{
	struct mmun_interval_node *child = node->child[side];

	take_place(root, node, child);
	adopt(node, side, child->child[!side]);
	adopt(child, !side, node);
	return child;
}

/* Returns what stands in the place of @node then. */
static struct mmun_interval_node *rebalance(struct mmun_interval_node **root,
					    struct mmun_interval_node *node)
{
	const int left = node->child_height[0], right = node->child_height[1];
	const unsigned int side = right > left;
	struct mmun_interval_node *child = node->child[side];

	if (left <= right + 1 && right <= left + 1)
		return node;
	/* What @node keeps about this child is not right until the second turn. */
	if (child->child_height[side] < child->child_height[!side])
		rotate(root, child, !side);
	return rotate(root, node, side);
}

/* The subtrees of @node are right and what it keeps about them; its ancestors may
 * be wrong. */
static void climb(struct mmun_interval_node **root, struct mmun_interval_node *node)
{
	struct mmun_interval_node *parent;

	for (; node->parent; node = parent) {
		unsigned short height;
		unsigned long last;
		unsigned int side;

		parent = node->parent;
		side = parent->child[1] == node;
		node = rebalance(root, node);
		height = height_of(node);
		last = reach(node);
		if (parent->child_height[side] == height && parent->child_last[side] == last)
			return;
		parent->child_height[side] = height;
		parent->child_last[side] = last;
	}
	rebalance(root, node);
}

void mmun_itree_insert(struct mmun_interval_node **root, struct mmun_interval_node *node)
{
	struct mmun_interval_node *parent = NULL, *next = *root;
	unsigned int side = 0;

	while (next) {
		parent = next;
		side = node->start >= parent->start;
		if (parent->child_last[side] < node->last)
			parent->child_last[side] = node->last;
		next = parent->child[side];
	}
	node->child[0] = node->child[1] = NULL;
	node->child_last[0] = node->child_last[1] = 0;
	node->child_height[0] = node->child_height[1] = 0;
	node->parent = parent;
	node->in_tree = 1;
	if (!parent) {
		*root = node;
		return;
	}
	parent->child[side] = node;
	parent->child_height[side] = 1;
	climb(root, parent);
}

/* The one that follows @node in its right subtree stands in its place then. */
static void replace_by_successor(struct mmun_interval_node **root, struct mmun_interval_node *node)
{
	struct mmun_interval_node *heir = node->child[1], *from;

	while (heir->child[0])
		heir = heir->child[0];
	from = heir->parent == node ? heir : heir->parent;
	if (from != heir) {
		adopt(from, 0, heir->child[1]);
		/* As it was with @heir in it; corrected by the climb. */
		heir->child[1] = node->child[1];
		heir->child_last[1] = node->child_last[1];
		heir->child_height[1] = node->child_height[1];
		heir->child[1]->parent = heir;
	}
	heir->child[0] = node->child[0];
	heir->child_last[0] = node->child_last[0];
	heir->child_height[0] = node->child_height[0];
	heir->child[0]->parent = heir;
	take_place(root, node, heir);
	/* Two gaps: one where it was, one where it is now. */
	climb(root, from);
	climb(root, heir);
}

void mmun_itree_remove(struct mmun_interval_node **root, struct mmun_interval_node *node)
{
	struct mmun_interval_node *parent = node->parent, *child;
	unsigned int side;

	if (node->child[0] && node->child[1]) {
		replace_by_successor(root, node);
	} else {
		child = node->child[!node->child[0]];
		side = parent && parent->child[1] == node;
		take_place(root, node, child);
		if (parent) {
			parent->child_last[side] = child ? reach(child) : 0;
			parent->child_height[side] = child ? height_of(child) : 0;
			climb(root, parent);
		}
	}
	node->in_tree = 0;
}

/* The subtree of @node reaches @start.  Whatever lies to the right of an
 * interval that begins behind @last does so too. */
static struct mmun_interval_node *leftmost(struct mmun_interval_node *node,
					   unsigned long start, unsigned long last)
{
	for (;;) {
		if (node->child[0] && node->child_last[0] >= start) {
			node = node->child[0];
			continue;
		}
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
		if (!node->child[1] || node->child_last[1] < start)
			return NULL;
		node = node->child[1];
	}
}

struct mmun_interval_node *mmun_itree_first(struct mmun_interval_node *root,
					    unsigned long start, unsigned long last)
{
	if (!root || last < start || reach(root) < start)
		return NULL;
	return leftmost(root, start, last);
}

struct mmun_interval_node *mmun_itree_next(struct mmun_interval_node *node,
					   unsigned long start, unsigned long last)
{
	struct mmun_interval_node *came_from;

	for (;;) {
		if (node->child[1] && node->child_last[1] >= start)
			return leftmost(node->child[1], start, last);
		do {
			came_from = node;
			node = node->parent;
			if (!node)
				return NULL;
		} while (node->child[1] == came_from);
		if (node->start > last)
			return NULL;
		if (node->last >= start)
			return node;
	}
}
