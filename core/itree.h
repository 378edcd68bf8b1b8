/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The tree of an mm's interval notifiers: closed intervals in the order of
 * ->start, found by overlap.  Not here: locks; see interval.h.
 */
#ifndef MMUN_CORE_ITREE_H
#define MMUN_CORE_ITREE_H

#include <stdbool.h>

#include <mmunotify/mmu_notifier.h>

/* ->start and ->last are set.  Equal intervals are allowed. */
void mmun_itree_insert(struct mmun_interval_node **root, struct mmun_interval_node *node);
void mmun_itree_remove(struct mmun_interval_node **root, struct mmun_interval_node *node);

/* The first one that overlaps [start, last], and the next; NULL: none. */
struct mmun_interval_node *mmun_itree_first(struct mmun_interval_node *root,
					    unsigned long start, unsigned long last);
struct mmun_interval_node *mmun_itree_next(struct mmun_interval_node *node,
					   unsigned long start, unsigned long last);

static inline bool mmun_itree_contains(const struct mmun_interval_node *node)
{
	return node->in_tree;
}

#endif
