/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Caches are coherent. */
#ifndef MMUN_COMPAT_ASM_CACHEFLUSH_H
#define MMUN_COMPAT_ASM_CACHEFLUSH_H

#define clflush(p)              __builtin_ia32_clflush(p)
#define flush_dcache_page(page) ((void)(page))

#endif
