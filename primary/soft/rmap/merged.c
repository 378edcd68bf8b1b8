/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From a merged page to its entries.
 *
 * An anonymous page that becomes or joins a merged one leaves behind where it was to
 * be found: an anon_vma and an index in it.  The entries that named it are found
 * there as before, and so are those that a fork or a move makes of them.
 *
 * I1  A source is added before the first entry that it leads to names the merged
 *     page, under the page lock of that; so a walk, which has the page lock, misses none.
 * I2  A source holds a reference to its anon_vma (M4: so it lives).  There is one for each place, so
 *     what leaves and joins again adds nothing.
 * I3  Sources whose mappings have gone go when their number has doubled: a page that
 *     outlives many address spaces keeps no more than twice of what is mapped.
 *
 * Not here: which page holds which contents (reclaim/ksm.c), the walk (rmap.c).
 * Tests: tests/unit/soft/merged.c.
 */
#include <errno.h>

#include "alloc.h"
#include "rmap/rmap.h"

#define PRUNE_FROM 16

static struct soft_source *source_of(const struct mmun_tree_node *node)
{
	return mmun_container_of(node, struct soft_source, node);
}

static bool less(const struct mmun_tree_node *a, const struct mmun_tree_node *b)
{
	const struct soft_source *x = source_of(a), *y = source_of(b);

	if (x->anon_vma != y->anon_vma)
		return (uintptr_t)x->anon_vma < (uintptr_t)y->anon_vma;
	return x->index < y->index;
}

struct soft_source *mmun_soft_source_first(const struct soft_merged *merged)
{
	struct mmun_tree_node *node = mmun_tree_first(&merged->sources);

	return node ? source_of(node) : NULL;
}

struct soft_source *mmun_soft_source_next(const struct soft_source *source)
{
	struct mmun_tree_node *node = mmun_tree_next(&source->node);

	return node ? source_of(node) : NULL;
}

struct soft_merged *mmun_soft_merged_alloc(void)
{
	struct soft_merged *merged = mmun_alloc(sizeof(*merged));

	if (merged) {
		mmun_dlist_init(&merged->link);
		merged->prune_at = PRUNE_FROM;
	}
	return merged;
}

static void drop_source(struct soft_merged *merged, struct soft_source *source)
{
	mmun_tree_remove(&merged->sources, &source->node, NULL);
	merged->nr_sources--;
	mmun_soft_anon_put(source->anon_vma);
	mmun_free(source);
}

void mmun_soft_merged_free(struct soft_merged *merged)
{
	struct soft_source *source;

	while ((source = mmun_soft_source_first(merged)))
		drop_source(merged, source);
	mmun_free(merged);
}

static bool has_mapping(const struct soft_source *source)
{
	struct mmun_rwlock *lock = &source->anon_vma->root->lock.lock;
	struct mmun_interval *first;

	mmun_rwlock_read_lock(lock);
	first = mmun_interval_first(&source->anon_vma->chains, source->index, source->index);
	mmun_rwlock_read_unlock(lock);
	return first;
}

/* I3 */
static void prune(struct soft_merged *merged)
{
	struct soft_source *source = mmun_soft_source_first(merged), *next;

	for (; source; source = next) {
		next = mmun_soft_source_next(source);
		if (!has_mapping(source))
			drop_source(merged, source);
	}
	merged->prune_at = 2 * merged->nr_sources + PRUNE_FROM;
}

static bool knows(const struct soft_merged *merged, const struct soft_source *wanted)
{
	const struct mmun_tree_node *node = merged->sources.root;

	while (node) {
		if (less(&wanted->node, node))
			node = node->left;
		else if (less(node, &wanted->node))
			node = node->right;
		else
			return true;
	}
	return false;
}

int mmun_soft_merged_add(struct soft_merged *merged, const struct page *page)
{
	const struct soft_source wanted = { .anon_vma = page->anon_vma, .index = page->index };
	struct soft_source *source;

	if (knows(merged, &wanted))
		return 0;
	source = mmun_alloc(sizeof(*source));
	if (!source)
		return -ENOMEM;
	if (merged->nr_sources >= merged->prune_at)
		prune(merged);
	*source = wanted;
	mmun_soft_anon_get(source->anon_vma);
	mmun_tree_insert(&merged->sources, &source->node, less, NULL);
	merged->nr_sources++;
	return 0;
}
