/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Two kinds of lists.
 *
 * mmun_list_*: one head pointer, walked without a lock inside a read section,
 * changed under a lock.  Its node is the public struct mmun_list_node.
 * mmun_dlist_*: circular, head and nodes alike, everything under a lock.
 */
#ifndef MMUN_BASE_LIST_H
#define MMUN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include <mmunotify/mmu_notifier.h>

#include "atomic.h"

#define mmun_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

struct mmun_list_head {
	struct mmun_list_node *first;
};

static inline bool mmun_list_empty(const struct mmun_list_head *head)
{
	return !mmun_load_relaxed(&head->first);
}

/* Under the lock.  True before the first add and after each delete. */
static inline bool mmun_list_unhashed(const struct mmun_list_node *node)
{
	return !node->pprev;
}

/* What a reader follows; acquire, so that the node's contents are there. */
static inline struct mmun_list_node *mmun_list_first(const struct mmun_list_head *head)
{
	return mmun_load_acquire(&head->first);
}

static inline struct mmun_list_node *mmun_list_next(const struct mmun_list_node *node)
{
	return mmun_load_acquire(&node->next);
}

/* Under the lock; readers see the node complete or not at all. */
static inline void mmun_list_add_head(struct mmun_list_head *head, struct mmun_list_node *node)
{
	struct mmun_list_node *first = mmun_load_relaxed(&head->first);

	mmun_store_relaxed(&node->next, first);
	node->pprev = &head->first;
	if (first)
		first->pprev = &node->next;
	mmun_store_release(&head->first, node);
}

/*
 * Under the lock; a second delete does nothing.  The forward pointer stays: a
 * reader may stand on the node and still has to find the rest of the list.
 */
static inline void mmun_list_del_init(struct mmun_list_node *node)
{
	struct mmun_list_node *next = mmun_load_relaxed(&node->next);

	if (mmun_list_unhashed(node))
		return;
	mmun_store_release(node->pprev, next);
	if (next)
		next->pprev = node->pprev;
	node->pprev = NULL;
}

struct mmun_dlist {
	struct mmun_dlist *next, *prev;
};

static inline void mmun_dlist_init(struct mmun_dlist *head)
{
	head->next = head->prev = head;
}

/* Also: is a node, initialized or deleted, on no list? */
static inline bool mmun_dlist_empty(const struct mmun_dlist *head)
{
	return head->next == head;
}

static inline void mmun_dlist_add(struct mmun_dlist *node, struct mmun_dlist *after)
{
	node->next = after->next;
	node->prev = after;
	after->next->prev = node;
	after->next = node;
}

static inline void mmun_dlist_add_tail(struct mmun_dlist *node, struct mmun_dlist *head)
{
	mmun_dlist_add(node, head->prev);
}

static inline void mmun_dlist_del(struct mmun_dlist *node)
{
	node->next->prev = node->prev;
	node->prev->next = node->next;
	mmun_dlist_init(node);
}

#define mmun_dlist_for_each(node, head) \
	for ((node) = (head)->next; (node) != (head); (node) = (node)->next)

#endif
