/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A registration is made, and sections open and close between any two of its steps.
 *
 * The steps are the looks at sections: before the memory is registered, before the registration
 * is entered into the table, and when it is there.
 */
#include "cells.h"
#include "sections.h"
#include "table.h"

#include "races.h"

static long looks;
static void (*before_look)(long nr), (*after_look)(long nr);

static bool look(const struct rc_sections *sections, const struct rc_place *place)
{
	const long nr = ++looks;
	bool collided;

	if (before_look)
		before_look(nr);
	collided = mmun_rc_collided(sections, place);
	if (after_look)
		after_look(nr);
	return collided;
}

#define mmun_rc_collided look
#include "../../../rcache/miss.c"
#undef mmun_rc_collided

static void start(void)
{
	begin_cache(64);
	looks = 0;
	before_look = after_look = NULL;
}

static long changes_left;

static void change_now(void)
{
	if (changes_left && changes_left-- > 0)
		change(A);
}

static void test_while_registering(void)
{
	struct mmun_registration *reg;

	start();
	in_register = change_now;
	changes_left = 1;
	reg = get(A);
	ok(mmun_rcache_is_current(the_cache, reg) && registered == 2,
	   "C1: memory that changes while it is registered is registered again");
	mmun_rcache_put(the_cache, reg);
	change(A);
	changes_left = MMUN_RCACHE_ROUNDS + 1;
	registered = deregistered = 0;
	mmun_rcache_progress(the_cache);
	deregistered = 0;
	reg = get(A);
	is(registered, MMUN_RCACHE_ROUNDS + 1, "a few times");
	ok(!mmun_is_err(reg) && !mmun_rcache_is_current(the_cache, reg) &&
		   mmun_is_err(get_cached(A)),
	   "C1: then for the one who asked alone");
	mmun_rcache_put(the_cache, reg);
	finish("changes while it registers");
}

static void change_after_first(long nr)
{
	if (nr == 1)
		change(A);
}

static void change_after_second(long nr)
{
	if (nr == 2)
		change(A);
}

static void change_after_third(long nr)
{
	if (nr == 3)
		change(A);
}

static bool found_early;

static void ask_before_third(long nr)
{
	struct mmun_registration *reg;

	if (nr != 3)
		return;
	reg = get_cached(A);
	if (mmun_is_err(reg))
		return;
	found_early = true;
	mmun_rcache_put(the_cache, reg);
}

static void test_change_after(void (*after)(long nr), const char *when)
{
	struct mmun_registration *reg;

	start();
	after_look = after;
	before_look = ask_before_third;
	found_early = false;
	reg = get(A);
	ok(!found_early, "C1: %s: nobody gets it before the last look", when);
	ok(registered == 2 && mmun_rcache_is_current(the_cache, reg),
	   "C1: %s: it is registered again", when);
	mmun_rcache_put(the_cache, reg);
	reg = get_cached(A);
	ok(!mmun_is_err(reg), "%s: the second is found", when);
	if (!mmun_is_err(reg))
		mmun_rcache_put(the_cache, reg);
	finish(when);
}

static void *get_at(void *address)
{
	return get((unsigned long)address);
}

/* A thread that has a section open itself may not register. */
static struct mmun_registration *get_in_thread(unsigned long address)
{
	void *reg;

	pthread_join(spawn(get_at, (void *)address), &reg);
	return reg;
}

static void test_open(void)
{
	struct section section;
	struct mmun_registration *reg;

	start();
	keep_one(A);
	open_section(&section, A);
	ok(mmun_is_err(get_cached(A)), "C2: what a section covers is gone when its start returns");
	reg = get_in_thread(A);
	ok(!mmun_is_err(reg) && !mmun_rcache_is_current(the_cache, reg),
	   "C1: while one is open memory is registered for one use");
	ok(mmun_is_err(get_cached(A)), "C1: which nobody else finds");
	mmun_rcache_put(the_cache, reg);
	reg = get_in_thread(B);
	ok(mmun_rcache_is_current(the_cache, reg), "beside it as always");
	mmun_rcache_put(the_cache, reg);
	close_section(&section);
	reg = get(A);
	ok(mmun_rcache_is_current(the_cache, reg), "C1: afterwards as always");
	mmun_rcache_put(the_cache, reg);
	finish("an open section");
}

