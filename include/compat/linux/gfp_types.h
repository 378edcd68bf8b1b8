/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Only whether an allocation may sleep, and whether it is zeroed, matter here. */
#ifndef MMUN_COMPAT_LINUX_GFP_TYPES_H
#define MMUN_COMPAT_LINUX_GFP_TYPES_H

#define __GFP_IO             0x40u
#define __GFP_FS             0x80u
#define __GFP_ZERO           0x100u
#define __GFP_DIRECT_RECLAIM 0x400u
#define __GFP_KSWAPD_RECLAIM 0x800u
#define __GFP_RECLAIM        (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define __GFP_NOWARN         0x2000u
#define __GFP_RETRY_MAYFAIL  0x4000u
#define __GFP_NOFAIL         0x8000u
#define __GFP_NORETRY        0x10000u
#define __GFP_COMP           0x40000u
#define __GFP_ACCOUNT        0x400000u
#define __GFP_HIGHMEM        0x2u
#define GFP_ATOMIC           0x820u
#define GFP_KERNEL           (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_KERNEL_ACCOUNT   (GFP_KERNEL | __GFP_ACCOUNT)
#define GFP_NOWAIT           __GFP_KSWAPD_RECLAIM
#define GFP_NOIO             __GFP_RECLAIM
#define GFP_NOFS             (__GFP_RECLAIM | __GFP_IO)
#define GFP_USER             GFP_KERNEL
#define GFP_HIGHUSER_MOVABLE GFP_HIGHUSER
#define GFP_HIGHUSER         (GFP_KERNEL | __GFP_HIGHMEM)

#endif
