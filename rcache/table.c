/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "table.h"

#include <string.h>
#include <sys/mman.h>

#include "memory.h"

size_t mmun_rc_table_size(unsigned int bits)
{
	const size_t size = offsetof(struct rc_table, bucket) + (sizeof(struct rc_bucket) << bits) +
			    sizeof(struct rc_bucket);

	return (size + MMUN_RC_PAGE - 1) & ~(MMUN_RC_PAGE - 1);
}

struct rc_table *mmun_rc_table_create(unsigned int bits)
{
	const size_t size = mmun_rc_table_size(bits);
	/* A forked child that returns into a look-up finds nothing, with a head that is right. */
	struct rc_table *table = mmun_rc_map(size, MMUN_RC_PAGE);

	if (!table)
		return NULL;
	if (size >= 2ul << 20)
		(void)mmun_syscall3(SYS_madvise, (unsigned long)table, size, MADV_HUGEPAGE);
	table->bits = bits;
	table->mask = ((1ul << bits) - 1) * sizeof(struct rc_bucket);
	/* By the golden ratio, so that the offset has the top bits of what counts of the product. */
	table->factor = 0x9e3779b97f4a7c15ul >>
			(64 - MMUN_RC_HASH_SHIFT - bits -
			 (unsigned int)__builtin_ctzl(sizeof(struct rc_bucket)));
	return table;
}

void mmun_rc_table_free(struct rc_table *table)
{
	mmun_free_pages(table, mmun_rc_table_size(table->bits));
}

bool mmun_rc_table_give_back(struct rc_table *table)
{
	return !mmun_syscall3(SYS_madvise, (unsigned long)table + MMUN_RC_PAGE,
			      mmun_rc_table_size(table->bits) - MMUN_RC_PAGE, MADV_DONTNEED);
}

/* Larger ones give their pages back. */
#define SMALL_BITS 14

void mmun_rc_table_empty(struct rc_table *table)
{
	const size_t size = mmun_rc_table_size(table->bits);
	/* Locked pages stay. */
	const bool given_back = table->bits > SMALL_BITS && mmun_rc_table_give_back(table);
	const size_t first = offsetof(struct rc_table, smallest) / sizeof(uint64_t);
	const size_t end = (given_back ? MMUN_RC_PAGE : size) / sizeof(uint64_t);

	for (size_t i = first; i < end; i++)
		mmun_store_relaxed((uint64_t *)(void *)table + i, 0);
	table->used = 0;
}

bool mmun_rc_table_has_room(const struct rc_table *table)
{
	return table->used + 2 <= 1ul << table->bits >> 1;
}

static void set_filter(struct rc_table *table, const struct rc_entry *entry, unsigned int level)
{
	unsigned long block = entry->first >> MMUN_RC_FILTER_SHIFT;
	unsigned long last = (entry->first + entry->pages - 1) >> MMUN_RC_FILTER_SHIFT;

	if (last - block >= MMUN_RC_FILTER)
		last = block + MMUN_RC_FILTER - 1;
	for (; block <= last; block++) {
		uint32_t *word = &table->filter[block % MMUN_RC_FILTER];

		if (*word & 1u << level)
			continue;
		mmun_store_relaxed(word, *word | 1u << level);
		mmun_store_relaxed(&table->smallest[block % MMUN_RC_FILTER],
				   (uint8_t)(2 * __builtin_ctz(*word)));
	}
}

/* The first bucket on the way that is empty or rubbish. */
static struct rc_bucket *find_room(struct rc_table *table, const uint32_t *state, size_t at)
{
	for (;; at = mmun_rc_next(table, at)) {
		struct rc_bucket *bucket = mmun_rc_bucket(table, at);

		if (!bucket->w1) {
			table->used++;
			return bucket;
		}
		if ((mmun_load_relaxed(&state[mmun_rc_id(bucket->w1)]) & ~MMUN_RC_UNBORN) !=
		    (uint32_t)bucket->w1)
			return bucket;
	}
}

