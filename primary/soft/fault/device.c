/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a secondary MMU caches of this address space, and the checker that
 * looks over its shoulder at every access.
 *
 * I1  An access and its check are one hold of the page_table_lock: what the
 *     check has seen is what the access meets.
 * I2  The checker knows nothing of notifiers: it compares the cached
 *     translation with the entry.  A driver that keeps the contract never meets it.
 * I3  A violation transfers nothing, and is reported with no lock held.
 * I4  Something is called writable only if the entry is dirty already, so that
 *     what a device writes is not dropped as clean.
 *
 * Not here: retry and invalidation; the driver's.  Tests: tests/unit/soft/device.c.
 */
#include <errno.h>
#include <stdio.h>

#include "bug.h"
#include "fault/fault.h"
#include "frame/page.h"
#include "table/table.h"
#include "vma/vma.h"

/* A special entry names the frame as it was when the driver put it there. */
static unsigned long generation_of(const struct page *page, soft_pte pte)
{
	unsigned long now = mmun_load_acquire(&page->generation);

	if (!soft_pte_special(pte))
		return now;
	return now - ((now - soft_pte_generation(pte)) & SOFT_PTE_GENERATION_MASK);
}

static void fill_translation(const struct soft_mm *mm, soft_pte pte,
			     struct mmun_soft_translation *out)
{
	struct page *page = soft_pte_page(mm, pte);
	const soft_pte writable = SOFT_PTE_WRITE | SOFT_PTE_DIRTY;

	*out = (struct mmun_soft_translation){
		.page = page,
		.generation = generation_of(page, pte),
		.writable = (pte & writable) == writable ||
			    (pte & (SOFT_PTE_DEVICE | SOFT_PTE_WRITE)) ==
				    (SOFT_PTE_DEVICE | SOFT_PTE_WRITE),
		.young = pte & SOFT_PTE_YOUNG,
		.huge = pte & SOFT_PTE_HUGE,
	};
}

int mmun_soft_translate(struct mm_struct *mm, unsigned long address, bool write,
			struct mmun_soft_translation *out)
{
	struct soft_mm *sm = soft_mm(mm);
	struct soft_vm_fault vmf = { .vma = mmun_soft_vma_at(sm, address), .address = address };
	int ret;

	if (!vmf.vma)
		return -EFAULT;
	ret = mmun_soft_gup_rights(vmf.vma, write ? FOLL_WRITE : 0);
	if (ret < 0)
		return ret;
	vmf.flags = (unsigned int)ret;
	ret = mmun_soft_fault_in(&vmf);
	if (ret)
		return ret;
	fill_translation(sm, vmf.orig_pte, out);
	mmun_mutex_unlock(&sm->page_table_lock);
	return 0;
}

static bool may_look(const struct soft_mm *mm, soft_pte pte, const void *owner)
{
	if (pte & SOFT_PTE_NO_ACCESS)
		return false;
	if (pte & SOFT_PTE_PRESENT)
		return true;
	if (!owner || !(pte & SOFT_PTE_DEVICE) || soft_pte_lent(soft_pte_page(mm, pte), pte))
		return false;
	return soft_pte_page(mm, pte)->pgmap->owner == owner;
}

int mmun_soft_translate_device(struct mm_struct *mm, unsigned long address, const void *owner,
			       struct mmun_soft_translation *out)
{
	struct soft_mm *sm = soft_mm(mm);
	soft_pte pte = 0;
	bool readable;

	mmun_mutex_lock(&sm->page_table_lock);
	/* No VMA was asked for: the tables know only the lower bits of an address. */
	if (!sm->dead && address < MMUN_SOFT_TASK_SIZE)
		pte = mmun_soft_pte_value(sm, address);
	readable = may_look(sm, pte, owner);
	if (readable)
		fill_translation(sm, pte, out);
	mmun_mutex_unlock(&sm->page_table_lock);
	return readable ? 0 : -ENOENT;
}

int mmun_soft_translate_present(struct mm_struct *mm, unsigned long address,
				struct mmun_soft_translation *out)
{
	return mmun_soft_translate_device(mm, address, NULL, out);
}

