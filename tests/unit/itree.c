// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* core/itree.c against a naive list, with its invariants after each step. */
#include "itree.h"

#include <stdint.h>
#include <string.h>

#include "tap.h"

#define NODES 300
#define ROUNDS 60000

static struct mmun_interval_node nodes[NODES];
static bool inside[NODES];
static struct mmun_interval_node *root;
static uint64_t state = 88172645463325252ull;

static uint64_t next_random(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	return state ^= state << 17;
}

static unsigned long larger(unsigned long a, unsigned long b)
{
	return a > b ? a : b;
}

static unsigned int levels(const struct mmun_interval_node *node)
{
	return 1u + (node->child_height[0] > node->child_height[1] ? node->child_height[0] :
								     node->child_height[1]);
}

/* Counts the nodes of the subtree; what it reaches to in *last; -1: broken. */
static long check(const struct mmun_interval_node *node, unsigned long *last)
{
	unsigned long reach[2] = { 0, 0 };
	unsigned int height[2] = { 0, 0 };
	long total = 1;

	*last = node->last;
	for (int i = 0; i < 2; i++) {
		const struct mmun_interval_node *child = node->child[i];
		long below;

		if (!child) {
			if (node->child_last[i] || node->child_height[i])
				return -1;
			continue;
		}
		below = check(child, &reach[i]);
		if (below < 0 || child->parent != node || node->child_last[i] != reach[i] ||
		    (i ? child->start < node->start : child->start > node->start))
			return -1;
		height[i] = levels(child);
		if (node->child_height[i] != height[i] || !child->in_tree)
			return -1;
		total += below;
		*last = larger(*last, reach[i]);
	}
	if (height[0] > height[1] + 1 || height[1] > height[0] + 1)
		return -1;
	return total;
}

static bool sound(long expected)
{
	unsigned long last;

	if (!root)
		return expected == 0;
	return !root->parent && check(root, &last) == expected;
}

/* Every overlapping interval once, in the order of ->start. */
static bool finds_the_same(unsigned long start, unsigned long last)
{
	struct mmun_interval_node *node, *before = NULL;
	bool found[NODES] = { false };

	for (node = mmun_itree_first(root, start, last); node;
	     node = mmun_itree_next(node, start, last)) {
		if (found[node - nodes] || (before && before->start > node->start))
			return false;
		found[node - nodes] = true;
		before = node;
	}
	for (int i = 0; i < NODES; i++) {
		bool overlaps = inside[i] && nodes[i].start <= last && nodes[i].last >= start;

		if (overlaps != found[i])
			return false;
	}
	return true;
}

static unsigned long pick(unsigned long limit)
{
	return limit ? next_random() % limit : next_random();
}

/* @limit: the largest address, 0: all of them. */
static void compare(unsigned long limit, unsigned long longest, const char *what)
{
	long count = 0, broken = 0, different = 0;

	for (long round = 0; round < ROUNDS; round++) {
		long i = (long)(next_random() % NODES);
		unsigned long start = pick(limit), last;

		if (inside[i]) {
			mmun_itree_remove(&root, &nodes[i]);
			inside[i] = false;
			count--;
			broken += mmun_itree_contains(&nodes[i]);
		} else {
			last = start + next_random() % longest;
			nodes[i] = (struct mmun_interval_node){
				.start = start, .last = last < start ? ~0ul : last };
			mmun_itree_insert(&root, &nodes[i]);
			inside[i] = true;
			count++;
		}
		broken += !sound(count);
		start = pick(limit);
		last = start + next_random() % longest;
		different += !finds_the_same(start, last < start ? ~0ul : last);
	}
	for (int i = 0; i < NODES; i++) {
		if (inside[i])
			mmun_itree_remove(&root, &nodes[i]);
		inside[i] = false;
	}
	is(broken, 0, "%s: in order, balanced, summaries right after each of %d steps", what, ROUNDS);
	is(different, 0, "%s: finds what a list finds", what);
	ok(!root, "%s: empty at the end", what);
}

static void test_edges(void)
{
	struct mmun_interval_node all = { .start = 0, .last = ~0ul }, none;

	ok(!mmun_itree_first(NULL, 0, ~0ul), "nothing in an empty tree");
	mmun_itree_insert(&root, &all);
	ok(mmun_itree_first(root, 0, 0) == &all && mmun_itree_first(root, ~0ul, ~0ul) == &all,
	   "the largest interval is found at both ends");
	ok(!mmun_itree_next(&all, 0, ~0ul), "once");
	ok(!mmun_itree_first(root, 5, 4), "an empty range touches nothing");
	mmun_itree_remove(&root, &all);
	none = (struct mmun_interval_node){ .start = 8, .last = 15 };
	mmun_itree_insert(&root, &none);
	ok(!mmun_itree_first(root, 0, 7) && !mmun_itree_first(root, 16, ~0ul), "neighbours do not overlap");
	ok(mmun_itree_first(root, 0, 8) && mmun_itree_first(root, 15, 99), "one byte does");
	mmun_itree_remove(&root, &none);
}

/* The depth that the balance promises, in the order that hurts a plain tree. */
static void test_depth(void)
{
	static struct mmun_interval_node many[1 << 14];
	unsigned int n = sizeof(many) / sizeof(many[0]);

	for (unsigned int i = 0; i < n; i++) {
		many[i] = (struct mmun_interval_node){ .start = i * 8ul, .last = i * 8ul + 7 };
		mmun_itree_insert(&root, &many[i]);
	}
	ok(levels(root) <= 15, "%u ascending intervals: %u levels", n, levels(root));
	for (unsigned int i = 0; i < n; i += 2)
		mmun_itree_remove(&root, &many[i]);
	ok(sound(n / 2) && levels(root) <= 15, "every other one removed: %u levels", levels(root));
	root = NULL;
}

int main(void)
{
	compare(64, 16, "crowded");
	compare(1 << 20, 1 << 10, "sparse");
	compare(0, 0x4000000000000000ul, "huge");
	test_edges();
	test_depth();
	return tap_done();
}
