/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The notifiers of an address space as an object. */
#ifndef MMUN_CORE_CHAIN_H
#define MMUN_CORE_CHAIN_H

#include "internal.h"

/* What a registration may need, allocated before the mm is quiesced. */
struct mmun_spares {
	struct mmu_notifier_mm *chain;
	struct mmun_itree *itree;
};

/* 0 or -ENOMEM; free what is left of them in both cases.  @intervals: interval mode. */
int mmun_spares_alloc(struct mmun_spares *spares, struct mm_struct *mm, bool intervals);
void mmun_spares_free(struct mmun_spares *spares);

/* The chain of @mm, which a spare becomes if it has none.  Alone: under the mmap lock. */
struct mmu_notifier_mm *mmun_chain_install(struct mm_struct *mm, struct mmun_spares *spares);
/* At mm_count 0. */
void mmun_chain_destroy(struct mm_struct *mm);

/* Under the chain lock: sections of this thread that have @node as their head, although it
 * leaves, find what came after it. */
void mmun_detached_remember(struct mmu_notifier_mm *chain, struct mmun_list_node *node);
/* A notifier that comes back is no longer one that was detached against the rules. */
void mmun_detached_forget(struct mmu_notifier_mm *chain, struct mmun_list_node *node);
/* A head that was unregistered inside the section, which is misuse, may be gone: what came
 * after it stands for it. */
struct mmun_list_node *mmun_detached_skip(const struct mmu_notifier_mm *chain,
					  struct mmun_list_node *head);

#endif