const char *mmun_soft_violation_name(enum mmun_soft_violation_kind kind)
{
	switch (kind) {
	case MMUN_SOFT_FREED:
		return "freed frame";
	case MMUN_SOFT_REPLACED:
		return "replaced frame";
	case MMUN_SOFT_WRITE_PROTECTED:
		return "write-protected address";
	case MMUN_SOFT_AFTER_EXIT:
		return "address space that has ended";
	case MMUN_SOFT_NO_ACCESS:
		return "address without access";
	}
	return "unknown";
}

/* page_table_lock held.  0, or what is wrong. */
static int check_access(struct soft_mm *mm, unsigned long address,
			const struct mmun_soft_translation *t, bool write)
{
	soft_pte pte;

	if (mm->dead)
		return MMUN_SOFT_AFTER_EXIT;
	if (mmun_load_acquire(&t->page->generation) != t->generation)
		return MMUN_SOFT_FREED;
	pte = mmun_soft_pte_value(mm, address);
	if (!(pte & SOFT_PTE_PRESENT) || soft_pte_page(mm, pte) != t->page)
		return MMUN_SOFT_REPLACED;
	if (pte & SOFT_PTE_NO_ACCESS)
		return MMUN_SOFT_NO_ACCESS;
	if (write && !(t->writable && (pte & SOFT_PTE_WRITE)))
		return MMUN_SOFT_WRITE_PROTECTED;
	return 0;
}

static void report_violation(const struct mmun_soft_violation *what, const char *who)
{
	char sentence[160];

	snprintf(sentence, sizeof(sentence),
		 "a %s %s address 0x%lx through a stale translation: %s (frame %lu)", who,
		 what->write ? "writes to" : "reads from", what->address,
		 mmun_soft_violation_name(what->kind), what->pfn);
	mmun_report(sentence);
}

void mmun_soft_violated(struct mmun_soft *soft, const struct mmun_soft_violation *what,
			const char *who)
{
	soft_stat_inc(soft, violations);
	if (soft->params.violation)
		soft->params.violation(what, soft->params.violation_arg);
	else
		report_violation(what, who);
}

/* I3 */
static int violated(struct soft_mm *mm, unsigned long address,
		    const struct mmun_soft_translation *t, bool write, int kind)
{
	const struct mmun_soft_violation what = {
		.kind = (enum mmun_soft_violation_kind)kind,
		.mm = mm->mm,
		.address = address,
		.pfn = mmun_soft_page_pfn(t->page),
		.write = write,
	};

	mmun_soft_violated(mm->soft, &what, "secondary MMU");
	return -EFAULT;
}

static bool within_page(unsigned long address, size_t length)
{
	return length <= MMUN_SOFT_PAGE_SIZE - (address & ~MMUN_SOFT_PAGE_MASK);
}

static int access_checked(struct mm_struct *mm, unsigned long address,
			  const struct mmun_soft_translation *t, char *buffer, size_t length,
			  bool write)
{
	struct soft_mm *sm = soft_mm(mm);
	const unsigned long offset = address & ~MMUN_SOFT_PAGE_MASK;
	int kind;

	if (!within_page(address, length)) {
		mmun_misuse("a device access crosses a page");
		return -EFAULT;
	}
	mmun_mutex_lock(&sm->page_table_lock);
	kind = check_access(sm, address, t, write);
	/* Only now: a frame of a device may have gone with its bytes. */
	if (!kind && write)
		mmun_soft_copy_in((char *)mmun_soft_page_address(t->page) + offset, buffer, length);
	else if (!kind)
		mmun_soft_copy_out(buffer, (char *)mmun_soft_page_address(t->page) + offset,
				   length);
	mmun_mutex_unlock(&sm->page_table_lock);
	return kind ? violated(sm, address, t, write, kind) : 0;
}

int mmun_soft_device_read(struct mm_struct *mm, unsigned long address,
			  const struct mmun_soft_translation *t, void *buffer, size_t length)
{
	int ret = access_checked(mm, address, t, buffer, length, false);

	if (!ret)
		soft_stat_inc(soft_mm(mm)->soft, device_reads);
	return ret;
}

int mmun_soft_device_write(struct mm_struct *mm, unsigned long address,
			   const struct mmun_soft_translation *t, const void *buffer, size_t length)
{
	/* Only read through. */
	int ret = access_checked(mm, address, t, (char *)(uintptr_t)buffer, length, true);

	if (!ret)
		soft_stat_inc(soft_mm(mm)->soft, device_writes);
	return ret;
}
