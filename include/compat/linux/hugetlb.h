/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* MAP_HUGETLB of private memory; there is no hugetlbfs.  Pages are those of linux/mm.h, 512 of them to a
 * huge one. */
#ifndef MMUN_COMPAT_LINUX_HUGETLB_H
#define MMUN_COMPAT_LINUX_HUGETLB_H

#include <linux/mm.h>

#define is_vm_hugetlb_page(vma) (!!((vma)->vm_flags & VM_HUGETLB))

#endif
