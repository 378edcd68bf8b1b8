/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's red-black trees, as the treaps of base/tree.h: a struct rb_node is laid out
 * as a node there.
 *
 * I1  The order is the caller's, the balance that of base/tree.h; a driver sees no colours.
 * I2  What a node knows of its subtree is right in every node after each call.
 *
 * Tests: tests/contract/compat/data.c.
 */
#include "runtime.h"

#include <linux/interval_tree.h>
#include <linux/interval_tree_generic.h>

#include "tree.h"

#define SAME_PLACE(ours, theirs) \
	_Static_assert(offsetof(struct mmun_tree_node, ours) == offsetof(struct rb_node, theirs), \
		       "a node is one there")
SAME_PLACE(parent, rb_parent);
SAME_PLACE(left, rb_left);
SAME_PLACE(right, rb_right);
_Static_assert(sizeof(struct mmun_tree_node) == sizeof(struct rb_node) &&
		       sizeof(struct mmun_tree) == sizeof(struct rb_root),
	       "and a root one there");

static struct mmun_tree_node *node_of(const struct rb_node *node)
{
	return (struct mmun_tree_node *)(uintptr_t)node;
}

static struct rb_node *rb_of(struct mmun_tree_node *node)
{
	return (struct rb_node *)node;
}

static struct mmun_tree *tree_of(const struct rb_root *root)
{
	return (struct mmun_tree *)(uintptr_t)root;
}

void mmun_compat_rb_insert(struct rb_node *node, struct rb_root *root,
			   bool (*update)(struct rb_node *node))
{
	mmun_tree_linked(tree_of(root), node_of(node), (mmun_tree_update)update);
}

void mmun_compat_rb_erase(struct rb_node *node, struct rb_root *root,
			  bool (*update)(struct rb_node *node))
{
	mmun_tree_remove(tree_of(root), node_of(node), (mmun_tree_update)update);
}

struct rb_node *rb_first(const struct rb_root *root)
{
	return rb_of(mmun_tree_first(tree_of(root)));
}

struct rb_node *rb_last(const struct rb_root *root)
{
	return rb_of(mmun_tree_last(tree_of(root)));
}

struct rb_node *rb_next(const struct rb_node *node)
{
	return RB_EMPTY_NODE(node) ? NULL : rb_of(mmun_tree_next(node_of(node)));
}

struct rb_node *rb_prev(const struct rb_node *node)
{
	return RB_EMPTY_NODE(node) ? NULL : rb_of(mmun_tree_prev(node_of(node)));
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
	*mmun_tree_link(tree_of(root), node_of(victim)) = node_of(node);
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
