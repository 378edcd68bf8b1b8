/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* adapters/libfabric/entries.c: which registrations are good, and which are accepted. */
#include <errno.h>
#include <stdlib.h>

#include "tap.h"
#include "entries.h"

#define START 0x10000ul
#define END   0x20000ul

static struct lf_history *history;
static struct lf_entries *entries;

static void begin(void)
{
	free(history);
	free(entries);
	history = calloc(1, sizeof(*history));
	entries = calloc(1, sizeof(*entries));
	lf_entries_start(entries, 0);
}

static void change(unsigned long start, unsigned long end)
{
	lf_history_start(history, 16, start, end);
	lf_history_end(history, 16, start, end, true);
}

static int add_now(void)
{
	return lf_entries_add(entries, history, START, END, lf_history_now(history));
}

static bool valid(void)
{
	return lf_entries_valid(entries, history, START, END);
}

static unsigned int notified;

static void count_notified(void *arg, unsigned long start, unsigned long end)
{
	notified++;
	/* libfabric 2.1 says that it drops what it holds. */
	if (arg)
		lf_entries_remove(entries, start, end);
}

static unsigned int sweep(void *unsubscribes)
{
	notified = 0;
	return lf_entries_sweep(entries, history, count_notified, unsubscribes);
}

static void test_valid(void)
{
	begin();
	ok(!valid(), "E1 what was never accepted is not good");
	is(add_now(), 0, "E1 a registration is accepted");
	ok(valid() && valid(), "E1 and good");
	change(END, END + 4096);
	ok(valid(), "E1 also after a change elsewhere");
	change(END - 1, END + 4096);
	ok(!valid(), "E1 a change of its last byte ends that");
	ok(!lf_entries_valid(entries, history, START, END - 1),
	   "E1 another length is another range");
}

static void test_since(void)
{
	uint64_t since;

	begin();
	since = lf_history_now(history);
	change(START, START + 4096);
	is(lf_entries_add(entries, history, START, END, since), -EAGAIN,
	   "E1 pages that have changed since they were taken are not kept");
	ok(!valid(), "E1 nor good");
	since = lf_history_now(history);
	change(END, END + 4096);
	is(lf_entries_add(entries, history, START, END, since), 0, "E1 those that have not are");
	begin();
	lf_history_start(history, 32, START, END);
	is(add_now(), -EAGAIN, "E1 nor those that were taken inside a section");
	lf_history_end(history, 32, START, END, false);
	is(add_now(), 0, "E1 after it they are");
}

/* Two caches, of a libfabric that does not unsubscribe. */
static void test_two_holders(void)
{
	begin();
	is(add_now(), 0, "E2 one cache keeps a registration");
	is(add_now(), 0, "E2 so does another, for nothing has changed");
	change(START, END);
	ok(!valid(), "E2 the first asks, and drops it");
	is(add_now(), -EAGAIN, "E2 its new one is refused: the other's is of the old memory");
	ok(!valid(), "E2 the other asks, and drops it");
	is(add_now(), 0, "E3 now both have left, and a new one is accepted");
	ok(valid(), "E3 and good");
}

/* The same of one that does. */
static void test_unsubscribes(void)
{
	begin();
	add_now();
	add_now();
	change(START, END);
	ok(!valid(), "E3 the first asks");
	lf_entries_remove(entries, START, END);
	is(add_now(), -EAGAIN, "E3 its answer and its unsubscribe count once");
	lf_entries_remove(entries, START, END);
	is(add_now(), -EAGAIN, "E3 that of the refused one does not count");
	lf_entries_remove(entries, START, END);
	lf_entries_remove(entries, START, END);
	is(add_now(), 0, "E3 that of the other cache does");
	/* It dropped what nobody had asked about. */
	lf_entries_remove(entries, START, END);
	change(START, END);
	is(add_now(), 0, "E3 nothing is held, so nothing old is in the way");
}

/* A cache that was full has dropped one without a word. */
static void test_sweep(void *unsubscribes)
{
	const char *how = unsubscribes ? "unsubscribes" : "does not unsubscribe";

	begin();
	add_now();
	is(sweep(unsubscribes), 0, "E3 nothing to notify, libfabric %s", how);
	change(START, END);
	if (!unsubscribes)
		is(add_now(), -EAGAIN, "E3 what nobody knows to have left is in the way");
	is(sweep(unsubscribes), 1, "E3 libfabric is notified of it, and %s", how);
	ok(!valid(), "E3 what it was notified of is not good, libfabric %s", how);
	is(sweep(unsubscribes), 0, "E3 it is notified once, libfabric %s", how);
	is(add_now(), 0, "E3 then nothing is in the way, libfabric %s", how);
	ok(valid(), "E3 and the new one is good, libfabric %s", how);
}

