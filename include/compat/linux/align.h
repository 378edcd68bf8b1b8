/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Rounding to powers of two. */
#ifndef MMUN_COMPAT_LINUX_ALIGN_H
#define MMUN_COMPAT_LINUX_ALIGN_H

#define ALIGN(x, a)      (((x) + ((__typeof__(x))(a)-1)) & ~((__typeof__(x))(a)-1))
#define ALIGN_DOWN(x, a) ((x) & ~((__typeof__(x))(a)-1))
#define IS_ALIGNED(x, a) (((x) & ((__typeof__(x))(a)-1)) == 0)
#define PTR_ALIGN(p, a)  ((__typeof__(p))ALIGN((unsigned long)(p), (a)))

#endif
