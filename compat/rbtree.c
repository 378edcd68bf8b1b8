/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trees with the nodes in the caller's objects.
 *
 * I1  A treap: a search tree by the caller's order, a heap by a number made of the
 *     node's address.  Balanced by chance as a red-black tree is by rule, with
 *     nothing to keep in the node.
 * I2  What a node knows of its subtree is right in every node after each call: it is
 *     recomputed from the lowest changed node up to the root.
 *
 * Tests: tests/contract/compat/data.c.
 */
#include "runtime.h"

#include <linux/interval_tree.h>
#include <linux/interval_tree_generic.h>

static u64 rank(const struct rb_node *node)
{
	u64 x = (u64)(uintptr_t)node * 0x9e3779b97f4a7c15ull;

	return (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
}

static struct rb_node **link_of(struct rb_node *node, struct rb_root *root)
{
	if (!node->rb_parent)
		return &root->rb_node;
	return node->rb_parent->rb_left == node ? &node->rb_parent->rb_left
						: &node->rb_parent->rb_right;
}

static void rotate_up(struct rb_node *child, struct rb_root *root)
{
	struct rb_node *parent = child->rb_parent, **link = link_of(parent, root), *moved;

	if (parent->rb_left == child) {
		moved = child->rb_right;
		parent->rb_left = moved;
		child->rb_right = parent;
	} else {
		moved = child->rb_left;
		parent->rb_right = moved;
		child->rb_left = parent;
	}
	if (moved)
		moved->rb_parent = parent;
	child->rb_parent = parent->rb_parent;
	parent->rb_parent = child;
	*link = child;
}

/* I2 */
static void update_up(struct rb_node *node, void (*update)(struct rb_node *node))
{
	for (; node && update; node = node->rb_parent)
		update(node);
}

void mmun_compat_rb_insert(struct rb_node *node, struct rb_root *root,
			   void (*update)(struct rb_node *node))
{
	while (node->rb_parent && rank(node) > rank(node->rb_parent)) {
		struct rb_node *parent = node->rb_parent;

		rotate_up(node, root);
		if (update)
			update(parent);
	}
	update_up(node, update);
}

void mmun_compat_rb_erase(struct rb_node *node, struct rb_root *root,
			  void (*update)(struct rb_node *node))
{
	struct rb_node *child;

	while (node->rb_left && node->rb_right)
		rotate_up(rank(node->rb_left) > rank(node->rb_right) ? node->rb_left
								     : node->rb_right,
			  root);
	child = node->rb_left ? node->rb_left : node->rb_right;
	*link_of(node, root) = child;
	if (child)
		child->rb_parent = node->rb_parent;
	update_up(node->rb_parent, update);
}

static struct rb_node *leftmost(struct rb_node *node)
{
	while (node && node->rb_left)
		node = node->rb_left;
	return node;
}

static struct rb_node *rightmost(struct rb_node *node)
{
	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

struct rb_node *rb_first(const struct rb_root *root)
{
	return leftmost(root->rb_node);
}

struct rb_node *rb_last(const struct rb_root *root)
{
	return rightmost(root->rb_node);
}

struct rb_node *rb_next(const struct rb_node *node)
{
	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_right)
		return leftmost(node->rb_right);
	while (node->rb_parent && node->rb_parent->rb_right == node)
		node = node->rb_parent;
	return node->rb_parent;
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	if (RB_EMPTY_NODE(node))
		return NULL;
	if (node->rb_left)
		return rightmost(node->rb_left);
	while (node->rb_parent && node->rb_parent->rb_left == node)
		node = node->rb_parent;
	return node->rb_parent;
}

static struct rb_node *deepest(struct rb_node *node)
{
	while (node && (node->rb_left || node->rb_right))
		node = node->rb_left ? node->rb_left : node->rb_right;
	return node;
}

struct rb_node *rb_first_postorder(const struct rb_root *root)
{
	return deepest(root->rb_node);
}

struct rb_node *rb_next_postorder(const struct rb_node *node)
{
	struct rb_node *parent = node->rb_parent;

	if (parent && parent->rb_left == node && parent->rb_right)
		return deepest(parent->rb_right);
	return parent;
}

/* The newcomer takes the place whatever its rank: the order stays right, the balance is
 * that of the old node. */
void rb_replace_node(struct rb_node *victim, struct rb_node *node, struct rb_root *root)
{
	*node = *victim;
	*link_of(victim, root) = node;
	if (node->rb_left)
		node->rb_left->rb_parent = node;
	if (node->rb_right)
		node->rb_right->rb_parent = node;
}

static unsigned long start_of(const struct interval_tree_node *node)
{
	return node->start;
}

static unsigned long last_of(const struct interval_tree_node *node)
{
	return node->last;
}

INTERVAL_TREE_DEFINE(struct interval_tree_node, rb, unsigned long, __subtree_last, start_of,
		     last_of, , interval_tree);
