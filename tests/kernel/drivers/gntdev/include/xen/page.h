/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef MMUN_TESTS_KERNEL_XEN_PAGE_H
#define MMUN_TESTS_KERNEL_XEN_PAGE_H

#include <linux/mm.h>

#define XEN_PAGE_SIZE         PAGE_SIZE
#define XEN_PAGE_MASK         PAGE_MASK
#define XEN_PFN_DOWN(address) ((address) >> PAGE_SHIFT)
#define page_to_xen_pfn(page) page_to_pfn(page)
#define pfn_to_gfn(pfn)       (pfn)

typedef struct {
	u64 maddr;
} xmaddr_t;

/* Of an entry of a page table: the test's hypervisor does not write them. */
static inline xmaddr_t arbitrary_virt_to_machine(const void *address)
{
	return (xmaddr_t){ (u64)(unsigned long)address };
}

#endif
