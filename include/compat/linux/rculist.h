/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists that RCU readers walk: what is added is published, what is removed keeps its
 * forward link. */
#ifndef MMUN_COMPAT_LINUX_RCULIST_H
#define MMUN_COMPAT_LINUX_RCULIST_H

#include <linux/list.h>
#include <linux/rcupdate.h>

#define list_add_rcu(entry, head)      list_add(entry, head)
#define list_add_tail_rcu(entry, head) list_add_tail(entry, head)

static inline void list_del_rcu(struct list_head *entry)
{
	__list_del_entry(entry);
	entry->prev = (struct list_head *)LIST_POISON2;
}

static inline void list_replace_rcu(struct list_head *old, struct list_head *entry)
{
	list_replace(old, entry);
	old->prev = (struct list_head *)LIST_POISON2;
}

#define list_entry_rcu(ptr, type, member) container_of(READ_ONCE(ptr), type, member)
#define list_first_or_null_rcu(head, type, member) \
	({ \
		struct list_head *mmun_next = rcu_dereference((head)->next); \
		mmun_next != (head) ? container_of(mmun_next, type, member) : NULL; \
	})
#define list_for_each_entry_rcu(pos, head, member, cond...) \
	for ((pos) = container_of(rcu_dereference((head)->next), __typeof__(*(pos)), member); \
	     &(pos)->member != (head); (pos) = container_of(rcu_dereference((pos)->member.next), \
							    __typeof__(*(pos)), member))
#define list_for_each_entry_srcu(pos, head, member, cond) list_for_each_entry_rcu(pos, head, member)

#define hlist_add_head_rcu(node, head) hlist_add_head(node, head)

static inline void hlist_del_rcu(struct hlist_node *node)
{
	__hlist_del(node);
	node->pprev = (struct hlist_node **)LIST_POISON2;
}

static inline void hlist_del_init_rcu(struct hlist_node *node)
{
	if (hlist_unhashed(node))
		return;
	__hlist_del(node);
	WRITE_ONCE(node->pprev, NULL);
}

#define hlist_for_each_entry_rcu(pos, head, member, cond...) \
	for ((pos) = hlist_entry_safe(rcu_dereference((head)->first), __typeof__(*(pos)), member); \
	     (pos); (pos) = hlist_entry_safe(rcu_dereference((pos)->member.next), \
					     __typeof__(*(pos)), member))
#define hlist_for_each_entry_srcu(pos, head, member, cond) \
	hlist_for_each_entry_rcu(pos, head, member)

#endif
