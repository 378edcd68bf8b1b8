/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* See linux/kthread.h too. */
#ifndef MMUN_COMPAT_LINUX_MMU_CONTEXT_H
#define MMUN_COMPAT_LINUX_MMU_CONTEXT_H

#include <linux/kthread.h>

/* An IOMMU may walk the page tables of each. */
static inline bool arch_pgtable_dma_compat(struct mm_struct *mm)
{
	return true;
}

#endif
