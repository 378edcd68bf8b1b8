/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Frame numbers. */
#ifndef MMUN_COMPAT_LINUX_PFN_H
#define MMUN_COMPAT_LINUX_PFN_H

#include <linux/types.h>

#define PFN_PHYS(pfn)     ((phys_addr_t)(pfn) << 12)
#define PHYS_PFN(address) ((unsigned long)((address) >> 12))
#define PFN_UP(x)         (((x) + 4095ul) >> 12)
#define PFN_DOWN(x)       ((x) >> 12)

#endif
