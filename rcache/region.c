/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ids and the table, for who holds the lock.
 * Tests: tests/unit/rcache/region.c.
 */
#include <errno.h>
#include <string.h>

#include "cache.h"

/* With MMUN_RCACHE_POISON an id rests while so many others are used. */
#define QUARANTINE 1024u

static bool take_free(struct mmun_rcache *cache, struct rc_state *state, uint32_t *id)
{
	const bool fresh = state->nr < cache->limits.regions;

	if (!state->nr_free ||
	    (cache->flags & MMUN_RCACHE_POISON && fresh && state->nr_free < QUARANTINE)) {
		if (!fresh)
			return false;
		*id = state->nr;
		/* A walk over all ids sees those that are live. */
		mmun_store_full(&state->nr, state->nr + 1);
		return true;
	}
	*id = state->free - 1;
	state->free = state->link[*id];
	state->nr_free--;
	return true;
}

long mmun_rc_id_get(struct mmun_rcache *cache)
{
	struct rc_state *state = mmun_rc_state(cache);
	struct mmun_registration *reg;
	unsigned int generation;
	uint32_t id;

	if (!take_free(cache, state, &id))
		return -1;
	reg = mmun_rc_region(&state->hot, id);
	generation = (reg->reserved[MMUN_RC_GENERATION] + 1) & MMUN_RC_GENERATIONS;
	/* The table may still have what the id was in its first generations: built anew it has not. */
	if (!generation)
		state->hot.table->used = 1ul << state->hot.table->bits;
	/* Its range is what walks may read meanwhile. */
	mmun_store_relaxed(&reg->start, 0);
	mmun_store_relaxed(&reg->end, 0);
	memset(&reg->access, 0, cache->stride - offsetof(struct mmun_registration, access));
	reg->reserved[MMUN_RC_GENERATION] = generation ? generation : 1;
	return id;
}

void mmun_rc_id_free(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);

	mmun_store_relaxed(&state->link[id], MMUN_RC_NONE);
	if (state->nr_free++)
		mmun_store_relaxed(&state->link[state->last_free - 1], MMUN_RC_LINK(id));
	else
		state->free = MMUN_RC_LINK(id);
	state->last_free = MMUN_RC_LINK(id);
}

static void describe(struct rc_state *state, uint32_t id, uint32_t word, struct rc_entry *entry)
{
	const struct mmun_registration *reg = mmun_rc_region(&state->hot, id);

	entry->first = reg->start >> MMUN_RC_PAGE_SHIFT;
	entry->pages = mmun_rc_length(reg) >> MMUN_RC_PAGE_SHIFT;
	entry->id = id;
	entry->state = word;
}

/* Hooks set a flag and then NULL without a lock: so flags are looked at once more. */
void mmun_rc_set_plain(struct mmun_rcache *cache)
{
	struct rc_hot *hot = &mmun_rc_state(cache)->hot;

	if (!mmun_load_full(&hot->flags)) {
		mmun_store_full(&hot->plain_table, hot->table);
		mmun_store_full(&hot->plain_bytes, hot->bytes);
	}
	if (mmun_load_full(&hot->flags)) {
		mmun_store_full(&hot->plain_table, NULL);
		mmun_store_full(&hot->plain_bytes, 0);
	}
}

/* One of that size that is not in use, or a new one. */
static struct rc_table *get_table(struct rc_state *state, unsigned int bits)
{
	struct rc_table **link, *table;

	for (link = &state->retired; (table = *link); link = &table->older) {
		if (table->bits == bits) {
			*link = table->older;
			return table;
		}
	}
	return mmun_rc_table_create(bits);
}

/* Live entries, and at most half as many more before it has to be done again. */
static unsigned int wanted_bits(struct rc_state *state)
{
	unsigned long live = 2;
	unsigned int bits = MMUN_RC_MIN_BITS;

	for (uint32_t id = 0; id < state->nr; id++) {
		const uint32_t word = mmun_load_relaxed(&state->hot.state[id]);
		struct rc_entry entry;

		if (!word)
			continue;
		describe(state, id, word, &entry);
		live += 1 +
			(((entry.first + entry.pages - 1) >> (2 * mmun_rc_level(entry.pages))) !=
			 entry.first >> (2 * mmun_rc_level(entry.pages)));
	}
	while (live > 3ul << bits >> 3)
		bits++;
	return bits;
}

