/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bitmaps: declare, zero, fill, set and clear runs, empty, full, weight. */
#ifndef MMUN_COMPAT_LINUX_BITMAP_H
#define MMUN_COMPAT_LINUX_BITMAP_H

#include <linux/bitops.h>
#include <linux/find.h>
#include <linux/slab.h>
#include <linux/string.h>

static inline void bitmap_zero(unsigned long *dst, unsigned int nbits)
{
	memset(dst, 0, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline void bitmap_fill(unsigned long *dst, unsigned int nbits)
{
	memset(dst, 0xff, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline void bitmap_copy(unsigned long *dst, const unsigned long *src, unsigned int nbits)
{
	memcpy(dst, src, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline void bitmap_set(unsigned long *map, unsigned int start, unsigned int nbits)
{
	for (; nbits; nbits--)
		__set_bit(start++, map);
}

static inline void bitmap_clear(unsigned long *map, unsigned int start, unsigned int nbits)
{
	for (; nbits; nbits--)
		__clear_bit(start++, map);
}

static inline bool bitmap_empty(const unsigned long *map, unsigned int nbits)
{
	return find_first_bit(map, nbits) == nbits;
}

static inline bool bitmap_full(const unsigned long *map, unsigned int nbits)
{
	return find_first_zero_bit(map, nbits) == nbits;
}

static inline unsigned int bitmap_weight(const unsigned long *map, unsigned int nbits)
{
	unsigned int weight = 0;
	unsigned long bit;

	for_each_set_bit(bit, map, nbits)
		weight++;
	return weight;
}

static inline unsigned long *bitmap_zalloc(unsigned int nbits, gfp_t flags)
{
	return (unsigned long *)kcalloc(BITS_TO_LONGS(nbits), sizeof(long), flags);
}

static inline void bitmap_free(const unsigned long *map)
{
	kfree(map);
}

#endif
