/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Faults: which kind it is; anonymous memory and swap.
 *
 * A fault looks at the entry under the page_table_lock, lets go of it, gets
 * what it needs (frames, file pages), and then sets the entry if it still says
 * what it said.  If not, somebody else was faster, and the caller looks again.
 *
 * I1  Frames and tables are got before the change begins (M2).
 * I2  An entry that was empty, swapped out or chose a file page was translated by
 *     nobody: filling it is a change without a section.
 * I3  A swap slot is held while it is read: its number cannot come to mean
 *     another page in between.
 * I4  An entry is waited for (migration) with nothing but the mmap lock held.
 *
 * Not here: present entries that permit too little (cow.c), files and devices
 * (file.c), who faults and why (access.c, gup.c, device.c).
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

static int no_memory(struct mmun_soft_fault *why, unsigned long address)
{
	return mmun_soft_refuse(why, address, SIGKILL, 0, "no memory was left");
}

struct page *mmun_soft_anon_page(struct soft_vma *vma, unsigned long address,
				 const struct page *from)
{
	struct mmun_soft *soft = soft_vma_mm(vma)->soft;
	bool zeroed = !from || soft_page_test(from, SOFT_PAGE_ZERO);
	struct page *page;

	if (mmun_soft_anon_prepare(vma))
		return NULL;
	page = zeroed ? mmun_soft_page_alloc_zeroed(soft) : mmun_soft_page_alloc(soft);
	if (!page)
		return NULL;
	if (!zeroed)
		mmun_soft_copy_page(page, from);
	mmun_soft_page_set_anon(page, vma, address);
	return page;
}

/* Zone lock inside the page_table_lock: the page cannot be unmapped and freed
 * before it is on the LRU. */
void mmun_soft_place(struct soft_mm *mm, unsigned long address, struct page *page, soft_pte bits)
{
	mmun_soft_pte_set(mm, address, soft_pte_make(page, bits));
	soft_page_map(page);
	if (soft_page_test(page, SOFT_PAGE_ANON))
		mmun_soft_lru_add(page);
	else if (bits & SOFT_PTE_DIRTY)
		soft_page_set(page, SOFT_PAGE_DIRTY);
}

bool mmun_soft_install(struct soft_vma *vma, unsigned long address, soft_pte old, struct page *page,
		       soft_pte bits)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	struct soft_change change;
	soft_pte *entry;
	bool same;

	mmun_soft_change_begin(&change, mm->mm);
	mmun_mutex_lock(&mm->page_table_lock);
	entry = mmun_soft_pte(mm, address);
	same = entry && *entry == old;
	if (same)
		mmun_soft_place(mm, address, page, bits);
	mmun_mutex_unlock(&mm->page_table_lock);
	mmun_soft_change_end(&change, mm->mm);
	if (same)
		return true;
	soft_stat_inc(mm->soft, faults_minor_raced);
	mmun_soft_page_put(page);
	return false;
}

/* Linux maps its zero page even where a first write would be the next thing. */
static int anonymous_read(struct soft_vma *vma, unsigned long address)
{
	struct mmun_soft *soft = soft_vma_mm(vma)->soft;

	if (mmun_soft_install(vma, address, 0, mmun_soft_zero_page(soft), soft_fault_bits(vma, 0)))
		soft_stat_inc(soft, zero_mapped);
	return 0;
}

static int anonymous_write(struct soft_vma *vma, unsigned long address, unsigned int flags)
{
	struct page *page = mmun_soft_anon_page(vma, address, NULL);

	if (!page)
		return -ENOMEM;
	if (mmun_soft_install(vma, address, 0, page,
			      soft_fault_bits(vma, flags) | SOFT_PTE_EXCLUSIVE))
		soft_stat_inc(soft_vma_mm(vma)->soft, anon_filled);
	return 0;
}

static bool wants_huge(const struct soft_vma *vma, unsigned long address)
{
	unsigned long flags = vma->v.vm_flags;

	if (flags & VM_NOHUGEPAGE)
		return false;
	if (!(flags & VM_HUGEPAGE) && !soft_vma_mm(vma)->soft->params.huge_always)
		return false;
	return mmun_soft_huge_fits(vma, address & ~(MMUN_SOFT_HUGE_SIZE - 1));
}

