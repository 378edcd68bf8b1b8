/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/rbtree.h. */
#ifndef MMUN_COMPAT_LINUX_RBTREE_TYPES_H
#define MMUN_COMPAT_LINUX_RBTREE_TYPES_H

#include <linux/rbtree.h>

#endif
