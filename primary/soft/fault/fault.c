/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Faults: which kind it is; anonymous memory and swap.
 *
 * A fault looks at the entry under the page_table_lock, lets go of it, gets
 * what it needs (frames, file pages), and then sets the entry if it still says
 * what it said.  If not, somebody else was faster, and the caller looks again.
 *
 * I1  Frames and tables are got before the change begins (M2: it waits for no frame).
 * I2  An entry that was empty, swapped out or chose a file page was translated by
 *     nobody: filling it is a change without a section.
 * I3  A swap slot is held while it is read: its number cannot come to mean
 *     another page in between.
 * I4  An entry is waited for (migration) with nothing but the mmap lock held.
 *
 * Not here: present entries that permit too little (cow.c), files and devices
 * (file.c), setting an entry (install.c), the causes of faults (access.c, gup.c, device.c).
 * Tests: tests/unit/soft/fault.c.
 */
#include <errno.h>
#include <signal.h>

#include "bug.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "frame/swap.h"
#include "rmap/rmap.h"
#include "section.h"
#include "table/table.h"

int mmun_soft_refuse(struct mmun_soft_fault *why, unsigned long address, int signal, int code,
		     const char *reason)
{
	if (why)
		*why = (struct mmun_soft_fault){ signal, code, address, reason };
	return signal == SIGKILL ? -ENOMEM : -EFAULT;
}

static int do_anonymous_page(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);
	int ret;

	if (vmf->vma->v.vm_flags & VM_HUGETLB)
		return mmun_soft_do_hugetlb(vmf);
	if (mmun_soft_do_huge_pmd_anonymous_page(vmf))
		return 0;
	ret = mmun_soft_pte_make(mm, vmf->address);
	if (ret)
		return ret == -EEXIST ? 0 : ret;
	if (!(vmf->flags & SOFT_FAULT_WRITE)) {
		/* Linux maps its zero page even where a first write would be the next thing. */
		vmf->page = mmun_soft_zero_page(mm->soft);
		if (mmun_soft_finish_fault(vmf, 0))
			soft_stat_inc(mm->soft, zero_mapped);
		return 0;
	}
	vmf->page = mmun_soft_anon_page(vmf->vma, vmf->address, NULL);
	if (!vmf->page)
		return -ENOMEM;
	if (mmun_soft_finish_fault(vmf, SOFT_PTE_EXCLUSIVE))
		soft_stat_inc(mm->soft, anon_filled);
	return 0;
}

static int swap_in(struct soft_vm_fault *vmf)
{
	struct mmun_soft *soft = soft_fault_mm(vmf)->soft;
	const unsigned long slot = soft_pte_number(vmf->orig_pte);

	vmf->page = mmun_soft_anon_page(vmf->vma, vmf->address, NULL);
	if (!vmf->page)
		return -ENOMEM;
	mmun_soft_swap_read(soft, slot, vmf->page);
	/* The slot goes: nothing but the frame has the contents then. */
	soft_page_set(vmf->page, SOFT_PAGE_DIRTY);
	if (mmun_soft_finish_fault(vmf,
				   SOFT_PTE_EXCLUSIVE | (vmf->orig_pte & SOFT_PTE_SOFT_DIRTY))) {
		soft_stat_inc(soft, swapped_in);
		mmun_soft_swap_put(soft, slot);
	}
	return 0;
}

/* Each sharer of a slot gets a copy of its own, which nobody else has. */
static int do_swap_page(struct soft_vm_fault *vmf)
{
	struct mmun_soft *soft = soft_fault_mm(vmf)->soft;
	const unsigned long slot = soft_pte_number(vmf->orig_pte);
	int ret;

	/* I3 */
	if (!mmun_soft_fault_lock(vmf))
		return 0;
	mmun_soft_swap_get(soft, slot);
	mmun_soft_fault_unlock(vmf);
	ret = swap_in(vmf);
	mmun_soft_swap_put(soft, slot);
	return ret;
}

/* I4.  A migration holds the page lock from the first entry it takes away to the last it
 * restores.  No reference is taken, which it would count; the frame stays as long as an
 * entry names it. */
static int migration_entry_wait(struct soft_vm_fault *vmf)
{
	struct page *page;
	unsigned int flags;

	if (!mmun_soft_fault_lock(vmf))
		return 0;
	page = soft_pte_page(soft_fault_mm(vmf), vmf->orig_pte);
	flags = mmun_soft_page_announce_wait(page);
	mmun_soft_fault_unlock(vmf);
	mmun_soft_page_wait(page, flags);
	return 0;
}

/* NULL, or why the VMA does not permit the access. */
static const char *access_error(const struct soft_vm_fault *vmf)
{
	unsigned long rights = vmf->vma->v.vm_flags;

	if (vmf->flags & SOFT_FAULT_FORCE)
		return NULL;
	if (!(rights & (VM_READ | VM_WRITE | VM_EXEC)))
		return "the mapping permits no access";
	if ((vmf->flags & SOFT_FAULT_WRITE) && !(rights & VM_WRITE))
		return "write to a read-only mapping";
	return NULL;
}

