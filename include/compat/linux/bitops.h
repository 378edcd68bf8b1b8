/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Single bits of words in memory, and bit searches in a word. */
#ifndef MMUN_COMPAT_LINUX_BITOPS_H
#define MMUN_COMPAT_LINUX_BITOPS_H

#include <linux/bits.h>
#include <linux/types.h>
#include <strings.h>

#define MMUN_BIT_WORD(nr, addr) (((unsigned long *)(unsigned long)(addr)) + (nr) / BITS_PER_LONG)

static inline void set_bit(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_or(MMUN_BIT_WORD(nr, addr), BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_and(MMUN_BIT_WORD(nr, addr), ~BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline void clear_bit_unlock(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_and(MMUN_BIT_WORD(nr, addr), ~BIT_MASK(nr), __ATOMIC_RELEASE);
}

static inline void change_bit(long nr, volatile unsigned long *addr)
{
	__atomic_fetch_xor(MMUN_BIT_WORD(nr, addr), BIT_MASK(nr), __ATOMIC_RELAXED);
}

static inline bool test_and_set_bit(long nr, volatile unsigned long *addr)
{
	return __atomic_fetch_or(MMUN_BIT_WORD(nr, addr), BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}
#define test_and_set_bit_lock(nr, addr) test_and_set_bit(nr, addr)

static inline bool test_and_clear_bit(long nr, volatile unsigned long *addr)
{
	return __atomic_fetch_and(MMUN_BIT_WORD(nr, addr), ~BIT_MASK(nr), __ATOMIC_SEQ_CST) &
	       BIT_MASK(nr);
}

static inline bool test_bit(long nr, const volatile unsigned long *addr)
{
	return __atomic_load_n(MMUN_BIT_WORD(nr, addr), __ATOMIC_RELAXED) & BIT_MASK(nr);
}

/* Not atomic: the caller holds a lock. */
static inline void __set_bit(long nr, volatile unsigned long *addr)
{
	*MMUN_BIT_WORD(nr, addr) |= BIT_MASK(nr);
}

static inline void __clear_bit(long nr, volatile unsigned long *addr)
{
	*MMUN_BIT_WORD(nr, addr) &= ~BIT_MASK(nr);
}

static inline bool __test_and_set_bit(long nr, volatile unsigned long *addr)
{
	bool old = *MMUN_BIT_WORD(nr, addr) & BIT_MASK(nr);

	__set_bit(nr, addr);
	return old;
}

static inline bool __test_and_clear_bit(long nr, volatile unsigned long *addr)
{
	bool old = *MMUN_BIT_WORD(nr, addr) & BIT_MASK(nr);

	__clear_bit(nr, addr);
	return old;
}

/* Bits count from 0 in the __ffs family, from 1 in ffs() (libc's) and fls(). */
static inline unsigned long __ffs(unsigned long word)
{
	return (unsigned long)__builtin_ctzl(word);
}

static inline unsigned long __fls(unsigned long word)
{
	return (unsigned long)(BITS_PER_LONG - 1 - __builtin_clzl(word));
}
#define ffz(word) __ffs(~(word))

static inline int fls(unsigned int x)
{
	return x ? 32 - __builtin_clz(x) : 0;
}

static inline int fls64(u64 x)
{
	return x ? 64 - __builtin_clzll(x) : 0;
}

#define fls_long(x)     ((unsigned int)fls64(x))
#define hweight8(w)     ((unsigned int)__builtin_popcount((u8)(w)))
#define hweight16(w)    ((unsigned int)__builtin_popcount((u16)(w)))
#define hweight32(w)    ((unsigned int)__builtin_popcount((u32)(w)))
#define hweight64(w)    ((unsigned int)__builtin_popcountll(w))
#define hweight_long(w) ((unsigned long)__builtin_popcountl(w))

#include <linux/find.h>

#endif
