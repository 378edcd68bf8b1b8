/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/rmap/rmap.c: is a page young?  What notifiers are asked, where, and whom the
 * answer counts for.
 */
#include "entries.h"

struct asked {
	struct mmu_notifier mn;
	unsigned long start, end;
	unsigned int times, ragged, outside;
	/* How often it still says young. */
	unsigned int young;
};

static long locked;

/* Nobody has the mm for himself while a change of it is under way. */
static void *lock_mm(void *arg)
{
	struct mm_lock_data data;

	mmap_write_lock(arg);
	if (mm_lock(arg, &data))
		bail_out("cannot lock");
	count(&locked);
	mm_unlock(arg, &data);
	mmap_write_unlock(arg);
	return NULL;
}

static pthread_t locker;
static bool lock_beside;

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
			     unsigned long end)
{
	struct asked *asked = mmun_container_of(mn, struct asked, mn);
	unsigned long size = end - start;

	asked->times++;
	asked->ragged += (size != PAGE && size != HUGE) || start & (size - 1);
	asked->start = start;
	asked->end = end;
	if (lock_beside) {
		lock_beside = false;
		locker = spawn(lock_mm, of);
		for (int i = 0; i < 4; i++)
			let_others_run();
		asked->outside += counted(&locked);
	}
	return asked->young && asked->young--;
}

static const struct mmu_notifier_ops ops = { .clear_flush_young = clear_flush_young };

static void ask(struct asked *asked)
{
	memset(asked, 0, sizeof(*asked));
	asked->mn.ops = &ops;
	if (mmu_notifier_register(&asked->mn, mm))
		bail_out("cannot register");
}

static struct page *page_of(unsigned long address)
{
	struct page *page;

	mmun_mutex_lock(&sm->page_table_lock);
	page = soft_pte_page(sm, mmun_soft_pte_value(sm, address));
	mmun_mutex_unlock(&sm->page_table_lock);
	return page;
}

static unsigned long nr_referenced(struct page *head)
{
	unsigned long nr = 0;

	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		nr += soft_page_test(head + i, SOFT_PAGE_REFERENCED);
	return nr;
}

static void forget_references(struct page *head)
{
	for (unsigned long i = 0; i < MMUN_SOFT_HUGE_PAGES; i++)
		soft_page_clear(head + i, SOFT_PAGE_REFERENCED);
}

/* @part of the huge page is looked at; the processor or the device has used it. */
static void check_huge(struct asked *asked, unsigned long part, bool by_device)
{
	const char *who = by_device ? "device" : "processor";
	struct page *head = page_of(AT);

	forget_references(head);
	asked->times = asked->ragged = 0;
	if (by_device)
		asked->young = 1;
	else
		soft_peek(mm, AT + 7 * PAGE);
	is(mmun_soft_page_referenced(head + part), 1, "S9: used by the %s: young", who);
	is(asked->times, 1, "S9: notifiers are asked once");
	ok(asked->start == AT && asked->end == AT + HUGE && !asked->ragged,
	   "S9: for the huge page as a whole, from its beginning");
	is(nr_referenced(head), MMUN_SOFT_HUGE_PAGES - 1, "B22: the others have a second chance");
	ok(!soft_page_test(head + part, SOFT_PAGE_REFERENCED),
	   "B22: the one that was asked for has had it");
	is(mmun_soft_page_referenced(head + part), 0, "S9: and is old now");
}

static void test_huge(void)
{
	struct asked asked;

	begin(3 * MMUN_SOFT_HUGE_PAGES, 64);
	soft_map(mm, AT, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	soft_poke(mm, AT, 1);
	ok(entry_of(mm, AT + 5 * PAGE).huge, "a huge page");
	ask(&asked);
	(void)mmun_soft_page_referenced(page_of(AT));
	for (int by_device = 0; by_device < 2; by_device++) {
		check_huge(&asked, 0, by_device);
		check_huge(&asked, 5, by_device);
		check_huge(&asked, MMUN_SOFT_HUGE_PAGES - 1, by_device);
	}
	mmu_notifier_unregister(&asked.mn, mm);
	end();
}

static void test_small(void)
{
	struct asked asked;

	begin(64, 64);
	soft_map(mm, AT, 4, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 4; i++)
		soft_poke(mm, AT + i * PAGE, i);
	ask(&asked);
	is(mmun_soft_page_referenced(page_of(AT + PAGE)), 1, "S9: a page that was used is young");
	ok(asked.times == 1 && asked.start == AT + PAGE && asked.end == AT + 2 * PAGE,
	   "S9: notifiers are asked for that page, although the answer is known");
	is(mmun_soft_page_referenced(page_of(AT + PAGE)), 0, "S9: the second time it is old");
	asked.young = 1;
	is(mmun_soft_page_referenced(page_of(AT + PAGE)), 1, "S9: or young for a notifier");
	ok(entry_of(mm, AT).young && entry_of(mm, AT + 2 * PAGE).young,
	   "its neighbours are as they were");
	mmu_notifier_unregister(&asked.mn, mm);
	end();
}

/* For drivers that look at entries. */
static void test_entries(void)
{
	struct asked asked;

	begin(3 * MMUN_SOFT_HUGE_PAGES, 64);
	soft_map(mm, AT, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	ask(&asked);
	ok(mmun_soft_test_and_clear_young(mm, AT + 5), "an entry that was used is young");
	ok(!mmun_soft_test_and_clear_young(mm, AT) && !entry_of(mm, AT).young, "once");
	ok(!mmun_soft_test_and_clear_young(mm, AT + PAGE), "what is not there is not young");
	ok(!mmun_soft_test_and_clear_young(mm, ~0ul), "nor what cannot be there");
	mmun_soft_munmap(mm, AT, HUGE);
	soft_map(mm, AT, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, AT, HUGE, MADV_HUGEPAGE);
	soft_poke(mm, AT, 1);
	ok(mmun_soft_test_and_clear_young(mm, AT + 7 * PAGE), "a huge one is young in each part");
	ok(!mmun_soft_test_and_clear_young(mm, AT), "and old as a whole");
	is(asked.times, 0, "nobody else was asked");
	mmu_notifier_unregister(&asked.mn, mm);
	end();
}

static void test_inside_a_change(void)
{
	struct asked asked;

	begin(64, 64);
	soft_map(mm, AT, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	ask(&asked);
	locked = 0;
	lock_beside = true;
	(void)mmun_soft_page_referenced(page_of(AT));
	pthread_join(locker, NULL);
	is(asked.outside, 0, "L3: mm_lock() waits while notifiers are asked");
	is(locked, 1, "L3: and for no longer");
	mmu_notifier_unregister(&asked.mn, mm);
	end();
}

int main(void)
{
	test_huge();
	test_small();
	test_entries();
	test_inside_a_change();
	return tap_done();
}
