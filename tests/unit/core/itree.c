/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* core/itree.c against a naive list, with its invariants after each step. */
#include "itree.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"
#include "tap.h"

#define NODES  300
#define ROUNDS 60000
#define MANY   (1ul << 17)

static struct mmun_interval_node nodes[NODES];
static bool inside[NODES];
static struct mmun_itree_root root;
static uint64_t state = 88172645463325252ull;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

/* What check() has found so far. */
struct survey {
	unsigned long intervals, nodes;
	const struct mmun_interval_node *before;
	bool broken;
};

static void check_interval(struct survey *survey, const struct mmun_itree_entry *entry)
{
	const struct mmun_interval_node *now = entry->below, *before = survey->before;

	if (before && (before->start > now->start ||
		       (before->start == now->start && before->serial >= now->serial)))
		survey->broken = true;
	if (now->start != entry->start || now->last != entry->last || !mmun_itree_contains(now))
		survey->broken = true;
	survey->before = now;
	survey->intervals++;
}

/* Returns what the subtree reaches to. */
static unsigned long check(struct survey *survey, const struct mmun_itree_node *node,
			   unsigned int level)
{
	unsigned long last = 0;

	survey->nodes++;
	if (node->nr > MMUN_ITREE_FANOUT ||
	    node->nr < (node != root.node ? MMUN_ITREE_LEAST : 1u + !!level)) {
		survey->broken = true;
		return 0;
	}
	for (unsigned long i = 0; i < node->nr; i++) {
		const struct mmun_itree_entry *entry = &node->entry[i];
		const struct mmun_itree_node *below = entry->below;

		if (entry->last > last)
			last = entry->last;
		if (!level)
			check_interval(survey, entry);
		else if (check(survey, below, level - 1) != entry->last ||
			 below->entry[0].start != entry->start)
			survey->broken = true;
	}
	return last;
}

/* @expected intervals, in no more nodes than they have room for, and no node lost. */
static bool sound(unsigned long expected)
{
	static struct mmun_itree_root less;
	struct survey survey = { .intervals = 0 };

	if (root.node) {
		check(&survey, root.node, root.levels - 1);
		less.nr_nodes = survey.nodes - 1;
		if (mmun_itree_has_room(&less, expected))
			return false;
	}
	for (const struct mmun_itree_node *node = root.spare; node; node = node->entry[0].below)
		survey.nodes++;
	return !survey.broken && survey.intervals == expected && survey.nodes == root.nr_nodes &&
	       !root.levels == !root.node;
}

static void begin(void)
{
	memset(&root, 0, sizeof(root));
	mmun_itree_root_init(&root);
}

static void make_room(unsigned long count)
{
	struct mmun_itree_chunk *chunk;

	while (!mmun_itree_has_room(&root, count)) {
		chunk = mmun_itree_chunk_alloc(root.nr_nodes);
		if (!chunk)
			bail_out("no memory");
		mmun_itree_add_chunk(&root, chunk);
	}
}

/* Every overlapping interval once, in the order of ->start and of insertion. */
static bool finds_the_same(unsigned long start, unsigned long last)
{
	struct mmun_interval_node *node, *before = NULL;
	struct mmun_itree_cursor cursor, again;
	bool found[NODES] = { false };

	for (node = mmun_itree_first(&root, start, last, &cursor); node;
	     node = mmun_itree_next(&cursor)) {
		if (found[node - nodes] || (before && before->start > node->start) ||
		    (before && before->start == node->start && before->serial > node->serial))
			return false;
		found[node - nodes] = true;
		if (before && mmun_itree_behind(&root, before, start, last, &again) != node)
			return false;
		before = node;
	}
	if (before && mmun_itree_behind(&root, before, start, last, &again))
		return false;
	for (int i = 0; i < NODES; i++) {
		bool overlaps = inside[i] && nodes[i].start <= last && nodes[i].last >= start;

		if (overlaps != found[i])
			return false;
	}
	return true;
}

/* One that has left, or will come, has a place in the order too. */
static bool finds_behind(const struct mmun_interval_node *gone, unsigned long start,
			 unsigned long last)
{
	struct mmun_interval_node *node;
	struct mmun_itree_cursor cursor, again;

	for (node = mmun_itree_first(&root, start, last, &cursor); node;
	     node = mmun_itree_next(&cursor)) {
		if (node->start > gone->start ||
		    (node->start == gone->start && node->serial > gone->serial))
			break;
	}
	return mmun_itree_behind(&root, gone, start, last, &again) == node;
}

static unsigned long pick(unsigned long limit)
{
	return limit ? next_random() % limit : next_random();
}

static unsigned long up_to(unsigned long start, unsigned long longest)
{
	unsigned long last = start + next_random() % longest;

	return last < start ? ~0ul : last;
}

static void change(long i, unsigned long start, unsigned long last, unsigned long *count)
{
	if (inside[i]) {
		mmun_itree_remove(&root, &nodes[i]);
		--*count;
	} else {
		make_room(++*count);
		nodes[i] = (struct mmun_interval_node){ .start = start, .last = last };
		mmun_itree_insert(&root, &nodes[i]);
	}
	inside[i] = !inside[i];
}

