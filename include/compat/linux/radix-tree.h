/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Pointers by index: an xarray by its older names. */
#ifndef MMUN_COMPAT_LINUX_RADIX_TREE_H
#define MMUN_COMPAT_LINUX_RADIX_TREE_H

#include <linux/xarray.h>

#define radix_tree_root             xarray
#define INIT_RADIX_TREE(root, mask) xa_init(root)

/* 0; -EEXIST; -ENOMEM. */
static inline int radix_tree_insert(struct radix_tree_root *root, unsigned long index, void *item)
{
	int ret = xa_insert(root, index, item, GFP_ATOMIC);

	return ret == -EBUSY ? -EEXIST : ret;
}

static inline void *radix_tree_lookup(struct radix_tree_root *root, unsigned long index)
{
	return xa_load(root, index);
}

static inline void *radix_tree_delete(struct radix_tree_root *root, unsigned long index)
{
	return xa_erase(root, index);
}

#endif