/* Not where a table of small entries is in use. */
static bool has_leaf(struct soft_mm *mm, unsigned long address)
{
	bool found;

	mmun_mutex_lock(&mm->page_table_lock);
	found = mmun_soft_pte(mm, address);
	mmun_mutex_unlock(&mm->page_table_lock);
	return found;
}

static bool filled_huge(struct soft_vma *vma, unsigned long address, unsigned int flags)
{
	if (!wants_huge(vma, address) || has_leaf(soft_vma_mm(vma), address))
		return false;
	return !mmun_soft_fill_huge(vma, address, flags & SOFT_FAULT_WRITE);
}

static int fault_anonymous(struct soft_vma *vma, unsigned long address, unsigned int flags)
{
	int ret;

	if (filled_huge(vma, address, flags))
		return 0;
	ret = mmun_soft_pte_make(soft_vma_mm(vma), address);
	if (ret)
		return ret == -EEXIST ? 0 : ret;
	return flags & SOFT_FAULT_WRITE ? anonymous_write(vma, address, flags)
					: anonymous_read(vma, address);
}

/* I3: true with the slot held if the entry still names it. */
static bool hold_slot(struct soft_mm *mm, unsigned long address, soft_pte pte)
{
	bool same;

	mmun_mutex_lock(&mm->page_table_lock);
	same = mmun_soft_pte_value(mm, address) == pte;
	if (same)
		mmun_soft_swap_get(mm->soft, soft_pte_number(pte));
	mmun_mutex_unlock(&mm->page_table_lock);
	return same;
}

static int fill_from_slot(struct soft_vma *vma, unsigned long address, unsigned int flags,
			  soft_pte pte)
{
	struct mmun_soft *soft = soft_vma_mm(vma)->soft;
	struct page *page = mmun_soft_anon_page(vma, address, NULL);

	if (!page)
		return -ENOMEM;
	mmun_soft_swap_read(soft, soft_pte_number(pte), page);
	/* The slot goes: nothing but the frame has the contents then. */
	soft_page_set(page, SOFT_PAGE_DIRTY);
	if (mmun_soft_install(vma, address, pte, page,
			      soft_fault_bits(vma, flags) | SOFT_PTE_EXCLUSIVE |
				      (pte & SOFT_PTE_SOFT_DIRTY))) {
		soft_stat_inc(soft, swapped_in);
		mmun_soft_swap_put(soft, soft_pte_number(pte));
	}
	return 0;
}

/* Each sharer of a slot gets a copy of its own, which nobody else has. */
static int fault_swapped(struct soft_vma *vma, unsigned long address, unsigned int flags,
			 soft_pte pte)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	int ret;

	if (!hold_slot(mm, address, pte))
		return 0;
	ret = fill_from_slot(vma, address, flags, pte);
	mmun_soft_swap_put(mm->soft, soft_pte_number(pte));
	return ret;
}

/* I4.  The migration holds the lock from the first entry it takes away to the last it restores. */
static int wait_for_migration(struct mmun_soft *soft)
{
	mmun_mutex_lock(&soft->migrate_lock);
	mmun_mutex_unlock(&soft->migrate_lock);
	return 0;
}

/* NULL, or why the VMA does not permit @flags. */
static const char *refusal(const struct soft_vma *vma, unsigned int flags)
{
	unsigned long rights = vma->v.vm_flags;

	if (flags & SOFT_FAULT_FORCE)
		return NULL;
	if (!(rights & (VM_READ | VM_WRITE | VM_EXEC)))
		return "the mapping permits no access";
	if ((flags & SOFT_FAULT_WRITE) && !(rights & VM_WRITE))
		return "write to a read-only mapping";
	return NULL;
}

/*
 * Does a present entry permit the access?  A forced write leaves the entry of
 * a read-only mapping read-only: it is enough there that the page is ours alone.
 */
static bool permits(const struct soft_vma *vma, unsigned int flags, soft_pte pte)
{
	const struct page *page = soft_pte_page(soft_vma_mm(vma), pte);

	if (flags & SOFT_FAULT_WRITE)
		return (pte & SOFT_PTE_WRITE) ||
		       ((flags & SOFT_FAULT_FORCE) && !(vma->v.vm_flags & VM_WRITE) &&
			(pte & SOFT_PTE_EXCLUSIVE));
	if (!(flags & SOFT_FAULT_UNSHARE) || !soft_vma_cow(vma))
		return true;
	if (!soft_page_anon(page))
		return !(flags & SOFT_FAULT_LONGTERM);
	return pte & SOFT_PTE_EXCLUSIVE;
}

