/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The size of a page. */
#ifndef MMUN_COMPAT_ASM_PAGE_H
#define MMUN_COMPAT_ASM_PAGE_H

#include <linux/align.h>
#include <linux/types.h>

#define PAGE_SHIFT               12
#define PAGE_SIZE                (1ul << PAGE_SHIFT)
#define PAGE_MASK                (~(PAGE_SIZE - 1))
#define PAGE_ALIGN(address)      ALIGN(address, PAGE_SIZE)
#define PAGE_ALIGN_DOWN(address) ALIGN_DOWN(address, PAGE_SIZE)
#define PAGE_ALIGNED(address)    IS_ALIGNED((unsigned long)(address), PAGE_SIZE)
/* Of a frame of the machine, which lie in one piece; any other address is a bug. */
void *mmun_compat_va(phys_addr_t address);
phys_addr_t mmun_compat_pa(const void *address);
#define __va(address)        mmun_compat_va(address)
#define __pa(address)        mmun_compat_pa((const void *)(address))
#define pfn_to_kaddr(pfn)    __va((phys_addr_t)(pfn) << PAGE_SHIFT)
#define virt_to_pfn(address) ((unsigned long)(__pa(address) >> PAGE_SHIFT))
#define page_to_virt(page)   page_address(page)
#define offset_in_page(p)    ((unsigned long)(p) & ~PAGE_MASK)

#endif
