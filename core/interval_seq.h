/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Sections, for interval notifiers. */
#ifndef MMUN_CORE_INTERVAL_SEQ_H
#define MMUN_CORE_INTERVAL_SEQ_H

#include "internal.h"

/* A section, for the mm's interval notifiers.  A start that returned 0 is paired
 * with an end; -EAGAIN only if the range is not blockable. */
int mmun_intervals_start(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range);
void mmun_intervals_end(struct mmu_notifier_mm *chain, struct mmu_notifier_range *range);

/* Exit notifies them all, once.  False: the tree was being changed until @deadline. */
bool mmun_intervals_release(struct mm_struct *mm, struct mmu_notifier_mm *chain, uint64_t deadline);

#endif
