/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As kmalloc(). */
#ifndef MMUN_COMPAT_LINUX_VMALLOC_H
#define MMUN_COMPAT_LINUX_VMALLOC_H

#include <linux/slab.h>

#define vmalloc(size)          kmalloc(size, GFP_KERNEL)
#define vzalloc(size)          kzalloc(size, GFP_KERNEL)
#define vmalloc_user(size)     kzalloc(size, GFP_KERNEL)
#define vcalloc(n, size)       kcalloc(n, size, GFP_KERNEL)
#define vmalloc_array(n, size) kmalloc_array(n, size, GFP_KERNEL)
#define vfree(block)           kfree(block)

#endif
