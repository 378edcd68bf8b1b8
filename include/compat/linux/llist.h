/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists that any thread adds to, and one empties at once, without a lock. */
#ifndef MMUN_COMPAT_LINUX_LLIST_H
#define MMUN_COMPAT_LINUX_LLIST_H

#include <linux/container_of.h>
#include <linux/types.h>

struct llist_node {
	struct llist_node *next;
};

struct llist_head {
	struct llist_node *first;
};

#define LLIST_HEAD_INIT(name) \
	{ \
		NULL \
	}
#define LLIST_HEAD(name) struct llist_head name = LLIST_HEAD_INIT(name)

static inline void init_llist_head(struct llist_head *list)
{
	list->first = NULL;
}

static inline void init_llist_node(struct llist_node *node)
{
	node->next = node;
}

static inline bool llist_empty(const struct llist_head *head)
{
	return !__atomic_load_n(&head->first, __ATOMIC_ACQUIRE);
}

/* From @new_first to @new_last in front of what is there.  True if the list was empty. */
static inline bool llist_add_batch(struct llist_node *new_first, struct llist_node *new_last,
				   struct llist_head *head)
{
	struct llist_node *first = __atomic_load_n(&head->first, __ATOMIC_RELAXED);

	do
		new_last->next = first;
	while (!__atomic_compare_exchange_n(&head->first, &first, new_first, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return !first;
}

static inline bool llist_add(struct llist_node *node, struct llist_head *head)
{
	return llist_add_batch(node, node, head);
}

/* The newest first. */
static inline struct llist_node *llist_del_all(struct llist_head *head)
{
	return __atomic_exchange_n(&head->first, NULL, __ATOMIC_ACQ_REL);
}

static inline struct llist_node *llist_reverse_order(struct llist_node *head)
{
	struct llist_node *reversed = NULL, *next;

	for (; head; head = next) {
		next = head->next;
		head->next = reversed;
		reversed = head;
	}
	return reversed;
}

#define llist_entry(ptr, type, member) container_of(ptr, type, member)

#define llist_for_each(pos, node) for ((pos) = (node); pos; (pos) = (pos)->next)
#define llist_for_each_safe(pos, n, node) \
	for ((pos) = (node); (pos) && ((n) = (pos)->next, true); (pos) = (n))
/* @pos is an entry, or what a NULL node would be the member of. */
#define MMUN_COMPAT_LLIST_NEXT(node, pos, member) \
	({ \
		struct llist_node *mmun_node = (node); \
		mmun_node ? llist_entry(mmun_node, __typeof__(*(pos)), member) : NULL; \
	})
#define llist_for_each_entry(pos, node, member) \
	for ((pos) = MMUN_COMPAT_LLIST_NEXT(node, pos, member); pos; \
	     (pos) = MMUN_COMPAT_LLIST_NEXT((pos)->member.next, pos, member))
#define llist_for_each_entry_safe(pos, n, node, member) \
	for ((pos) = MMUN_COMPAT_LLIST_NEXT(node, pos, member); \
	     (pos) && ((n) = MMUN_COMPAT_LLIST_NEXT((pos)->member.next, pos, member), true); \
	     (pos) = (n))

#endif