static bool is_file(const struct soft_vma *vma)
{
	return soft_vma_mapping(vma) != NULL;
}

/* As in Linux: a private mapping whose driver set no operations is plain memory. */
static bool is_device(const struct soft_vma *vma)
{
	return vma->v.vm_ops || (vma->v.vm_file && (vma->v.vm_flags & VM_SHARED));
}

/* The entry said @pte, which did not permit the access. */
static int handle(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte pte,
		  struct mmun_soft_fault *why)
{
	if (pte & SOFT_PTE_PRESENT)
		return mmun_soft_fault_protected(vma, address, flags, pte);
	if (pte & SOFT_PTE_MIGRATION)
		return wait_for_migration(soft_vma_mm(vma)->soft);
	if (pte & SOFT_PTE_SWAP)
		return fault_swapped(vma, address, flags, pte);
	if (is_file(vma))
		return mmun_soft_fault_file(vma, address, flags, pte, why);
	if (is_device(vma))
		return mmun_soft_fault_device(vma, address, flags, pte, why);
	return fault_anonymous(vma, address, flags);
}

/* One fault; the page_table_lock is not held.  May have done only a part. */
static int fault(struct soft_vma *vma, unsigned long address, unsigned int flags, soft_pte pte,
		 struct mmun_soft_fault *why)
{
	struct mmun_soft_fault own = { 0 };
	int ret;

	soft_stat_inc(soft_vma_mm(vma)->soft, faults);
	ret = handle(vma, address & MMUN_SOFT_PAGE_MASK, flags, pte, &own);
	if (ret == -ENOMEM)
		return no_memory(why, address);
	if (ret == -EFAULT)
		return mmun_soft_refuse(why, address, own.signal, own.code, own.reason);
	return ret;
}

/* What the processor's own walk of the tables leaves behind. */
static void touch(struct soft_mm *mm, unsigned long address, unsigned int flags, soft_pte *pte)
{
	soft_pte bits = SOFT_PTE_YOUNG;
	soft_pte *entry = mmun_soft_pte(mm, address);

	if (flags & SOFT_FAULT_WRITE)
		bits |= SOFT_PTE_DIRTY | SOFT_PTE_SOFT_DIRTY;
	if (!entry)
		entry = mmun_soft_pmd(mm, address);
	*entry |= bits;
	*pte |= bits;
}

/* As on a processor, that an instruction may not be fetched from here is found
 * only when something is here. */
static bool may_fetch(const struct soft_vma *vma, unsigned int flags)
{
	return !(flags & SOFT_FAULT_EXEC) || (vma->v.vm_flags & VM_EXEC);
}

int mmun_soft_fault_locked(struct soft_vma *vma, unsigned long address, unsigned int flags,
			   soft_pte *pte, struct mmun_soft_fault *why)
{
	struct soft_mm *mm = soft_vma_mm(vma);
	const char *reason = refusal(vma, flags);
	int ret;

	if (reason)
		return mmun_soft_refuse(why, address, SIGSEGV, SEGV_ACCERR, reason);
	for (;;) {
		mmun_mutex_lock(&mm->page_table_lock);
		*pte = mmun_soft_pte_value(mm, address);
		if ((*pte & SOFT_PTE_PRESENT) && permits(vma, flags, *pte))
			break;
		mmun_mutex_unlock(&mm->page_table_lock);
		ret = fault(vma, address, flags, *pte, why);
		if (ret)
			return ret;
	}
	MMUN_BUG_ON((*pte & SOFT_PTE_NO_ACCESS) != soft_no_access(vma));
	if (may_fetch(vma, flags)) {
		touch(mm, address, flags, pte);
		return 0;
	}
	mmun_mutex_unlock(&mm->page_table_lock);
	return mmun_soft_refuse(why, address, SIGSEGV, SEGV_ACCERR,
				"fetch from a mapping that is not executable");
}
