/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A B+ tree of intervals.  What a search compares lies in the nodes, not in the
 * notifiers: with a million intervals, whose notifiers are in no cache, it reads
 * six nodes, and only the last ones come from memory.
 *
 * I1  In order of ->start; equal ones in the order of their insertion (->serial).
 * I2  An inner entry has the first start and the largest last of the node below.
 * I3  Every node but the root has MMUN_ITREE_LEAST entries or more, a root that is
 *     no leaf two or more; all leaves are equally deep.
 * I4  By I3 a number of intervals limits the number of nodes.  While that many
 *     are there no change of the tree needs memory: it takes spare nodes.
 *
 * Not here: when the tree may be read or changed (interval_table.c), nor how many
 * intervals need room (interval.c).
 * Tests: tests/unit/core/itree.c.
 */
#include "itree.h"

#include <stddef.h>
#include <string.h>

#include "alloc.h"
#include "bug.h"

/* Chunks double the memory up to this size: a huge page. */
#define CHUNK_MIN (1ul << 12)
#define CHUNK_MAX (1ul << 21)

struct mmun_itree_chunk {
	struct mmun_itree_chunk *next;
	size_t size;
	unsigned long nr;
	/* Chained, the last one to NULL. */
	struct mmun_itree_node nodes[];
};

/* The way from a leaf (0) to the root: which entry of each node. */
struct path {
	struct mmun_itree_node *node[MMUN_ITREE_LEVELS];
	unsigned long slot[MMUN_ITREE_LEVELS];
};

static void give(struct mmun_itree_root *root, struct mmun_itree_node *node)
{
	node->entry[0].below = root->spare;
	root->spare = node;
}

static struct mmun_itree_node *take(struct mmun_itree_root *root)
{
	struct mmun_itree_node *node = root->spare;

	MMUN_BUG_ON(!node);
	root->spare = node->entry[0].below;
	node->nr = 0;
	return node;
}

void mmun_itree_root_init(struct mmun_itree_root *root)
{
	root->nr_nodes = 1;
	give(root, &root->first);
}

void mmun_itree_root_destroy(struct mmun_itree_root *root)
{
	struct mmun_itree_chunk *chunk;

	while ((chunk = root->chunks)) {
		root->chunks = chunk->next;
		mmun_free_pages(chunk, chunk->size);
	}
}

bool mmun_itree_has_room(const struct mmun_itree_root *root, unsigned long nr)
{
	unsigned long nodes = 0;

	/* One level after the other, from the leaves. */
	do {
		nr /= MMUN_ITREE_LEAST;
		nodes += nr ? nr : 1;
	} while (nr > 1);
	return nodes <= root->nr_nodes;
}

struct mmun_itree_chunk *mmun_itree_chunk_alloc(unsigned long nr_nodes)
{
	struct mmun_itree_chunk *chunk;
	size_t size = CHUNK_MIN;

	while (size < CHUNK_MAX && size < nr_nodes * sizeof(chunk->nodes[0]))
		size *= 2;
	chunk = mmun_alloc_pages(size);
	if (!chunk)
		return NULL;
	chunk->size = size;
	chunk->nr = (size - sizeof(*chunk)) / sizeof(chunk->nodes[0]);
	/* This also makes the kernel find the memory now. */
	for (unsigned long i = 0; i + 1 < chunk->nr; i++)
		chunk->nodes[i].entry[0].below = &chunk->nodes[i + 1];
	return chunk;
}

void mmun_itree_add_chunk(struct mmun_itree_root *root, struct mmun_itree_chunk *chunk)
{
	chunk->next = root->chunks;
	root->chunks = chunk;
	chunk->nodes[chunk->nr - 1].entry[0].below = root->spare;
	root->spare = &chunk->nodes[0];
	root->nr_nodes += chunk->nr;
}

static void put(struct mmun_itree_node *node, unsigned long slot,
		const struct mmun_itree_entry *entry)
{
	memmove(&node->entry[slot + 1], &node->entry[slot], (node->nr - slot) * sizeof(*entry));
	node->entry[slot] = *entry;
	node->nr++;
}

static void erase(struct mmun_itree_node *node, unsigned long slot)
{
	node->nr--;
	memmove(&node->entry[slot], &node->entry[slot + 1],
		(node->nr - slot) * sizeof(node->entry[0]));
}

/* What its parent has to say about @node. */
static struct mmun_itree_entry summary(struct mmun_itree_node *node)
{
	struct mmun_itree_entry entry = { .start = node->entry[0].start, .below = node };

