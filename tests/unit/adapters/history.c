/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* adapters/libfabric/history.c: numbered edges, and which sections are open. */
#include <stdlib.h>

#include "tap.h"
#include "history.h"

#define BUSY (1ull << 63)

static struct lf_history *history;

static void begin(void)
{
	free(history);
	history = calloc(1, sizeof(*history));
}

static bool changed_since(uint64_t since, unsigned long start, unsigned long end)
{
	return lf_history_changed(history, start, end, since, lf_history_now(history));
}

static void test_edges(void)
{
	uint64_t before, between;

	begin();
	before = lf_history_now(history);
	is(lf_history_start(history, 16, 0x1000, 0x3000), before + 1,
	   "H1 a start has the next number");
	between = lf_history_now(history);
	ok(changed_since(before, 0x2fff, 0x3000), "H1 a start is a change of what it covers");
	ok(!changed_since(before, 0x3000, 0x4000), "H1 and of nothing behind it");
	ok(!changed_since(before, 0, 0x1000), "H1 or before it");
	ok(!changed_since(between, 0x1000, 0x3000), "H1 nothing is newer than the latest");
	lf_history_end(history, 16, 0x1000, 0x3000, true);
	ok(changed_since(between, 0x1000, 0x1001), "H1 an end is another change");
	between = lf_history_now(history);
	lf_history_start(history, 16, 0x1000, 0x3000);
	lf_history_end(history, 16, 0x1000, 0x3000, false);
	is(lf_history_now(history), between + 1, "H1 an end that changed nothing has no number");
	before = lf_history_take(history);
	ok(before == between + 2 && !changed_since(before - 1, 0, ~0ul),
	   "H1 a number of one's own is no change");
}

static void test_overrun(void)
{
	uint64_t before;
	unsigned int i;

	begin();
	before = lf_history_take(history);
	for (i = 0; i < LF_EDGES; i++)
		lf_history_take(history);
	ok(!changed_since(before, 0x1000, 0x2000), "H2 a whole ring can be read");
	lf_history_take(history);
	ok(changed_since(before, 0x1000, 0x2000), "H2 what is longer ago counts as changed");
	ok(!changed_since(before + 1, 0x1000, 0x2000), "H2 and what is not does not");
	ok(changed_since(lf_history_now(history) + 1, 0x1000, 0x2000),
	   "H2 so does a number that is yet to come");
}

/* Writers that were stopped at some point, made by hand. */
static void test_stopped_writer(void)
{
	uint64_t before;
	struct lf_edge *edge;

	begin();
	before = lf_history_now(history);
	history->last++;
	ok(changed_since(before, 0x1000, 0x2000), "H2 a number without an edge counts as a change");
	edge = &history->edges[(before + 1) % LF_EDGES];
	edge->number = (before + 1) | BUSY;
	ok(changed_since(before, 0x1000, 0x2000), "H2 so does one that is being written");
	/* The writer of a round before is still there. */
	begin();
	history->last = 3 * LF_EDGES;
	edge = &history->edges[1];
	edge->number = (2 * LF_EDGES + 1) | BUSY;
	edge->start = 0x1000;
	before = lf_history_now(history);
	is(lf_history_take(history), before + 1, "H2 a writer does not wait for another");
	ok(changed_since(before, 0x5000, 0x6000), "H2 what it could not write counts as a change");
	ok(edge->number == ((2 * LF_EDGES + 1) | BUSY) && edge->start == 0x1000,
	   "H2 and the other's place is left alone");
	/* One that was overtaken by a whole round. */
	begin();
	history->last = 0;
	history->edges[1] = (struct lf_edge){ .number = LF_EDGES + 1, .start = 7, .end = 8 };
	lf_history_start(history, 16, 0x1000, 0x2000);
	is(history->edges[1].start, 7, "H2 a writer that was overtaken leaves the newer edge");
}

static void test_open(void)
{
	unsigned long i;

	begin();
	ok(!lf_history_open(history, 0, ~0ul), "H3 nothing is open");
	lf_history_start(history, 16, 0x1000, 0x3000);
	ok(lf_history_open(history, 0x2000, 0x2001), "H3 a section is open from its start");
	ok(!lf_history_open(history, 0x3000, 0x4000), "H3 for what it covers");
	/* However long ago. */
	for (i = 0; i < 3 * LF_EDGES; i++)
		lf_history_take(history);
	ok(lf_history_open(history, 0x1000, 0x1001), "H3 however many edges come after it");
	lf_history_start(history, 32, 0x8000, 0x9000);
	lf_history_end(history, 16, 0x1000, 0x3000, true);
	ok(!lf_history_open(history, 0x1000, 0x3000), "H3 until its own end");
	ok(lf_history_open(history, 0x8000, 0x9000), "H3 not another's");
	lf_history_end(history, 32, 0x8000, 0x9000, true);
	ok(!lf_history_open(history, 0, ~0ul), "H3 then nothing is");
}

/* Are sections of [from, to) listed, whatever has no place? */
static bool history_lists(unsigned long from, unsigned long to)
{
	const uint64_t unlisted = history->unlisted;
	unsigned long i;
	bool all = from < to;

	history->unlisted = 0;
	for (i = from; i < to; i++)
		all = all && lf_history_open(history, i << 12, (i + 1) << 12);
	history->unlisted = unlisted;
	return all;
}

static void test_many_open(void)
{
	bool exact = true;
	unsigned long i;

	begin();
	for (i = 1; i <= LF_PLACES; i++)
		lf_history_start(history, i * 64, i << 12, (i + 1) << 12);
	ok(!lf_history_open(history, 1ul << 40, 1ul << 41), "H4 a full list is exact");
	ok(lf_history_open(history, LF_PLACES << 12, (LF_PLACES + 1) << 12), "H4 to its last");
	lf_history_start(history, 1 << 20, 0x1000, 0x2000);
	ok(lf_history_open(history, 1ul << 40, 1ul << 41), "H4 with one more everything is open");
	for (i = LF_PLACES; i > 0; i--) {
		lf_history_end(history, i * 64, i << 12, (i + 1) << 12, true);
		exact = exact && (i == 1 || history_lists(1, i)) && !history_lists(i, i + 1);
	}
	ok(exact, "H3 each end takes its own section from the list");
	ok(lf_history_open(history, 1ul << 40, 1ul << 41), "H4 until that one has ended");
	lf_history_end(history, 1 << 20, 0x1000, 0x2000, true);
	ok(!lf_history_open(history, 0, ~0ul), "H4 then nothing is");
}

int main(void)
{
	test_edges();
	test_overrun();
	test_stopped_writer();
	test_open();
	test_many_open();
	return tap_done();
}
