/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The swap store: slots of one page each, counted by the entries that name them.
 *
 * I1  A slot that nobody references is on the free list, and only such a slot is.
 * I2  While ->page is set the frame is alive: the allocator of the slot holds it, and
 *     does not let go before mmun_soft_swap_write(), unless nobody else names the slot.
 * I3  ->page and ->bytes of a referenced slot change and are read under its stripe
 *     lock; so a reader sees the frame or the copy of it, never half of each.
 * I4  The memory for the contents comes with the slot: writing cannot fail.
 *
 * It does not know what names a slot: entries and the page cache do that.
 * Tests: tests/unit/soft/reclaim.c.
 */
#include <errno.h>

#include "alloc.h"
#include "bug.h"
#include "frame/page.h"
#include "frame/swap.h"

#define STRIPES 16

struct slot {
	int count;         /* atomic */
	unsigned int next; /* free list, under ->lock */
	struct page *page; /* the frame that still has the contents, or NULL */
	void *bytes;
};

struct soft_swap {
	struct mmun_mutex lock;  /* MMUN_RANK_SOFT_SWAP */
	unsigned int first_free; /* 0: none */
	unsigned long nr, nr_free;
	struct mmun_mutex stripe[STRIPES]; /* MMUN_RANK_SOFT_SWAP, never two at once */
	struct slot slots[];               /* 0 is not used */
};

int mmun_soft_swap_create(struct mmun_soft *soft)
{
	const unsigned long nr = soft->params.swap >> MMUN_SOFT_PAGE_SHIFT;
	struct soft_swap *swap;

	swap = mmun_alloc(sizeof(*swap) + (nr + 1) * sizeof(swap->slots[0]));
	if (!swap)
		return -ENOMEM;
	mmun_mutex_init(&swap->lock, MMUN_RANK_SOFT_SWAP);
	for (unsigned int i = 0; i < STRIPES; i++)
		mmun_mutex_init(&swap->stripe[i], MMUN_RANK_SOFT_SWAP);
	swap->nr = swap->nr_free = nr;
	for (unsigned long i = nr; i > 0; i--) {
		swap->slots[i].next = swap->first_free;
		swap->first_free = (unsigned int)i;
	}
	soft->swap = swap;
	return 0;
}

void mmun_soft_swap_destroy(struct mmun_soft *soft)
{
	struct soft_swap *swap = soft->swap;

	if (!swap)
		return;
	for (unsigned long i = 1; i <= swap->nr; i++)
		mmun_free(swap->slots[i].bytes);
	for (unsigned int i = 0; i < STRIPES; i++)
		mmun_mutex_destroy(&swap->stripe[i]);
	mmun_mutex_destroy(&swap->lock);
	mmun_free(swap);
	soft->swap = NULL;
}

void mmun_soft_swap_stats(struct mmun_soft *soft, struct mmun_soft_stats *out)
{
	out->swap_slots = soft->swap->nr;
	out->swap_free = mmun_load_relaxed(&soft->swap->nr_free);
}

bool mmun_soft_swap_has_room(struct mmun_soft *soft)
{
	return mmun_load_relaxed(&soft->swap->nr_free) > 0;
}

static struct slot *slot_of(struct soft_swap *swap, unsigned long number)
{
	MMUN_BUG_ON(number == 0 || number > swap->nr);
	MMUN_BUG_ON(mmun_load_relaxed(&swap->slots[number].count) <= 0);
	return &swap->slots[number];
}

static struct mmun_mutex *stripe_of(struct soft_swap *swap, unsigned long number)
{
	return &swap->stripe[number % STRIPES];
}

unsigned long mmun_soft_swap_alloc(struct mmun_soft *soft, struct page *page)
{
	struct soft_swap *swap = soft->swap;
	unsigned long number;
	struct slot *slot;
	void *bytes;

	if (!mmun_soft_swap_has_room(soft))
		return 0;
	bytes = mmun_alloc(MMUN_SOFT_PAGE_SIZE);
	if (!bytes)
		return 0;
	mmun_mutex_lock(&swap->lock);
	number = swap->first_free;
	if (number) {
		swap->first_free = swap->slots[number].next;
		mmun_store_relaxed(&swap->nr_free, swap->nr_free - 1);
	}
	mmun_mutex_unlock(&swap->lock);
	if (!number) {
		mmun_free(bytes);
		return 0;
	}
	slot = &swap->slots[number];
	slot->page = page;
	slot->bytes = bytes;
	mmun_store_full(&slot->count, 1);
	return number;
}

void mmun_soft_swap_get(struct mmun_soft *soft, unsigned long number)
{
	(void)mmun_add_full(&slot_of(soft->swap, number)->count, 1);
}

void mmun_soft_swap_put(struct mmun_soft *soft, unsigned long number)
{
	struct soft_swap *swap = soft->swap;
	struct slot *slot = slot_of(swap, number);

	if (mmun_sub_full(&slot->count, 1))
		return;
	mmun_free(slot->bytes);
	slot->bytes = NULL;
	slot->page = NULL;
	mmun_mutex_lock(&swap->lock);
	slot->next = swap->first_free;
	swap->first_free = (unsigned int)number;
	mmun_store_relaxed(&swap->nr_free, swap->nr_free + 1);
	mmun_mutex_unlock(&swap->lock);
}

void mmun_soft_swap_write(struct mmun_soft *soft, unsigned long number)
{
	struct soft_swap *swap = soft->swap;
	struct slot *slot = slot_of(swap, number);

	mmun_mutex_lock(stripe_of(swap, number));
	if (slot->page)
		mmun_soft_copy_out(slot->bytes, mmun_soft_page_address(slot->page),
				   MMUN_SOFT_PAGE_SIZE);
	slot->page = NULL;
	mmun_mutex_unlock(stripe_of(swap, number));
}

void mmun_soft_swap_read(struct mmun_soft *soft, unsigned long number, struct page *page)
{
	struct soft_swap *swap = soft->swap;
	struct slot *slot = slot_of(swap, number);

	mmun_mutex_lock(stripe_of(swap, number));
	if (slot->page)
		mmun_soft_copy_page(page, slot->page);
	else
		mmun_soft_copy_in(mmun_soft_page_address(page), slot->bytes, MMUN_SOFT_PAGE_SIZE);
	mmun_mutex_unlock(stripe_of(swap, number));
}
