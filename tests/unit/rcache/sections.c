/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sections that are open and registrations that are being made: each hears of the other. */
#include "fake.h"
#include "sections.h"

#define MANY (3 * MMUN_RC_PLACES)

static struct rc_sections sections;

static void begin(void)
{
	memset(&sections, 0, sizeof(sections));
}

static bool all_free(void)
{
	for (unsigned int i = 0; i < MMUN_RC_WORDS; i++) {
		if (sections.open[i] || sections.pending[i])
			return false;
	}
	return !sections.unlisted;
}

static void test_overlap(void)
{
	struct rc_place *place;

	begin();
	place = mmun_rc_pending(&sections, 1000, 2000);
	ok(!mmun_rc_collided(&sections, place), "without a section nothing collides");
	mmun_rc_section_open(&sections, 1, 2000, 3000);
	mmun_rc_section_open(&sections, 2, 0, 1000);
	ok(!mmun_rc_collided(&sections, place), "nor with sections that touch it");
	mmun_rc_section_open(&sections, 3, 1999, 2000);
	ok(mmun_rc_collided(&sections, place), "one that overlaps it does");
	mmun_rc_section_close(&sections, 3);
	ok(mmun_rc_collided(&sections, place), "also when it has ended meanwhile");
	mmun_rc_pending_done(&sections, place);
	place = mmun_rc_pending(&sections, 1000, 2000);
	ok(!mmun_rc_collided(&sections, place), "not if it had ended before");
	mmun_rc_pending_done(&sections, place);
	mmun_rc_section_open(&sections, 3, 0, ~0ul);
	place = mmun_rc_pending(&sections, 1000, 2000);
	ok(mmun_rc_collided(&sections, place), "one that is open before and after does");
	mmun_rc_pending_done(&sections, place);
	mmun_rc_section_close(&sections, 2);
	mmun_rc_section_close(&sections, 3);
	mmun_rc_section_close(&sections, 1);
	ok(all_free(), "nothing is left");
	is(mmun_rc_sections(&sections), 4, "four sections were counted");
}

/* A place that has been claimed, and is not written yet. */
static void test_half_listed(void)
{
	struct rc_place *place;

	begin();
	place = mmun_rc_pending(&sections, 1000, 2000);
	sections.open[0] = 1;
	ok(mmun_rc_collided(&sections, place), "a section that is being listed overlaps all");
	sections.open[0] = 0;
	ok(!mmun_rc_collided(&sections, place), "until it is seen to be elsewhere");
	place->end = 0;
	mmun_rc_section_open(&sections, 1, 8000, 9000);
	ok(place->owner, "a registration that is being listed is overlapped by all");
	mmun_rc_section_close(&sections, 1);
	place->end = 2000;
	mmun_rc_pending_done(&sections, place);
}

static void test_many_sections(void)
{
	struct rc_place *place;
	unsigned int n;

	begin();
	for (n = 0; n < MANY; n++)
		mmun_rc_section_open(&sections, n * 8 + 8, 1ul << 20, 2ul << 20);
	is(sections.unlisted, MANY - MMUN_RC_PLACES, "more sections than places are counted");
	place = mmun_rc_pending(&sections, 1000, 2000);
	ok(mmun_rc_collided(&sections, place), "and overlap everything");
	mmun_rc_pending_done(&sections, place);
	/* Those that have a place, and those that have none, mixed. */
	for (n = 0; n < MANY; n += 2)
		mmun_rc_section_close(&sections, n * 8 + 8);
	for (n = 0; n < MANY; n += 2)
		mmun_rc_section_open(&sections, n * 8 + 8, 1ul << 20, 2ul << 20);
	for (n = MANY; n--;)
		mmun_rc_section_close(&sections, n * 8 + 8);
	ok(all_free(), "in whatever order they end, nothing is left");
	place = mmun_rc_pending(&sections, 1000, 2000);
	ok(!mmun_rc_collided(&sections, place), "and nothing collides");
	mmun_rc_pending_done(&sections, place);
	is(mmun_rc_sections(&sections), MANY + MANY / 2, "each was counted");
}

static void test_many_registrations(void)
{
	struct rc_place *places[MMUN_RC_PLACES];

	begin();
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++)
		places[i] = mmun_rc_pending(&sections, i * 4096ul, i * 4096ul + 4096);
	ok(!mmun_rc_pending(&sections, 0, 1), "more registrations than places are refused");
	mmun_rc_section_open(&sections, 1, 5 * 4096, 7 * 4096);
	mmun_rc_section_close(&sections, 1);
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++) {
		if (mmun_rc_collided(&sections, places[i]) != (i == 5 || i == 6))
			break;
		if (i == MMUN_RC_PLACES - 1)
			ok(true, "a section marks those that it overlaps");
	}
	mmun_rc_pending_done(&sections, places[9]);
	ok(mmun_rc_pending(&sections, 0, 1) == places[9], "one that is done leaves its place");
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++)
		mmun_rc_pending_done(&sections, places[i]);
	ok(all_free(), "and all do");
}

/* A section begins in a thread, and a registration is made in another, which looks before and
 * after: what changes in between is seen. */
static long changes, stop, missed, collisions, rounds;

static void *change(void *arg)
{
	const unsigned long owner = (unsigned long)arg;

	while (!mmun_load_full(&stop)) {
		mmun_rc_section_open(&sections, owner, 1000, 5000);
		(void)mmun_add_full(&changes, 1);
		mmun_rc_section_close(&sections, owner);
		/* Elsewhere. */
		mmun_rc_section_open(&sections, owner, 6000, 7000);
		mmun_rc_section_close(&sections, owner);
	}
	return NULL;
}

static void *make(void *arg)
{
	while (!mmun_load_full(&stop)) {
		struct rc_place *place = mmun_rc_pending(&sections, 2000, 3000);
		const bool at_once = mmun_rc_collided(&sections, place);
		const long before = mmun_load_full(&changes);
		long after;

		for (volatile int i = 0; i < 20; i++)
			;
		after = mmun_load_full(&changes);
		if (at_once || mmun_rc_collided(&sections, place))
			(void)mmun_add_relaxed(&collisions, 1);
		else if (before != after)
			(void)mmun_add_full(&missed, 1);
		mmun_rc_pending_done(&sections, place);
		(void)mmun_add_relaxed(&rounds, 1);
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[4];

	begin();
	for (unsigned long i = 0; i < 4; i++)
		threads[i] = spawn(i % 2 ? make : change, (void *)(i * 64 + 64));
	for (int i = 0; i < 2000 && (mmun_load_full(&rounds) < 300000 || i < 500); i++)
		usleep(1000);
	mmun_store_full(&stop, 1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	is(missed, 0, "no change during a registration is missed");
	ok(rounds > 0 && collisions > 0 && collisions < rounds, "%ld of %ld collided", collisions,
	   rounds);
	ok(all_free(), "nothing is left");
}

int main(void)
{
	test_overlap();
	test_half_listed();
	test_many_sections();
	test_many_registrations();
	test_threads();
	return tap_done();
}