/* More sections than there are places. */
static void test_unlisted(void)
{
	struct mmun_registration *reg;

	start();
	for (unsigned long i = 0; i < MMUN_RC_PLACES; i++)
		mmun_rc_section_open(&the_state->sections, i + 1, B, B + SIZE);
	mmun_rc_section_open(&the_state->sections, MMUN_RC_PLACES + 1, A, A + SIZE);
	reg = get(A);
	ok(!mmun_is_err(reg) && !mmun_rcache_is_current(the_cache, reg),
	   "C1: a section without a place is seen, too");
	mmun_rcache_put(the_cache, reg);
	for (unsigned long i = 0; i <= MMUN_RC_PLACES; i++)
		mmun_rc_section_close(&the_state->sections, i + 1);
	reg = get(A);
	ok(mmun_rcache_is_current(the_cache, reg), "C1: and its end");
	mmun_rcache_put(the_cache, reg);
	finish("sections without a place");
}

/* Other threads have all the places of registrations. */
static void test_no_place(void)
{
	struct rc_place *places[MMUN_RC_PLACES];
	struct mmun_registration *reg;

	start();
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++)
		places[i] = mmun_rc_pending(&the_state->sections, B, B + SIZE);
	reg = get(A);
	ok(!mmun_is_err(reg) && !mmun_rcache_is_current(the_cache, reg),
	   "C1: what no section can mark is registered for one use");
	mmun_rcache_put(the_cache, reg);
	for (unsigned int i = 0; i < MMUN_RC_PLACES; i++)
		mmun_rc_pending_done(&the_state->sections, places[i]);
	finish("registrations without a place");
}

static void got_again(void)
{
	in_register = NULL;
	ok(mmun_ptr_err(get(B)) == -EDEADLK, "C8: the cache is not entered twice by one thread");
	ok(mmun_is_err(get_cached(B)), "C8: but it can be looked into");
}

static void test_inside(void)
{
	start();
	in_register = got_again;
	keep_one(A);
	finish("a get inside of a get");
}

static size_t home_of(const struct rc_table *table, unsigned long page, unsigned long pages)
{
	return mmun_rc_home(table, page, 2 * mmun_rc_level(pages));
}

static bool stands_at(const struct rc_table *table, size_t at, uint32_t id)
{
	uint64_t w1;

	for (; (w1 = mmun_rc_bucket(table, at)->w1); at = mmun_rc_next(table, at)) {
		if (mmun_rc_id(w1) == id)
			return true;
	}
	return false;
}

/* The ways of its two granules through the table meet behind what stands there. */
static void test_meeting(void)
{
	static uint32_t words[256];
	struct rc_table *table = mmun_rc_table_create(MMUN_RC_MIN_BITS);
	struct rc_entry two = { .first = 4003, .pages = 2, .id = 255, .state = 1u << 8 };
	struct rc_entry one = { .pages = 1, .state = 1u << 8 };
	const size_t home = home_of(table, two.first, 2);
	const size_t next = mmun_rc_second_home(table, two.first + 1, 2);
	/* The first of them on the way is passed when all these stand there. */
	const size_t begin_at = ((next - home) & table->mask) < table->mask / 2 ? home : next;

	for (; table->used < (1ul << table->bits >> 1) - 2; one.first++) {
		if (home_of(table, one.first, 1) != begin_at)
			continue;
		words[++one.id] = one.state;
		mmun_rc_table_add(table, words, &one);
	}
	words[two.id] = two.state | MMUN_RC_UNBORN;
	mmun_rc_table_add(table, words, &two);
	ok(stands_at(table, home, two.id) && stands_at(table, next, two.id) &&
		   table->used == 1ul << table->bits >> 1,
	   "C7: a registration stands under both its granules");
	mmun_rc_table_free(table);
}

int main(void)
{
	test_while_registering();
	test_change_after(change_after_first, "a change before it is registered");
	test_change_after(change_after_second, "a change before it is entered");
	test_change_after(change_after_third, "a change after the last look");
	test_open();
	test_unlisted();
	test_no_place();
	test_inside();
	test_meeting();
	return tap_done();
}
