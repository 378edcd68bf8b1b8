/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What linux/mmu_notifier.h has beside the chain.
 *
 * Tests: tests/contract/compat/notifiers.c.
 */
#include "runtime.h"

#include <linux/mm.h>
#include <linux/mmu_notifier.h>

struct lockdep_map __mmu_notifier_invalidate_range_start_map;

/* mprotect() holds the mmap lock for write and has changed the mapping before it notifies. */
bool mmu_notifier_range_update_to_read_only(const struct mmu_notifier_range *range)
{
	const struct vm_area_struct *vma;

	if (range->event != MMU_NOTIFY_PROTECTION_VMA)
		return false;
	vma = vma_lookup(range->mm, range->start);
	return vma && vma->vm_flags & VM_READ;
}
