/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tables of hash lists whose size is known when compiling. */
#ifndef MMUN_COMPAT_LINUX_HASHTABLE_H
#define MMUN_COMPAT_LINUX_HASHTABLE_H

#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/rculist.h>

#define DECLARE_HASHTABLE(name, bits) struct hlist_head name[1 << (bits)]
#define DEFINE_HASHTABLE(name, bits) \
	struct hlist_head name[1 << (bits)] = { [0 ...(1 << (bits)) - 1] = HLIST_HEAD_INIT }
#define HASH_SIZE(name) ARRAY_SIZE(name)
#define HASH_BITS(name) ilog2(HASH_SIZE(name))
#define hash_init(table) \
	do { \
		for (size_t mmun_i = 0; mmun_i < HASH_SIZE(table); mmun_i++) \
			INIT_HLIST_HEAD(&(table)[mmun_i]); \
	} while (0)
#define mmun_compat_bucket(table, key) (&(table)[hash_long(key, (unsigned int)HASH_BITS(table))])
#define hash_add(table, node, key)     hlist_add_head(node, mmun_compat_bucket(table, key))
#define hash_add_rcu(table, node, key) hlist_add_head_rcu(node, mmun_compat_bucket(table, key))
#define hash_del(node)                 hlist_del_init(node)
#define hash_del_rcu(node)             hlist_del_init_rcu(node)
#define hash_for_each_possible(table, obj, member, key) \
	hlist_for_each_entry(obj, mmun_compat_bucket(table, key), member)
#define hash_for_each_possible_rcu(table, obj, member, key) \
	hlist_for_each_entry_rcu(obj, mmun_compat_bucket(table, key), member)
#define hash_for_each(table, bkt, obj, member) \
	for ((bkt) = 0; (size_t)(bkt) < HASH_SIZE(table); (bkt)++) \
		hlist_for_each_entry(obj, &(table)[bkt], member)
#define hash_for_each_safe(table, bkt, tmp, obj, member) \
	for ((bkt) = 0; (size_t)(bkt) < HASH_SIZE(table); (bkt)++) \
		hlist_for_each_entry_safe(obj, tmp, &(table)[bkt], member)

#endif
