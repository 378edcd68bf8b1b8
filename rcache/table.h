/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which registrations lie where: a hash table of granules.
 *
 * A registration stands under one size of granule, the least of 1, 4, 16, ... pages that is as
 * large as it is, so in one granule or in two; in the second apart from those that begin there,
 * because what is looked for is mostly all of a registration.  A filter says which sizes occur in
 * which 2 MiB of addresses (modulo 8 GiB), so that most look-ups try one size, and none where
 * nothing is.
 *
 * A bucket is two words:
 *
 *     w0   first page (36 bits) | low 28 bits of the number of pages
 *     w1   id (24 bits) | high 8 bits of that | 0 | generation (23 bits) | access (8 bits)
 *
 * I1  The table proposes, the state of the id decides: state[id] is the low half of w1 as long as
 *     the registration may be had, and something else before and afterwards.  Entries of
 *     dead registrations are rubbish that is overwritten some time.
 * I2  One writer at a time.  A bucket is written in the order w1 = MMUN_RC_RUBBISH, w0, w1: a
 *     reader that meets w0 and w1 of different entries has a w1 whose id is dead.
 * I3  Linear probing; at least half of all buckets are empty.  Behind the last one is one that
 *     stays empty, for who looks at the next without wrapping round.
 * I4  A table that is no longer in use reads as empty.  Its head stays, and so does its
 *     memory until the cache ends: readers may be in it.
 *
 * Not here: when a table is built anew, and what a walk is for (cache.h).
 * Tests: tests/unit/rcache/table.c.
 */
#ifndef MMUN_RCACHE_TABLE_H
#define MMUN_RCACHE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "atomic.h"

#define MMUN_RC_PAGE_SHIFT 12
/* Addresses, in pages; what lies above is not kept. */
#define MMUN_RC_PAGES   (1ul << 36)
#define MMUN_RC_RUBBISH 1ul
/* In the state of an id: entered, but not to be had yet. */
#define MMUN_RC_UNBORN (1u << 31)

#define MMUN_RC_FILTER       4096u
#define MMUN_RC_FILTER_SHIFT 9
/* The bits of the product from which a bucket's offset is taken. */
#define MMUN_RC_HASH_SHIFT 32
/* At least so many buckets; tests have less. */
#ifndef MMUN_RC_MIN_BITS
#define MMUN_RC_MIN_BITS 8u
#endif

struct rc_bucket {
	uint64_t w1, w0;
};

struct rc_table {
	/* Of the hash; the second is the size of all buckets in bytes less one bucket. */
	unsigned long factor, mask;
	unsigned int bits;
	/* Buckets that are not empty. */
	unsigned long used;
	/* Those that are not in use any more. */
	struct rc_table *older;
	/* By 2 MiB, the smallest size that occurs, 2^n pages; then all of them, bit i for 4^i. */
	uint8_t smallest[MMUN_RC_FILTER] __attribute__((aligned(64)));
	uint32_t filter[MMUN_RC_FILTER];
	struct rc_bucket bucket[];
};

/* A registration as the table has it. */
struct rc_entry {
	unsigned long first, pages;
	uint32_t id;
	/* What its state is. */
	uint32_t state;
};

static inline unsigned long mmun_rc_pages(uint64_t w0, uint64_t w1)
{
	return (w0 & 0xffffffful) | (w1 >> 4 & 0xfful << 28);
}

static inline uint32_t mmun_rc_id(uint64_t w1)
{
	return (uint32_t)(w1 >> 40);
}

/*
 * Where the registrations of the granule that @page lies in begin to be looked for, in bytes from
 * the first bucket: by the top bits of the product, which spread neighbours evenly (Knuth, The
 * Art of Computer Programming, volume 3, 6.4, Fibonacci hashing).
 */
static inline size_t mmun_rc_home(const struct rc_table *table, unsigned long page,
				  unsigned int shift)
{
	return (page >> shift) * table->factor >> MMUN_RC_HASH_SHIFT & table->mask;
}

/* Where those are looked for that have begun in the granule before. */
static inline size_t mmun_rc_second_home(const struct rc_table *table, unsigned long page,
					 unsigned int shift)
{
	return mmun_rc_home(table, page, shift) ^ 2 * sizeof(struct rc_bucket);
}

static inline size_t mmun_rc_next(const struct rc_table *table, size_t offset)
{
	return (offset + sizeof(struct rc_bucket)) & table->mask;
}

static inline struct rc_bucket *mmun_rc_bucket(const struct rc_table *table, size_t offset)
{
	return (struct rc_bucket *)((char *)(uintptr_t)table->bucket + offset);
}

/* The size of granule that one page and @more stand under, as a shift of pages. */
static inline unsigned int mmun_rc_shift_of(unsigned long more)
{
	return (64 - (unsigned int)__builtin_clzl(2 * more | 1)) & ~1u;
}

/* The same as a bit of the filter. */
static inline unsigned int mmun_rc_level(unsigned long pages)
{
	return mmun_rc_shift_of(pages - 1) / 2;
}

/* Of the size of one page and @more, or of the smallest that occurs where @page is if that is
 * larger. */
static inline const struct rc_bucket *mmun_rc_first_bucket(const struct rc_table *table,
							   unsigned long page, unsigned long more)
{
	const uint8_t shift = (uint8_t)mmun_rc_shift_of(more);
	const uint8_t smallest = mmun_load_relaxed(
		&table->smallest[(page >> MMUN_RC_FILTER_SHIFT) % MMUN_RC_FILTER]);

	return mmun_rc_bucket(table,
			      mmun_rc_home(table, page, shift < smallest ? smallest : shift));
}

static inline uint32_t mmun_rc_shifts(const struct rc_table *table, unsigned long page)
{
	return mmun_load_relaxed(&table->filter[(page >> MMUN_RC_FILTER_SHIFT) % MMUN_RC_FILTER]);
}

/* The sizes of what may hold pages [@first, @last]: nothing that is smaller. */
static inline uint32_t mmun_rc_shifts_for(const struct rc_table *table, unsigned long first,
					  unsigned long last)
{
	return mmun_rc_shifts(table, first) >> mmun_rc_level(last - first + 1)
						       << mmun_rc_level(last - first + 1);
}

size_t mmun_rc_table_size(unsigned int bits);

/* An empty table with 2^@bits buckets; NULL: no memory. */
struct rc_table *mmun_rc_table_create(unsigned int bits);
void mmun_rc_table_free(struct rc_table *table);
/* Its readers find nothing from now on. */
void mmun_rc_table_empty(struct rc_table *table);
/* The pages of an empty one.  False: they are locked (mlockall()), and stay. */
bool mmun_rc_table_give_back(struct rc_table *table);

/* Is there room for a registration, for certain? */
bool mmun_rc_table_has_room(const struct rc_table *table);
/* Adds it; there is room. */
void mmun_rc_table_add(struct rc_table *table, const uint32_t *state, const struct rc_entry *entry);

/*
 * mmun_rc_table_walk() - each entry that overlaps pages [@first, @last].
 * @visit: may be called twice for one, and for dead ones
 * @most: how many granules to look at
 *
 * Return: false, and nothing was done, if there are more of them.
 */
bool mmun_rc_table_walk(const struct rc_table *table, unsigned long first, unsigned long last,
			unsigned long most, void (*visit)(const struct rc_entry *entry, void *arg),
			void *arg);

#endif