	for (unsigned long i = 0; i < node->nr; i++) {
		if (entry.last < node->entry[i].last)
			entry.last = node->entry[i].last;
	}
	return entry;
}

/* All of it: the lines come from memory at once, not one after the other. */
static inline void fetch(const struct mmun_itree_node *node)
{
	for (size_t i = 0; i < sizeof(*node); i += MMUN_CACHE_LINE)
		__builtin_prefetch((const char *)node + i);
}

/* Behind all that begin where @node does or before; the inner nodes on the way
 * count it as inserted. */
static void find_place(struct mmun_itree_root *root, const struct mmun_interval_node *node,
		       struct path *path)
{
	struct mmun_itree_node *at = root->node;
	struct mmun_itree_entry *entry;
	unsigned long slot;

	for (unsigned int level = root->levels; level--; at = entry->below) {
		fetch(at);
		for (slot = 0; slot < at->nr && at->entry[slot].start <= node->start; slot++)
			;
		path->node[level] = at;
		path->slot[level] = slot;
		if (!level)
			return;
		if (slot)
			path->slot[level] = --slot;
		entry = &at->entry[slot];
		if (entry->start > node->start)
			entry->start = node->start;
		if (entry->last < node->last)
			entry->last = node->last;
	}
}

/* The upper half of @node moves to a new one, with @entry in one of them. */
static struct mmun_itree_node *split(struct mmun_itree_root *root, struct mmun_itree_node *node,
				     unsigned long slot, const struct mmun_itree_entry *entry)
{
	const unsigned long half = (MMUN_ITREE_FANOUT + 1) / 2;
	const unsigned long stay = slot < half ? half - 1 : half;
	struct mmun_itree_node *right = take(root);

	right->nr = node->nr - stay;
	memcpy(right->entry, &node->entry[stay], right->nr * sizeof(*entry));
	node->nr = stay;
	if (slot < half)
		put(node, slot, entry);
	else
		put(right, slot - half, entry);
	return right;
}

static void add_level(struct mmun_itree_root *root, struct path *path)
{
	struct mmun_itree_node *node = take(root);

	MMUN_BUG_ON(root->levels == MMUN_ITREE_LEVELS);
	if (root->node) {
		node->entry[0] = summary(root->node);
		node->nr = 1;
	}
	path->node[root->levels] = node;
	path->slot[root->levels] = 0;
	root->node = node;
	root->levels++;
}

void mmun_itree_insert(struct mmun_itree_root *root, struct mmun_interval_node *node)
{
	struct mmun_itree_entry entry = { .start = node->start, .last = node->last, .below = node };
	struct mmun_itree_node *at, *right;
	unsigned long slot;
	struct path path;

	node->serial = ++root->serial;
	if (root->node)
		find_place(root, node, &path);
	else
		add_level(root, &path);
	for (unsigned int level = 0;; level++) {
		at = path.node[level];
		slot = path.slot[level] + !!level;
		if (at->nr < MMUN_ITREE_FANOUT)
			break;
		right = split(root, at, slot, &entry);
		entry = summary(right);
		if (level + 1 == root->levels)
			add_level(root, &path);
		else
			path.node[level + 1]->entry[path.slot[level + 1]] = summary(at);
	}
	put(at, slot, &entry);
}

/* Does what is below begin before @node?  Of equal starts the one that was
 * inserted first does. */
static bool before(const struct mmun_itree_entry *entry, unsigned int level,
		   const struct mmun_interval_node *node)
{
	const void *below = entry->below;

	if (entry->start != node->start)
		return entry->start < node->start;
	while (level--)
		below = ((const struct mmun_itree_node *)below)->entry[0].below;
	return ((const struct mmun_interval_node *)below)->serial <= node->serial;
}

static void find_path(const struct mmun_itree_root *root, const struct mmun_interval_node *node,
		      struct path *path)
{
	struct mmun_itree_node *at = root->node;
	unsigned long slot;

	for (unsigned int level = root->levels; level--; at = at->entry[slot].below) {
		fetch(at);
		slot = 0;
		if (level) {
			while (slot + 1 < at->nr && before(&at->entry[slot + 1], level, node))
				slot++;
		} else {
			while (slot < at->nr && at->entry[slot].below != node)
				slot++;
			MMUN_BUG_ON(slot == at->nr);
		}
		path->node[level] = at;
		path->slot[level] = slot;
	}
}

