/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A balanced search tree whose nodes live in the caller's objects and may carry
 * a summary of their subtree (the largest end, the widest gap).
 *
 * It is a treap: a search tree by the caller's key and a heap by a number drawn
 * from the node's address, so its depth is that of a random tree, 2 ln n on
 * average, with no balance to keep in the node.  Nothing here allocates.
 *
 * The operations are inline and take the two functions that know the key and
 * the summary; given constants, the compiler makes a specialised copy.
 *
 * Not here: locks; the caller's.  Tests: tests/unit/base/tree.c.
 */
#ifndef MMUN_BASE_TREE_H
#define MMUN_BASE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mmun_tree_node {
	struct mmun_tree_node *parent, *left, *right;
};

struct mmun_tree {
	struct mmun_tree_node *root;
};

/* Does @a come before @b?  Equal keys are allowed; a new one goes last. */
typedef bool (*mmun_tree_less)(const struct mmun_tree_node *a, const struct mmun_tree_node *b);

/* Computes the summary of @node from its own contents and its children's
 * summaries; returns whether it changed.  NULL: there is none. */
typedef bool (*mmun_tree_update)(struct mmun_tree_node *node);

#define MMUN_TREE_INLINE static inline __attribute__((always_inline, unused))

MMUN_TREE_INLINE uint64_t mmun_tree_rank(const struct mmun_tree_node *node)
{
	uint64_t x = (uint64_t)(uintptr_t)node * 0x9e3779b97f4a7c15ull;

	return (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
}

/* The link that leads to @node. */
MMUN_TREE_INLINE struct mmun_tree_node **mmun_tree_link(struct mmun_tree *tree,
							struct mmun_tree_node *node)
{
	if (!node->parent)
		return &tree->root;
	return node->parent->left == node ? &node->parent->left : &node->parent->right;
}

/* @child takes its parent's place, the parent becomes its child. */
MMUN_TREE_INLINE void mmun_tree_rotate_up(struct mmun_tree *tree, struct mmun_tree_node *child,
					  mmun_tree_update update)
{
	struct mmun_tree_node *parent = child->parent, **link = mmun_tree_link(tree, parent),
			      *moved;

	if (parent->left == child) {
		moved = child->right;
		parent->left = moved;
		child->right = parent;
	} else {
		moved = child->left;
		parent->right = moved;
		child->left = parent;
	}
	if (moved)
		moved->parent = parent;
	child->parent = parent->parent;
	parent->parent = child;
	*link = child;
	if (update) {
		update(parent);
		update(child);
	}
}

/* After the contents of @node changed (not its order): summaries from it up to
 * the root, as far as they change. */
MMUN_TREE_INLINE void mmun_tree_changed(struct mmun_tree_node *node, mmun_tree_update update)
{
	while (node && update(node))
		node = node->parent;
}

/* @node was made a leaf in its place: summaries and balance. */
MMUN_TREE_INLINE void mmun_tree_linked(struct mmun_tree *tree, struct mmun_tree_node *node,
				       mmun_tree_update update)
{
	if (update) {
		update(node);
		mmun_tree_changed(node->parent, update);
	}
	while (node->parent && mmun_tree_rank(node) > mmun_tree_rank(node->parent))
		mmun_tree_rotate_up(tree, node, update);
}

MMUN_TREE_INLINE void mmun_tree_insert(struct mmun_tree *tree, struct mmun_tree_node *node,
				       mmun_tree_less less, mmun_tree_update update)
{
	struct mmun_tree_node **link = &tree->root, *parent = NULL;

	while (*link) {
		parent = *link;
		link = less(node, parent) ? &parent->left : &parent->right;
	}
	*node = (struct mmun_tree_node){ .parent = parent };
	*link = node;
	mmun_tree_linked(tree, node, update);
}

MMUN_TREE_INLINE void mmun_tree_remove(struct mmun_tree *tree, struct mmun_tree_node *node,
				       mmun_tree_update update)
{
	struct mmun_tree_node *child, *parent;

	while (node->left && node->right) {
		child = mmun_tree_rank(node->left) > mmun_tree_rank(node->right) ? node->left
										 : node->right;
		mmun_tree_rotate_up(tree, child, update);
	}
	child = node->left ? node->left : node->right;
	parent = node->parent;
	*mmun_tree_link(tree, node) = child;
	if (child)
		child->parent = parent;
	*node = (struct mmun_tree_node){ NULL, NULL, NULL };
	if (update)
		mmun_tree_changed(parent, update);
}

MMUN_TREE_INLINE struct mmun_tree_node *mmun_tree_first(const struct mmun_tree *tree)
{
	struct mmun_tree_node *node = tree->root;

	while (node && node->left)
		node = node->left;
	return node;
}

MMUN_TREE_INLINE struct mmun_tree_node *mmun_tree_last(const struct mmun_tree *tree)
{
	struct mmun_tree_node *node = tree->root;

	while (node && node->right)
		node = node->right;
	return node;
}

MMUN_TREE_INLINE struct mmun_tree_node *mmun_tree_next(const struct mmun_tree_node *node)
{
	struct mmun_tree_node *up;

	if (node->right) {
		for (up = node->right; up->left; up = up->left)
			;
		return up;
	}
	for (up = node->parent; up && up->right == node; up = up->parent)
		node = up;
	return up;
}

MMUN_TREE_INLINE struct mmun_tree_node *mmun_tree_prev(const struct mmun_tree_node *node)
{
	struct mmun_tree_node *up;

	if (node->left) {
		for (up = node->left; up->right; up = up->right)
			;
		return up;
	}
	for (up = node->parent; up && up->left == node; up = up->parent)
		node = up;
	return up;
}

#endif