/* @limit: the largest address, 0: all of them. */
static void compare(unsigned long limit, unsigned long longest, const char *what)
{
	struct mmun_interval_node gone;
	unsigned long count = 0;
	long broken = 0, different = 0, live = mmun_alloc_live();

	begin();
	for (long round = 0; round < ROUNDS && !broken && !different; round++) {
		/* Fills and empties it in turns, so that it often is both. */
		const bool fill = (round / 2000) % 2;
		long i = (long)(next_random() % NODES);
		unsigned long start = pick(limit);

		if (inside[i] == fill)
			i = (long)(next_random() % NODES);
		change(i, start, up_to(start, longest), &count);
		broken += mmun_itree_contains(&nodes[i]) != inside[i] || !sound(count);
		start = pick(limit);
		different += !finds_the_same(start, up_to(start, longest));
		gone = (struct mmun_interval_node){
			.start = pick(limit),
			.serial = next_random() % (root.serial + 2),
		};
		different += !finds_behind(&gone, start, up_to(start, longest));
		gone.start = nodes[i].start;
		different += !finds_behind(&gone, 0, ~0ul);
	}
	for (int i = 0; i < NODES; i++) {
		if (inside[i])
			change(i, 0, 0, &count);
	}
	is(broken, 0, "%s: ordered, filled, summaries right after each of %d steps", what, ROUNDS);
	is(different, 0, "%s: finds what a list finds", what);
	ok(!root.node && sound(0), "%s: empty at the end", what);
	mmun_itree_root_destroy(&root);
	is(mmun_alloc_live(), live, "%s: all memory is given back", what);
}

static void test_edges(void)
{
	struct mmun_interval_node all = { .start = 0, .last = ~0ul }, none;
	struct mmun_itree_cursor cursor;

	begin();
	ok(!mmun_itree_first(&root, 0, ~0ul, &cursor), "nothing in an empty tree");
	none = (struct mmun_interval_node){ .serial = 0 };
	ok(!mmun_itree_behind(&root, &none, 0, ~0ul, &cursor), "nor behind one that is not there");
	mmun_itree_insert(&root, &all);
	ok(mmun_itree_first(&root, ~0ul, ~0ul, &cursor) == &all &&
		   mmun_itree_first(&root, 0, 0, &cursor) == &all,
	   "the largest interval is found at both ends");
	ok(!mmun_itree_next(&cursor), "once");
	ok(!mmun_itree_first(&root, 5, 4, &cursor), "an empty range touches nothing");
	ok(mmun_itree_behind(&root, &none, 5, 5, &cursor) == &all &&
		   !mmun_itree_behind(&root, &none, 5, 4, &cursor),
	   "nor anything behind another one");
	mmun_itree_remove(&root, &all);
	none = (struct mmun_interval_node){ .start = 8, .last = 15 };
	mmun_itree_insert(&root, &none);
	ok(!mmun_itree_first(&root, 0, 7, &cursor) && !mmun_itree_first(&root, 16, ~0ul, &cursor),
	   "neighbours do not overlap");
	ok(mmun_itree_first(&root, 0, 8, &cursor) && mmun_itree_first(&root, 15, 99, &cursor),
	   "one byte does");
	mmun_itree_remove(&root, &none);
	none = (struct mmun_interval_node){ .start = ~0ul, .last = ~0ul };
	mmun_itree_insert(&root, &none);
	ok(!mmun_itree_first(&root, 0, ~0ul - 1, &cursor) &&
		   mmun_itree_first(&root, 0, ~0ul, &cursor) == &none,
	   "the last byte is one");
	mmun_itree_remove(&root, &none);
}

static struct mmun_interval_node *many;

static void insert_many(unsigned long i, unsigned long start, unsigned long last)
{
	many[i] = (struct mmun_interval_node){ .start = start, .last = last };
	mmun_itree_insert(&root, &many[i]);
}

/* The depth that the fill promises, in the order that fills nodes least. */
static void test_depth(void)
{
	begin();
	make_room(MANY);
	for (unsigned long i = 0; i < MANY; i++)
		insert_many(i, i * 8, i * 8 + 7);
	ok(sound(MANY) && root.levels <= 5, "%lu ascending intervals: %u levels", MANY,
	   root.levels);
	for (unsigned long i = 0; i < MANY; i += 2)
		mmun_itree_remove(&root, &many[i]);
	ok(sound(MANY / 2) && root.levels <= 5, "every other one removed: %u levels", root.levels);
	for (unsigned long i = 1; i < MANY; i += 2)
		mmun_itree_remove(&root, &many[MANY - i]);
	ok(sound(0) && !root.node, "the others from behind: empty");
	for (unsigned long i = MANY; i--;)
		insert_many(i, i * 8, i * 8 + 7);
	ok(sound(MANY) && root.levels <= 5, "descending: %u levels", root.levels);
	mmun_itree_root_destroy(&root);
}