static void fill(struct rc_bucket *bucket, uint64_t w0, uint64_t w1)
{
	mmun_store_release(&bucket->w1, MMUN_RC_RUBBISH);
	mmun_store_release(&bucket->w0, w0);
	mmun_store_release(&bucket->w1, w1);
}

void mmun_rc_table_add(struct rc_table *table, const uint32_t *state, const struct rc_entry *entry)
{
	const unsigned int level = mmun_rc_level(entry->pages);
	const unsigned long last = entry->first + entry->pages - 1;
	const uint64_t w0 = entry->first << 28 | (entry->pages & 0xffffffful);
	const uint64_t w1 = (uint64_t)entry->id << 40 | entry->pages >> 28 << 32 | entry->state;

	set_filter(table, entry, level);
	fill(find_room(table, state, mmun_rc_home(table, entry->first, 2 * level)), w0, w1);
	if (entry->first >> (2 * level) != last >> (2 * level))
		fill(find_room(table, state, mmun_rc_second_home(table, last, 2 * level)), w0, w1);
}

/* How many granules of which sizes a walk looks at; @shifts is set to the sizes. */
static unsigned long count_granules(const struct rc_table *table, unsigned long first,
				    unsigned long last, uint32_t *shifts)
{
	const unsigned long block = first >> MMUN_RC_FILTER_SHIFT;
	const unsigned long blocks = (last >> MMUN_RC_FILTER_SHIFT) - block + 1;
	unsigned long granules = 0;
	uint32_t all = 0;

	for (unsigned long i = 0; i < blocks && i < MMUN_RC_FILTER; i++)
		all |= mmun_load_relaxed(&table->filter[(block + i) % MMUN_RC_FILTER]);
	*shifts = all;
	for (; all; all &= all - 1) {
		const unsigned int shift = 2 * (unsigned int)__builtin_ctz(all);

		granules += (last >> shift) - (first >> shift) + 1;
	}
	return granules;
}

/* What stands from @at on. */
static void walk_from(const struct rc_table *table, size_t at, unsigned long first,
		      unsigned long last, void (*visit)(const struct rc_entry *entry, void *arg),
		      void *arg)
{
	for (;; at = mmun_rc_next(table, at)) {
		const struct rc_bucket *bucket = mmun_rc_bucket(table, at);
		const uint64_t w1 = mmun_load_acquire(&bucket->w1);
		const uint64_t w0 = mmun_load_acquire(&bucket->w0);
		struct rc_entry entry;

		if (!w1)
			return;
		entry.first = w0 >> 28;
		entry.pages = mmun_rc_pages(w0, w1);
		entry.id = mmun_rc_id(w1);
		entry.state = (uint32_t)w1;
		if (entry.first <= last && first < entry.first + entry.pages)
			visit(&entry, arg);
	}
}

bool mmun_rc_table_walk(const struct rc_table *table, unsigned long first, unsigned long last,
			unsigned long most, void (*visit)(const struct rc_entry *entry, void *arg),
			void *arg)
{
	uint32_t shifts;

	if (count_granules(table, first, last, &shifts) > most)
		return false;
	for (; shifts; shifts &= shifts - 1) {
		const unsigned int level = (unsigned int)__builtin_ctz(shifts);
		const unsigned int shift = 2 * level;

		/* Whatever else lies here begins where the walk comes by. */
		walk_from(table, mmun_rc_second_home(table, first, shift), first, last, visit, arg);
		for (unsigned long granule = first >> shift; granule <= last >> shift; granule++) {
			/* Small granules: whole blocks without any. */
			if (shift < MMUN_RC_FILTER_SHIFT &&
			    !(mmun_rc_shifts(table, granule << shift) & 1u << level))
				granule |= (1ul << (MMUN_RC_FILTER_SHIFT - shift)) - 1;
			else
				walk_from(table, mmun_rc_home(table, granule << shift, shift),
					  first, last, visit, arg);
		}
	}
	return true;
}
