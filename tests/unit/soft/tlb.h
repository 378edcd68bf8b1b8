/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A device that walks the page tables itself and is called only when the processors' TLBs are
 * flushed, as eager as it can be: what is flushed it looks up again at once.  A flush before
 * the change, of too little, or none at all leaves a stale translation behind.
 *
 * One thread; the tables are read without their lock, which a flush may hold.
 */
#ifndef MMUN_TESTS_UNIT_SOFT_TLB_H
#define MMUN_TESTS_UNIT_SOFT_TLB_H

#include "soft.h"

#include "frame/page.h"
#include "table/table.h"

#define TLB_PAGES 1024

struct tlb_entry {
	unsigned long address;
	struct mmun_soft_translation t;
	bool valid;
};

struct tlb {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	struct tlb_entry entry[TLB_PAGES];
	unsigned int nr;
	/* Flushes, and the last one's range. */
	unsigned int calls;
	unsigned long start, end;
	/* Entries whose page was free before. */
	unsigned int freed;
	/* Not 0: written to each page that may be written, as the last thing. */
	unsigned long last_words;
};

static UNUSED bool tlb_look(struct mm_struct *mm, unsigned long address,
			    struct mmun_soft_translation *t)
{
	const soft_pte pte = mmun_soft_pte_value(soft_mm(mm), address);
	const soft_pte writable = SOFT_PTE_WRITE | SOFT_PTE_DIRTY;
	struct page *page;

	if ((pte & (SOFT_PTE_PRESENT | SOFT_PTE_NO_ACCESS)) != SOFT_PTE_PRESENT)
		return false;
	page = soft_pte_page(soft_mm(mm), pte);
	*t = (struct mmun_soft_translation){ .page = page,
					     .generation = page->generation,
					     .writable = (pte & writable) == writable };
	return true;
}

static UNUSED void tlb_fill(struct tlb *tlb)
{
	for (unsigned int i = 0; i < tlb->nr; i++) {
		struct tlb_entry *e = &tlb->entry[i];

		if (!e->valid)
			e->valid = tlb_look(tlb->mm, e->address, &e->t);
	}
}

/* Translations that say more than the tables do. */
static UNUSED unsigned int tlb_stale(const struct tlb *tlb)
{
	struct mmun_soft_translation now;
	unsigned int stale = 0;

	for (unsigned int i = 0; i < tlb->nr; i++) {
		const struct tlb_entry *e = &tlb->entry[i];

		stale += e->valid &&
			 (!tlb_look(tlb->mm, e->address, &now) || now.page != e->t.page ||
			  now.generation != e->t.generation || (e->t.writable && !now.writable));
	}
	return stale;
}

static UNUSED void tlb_flush(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	struct tlb *tlb = mmun_container_of(mn, struct tlb, mn);

	tlb->calls++;
	tlb->start = start;
	tlb->end = end;
	for (unsigned int i = 0; i < tlb->nr; i++) {
		struct tlb_entry *e = &tlb->entry[i];

		if (!e->valid || e->address < start || e->address >= end)
			continue;
		e->valid = false;
		if (e->t.page->generation != e->t.generation)
			tlb->freed++;
		else if (tlb->last_words && e->t.writable)
			memcpy(mmun_soft_page_address(e->t.page), &tlb->last_words,
			       sizeof(tlb->last_words));
	}
	tlb_fill(tlb);
}

static UNUSED void tlb_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct tlb *tlb = mmun_container_of(mn, struct tlb, mn);

	for (unsigned int i = 0; i < tlb->nr; i++)
		tlb->entry[i].valid = false;
	tlb->nr = 0;
}

static UNUSED const struct mmu_notifier_ops tlb_ops = {
	.release = tlb_release,
	.arch_invalidate_secondary_tlbs = tlb_flush,
};

static UNUSED void tlb_watch(struct tlb *tlb, unsigned long address, size_t pages)
{
	for (size_t i = 0; i < pages && tlb->nr < TLB_PAGES; i++)
		tlb->entry[tlb->nr++].address = address + i * PAGE;
	tlb_fill(tlb);
}

static UNUSED void tlb_begin(struct tlb *tlb, struct mm_struct *mm)
{
	memset(tlb, 0, sizeof(*tlb));
	tlb->mm = mm;
	tlb->mn.ops = &tlb_ops;
	if (mmu_notifier_register(&tlb->mn, mm))
		bail_out("cannot register");
}

#endif
