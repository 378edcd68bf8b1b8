/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* There are no registers to map; whatever a test puts in their place is memory, and these
 * access it, one whole value each.  Physical addresses are those of the machine's frames. */
#ifndef MMUN_COMPAT_ASM_IO_H
#define MMUN_COMPAT_ASM_IO_H

#include <asm/page.h>
#include <linux/compiler.h>
#include <linux/string.h>
#include <linux/types.h>

#define MMUN_COMPAT_IO(suffix, type) \
	static inline type read##suffix(const volatile void __iomem *address) \
	{ \
		return __atomic_load_n((const volatile type *)address, __ATOMIC_ACQUIRE); \
	} \
\
	static inline void write##suffix(type value, volatile void __iomem *address) \
	{ \
		__atomic_store_n((volatile type *)address, value, __ATOMIC_RELEASE); \
	}
MMUN_COMPAT_IO(b, u8)
MMUN_COMPAT_IO(w, u16)
MMUN_COMPAT_IO(l, u32)
MMUN_COMPAT_IO(q, u64)

#define readb_relaxed(address)         readb(address)
#define readw_relaxed(address)         readw(address)
#define readl_relaxed(address)         readl(address)
#define readq_relaxed(address)         readq(address)
#define writeb_relaxed(value, address) writeb(value, address)
#define writew_relaxed(value, address) writew(value, address)
#define writel_relaxed(value, address) writel(value, address)
#define writeq_relaxed(value, address) writeq(value, address)
#define ioread32(address)              readl(address)
#define iowrite32(value, address)      writel(value, address)
#define memcpy_toio(to, from, n)       ((void)memcpy((void *)(to), from, n))
#define memcpy_fromio(to, from, n)     ((void)memcpy(to, (const void *)(from), n))
#define memset_io(to, value, n)        ((void)memset((void *)(to), value, n))

void __iomem *ioremap(phys_addr_t address, unsigned long size)
	MMUN_COMPAT_OUTSIDE("device registers are not there; give the driver memory instead");

#define virt_to_phys(address) __pa(address)
#define phys_to_virt(address) __va(address)

#endif
