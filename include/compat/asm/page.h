/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The size of a page. */
#ifndef MMUN_COMPAT_ASM_PAGE_H
#define MMUN_COMPAT_ASM_PAGE_H

#include <linux/align.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ul << PAGE_SHIFT)
#define PAGE_MASK (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(address) ALIGN(address, PAGE_SIZE)
#define PAGE_ALIGN_DOWN(address) ALIGN_DOWN(address, PAGE_SIZE)
#define PAGE_ALIGNED(address) IS_ALIGNED((unsigned long)(address), PAGE_SIZE)
#define offset_in_page(p) ((unsigned long)(p) & ~PAGE_MASK)

#endif
