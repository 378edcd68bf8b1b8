/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Binary search trees whose nodes live in the caller's objects.  The contract is that of
 * the kernel's red-black trees; inside are treaps, see compat/rbtree.c. */
#ifndef MMUN_COMPAT_LINUX_RBTREE_H
#define MMUN_COMPAT_LINUX_RBTREE_H

#include <linux/container_of.h>
#include <linux/types.h>

struct rb_node {
	struct rb_node *rb_parent, *rb_left, *rb_right;
};

struct rb_root {
	struct rb_node *rb_node;
};

struct rb_root_cached {
	struct rb_root rb_root;
	struct rb_node *rb_leftmost;
};

#define RB_ROOT \
	(struct rb_root) \
	{ \
		NULL \
	}
#define RB_ROOT_CACHED \
	(struct rb_root_cached) \
	{ \
		{ NULL }, NULL \
	}
#define RB_EMPTY_ROOT(root)         (READ_ONCE((root)->rb_node) == NULL)
#define RB_EMPTY_NODE(node)         ((node)->rb_parent == (node))
#define RB_CLEAR_NODE(node)         ((node)->rb_parent = (node))
#define rb_parent(node)             ((node)->rb_parent)
#define rb_entry(ptr, type, member) container_of(ptr, type, member)
#define rb_entry_safe(ptr, type, member) \
	({ \
		__typeof__(ptr) mmun_node = (ptr); \
		mmun_node ? rb_entry(mmun_node, type, member) : NULL; \
	})

struct rb_node *rb_first(const struct rb_root *root);
struct rb_node *rb_last(const struct rb_root *root);
struct rb_node *rb_next(const struct rb_node *node);
struct rb_node *rb_prev(const struct rb_node *node);
struct rb_node *rb_first_postorder(const struct rb_root *root);
struct rb_node *rb_next_postorder(const struct rb_node *node);
void rb_replace_node(struct rb_node *victim, struct rb_node *node, struct rb_root *root);

/* @update recomputes what a node knows of its subtree and returns whether that has changed;
 * NULL: it knows nothing. */
void mmun_compat_rb_insert(struct rb_node *node, struct rb_root *root,
			   bool (*update)(struct rb_node *node));
void mmun_compat_rb_erase(struct rb_node *node, struct rb_root *root,
			  bool (*update)(struct rb_node *node));

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
	*node = (struct rb_node){ .rb_parent = parent };
	*link = node;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	mmun_compat_rb_insert(node, root, NULL);
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	mmun_compat_rb_erase(node, root, NULL);
}

#define rb_first_cached(root) ((root)->rb_leftmost)

static inline void rb_insert_color_cached(struct rb_node *node, struct rb_root_cached *root,
					  bool leftmost)
{
	if (leftmost)
		root->rb_leftmost = node;
	rb_insert_color(node, &root->rb_root);
}

static inline void rb_erase_cached(struct rb_node *node, struct rb_root_cached *root)
{
	if (root->rb_leftmost == node)
		root->rb_leftmost = rb_next(node);
	rb_erase(node, &root->rb_root);
}

static inline void rb_add(struct rb_node *node, struct rb_root *tree,
			  bool (*less)(struct rb_node *a, const struct rb_node *b))
{
	struct rb_node **link = &tree->rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = less(node, parent) ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(node, parent, link);
	rb_insert_color(node, tree);
}

static inline struct rb_node *rb_find(const void *key, const struct rb_root *tree,
				      int (*cmp)(const void *key, const struct rb_node *node))
{
	struct rb_node *node = tree->rb_node;

	while (node) {
		int c = cmp(key, node);

		if (!c)
			break;
		node = c < 0 ? node->rb_left : node->rb_right;
	}
	return node;
}

#define rbtree_postorder_for_each_entry_safe(pos, n, root, member) \
	for ((pos) = rb_entry_safe(rb_first_postorder(root), __typeof__(*(pos)), member); \
	     (pos) && ({ \
		     (n) = rb_entry_safe(rb_next_postorder(&(pos)->member), __typeof__(*(pos)), \
					 member); \
		     1; \
	     }); \
	     (pos) = (n))

#endif
