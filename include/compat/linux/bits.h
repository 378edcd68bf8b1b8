/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bits and masks of a word. */
#ifndef MMUN_COMPAT_LINUX_BITS_H
#define MMUN_COMPAT_LINUX_BITS_H

#include <linux/build_bug.h>

#define BITS_PER_BYTE 8
#ifndef BITS_PER_LONG
#define BITS_PER_LONG 64
#endif
#define BITS_PER_LONG_LONG 64
#define BIT(nr)            (1ul << (nr))
#define BIT_ULL(nr)        (1ull << (nr))
#define BIT_MASK(nr)       (1ul << ((nr) % BITS_PER_LONG))
#define BIT_WORD(nr)       ((nr) / BITS_PER_LONG)
#define GENMASK(h, l)      ((~0ul << (l)) & (~0ul >> (BITS_PER_LONG - 1 - (h))))
#define GENMASK_ULL(h, l)  ((~0ull << (l)) & (~0ull >> (BITS_PER_LONG_LONG - 1 - (h))))

#endif
