/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parts of a word, by a mask of adjacent bits. */
#ifndef MMUN_COMPAT_LINUX_BITFIELD_H
#define MMUN_COMPAT_LINUX_BITFIELD_H

#include <linux/bits.h>
#include <linux/types.h>

#define MMUN_COMPAT_SHIFT(mask) __builtin_ctzll(mask)

#define FIELD_MAX(mask)         ((typeof(mask))((mask) >> MMUN_COMPAT_SHIFT(mask)))
#define FIELD_FIT(mask, value)  (!(((typeof(mask))(value) << MMUN_COMPAT_SHIFT(mask)) & ~(mask)))
#define FIELD_PREP(mask, value) (((typeof(mask))(value) << MMUN_COMPAT_SHIFT(mask)) & (mask))
#define FIELD_GET(mask, reg)    ((typeof(mask))(((reg) & (mask)) >> MMUN_COMPAT_SHIFT(mask)))

#endif
