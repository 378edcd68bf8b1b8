/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There is no hugetlbfs: huge pages are those of linux/mm.h. */
#ifndef MMUN_COMPAT_LINUX_HUGETLB_H
#define MMUN_COMPAT_LINUX_HUGETLB_H

#include <linux/mm.h>

#define is_vm_hugetlb_page(vma) ((void)(vma), false)

#endif
