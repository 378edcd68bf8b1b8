/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Multiplicative hashes. */
#ifndef MMUN_COMPAT_LINUX_HASH_H
#define MMUN_COMPAT_LINUX_HASH_H

#include <linux/types.h>

static inline u32 hash_64(u64 value, unsigned int bits)
{
	return (u32)(value * 0x9e3779b97f4a7c15ull >> (64 - bits));
}

#define hash_long(value, bits) hash_64((u64)(value), bits)
#define hash_ptr(ptr, bits)    hash_64((u64)(uintptr_t)(ptr), bits)

#endif
