/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The notifiers of an address space as an object: made by the first registration, gone
 * with the mm (R9: one chain per mm), and what a registration has to allocate for it.
 *
 * I1  All memory is there before the mm is quiesced (R8: no allocation under its locks).
 *     What turns out not to be needed is freed by the function that allocated it.
 * I2  A notifier that was unregistered inside a section of its own thread, which is
 *     misuse, is remembered with what came after it: sections may have kept it as their
 *     head.
 *
 * Not here: what is on the list (notifier.c) and in the tree (interval.c).
 * Tests: tests/unit/core/notifier.c, tests/unit/core/misuse.c.
 */
#include "chain.h"

#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "interval_table.h"

static struct mmu_notifier_mm *alloc_chain(void)
{
	struct mmu_notifier_mm *chain = mmun_alloc(sizeof(*chain));

	if (chain)
		mmun_mutex_init(&chain->lock, MMUN_RANK_CHAIN);
	return chain;
}

static void free_chain(struct mmu_notifier_mm *chain, bool usable)
{
	if (chain && usable)
		mmun_mutex_destroy(&chain->lock);
	mmun_free(chain);
}

void mmun_spares_free(struct mmun_spares *spares)
{
	free_chain(spares->chain, true);
	mmun_itree_free(spares->itree, true);
}

int mmun_spares_alloc(struct mmun_spares *spares, struct mm_struct *mm, bool intervals)
{
	struct mmu_notifier_mm *chain = mmun_chain(mm);

	if (!chain) {
		spares->chain = alloc_chain();
		if (!spares->chain)
			return -ENOMEM;
	}
	if (intervals && !(chain && mmun_chain_itree(chain))) {
		spares->itree = mmun_itree_alloc(mm);
		if (!spares->itree)
			return -ENOMEM;
	}
	return 0;
}

struct mmu_notifier_mm *mmun_chain_install(struct mm_struct *mm, struct mmun_spares *spares)
{
	struct mmu_notifier_mm *chain = mmun_chain(mm);

	if (!chain) {
		chain = spares->chain;
		spares->chain = NULL;
		mmun_store_full(&mm->mmu_notifier_mm, chain);
	}
	if (spares->itree && !mmun_chain_itree(chain)) {
		mmun_store_full(&chain->itree, spares->itree);
		spares->itree = NULL;
	}
	return chain;
}

void mmun_chain_destroy(struct mm_struct *mm)
{
	struct mmu_notifier_mm *chain = mmun_chain(mm);
	const bool usable = !mmun_mm_copied(mm);

	if (!chain)
		return;
	MMUN_BUG_ON(usable && !mmun_list_empty(&chain->list));
	mmun_itree_free(mmun_chain_itree(chain), usable);
	free_chain(chain, usable);
}

void mmun_detached_forget(struct mmu_notifier_mm *chain, struct mmun_list_node *node)
{
	for (unsigned int i = 0; i < MMUN_DETACHED; i++)
		if (chain->detached[i].node == node)
			mmun_store_release(&chain->detached[i].node, NULL);
}

void mmun_detached_remember(struct mmu_notifier_mm *chain, struct mmun_list_node *node)
{
	const unsigned int i = chain->nr_detached % MMUN_DETACHED;

	mmun_store_release(&chain->detached[i].node, NULL);
	mmun_store_release(&chain->detached[i].next, mmun_list_next(node));
	mmun_store_release(&chain->detached[i].node, node);
	mmun_store_release(&chain->nr_detached, chain->nr_detached + 1);
}

__attribute__((cold)) struct mmun_list_node *mmun_detached_skip(const struct mmu_notifier_mm *chain,
								struct mmun_list_node *head)
{
	for (unsigned int i = 0; i < MMUN_DETACHED; i++) {
		if (head && mmun_load_acquire(&chain->detached[i].node) == head) {
			head = mmun_load_acquire(&chain->detached[i].next);
			i = -1u;
		}
	}
	return head;
}
