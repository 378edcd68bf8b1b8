/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bit searches in bitmaps: first and next, set and clear. */
#ifndef MMUN_COMPAT_LINUX_FIND_H
#define MMUN_COMPAT_LINUX_FIND_H

#include <linux/bits.h>

/* The first bit at or after @from that is set in @addr ^ @invert; @size if none. */
static inline unsigned long mmun_compat_find_bit(const unsigned long *addr, unsigned long size,
						 unsigned long from, unsigned long invert)
{
	while (from < size) {
		unsigned long word = (addr[from / BITS_PER_LONG] ^ invert) >> from % BITS_PER_LONG;

		if (word) {
			from += (unsigned long)__builtin_ctzl(word);
			return from < size ? from : size;
		}
		from += BITS_PER_LONG - from % BITS_PER_LONG;
	}
	return size;
}

#define find_first_bit(addr, size)           mmun_compat_find_bit(addr, size, 0, 0)
#define find_next_bit(addr, size, from)      mmun_compat_find_bit(addr, size, from, 0)
#define find_first_zero_bit(addr, size)      mmun_compat_find_bit(addr, size, 0, ~0ul)
#define find_next_zero_bit(addr, size, from) mmun_compat_find_bit(addr, size, from, ~0ul)

#define for_each_set_bit(bit, addr, size) \
	for ((bit) = find_first_bit(addr, size); (bit) < (size); \
	     (bit) = find_next_bit(addr, size, (bit) + 1))
#define for_each_clear_bit(bit, addr, size) \
	for ((bit) = find_first_zero_bit(addr, size); (bit) < (size); \
	     (bit) = find_next_zero_bit(addr, size, (bit) + 1))

#endif
