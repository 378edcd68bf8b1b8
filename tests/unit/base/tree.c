/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* base/tree.h and base/interval_tree.h against plain arrays. */
#include "interval_tree.h"

#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define NODES  24
#define ROUNDS 20000
#define STEPS  60

static unsigned int state = 2008;

static unsigned int draw(unsigned int below)
{
	state = state * 1664525 + 1013904223;
	return (unsigned int)((uint64_t)state * below >> 32);
}

struct numbered {
	struct mmun_interval interval; /* first */
	unsigned int when;             /* inserted */
};

/* A node's address decides its place in the heap, so each round draws new ones. */
static struct numbered pool[4096];
static struct numbered *in[NODES];
static struct mmun_interval_tree tree;
static unsigned int now;

static void insert(unsigned int i)
{
	struct numbered *node;

	do {
		node = &pool[draw(4096)];
	} while (node->when);
	node->when = ++now;
	node->interval.start = draw(30);
	node->interval.last = node->interval.start + draw(draw(2) ? 3 : 20);
	mmun_interval_insert(&tree, &node->interval);
	in[i] = node;
}

static void take_out(unsigned int i)
{
	mmun_interval_remove(&tree, &in[i]->interval);
	in[i]->when = 0;
	in[i] = NULL;
}

static bool hits(const struct numbered *node, unsigned long start, unsigned long last)
{
	return node && node->interval.start <= last && node->interval.last >= start;
}

/* By start, equal ones as they came; every hit once. */
static bool finds_all(unsigned long start, unsigned long last)
{
	const struct numbered *before = NULL;
	struct mmun_interval *it;
	int found = 0, expected = 0;

	for (int i = 0; i < NODES; i++)
		expected += hits(in[i], start, last);
	mmun_for_each_interval(it, &tree, start, last) {
		const struct numbered *node = (const struct numbered *)it;

		if (!hits(node, start, last))
			return false;
		if (before && (before->interval.start > it->start ||
			       (before->interval.start == it->start && before->when > node->when)))
			return false;
		before = node;
		found++;
	}
	return found == expected;
}

/* Forwards and backwards, all of them; links in both directions. */
static bool in_order(void)
{
	const struct mmun_tree_node *node, *last = NULL;
	int forwards = 0, backwards = 0, expected = 0;

	for (int i = 0; i < NODES; i++)
		expected += !!in[i];
	for (node = mmun_tree_first(&tree.tree); node; node = mmun_tree_next(node)) {
		if (mmun_tree_prev(node) != last || (node->left && node->left->parent != node) ||
		    (node->right && node->right->parent != node))
			return false;
		last = node;
		forwards++;
	}
	if (last != mmun_tree_last(&tree.tree))
		return false;
	for (node = last; node; node = mmun_tree_prev(node))
		backwards++;
	return forwards == expected && backwards == expected;
}

/* The step at which something was wrong, or 0. */
static int one_round(void)
{
	for (int step = 1; step <= STEPS; step++) {
		unsigned int i = draw(NODES);
		unsigned long start = draw(55);

		if (in[i])
			take_out(i);
		else
			insert(i);
		if (!finds_all(start, start + draw(5)) || !in_order())
			return step;
	}
	for (unsigned int i = 0; i < NODES; i++) {
		if (in[i])
			take_out(i);
	}
	return tree.tree.root != NULL;
}

static void test_random(void)
{
	int wrong = 0, round;

	for (round = 0; round < ROUNDS && !wrong; round++)
		wrong = one_round();
	is(wrong, 0, "every overlapping interval is found once, in order");
	is(round, ROUNDS, "in each of %d trees", ROUNDS);
}

static int depth_of(const struct mmun_tree_node *node)
{
	int left, right;

	if (!node)
		return 0;
	left = depth_of(node->left);
	right = depth_of(node->right);
	return 1 + (left > right ? left : right);
}

static void test_depth(void)
{
	const unsigned int count = 1u << 15;
	struct mmun_interval_tree sorted = { { NULL } };
	struct mmun_interval *nodes = calloc(count, sizeof(*nodes));

	if (!nodes)
		bail_out("no memory");
	for (unsigned int i = 0; i < count; i++) {
		nodes[i].start = nodes[i].last = i;
		mmun_interval_insert(&sorted, &nodes[i]);
	}
	/* A random tree of this size is about 35 deep. */
	ok(depth_of(sorted.tree.root) < 80, "sorted insertion does not make a list (depth %d)",
	   depth_of(sorted.tree.root));
	ok(mmun_interval_first(&sorted, 12345, 12345) == &nodes[12345], "each one is found");
	free(nodes);
}

int main(void)
{
	test_random();
	test_depth();
	return tap_done();
}