/* They differ in nothing but ->serial. */
static void test_equal(void)
{
	struct mmun_interval_node *node;
	struct mmun_itree_cursor cursor;
	unsigned long count = 0, serial = 0;
	bool ordered = true;

	begin();
	make_room(MANY);
	for (unsigned long i = 0; i < MANY; i++)
		insert_many(i, 4096, i & 1 ? ~0ul : 4096 + i);
	for (unsigned long i = 0; i < MANY; i += 3)
		mmun_itree_remove(&root, &many[i * 7 % MANY]);
	count = MANY - (MANY + 2) / 3;
	ok(sound(count), "a third of %lu intervals of one start removed", MANY);
	for (node = mmun_itree_first(&root, 0, 4096, &cursor); node;
	     node = mmun_itree_next(&cursor)) {
		ordered &= node->serial > serial;
		serial = node->serial;
		count--;
	}
	ok(!count && ordered, "the others are found, in the order of their insertion");
	mmun_itree_root_destroy(&root);
}

/* Many small ones that do not overlap lie between two that do. */
static void test_nested(void)
{
	struct mmun_itree_cursor cursor;

	begin();
	make_room(MANY);
	insert_many(0, 0, ~0ul);
	for (unsigned long i = 1; i < MANY; i++)
		insert_many(i, i * 8, i * 8 + 7);
	ok(mmun_itree_first(&root, MANY * 8 - 1, ~0ul, &cursor) == &many[0] &&
		   mmun_itree_next(&cursor) == &many[MANY - 1] && !mmun_itree_next(&cursor),
	   "what lies between two that overlap is passed over");
	mmun_itree_remove(&root, &many[0]);
	ok(!mmun_itree_first(&root, MANY * 8, ~0ul, &cursor) && sound(MANY - 1),
	   "without the largest one the tree reaches less far");
	mmun_itree_root_destroy(&root);
}

static bool always(size_t size)
{
	return true;
}

/* As much memory as promised is enough for the worst that can come: the tree is
 * filled in disorder, thinned out until every node is at its least, refilled. */
static void test_room(void)
{
	long live = mmun_alloc_live();

	begin();
	ok(mmun_itree_has_room(&root, MMUN_ITREE_FANOUT - 2) && !mmun_itree_has_room(&root, MANY),
	   "few intervals need no chunk, many do");
	mmun_alloc_fail = always;
	ok(!mmun_itree_chunk_alloc(root.nr_nodes), "which may fail");
	mmun_alloc_fail = NULL;
	make_room(MANY);
	mmun_alloc_fail = always;
	for (unsigned long i = 0; i < MANY; i++)
		insert_many(i, i * 40503 % MANY * 8, i * 40503 % MANY * 8 + 7);
	for (int round = 0; round < 4; round++) {
		for (unsigned long i = 0; i < MANY; i++) {
			if (many[i].start / 8 % 5)
				mmun_itree_remove(&root, &many[i]);
		}
		for (unsigned long i = 0; i < MANY; i++) {
			if (!mmun_itree_contains(&many[i]))
				mmun_itree_insert(&root, &many[i]);
		}
	}
	mmun_alloc_fail = NULL;
	ok(sound(MANY), "with room nothing is allocated, whatever goes and comes");
	mmun_itree_root_destroy(&root);
	is(mmun_alloc_live(), live, "all of it is given back");
}

/* Chunks double the memory, up to a huge page. */

static unsigned long largest, too_large;

static bool note_size(size_t size)
{
	const unsigned long there = root.nr_nodes * sizeof(struct mmun_itree_node);

	if (size > largest)
		largest = size;
	too_large += size > 4096 && size >= 2 * there;
	return false;
}

static unsigned long pages_mapped(void)
{
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%lu", &pages) != 1)
		bail_out("no /proc/self/statm");
	fclose(file);
	return pages;
}

static void test_chunks(void)
{
	enum { TIMES = 20 };
	unsigned long before = 0, bytes = 0;

	largest = too_large = 0;
	mmun_alloc_fail = note_size;
	for (int i = 0; i < TIMES; i++) {
		begin();
		make_room(MANY);
		bytes = root.nr_nodes * sizeof(struct mmun_itree_node);
		if (!i)
			before = pages_mapped();
		mmun_itree_root_destroy(&root);
	}
	mmun_alloc_fail = NULL;
	is(largest, 2ul << 20, "no chunk is larger than a huge page, and some are as large");
	is(too_large, 0, "none is twice as large as all that was there before");
	ok(bytes > 4ul << 20 && pages_mapped() < before + bytes / 4096 * TIMES / 4,
	   "the kernel has the memory back");
}

int main(void)
{
	many = calloc(MANY, sizeof(*many));
	if (!many)
		bail_out("no memory");
	compare(64, 16, "crowded");
	compare(1 << 20, 1 << 10, "sparse");
	compare(0, 0x4000000000000000ul, "huge");
	compare(2, 0x4000000000000000ul, "two starts");
	test_edges();
	test_depth();
	test_equal();
	test_nested();
	test_room();
	test_chunks();
	free(many);
	return tap_done();
}