static void test_renewed(void)
{
	unsigned int i;

	begin();
	add_now();
	for (i = 0; i < LF_EDGES - 1; i++)
		lf_history_take(history);
	is(sweep(NULL), 0, "E4 a sweep finds it unchanged");
	for (i = 0; i < LF_EDGES - 1; i++)
		lf_history_take(history);
	ok(valid(), "E4 so it is good after more edges than can be read");
	for (i = 0; i < LF_EDGES + 1; i++)
		lf_history_take(history);
	ok(!valid(), "E4 without a sweep it is not known to be");
}

/* In the sweep's notification the entry's place goes to another range. */
static unsigned long stolen_start;

static void steal(void *arg, unsigned long start, unsigned long end)
{
	lf_entries_remove(entries, start, end);
	stolen_start = END + 4096;
	lf_entries_add(entries, history, stolen_start, stolen_start + 4096,
		       lf_history_now(history));
}

static void test_place_taken(void)
{
	uint64_t word;

	begin();
	add_now();
	word = entries->entries[1].word;
	change(START, END);
	is(lf_entries_sweep(entries, history, steal, NULL), 1, "E4 a sweep notifies");
	is(entries->entries[1].start, stolen_start, "E4 meanwhile another range has the place");
	ok(entries->entries[1].word > word &&
		   lf_entries_valid(entries, history, stolen_start, stolen_start + 4096),
	   "E4 which the sweep leaves alone");
	begin();
	add_now();
	word = entries->entries[1].word;
	lf_entries_remove(entries, START, END);
	add_now();
	ok(entries->entries[1].word != word, "E4 no word comes back, with no edge in between");
}

#define RANGES 64ul

/* Sweeps of many ranges find exactly those that have changed. */
static void test_many(void)
{
	unsigned int round, wrong = 0, seed = 1;
	unsigned long i, start;

	begin();
	for (round = 0; round < 300; round++) {
		bool changed[RANGES] = { false };
		unsigned int nr = 0, changes = (unsigned int)rand_r(&seed) % 40;

		for (i = 0; i < RANGES; i++) {
			start = START + (i << 20);
			if (!lf_entries_valid(entries, history, start, start + 4096))
				wrong += lf_entries_add(entries, history, start, start + 4096,
							lf_history_now(history)) != 0;
		}
		while (changes--) {
			/* Every other one beside the range. */
			i = (unsigned long)rand_r(&seed) % RANGES;
			start = START + (i << 20) + (changes % 2) * 4096;
			change(start, start + 4096);
			nr += changes % 2 == 0 && !changed[i];
			changed[i] |= changes % 2 == 0;
		}
		wrong += sweep(NULL) != nr;
		for (i = 0; i < RANGES; i++) {
			start = START + (i << 20);
			wrong += lf_entries_valid(entries, history, start, start + 4096) ==
				 changed[i];
		}
	}
	is(wrong, 0, "E1 many ranges, and many changes: what is notified is what has changed");
}

static void test_full(void)
{
	unsigned long i;
	int ret = 0;

	begin();
	for (i = 1; i < LF_ENTRIES && !ret; i++)
		ret = lf_entries_add(entries, history, i << 12, (i + 1) << 12,
				     lf_history_now(history));
	is(ret, 0, "E3 there is room for many ranges");
	is(lf_entries_add(entries, history, i << 12, (i + 1) << 12, lf_history_now(history)),
	   -ENOSPC, "E3 and then for none");
	ok(lf_entries_valid(entries, history, (i - 1) << 12, i << 12),
	   "E3 those that are there stay good");
	is(sweep(NULL), LF_ENTRIES - 1, "E3 the next sweep notifies of all");
	is(lf_entries_add(entries, history, i << 12, (i + 1) << 12, lf_history_now(history)), 0,
	   "E3 and there is room");
	ok(!lf_entries_valid(entries, history, (i - 1) << 12, i << 12), "E3 for what they held");
}

static void test_child(void)
{
	free(entries);
	entries = calloc(1, sizeof(*entries));
	is(add_now(), -ESRCH, "E1 in wiped memory nothing is accepted");
	ok(!valid(), "E1 and nothing good");
	lf_entries_remove(entries, START, END);
	is(sweep(NULL), 0, "E1 nor anything notified");
}

int main(void)
{
	test_valid();
	test_since();
	test_two_holders();
	test_unsubscribes();
	test_sweep(NULL);
	test_sweep(&notified);
	test_renewed();
	test_place_taken();
	test_many();
	test_full();
	test_child();
	return tap_done();
}
