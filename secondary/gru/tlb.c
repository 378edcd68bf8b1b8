/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The TLB, the numbers of address spaces (ASIDs) in it, and the slots.
 *
 * An entry is found by (ASID, page).  An address space whose ASID is taken away
 * has no translations at once, however many entries bear it; nobody gets that
 * ASID again before the numbers run out, and then the whole TLB is emptied and a
 * new generation begins.
 *
 * I1  An entry with ASID a belongs to the one address space that got a in this
 *     generation, or to nobody.
 * I2  gm->asid is valid only if gm->generation is the device's.
 *
 * gru->lock is held throughout.  Not here: locks, faults.
 * Tests: tests/contract/secondary/gru.c.
 */
#include "device.h"

#include <string.h>

static bool asid_valid(const struct mmun_gru *gru, const struct gru_mm *gm)
{
	return gm->asid && gm->generation == gru->generation;
}

static void asid_assign(struct mmun_gru *gru, struct gru_mm *gm)
{
	if (gru->next_asid > gru->params.nr_asids) {
		memset(gru->entries, 0, gru->params.nr_entries * sizeof(*gru->entries));
		gru->next_asid = 1;
		gru->generation++;
		gru_count(gru, asids_wrapped);
	}
	gm->asid = gru->next_asid++;
	gm->generation = gru->generation;
	gru_count(gru, asids_assigned);
}

/* An empty slot, or the one that was used longest ago. */
static int choose_slot(const struct mmun_gru *gru)
{
	unsigned int oldest = 0;

	for (unsigned int i = 0; i < gru->params.nr_slots; i++) {
		if (!gru->slots[i].context)
			return (int)i;
		if (gru->slots[i].used < gru->slots[oldest].used)
			oldest = i;
	}
	return (int)oldest;
}

static void enter_slot(struct gru_context *context)
{
	struct mmun_gru *gru = context->gru;
	int slot = choose_slot(gru);

	if (gru->slots[slot].context) {
		mmun_gru_unload_context(gru->slots[slot].context);
		gru_count(gru, contexts_stolen);
	}
	gru->slots[slot].context = context;
	context->slot = slot;
	context->gm->nr_loaded++;
	gru_count(gru, contexts_loaded);
}

void mmun_gru_load_context(struct gru_context *context)
{
	struct mmun_gru *gru = context->gru;

	if (context->slot < 0)
		enter_slot(context);
	gru->slots[context->slot].used = ++gru->loads;
	if (!asid_valid(gru, context->gm))
		asid_assign(gru, context->gm);
}

void mmun_gru_unload_context(struct gru_context *context)
{
	if (context->slot < 0)
		return;
	context->gru->slots[context->slot].context = NULL;
	context->slot = -1;
	context->gm->nr_loaded--;
}

/* Neighbours of one address space lie beside each other; ASIDs are spread. */
static struct gru_entry *place_of(struct mmun_gru *gru, unsigned int asid, unsigned long page)
{
	unsigned long key = (page >> MMUN_SOFT_PAGE_SHIFT) + asid * 0x9e3779b1ul;

	return &gru->entries[key % gru->params.nr_entries];
}

static bool holds(const struct gru_entry *entry, unsigned int asid, unsigned long page)
{
	return entry->asid == asid && entry->page == page;
}

const struct gru_entry *mmun_gru_tlb_find(struct gru_context *context, unsigned long page,
					  bool write)
{
	struct mmun_gru *gru = context->gru;
	unsigned int asid = context->gm->asid;
	const struct gru_entry *entry = place_of(gru, asid, page);

	if (!holds(entry, asid, page)) {
		gru_count(gru, tlb_misses);
		return NULL;
	}
	if (write && !entry->t.writable) {
		gru_count(gru, tlb_readonly);
		return NULL;
	}
	gru_count(gru, tlb_hits);
	return entry;
}

void mmun_gru_tlb_add(struct gru_context *context, unsigned long page,
		      const struct mmun_soft_translation *t)
{
	struct mmun_gru *gru = context->gru;
	unsigned int asid = context->gm->asid;
	struct gru_entry *entry = place_of(gru, asid, page);

	if (entry->asid && !holds(entry, asid, page))
		gru_count(gru, tlb_evicted);
	*entry = (struct gru_entry){ .asid = asid, .page = page, .t = *t };
}

void mmun_gru_tlb_forget(struct mmun_gru *gru, struct gru_mm *gm)
{
	gm->asid = 0;
}

/* Counted, for the last page of all has no page behind it. */
static void flush_pages(struct mmun_gru *gru, struct gru_mm *gm, unsigned long start,
			unsigned long end)
{
	unsigned long page = start & MMUN_SOFT_PAGE_MASK;
	unsigned long others = (end - 1 - page) >> MMUN_SOFT_PAGE_SHIFT;
	struct gru_entry *entry;

	for (unsigned long i = 0; i <= others; i++, page += MMUN_SOFT_PAGE_SIZE) {
		entry = place_of(gru, gm->asid, page);
		if (holds(entry, gm->asid, page))
			entry->asid = 0;
	}
}

void mmun_gru_tlb_flush(struct mmun_gru *gru, struct gru_mm *gm, unsigned long start,
			unsigned long end)
{
	if (start == end || !asid_valid(gru, gm)) {
		gru_count(gru, flush_none);
		return;
	}
	/* Nobody runs, or there is more to look at than the TLB has: a new number, when
	 * the next access needs one, costs less. */
	if (!gm->nr_loaded || (end - start) >> MMUN_SOFT_PAGE_SHIFT > gru->params.nr_entries) {
		mmun_gru_tlb_forget(gru, gm);
		gru_count(gru, flush_asid);
		return;
	}
	flush_pages(gru, gm, start, end);
	gru_count(gru, flush_range);
}
