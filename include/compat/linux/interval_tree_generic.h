/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* INTERVAL_TREE_DEFINE: insert, remove, iter_first and iter_next over closed intervals
 * in objects of the caller.  The largest end of a subtree is kept in each node. */
#ifndef MMUN_COMPAT_LINUX_INTERVAL_TREE_GENERIC_H
#define MMUN_COMPAT_LINUX_INTERVAL_TREE_GENERIC_H

#include <linux/rbtree.h>

#define INTERVAL_TREE_DEFINE(type, rb, itype, subtree, START, LAST, qual, prefix) \
	static inline itype prefix##_mmun_max(struct rb_node *node) \
	{ \
		type *object = rb_entry(node, type, rb); \
		itype last = LAST(object); \
\
		if (node->rb_left && rb_entry(node->rb_left, type, rb)->subtree > last) \
			last = rb_entry(node->rb_left, type, rb)->subtree; \
		if (node->rb_right && rb_entry(node->rb_right, type, rb)->subtree > last) \
			last = rb_entry(node->rb_right, type, rb)->subtree; \
		return last; \
	} \
\
	static bool prefix##_mmun_update(struct rb_node *node) \
	{ \
		type *object = rb_entry(node, type, rb); \
		itype max = prefix##_mmun_max(node), old = object->subtree; \
\
		object->subtree = max; \
		return max != old; \
	} \
\
	qual __maybe_unused void prefix##_insert(type *object, struct rb_root_cached *root) \
	{ \
		struct rb_node **link = &root->rb_root.rb_node, *parent = NULL; \
		bool leftmost = true; \
\
		while (*link) { \
			parent = *link; \
			if (START(object) < START(rb_entry(parent, type, rb))) { \
				link = &parent->rb_left; \
			} else { \
				link = &parent->rb_right; \
				leftmost = false; \
			} \
		} \
		rb_link_node(&object->rb, parent, link); \
		if (leftmost) \
			root->rb_leftmost = &object->rb; \
		mmun_compat_rb_insert(&object->rb, &root->rb_root, prefix##_mmun_update); \
	} \
\
	qual __maybe_unused void prefix##_remove(type *object, struct rb_root_cached *root) \
	{ \
		if (root->rb_leftmost == &object->rb) \
			root->rb_leftmost = rb_next(&object->rb); \
		mmun_compat_rb_erase(&object->rb, &root->rb_root, prefix##_mmun_update); \
	} \
\
	/* The lowest object below @node that touches [start,last]. */ \
	static inline type *prefix##_mmun_lowest(struct rb_node *node, itype start, itype last) \
	{ \
		while (node && rb_entry(node, type, rb)->subtree >= start) { \
			type *object = rb_entry(node, type, rb); \
\
			if (node->rb_left && \
			    rb_entry(node->rb_left, type, rb)->subtree >= start) { \
				/* If nothing there starts early enough, nothing later does. */ \
				node = node->rb_left; \
			} else if (START(object) > last) { \
				return NULL; \
			} else if (LAST(object) >= start) { \
				return object; \
			} else { \
				node = node->rb_right; \
			} \
		} \
		return NULL; \
	} \
\
	qual __maybe_unused type *prefix##_iter_first(struct rb_root_cached *root, itype start, \
						      itype last) \
	{ \
		return prefix##_mmun_lowest(root->rb_root.rb_node, start, last); \
	} \
\
	qual __maybe_unused type *prefix##_iter_next(type *object, itype start, itype last) \
	{ \
		struct rb_node *node = &object->rb; \
\
		for (;;) { \
			struct rb_node *child = node->rb_right; \
\
			if (child && rb_entry(child, type, rb)->subtree >= start) \
				return prefix##_mmun_lowest(child, start, last); \
			while (node->rb_parent && node->rb_parent->rb_right == node) \
				node = node->rb_parent; \
			node = node->rb_parent; \
			if (!node || START(rb_entry(node, type, rb)) > last) \
				return NULL; \
			if (LAST(rb_entry(node, type, rb)) >= start) \
				return rb_entry(node, type, rb); \
		} \
	}

#endif