/*
 * Does a present entry permit the access?  A forced write leaves the entry of
 * a read-only mapping read-only: it is enough there that the page is ours alone.
 */
static bool permits(const struct soft_vm_fault *vmf)
{
	const struct page *page = soft_pte_page(soft_fault_mm(vmf), vmf->orig_pte);
	const soft_pte pte = vmf->orig_pte;

	if (vmf->flags & SOFT_FAULT_WRITE)
		return (pte & SOFT_PTE_WRITE) ||
		       ((vmf->flags & SOFT_FAULT_FORCE) && !(vmf->vma->v.vm_flags & VM_WRITE) &&
			(pte & SOFT_PTE_EXCLUSIVE));
	if (!(vmf->flags & SOFT_FAULT_UNSHARE) || !soft_vma_cow(vmf->vma))
		return true;
	if (!soft_page_anon(page))
		return !(vmf->flags & SOFT_FAULT_LONGTERM);
	return pte & SOFT_PTE_EXCLUSIVE;
}

/* As in Linux: a private mapping whose driver set no operations is plain memory. */
static bool is_device(const struct soft_vma *vma)
{
	return vma->v.vm_ops || (vma->v.vm_file && (vma->v.vm_flags & VM_SHARED));
}

/* The entry said ->orig_pte, which did not permit the access. */
static int handle_pte_fault(struct soft_vm_fault *vmf)
{
	if (vmf->orig_pte & SOFT_PTE_PRESENT)
		return mmun_soft_do_wp_page(vmf);
	if (vmf->orig_pte & SOFT_PTE_MIGRATION)
		return migration_entry_wait(vmf);
	if (vmf->orig_pte & SOFT_PTE_DEVICE)
		return mmun_soft_do_device_entry(vmf);
	if (vmf->orig_pte & SOFT_PTE_SWAP)
		return do_swap_page(vmf);
	if (soft_vma_mapping(vmf->vma))
		return mmun_soft_do_file_fault(vmf);
	if (is_device(vmf->vma))
		return mmun_soft_do_device_fault(vmf);
	return do_anonymous_page(vmf);
}

/* One fault; the page_table_lock is not held.  May have done only a part. */
static int handle_mm_fault(struct soft_vm_fault *vmf)
{
	int ret;

	soft_stat_inc(soft_fault_mm(vmf)->soft, faults);
	ret = handle_pte_fault(vmf);
	if (ret == -ENOMEM)
		return mmun_soft_refuse(vmf->why, vmf->real_address, SIGKILL, 0,
					"no memory was left");
	return ret;
}

/* What the processor's own walk of the tables leaves behind. */
static void touch(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);
	soft_pte bits = SOFT_PTE_YOUNG;
	soft_pte *entry = mmun_soft_pte(mm, vmf->address);

	if (vmf->flags & SOFT_FAULT_WRITE)
		bits |= SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY;
	if (!entry)
		entry = mmun_soft_pmd(mm, vmf->address);
	*entry |= bits;
	vmf->orig_pte |= bits;
}

/* As on a processor, that an instruction may not be fetched from here is found
 * only when something is here. */
static bool may_fetch(const struct soft_vm_fault *vmf)
{
	return !(vmf->flags & SOFT_FAULT_EXEC) || (vmf->vma->v.vm_flags & VM_EXEC);
}

int mmun_soft_fault_in(struct soft_vm_fault *vmf)
{
	struct soft_mm *mm = soft_fault_mm(vmf);
	const char *reason = access_error(vmf);
	int ret;

	vmf->real_address = vmf->address;
	vmf->address &= MMUN_SOFT_PAGE_MASK;
	if (reason)
		return mmun_soft_refuse(vmf->why, vmf->real_address, SIGSEGV, SEGV_ACCERR, reason);
	for (;;) {
		mmun_mutex_lock(&mm->page_table_lock);
		vmf->orig_pte = mmun_soft_pte_value(mm, vmf->address);
		if (mmun_soft_special_stale(vmf)) {
			mmun_mutex_unlock(&mm->page_table_lock);
			return mmun_soft_special_violated(vmf);
		}
		if ((vmf->orig_pte & SOFT_PTE_PRESENT) && permits(vmf))
			break;
		mmun_mutex_unlock(&mm->page_table_lock);
		ret = handle_mm_fault(vmf);
		if (ret)
			return ret;
	}
	MMUN_BUG_ON((vmf->orig_pte & SOFT_PTE_NO_ACCESS) != soft_no_access(vmf->vma));
	if (may_fetch(vmf)) {
		touch(vmf);
		vmf->page = soft_pte_page(mm, vmf->orig_pte);
		return 0;
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return mmun_soft_refuse(vmf->why, vmf->real_address, SIGSEGV, SEGV_ACCERR,
				"fetch from a mapping that is not executable");
}
