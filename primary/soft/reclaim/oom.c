/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The out-of-memory reaper: takes the private memory of a victim while its tasks
 * still exist and perhaps wait for memory themselves.
 *
 * I1  It waits for nobody: the mmap lock by trylock, callbacks that must not sleep.
 * I2  A VMA whose section a notifier refused is untouched, and so are those after it.
 *
 * It does not choose the victim, and does not stop it.  Tests: tests/unit/soft/reclaim.c.
 */
#include <errno.h>
#include <limits.h>

#include "section.h"
#include "table/table.h"

/* What others see too stays, and what the driver has put there is its own. */
static bool reapable(const struct soft_vma *vma)
{
	return !(vma->v.vm_flags & (VM_SHARED | VM_PFNMAP | VM_IO | VM_MIXEDMAP | VM_HUGETLB));
}

static int reap_vma(struct soft_vma *vma)
{
	const struct soft_zap all = { .first = 0, .last = ULONG_MAX };
	struct mm_struct *mm = vma->v.vm_mm;
	struct soft_section s;
	int ret;

	ret = mmun_soft_section_start(&s, mm, MMU_NOTIFY_UNMAP, MMUN_OP_OOM_REAP, vma->v.vm_start,
				      vma->v.vm_end, true);
	if (ret)
		return ret;
	mmun_soft_zap(vma, vma->v.vm_start, vma->v.vm_end, &all);
	mmun_soft_section_end(&s, false);
	return 0;
}

int mmun_soft_oom_reap(struct mm_struct *mm)
{
	struct soft_vma *vma;
	int ret = 0;

	if (!mmap_read_trylock(mm))
		return -EAGAIN;
	soft_for_each_vma(vma, soft_mm(mm)) {
		if (!reapable(vma))
			continue;
		ret = reap_vma(vma);
		if (ret)
			break;
	}
	mmap_read_unlock(mm);
	return ret;
}
