/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tests: tests/unit/rcache/sections.c, tests/model/rcache_miss.pml. */
#include "sections.h"

#include "atomic.h"
#include "sched_point.h"

static inline unsigned int hash(unsigned long owner)
{
	return (unsigned int)(owner * 0x9e3779b97f4a7c15ul >> 57);
}

/* Claims the first free bit from @first on; -1: none.  A full barrier. */
static int claim(unsigned long *bits, unsigned int first)
{
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++) {
		const unsigned int place = (first + i) % MMUN_RC_PLACES;
		const unsigned long bit = 1ul << (place % 64);
		unsigned long *word = &bits[place / 64];

		if (!(mmun_load_relaxed(word) & bit) &&
		    !(__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit))
			return (int)place;
	}
	return -1;
}

static void give_back(unsigned long *bits, unsigned int place)
{
	(void)__atomic_fetch_and(&bits[place / 64], ~(1ul << (place % 64)), __ATOMIC_SEQ_CST);
}

static inline bool overlaps(const struct rc_place *place, unsigned long start, unsigned long end)
{
	const unsigned long last = mmun_load_acquire(&place->end);

	return !last || (mmun_load_relaxed(&place->start) < end && last > start);
}

/* Calls for each place whose bit is set. */
#define for_each_place(bits, place) \
	for (unsigned int mmun_word = 0; mmun_word < MMUN_RC_WORDS; mmun_word++) \
		for (unsigned long mmun_bits = mmun_load_full(&(bits)[mmun_word]); \
		     mmun_bits && \
		     ((place) = mmun_word * 64 + (unsigned int)__builtin_ctzl(mmun_bits), true); \
		     mmun_bits &= mmun_bits - 1)

static void mark_registrations(struct rc_sections *sections, unsigned long start, unsigned long end)
{
	unsigned int i;

	for_each_place(sections->pending, i)
	{
		struct rc_place *place = &sections->registration[i];

		if (overlaps(place, start, end))
			mmun_store_full(&place->owner, 1);
	}
}

void mmun_rc_section_open(struct rc_sections *sections, unsigned long owner, unsigned long start,
			  unsigned long end)
{
	const int place = claim(sections->open, hash(owner)); /* A */

	if (mmun_likely(place >= 0)) {
		struct rc_place *section = &sections->section[place];

		mmun_store_relaxed(&section->owner, owner);
		mmun_store_relaxed(&section->count, section->count + 1);
		mmun_store_relaxed(&section->start, start);
		mmun_store_release(&section->end, end);
	} else {
		(void)mmun_add_full(&sections->unlisted, 1); /* A */
		(void)mmun_add_relaxed(&sections->unlisted_count, 1);
	}
	mmun_sched_point("listed", sections);
	mark_registrations(sections, start, end); /* B */
}

void mmun_rc_section_close(struct rc_sections *sections, unsigned long owner)
{
	const unsigned int first = hash(owner);

	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++) {
		const unsigned int place = (first + i) % MMUN_RC_PLACES;
		struct rc_place *section = &sections->section[place];

		if (mmun_load_relaxed(&section->owner) != owner)
			continue;
		mmun_store_relaxed(&section->owner, 0);
		mmun_store_release(&section->end, 0);
		give_back(sections->open, place);
		return;
	}
	(void)mmun_sub_full(&sections->unlisted, 1);
}

struct rc_place *mmun_rc_pending(struct rc_sections *sections, unsigned long start,
				 unsigned long end)
{
	const int i = claim(sections->pending, 0);
	struct rc_place *place;

	if (i < 0)
		return NULL;
	place = &sections->registration[i];
	/* A section that has marked it before began before D looks. */
	mmun_store_relaxed(&place->owner, 0);
	mmun_store_relaxed(&place->start, start);
	(void)mmun_swap_full(&place->end, end); /* C */
	mmun_sched_point("pending", sections);
	return place;
}

void mmun_rc_pending_done(struct rc_sections *sections, struct rc_place *place)
{
	mmun_store_release(&place->end, 0);
	give_back(sections->pending, (unsigned int)(place - sections->registration));
}

bool mmun_rc_is_pending(const struct rc_sections *sections, unsigned long start, unsigned long end)
{
	unsigned int i;

	for_each_place(sections->pending, i)
	{
		if (overlaps(&sections->registration[i], start, end))
			return true;
	}
	return false;
}

bool mmun_rc_collided(const struct rc_sections *sections, const struct rc_place *place)
{
	unsigned int i;

	if (mmun_load_full(&place->owner) || mmun_load_full(&sections->unlisted))
		return true;
	for_each_place(sections->open, i)
	{ /* D */
		if (overlaps(&sections->section[i], place->start, place->end))
			return true;
	}
	return false;
}

unsigned long mmun_rc_sections(const struct rc_sections *sections)
{
	unsigned long count = mmun_load_relaxed(&sections->unlisted_count);

	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++)
		count += mmun_load_relaxed(&sections->section[i].count);
	return count;
}
