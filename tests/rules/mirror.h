/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A secondary MMU that is as eager as the contract permits: it has translations of all it
 * watches at every moment at which it may, uses them until a start returns, and again from
 * the end on.  A change outside its section meets one of them, and the checker of the
 * software address space says so.
 */
#ifndef MMUN_TESTS_RULES_MIRROR_H
#define MMUN_TESTS_RULES_MIRROR_H

#include "soft.h"

#define MIRROR_PAGES 1024
#define MIRROR_OPEN  16

struct mirrored {
	unsigned long address;
	struct mmun_soft_translation t;
	bool valid;
};

struct mirror {
	struct mmu_notifier mn;
	struct mm_struct *mm;
	struct mirrored page[MIRROR_PAGES];
	unsigned int nr;
	/* Sections open now; ends that none of them had the start of. */
	struct {
		unsigned long start, end;
	} section[MIRROR_OPEN];
	int open, unmatched;
	/* By cause, and of those the ones that leave pinned pages where they are; and those that
	 * covered a whole 2 MiB. */
	unsigned int notified[MMUN_NR_OPS], notified_safe[MMUN_NR_OPS], notified_huge;
	unsigned int dropped, released, invalidated_pages;
	/* Accesses that failed: when a start began, in ->release, at any other time. */
	unsigned int failed_at_start, failed_in_release, failed;
	/* Not 0: written to every page of a range, as the last thing before it goes. */
	unsigned long last_words;
	/* Not set: nothing is looked up again. */
	bool eager;
};

static UNUSED struct mirror *mirror_of(struct mmu_notifier *mn)
{
	return mmun_container_of(mn, struct mirror, mn);
}

/* Reads, and writes back if it may. */
static UNUSED bool mirror_use(const struct mirror *m, const struct mirrored *page)
{
	unsigned long value;

	if (mmun_soft_device_read(m->mm, page->address, &page->t, &value, sizeof(value)))
		return false;
	return !page->t.writable ||
	       !mmun_soft_device_write(m->mm, page->address, &page->t, &value, sizeof(value));
}

static UNUSED unsigned int mirror_use_all(const struct mirror *m)
{
	unsigned int failed = 0;

	for (unsigned int i = 0; i < m->nr; i++)
		failed += m->page[i].valid && !mirror_use(m, &m->page[i]);
	return failed;
}

static UNUSED void mirror_fill(struct mirror *m)
{
	for (unsigned int i = 0; i < m->nr; i++)
		m->page[i].valid =
			!mmun_soft_translate_present(m->mm, m->page[i].address, &m->page[i].t);
}

static UNUSED void mirror_drop(struct mirror *m, struct mirrored *page)
{
	if (!mirror_use(m, page))
		m->failed_at_start++;
	else if (m->last_words && page->t.writable &&
		 mmun_soft_device_write(m->mm, page->address, &page->t, &m->last_words,
					sizeof(m->last_words)))
		m->failed_at_start++;
	page->valid = false;
	m->dropped++;
}

static UNUSED int mirror_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mirror *m = mirror_of(mn);

	if (m->open < MIRROR_OPEN) {
		m->section[m->open].start = range->start;
		m->section[m->open].end = range->end;
	}
	m->open++;
	m->notified[range->origin->op]++;
	m->notified_safe[range->origin->op] += !!(range->flags & MMUN_RANGE_PINNED_SAFE);
	m->notified_huge += range->end - range->start == MMUN_SOFT_HUGE_SIZE;
	for (unsigned int i = 0; i < m->nr; i++) {
		if (m->page[i].valid && m->page[i].address >= range->start &&
		    m->page[i].address < range->end)
			mirror_drop(m, &m->page[i]);
	}
	return 0;
}

/* Sections end in any order. */
static UNUSED void mirror_close(struct mirror *m, const struct mmu_notifier_range *range)
{
	int i = --m->open;

	while (i >= 0 && (m->section[i].start != range->start || m->section[i].end != range->end))
		i--;
	if (i < 0)
		m->unmatched++;
	else
		m->section[i] = m->section[m->open];
}

static UNUSED void mirror_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct mirror *m = mirror_of(mn);

	mirror_close(m, range);
	if (!m->open && m->eager) {
		m->failed += mirror_use_all(m);
		mirror_fill(m);
	}
}

static UNUSED void mirror_invalidate_page(struct mmu_notifier *mn, struct mm_struct *mm,
					  unsigned long address)
{
	mirror_of(mn)->invalidated_pages++;
}

static UNUSED void mirror_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct mirror *m = mirror_of(mn);

	m->released++;
	m->failed_in_release += mirror_use_all(m);
	for (unsigned int i = 0; i < m->nr; i++)
		m->page[i].valid = false;
}

static UNUSED const struct mmu_notifier_ops mirror_ops = {
	.release = mirror_release,
	.invalidate_page = mirror_invalidate_page,
	.invalidate_range_start = mirror_start,
	.invalidate_range_end = mirror_end,
};

static UNUSED void mirror_watch(struct mirror *m, unsigned long address, size_t pages)
{
	for (size_t i = 0; i < pages && m->nr < MIRROR_PAGES; i++)
		m->page[m->nr++].address = address + i * PAGE;
}

static UNUSED void mirror_begin(struct mirror *m, struct mm_struct *mm)
{
	memset(m, 0, sizeof(*m));
	m->mm = mm;
	m->eager = true;
	m->mn.ops = &mirror_ops;
	if (mmu_notifier_register(&m->mn, mm))
		bail_out("cannot register");
}

#endif