static int rebuild(struct mmun_rcache *cache, struct rc_state *state)
{
	struct rc_table *old = state->hot.table, *table = get_table(state, wanted_bits(state));

	if (!table)
		return -ENOMEM;
	for (uint32_t id = 0; id < state->nr; id++) {
		const uint32_t word = mmun_load_relaxed(&state->hot.state[id]);
		struct rc_entry entry;

		if (!word)
			continue;
		describe(state, id, word, &entry);
		mmun_rc_table_add(table, state->hot.state, &entry);
	}
	mmun_store_full(&state->hot.table, table);
	mmun_rc_set_plain(cache);
	cache->table = table;
	/*
	 * Walks that have begun in the old one begin again.  So do gets: one that was stopped
	 * between the two words of a bucket may find the second one when the old table has
	 * been emptied and filled with others.  They read ->seq before the table.
	 */
	mmun_store_full(&state->hot.seq, state->hot.seq + 1);
	(void)mmun_add_full(&state->table_seq, 1);
	mmun_rc_table_empty(old);
	/* It will hardly come back, and there are several before a cache has its size. */
	if (old->bits < table->bits)
		(void)mmun_rc_table_give_back(old);
	old->older = state->retired;
	state->retired = old;
	mmun_rc_stat_inc(state, rebuilds);
	return 0;
}

int mmun_rc_publish(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);
	const struct mmun_registration *reg = mmun_rc_region(&state->hot, id);
	const uint32_t word = reg->reserved[MMUN_RC_GENERATION] << 8 | reg->access;
	struct rc_entry entry;
	int ret;

	if (!mmun_rc_table_has_room(state->hot.table)) {
		ret = rebuild(cache, state);
		if (ret)
			return ret;
	}
	describe(state, id, word, &entry);
	mmun_rc_add(&state->published, 1);
	mmun_rc_add(&state->published_bytes, mmun_rc_length(reg));
	mmun_store_release(&state->hot.state[id], word | MMUN_RC_UNBORN);
	mmun_rc_table_add(state->hot.table, state->hot.state, &entry);
	(void)mmun_add_full(&state->table_seq, 0); /* E */
	return 0;
}

bool mmun_rc_let_live(struct mmun_rcache *cache, uint32_t id)
{
	struct rc_state *state = mmun_rc_state(cache);
	uint32_t word = mmun_load_relaxed(&state->hot.state[id]);

	return word & MMUN_RC_UNBORN &&
	       mmun_cas_full(&state->hot.state[id], &word, word & ~MMUN_RC_UNBORN);
}

static long lookup_from(struct mmun_rcache *cache, size_t at, unsigned long first,
			unsigned long last, unsigned int access)
{
	const struct rc_hot *hot = &mmun_rc_state(cache)->hot;
	const struct rc_table *table = hot->table;

	for (; mmun_rc_bucket(table, at)->w1; at = mmun_rc_next(table, at)) {
		const uint64_t w1 = mmun_rc_bucket(table, at)->w1;
		const uint64_t w0 = mmun_rc_bucket(table, at)->w0;
		const unsigned long pages = mmun_rc_pages(w0, w1), start = w0 >> 28;
		const uint32_t id = mmun_rc_id(w1);

		if (first - start < pages && last - start < pages && (w1 & access) == access &&
		    mmun_load_full(&hot->state[id]) == (uint32_t)w1)
			return id;
	}
	return -1;
}

long mmun_rc_lookup(struct mmun_rcache *cache, unsigned long first, unsigned long last,
		    unsigned int access)
{
	const struct rc_table *table = mmun_rc_state(cache)->hot.table;
	uint32_t shifts = mmun_rc_shifts_for(table, first, last);
	long id = -1;

	for (; shifts && id < 0; shifts &= shifts - 1) {
		const unsigned int shift = 2 * (unsigned int)__builtin_ctz(shifts);

		id = lookup_from(cache, mmun_rc_home(table, first, shift), first, last, access);
		if (id < 0)
			id = lookup_from(cache, mmun_rc_second_home(table, first, shift), first,
					 last, access);
	}
	return id;
}
