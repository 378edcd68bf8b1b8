/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Preloaded: the event source starts, and then no notifier can be registered. */
#include <errno.h>

#include <mmunotify/mmu_notifier.h>

__attribute__((visibility("default"))) int mmu_notifier_register(struct mmu_notifier *mn,
								 struct mm_struct *mm)
{
	return -ETIMEDOUT;
}
