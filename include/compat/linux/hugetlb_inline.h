/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A part of linux/hugetlb.h. */
#ifndef MMUN_COMPAT_LINUX_HUGETLB_INLINE_H
#define MMUN_COMPAT_LINUX_HUGETLB_INLINE_H

#include <linux/hugetlb.h>

#endif