/* The neighbours at @slot and behind it become one, or share what they have. */
static void join(struct mmun_itree_root *root, struct mmun_itree_node *parent, unsigned long slot)
{
	struct mmun_itree_node *left = parent->entry[slot].below;
	struct mmun_itree_node *right = parent->entry[slot + 1].below;
	const unsigned long total = left->nr + right->nr;
	const unsigned long stay = total <= 2 * MMUN_ITREE_LEAST ? total : total / 2;
	const size_t size = sizeof(left->entry[0]);

	if (stay < left->nr) {
		memmove(&right->entry[left->nr - stay], right->entry, right->nr * size);
		memcpy(right->entry, &left->entry[stay], (left->nr - stay) * size);
	} else {
		memcpy(&left->entry[left->nr], right->entry, (stay - left->nr) * size);
		memmove(right->entry, &right->entry[stay - left->nr], (total - stay) * size);
	}
	left->nr = stay;
	right->nr = total - stay;
	parent->entry[slot] = summary(left);
	if (right->nr) {
		parent->entry[slot + 1] = summary(right);
	} else {
		erase(parent, slot + 1);
		give(root, right);
	}
}

/* @node, at @slot of its parent, has lost an entry, or one of its entries has
 * changed.  Returns whether the parent has changed. */
static bool repair(struct mmun_itree_root *root, struct mmun_itree_node *node,
		   struct mmun_itree_node *parent, unsigned long slot)
{
	struct mmun_itree_entry *known = &parent->entry[slot];
	struct mmun_itree_entry now;

	if (node->nr < MMUN_ITREE_LEAST) {
		join(root, parent, slot ? slot - 1 : 0);
		return true;
	}
	now = summary(node);
	if (known->start == now.start && known->last == now.last)
		return false;
	*known = now;
	return true;
}

void mmun_itree_remove(struct mmun_itree_root *root, struct mmun_interval_node *node)
{
	struct mmun_itree_node *top;
	struct path path;

	find_path(root, node, &path);
	erase(path.node[0], path.slot[0]);
	node->serial = 0;
	for (unsigned int level = 0; level + 1 < root->levels; level++) {
		if (!repair(root, path.node[level], path.node[level + 1], path.slot[level + 1]))
			return;
	}
	top = root->node;
	if (top->nr > (root->levels > 1))
		return;
	root->levels--;
	root->node = root->levels ? top->entry[0].below : NULL;
	give(root, top);
}

/*
 * The first interval at the cursor or behind it that reaches ->start.  Below an
 * entry that does there is one; and whatever follows an interval that begins
 * behind ->last does so too.
 */
static struct mmun_interval_node *settle(struct mmun_itree_cursor *cursor, unsigned int level)
{
	for (;;) {
		const struct mmun_itree_node *node = cursor->at[level].node;
		unsigned long slot = cursor->at[level].slot;

		while (slot < node->nr && node->entry[slot].last < cursor->start)
			slot++;
		if (slot == node->nr) {
			if (++level == cursor->levels)
				return NULL;
			cursor->at[level].slot++;
			continue;
		}
		if (node->entry[slot].start > cursor->last)
			return NULL;
		cursor->at[level].slot = slot;
		if (!level)
			return node->entry[slot].below;
		level--;
		cursor->at[level].node = node->entry[slot].below;
		cursor->at[level].slot = 0;
		fetch(cursor->at[level].node);
	}
}

struct mmun_interval_node *mmun_itree_first(const struct mmun_itree_root *root, unsigned long start,
					    unsigned long last, struct mmun_itree_cursor *cursor)
{
	if (!root->node || last < start)
		return NULL;
	cursor->start = start;
	cursor->last = last;
	cursor->levels = root->levels;
	cursor->at[root->levels - 1].node = root->node;
	cursor->at[root->levels - 1].slot = 0;
	return settle(cursor, root->levels - 1);
}

struct mmun_interval_node *mmun_itree_next(struct mmun_itree_cursor *cursor)
{
	cursor->at[0].slot++;
	return settle(cursor, 0);
}

struct mmun_interval_node *mmun_itree_behind(const struct mmun_itree_root *root,
					     const struct mmun_interval_node *node,
					     unsigned long start, unsigned long last,
					     struct mmun_itree_cursor *cursor)
{
	const struct mmun_itree_node *at = root->node;
	unsigned long slot;

	if (!at || last < start)
		return NULL;
	cursor->start = start;
	cursor->last = last;
	cursor->levels = root->levels;
	for (unsigned int level = root->levels; level--;) {
		fetch(at);
		/* Of a leaf's entries the first one behind, else the one that it is below. */
		slot = 0;
		while (slot + !!level < at->nr && before(&at->entry[slot + !!level], level, node))
			slot++;
		cursor->at[level].node = at;
		cursor->at[level].slot = slot;
		if (level)
			at = at->entry[slot].below;
	}
	return settle(cursor, 0);
}
