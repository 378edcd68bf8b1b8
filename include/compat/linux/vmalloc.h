/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* As kmalloc(), but for what tasks map too. */
#ifndef MMUN_COMPAT_LINUX_VMALLOC_H
#define MMUN_COMPAT_LINUX_VMALLOC_H

#include <linux/slab.h>

#define vmalloc(size)          kmalloc(size, GFP_KERNEL)
#define vzalloc(size)          kzalloc(size, GFP_KERNEL)
#define vcalloc(n, size)       kcalloc(n, size, GFP_KERNEL)
#define vmalloc_array(n, size) kmalloc_array(n, size, GFP_KERNEL)

/* Frames of the machine, zeroed, for remap_vmalloc_range(); the block keeps them until vfree(). */
void *vmalloc_user(unsigned long size);
void vfree(const void *address);
/* All of @vma, from page @pgoff of such a block on.  mmap lock held for write.
 * 0; -EINVAL: no such block, or not as many pages; what vm_insert_page() returns. */
struct vm_area_struct;
int remap_vmalloc_range(struct vm_area_struct *vma, void *address, unsigned long pgoff);

#endif
