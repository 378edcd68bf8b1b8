/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/section.c: which operations flush devices that walk the page tables
 * themselves, of which range, and which do not.
 *
 * Not here: that nothing stale is left (tests/rules/call_sites.c).
 */
#include "tlb.h"

#include <errno.h>

#ifndef MADV_COLD
#define MADV_COLD 20
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define HUGE_PAGES (MMUN_SOFT_HUGE_SIZE / PAGE)
#define AT(page)   (0x10000000ul + (page)*PAGE)
#define ELSEWHERE  0x60000000ul

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct tlb tlb;

/* An IOMMU's driver of before Linux 6.6, beside it. */
static struct {
	struct mmu_notifier mn;
	unsigned int calls, ends;
	unsigned long start, end;
} older;

static void older_invalidate(struct mmu_notifier *mn, struct mm_struct *of, unsigned long start,
			     unsigned long end)
{
	older.calls++;
	older.start = start;
	older.end = end;
}

static void older_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	older.ends += older.start == range->start && older.end == range->end;
}

static const struct mmu_notifier_ops older_ops = { .invalidate_range = older_invalidate,
						   .invalidate_range_end = older_end };

static void expect_nothing(void)
{
	tlb.calls = older.calls = older.ends = 0;
	tlb.start = tlb.end = 0;
}

static void flushed(const char *what, unsigned long start, unsigned long end)
{
	ok(tlb.calls > 0, "S12: %s flushes", what);
	ok(tlb.start == start && tlb.end == end, "S12: %s: just [%lx,%lx)", what, start, end);
	if (tlb.start != start || tlb.end != end)
		diag("[%lx,%lx)", tlb.start, tlb.end);
	is(tlb_stale(&tlb), 0, "S12: %s: nothing stale is left", what);
	is(tlb.freed, 0, "S12: %s: no page was free before", what);
	expect_nothing();
}

static void not_flushed(const char *what)
{
	is(tlb.calls, 0, "%s: no flush", what);
	expect_nothing();
}

static void advise(unsigned long page, unsigned long count, int advice)
{
	mmun_soft_madvise(mm, AT(page), count * PAGE, advice);
}

static void poke(unsigned long page, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		soft_poke(mm, AT(page + i), i);
	tlb_fill(&tlb);
	expect_nothing();
}

static void test_pages(void)
{
	poke(0, 8);
	advise(1, 1, MADV_DONTNEED);
	flushed("MADV_DONTNEED of a page", AT(1), AT(2));
	advise(1, 1, MADV_DONTNEED);
	not_flushed("MADV_DONTNEED of nothing");
	advise(0, 4, MADV_DONTNEED);
	flushed("MADV_DONTNEED with nothing in the middle", AT(0), AT(4));
	poke(0, 4);
	mmun_soft_mprotect(mm, AT(0), 4 * PAGE, PROT_READ);
	flushed("mprotect", AT(0), AT(4));
	mmun_soft_mprotect(mm, AT(0), 4 * PAGE, RW);
	not_flushed("mprotect that only gives");
	poke(0, 4);
	advise(1, 2, MADV_FREE);
	flushed("MADV_FREE", AT(1), AT(3));
	advise(1, 2, MADV_FREE);
	not_flushed("MADV_FREE again");
	poke(0, 4);
	advise(1, 2, MADV_COLD);
	flushed("MADV_COLD", AT(1), AT(3));
	advise(1, 2, MADV_COLD);
	not_flushed("MADV_COLD of the old");
	advise(0, 8, MADV_WILLNEED);
	mmun_soft_mlock(mm, AT(0), 8 * PAGE);
	mmun_soft_munlock(mm, AT(0), 8 * PAGE);
	(void)soft_peek(mm, AT(9));
	not_flushed("what only looks");
	advise(3, 1, MADV_PAGEOUT);
	flushed("reclaim", AT(3), AT(4));
	advise(3, 1, MADV_DONTNEED);
	not_flushed("MADV_DONTNEED of a page in swap");
	poke(3, 1);
	mmun_soft_migrate(mm, AT(3));
	flushed("migration", AT(3), AT(4));
}

static void test_fork(void)
{
	struct mm_struct *child;

	poke(0, 8);
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	is(tlb.calls, 1, "once");
	flushed("fork", 0, ~0ul);
	soft_poke(mm, AT(1), 2);
	flushed("a copy on write", AT(1), AT(2));
	mmput(child);
	soft_poke(mm, AT(2), 2);
	not_flushed("a write to what is not shared any longer");
	mmun_soft_clear_soft_dirty(mm);
	is(tlb.calls, 1, "once");
	flushed("soft-dirty", 0, ~0ul);
}

static void test_moves(void)
{
	poke(0, 8);
	mmun_soft_mremap(mm, AT(4), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, ELSEWHERE);
	flushed("mremap", AT(4), AT(8));
	mmun_soft_munmap(mm, ELSEWHERE, 4 * PAGE);
	soft_map(mm, AT(4), 4, RW, PRIVATE, NULL);
	poke(10, 34);
	mmun_soft_munmap(mm, AT(10), 33 * PAGE);
	flushed("munmap of 33 pages", AT(10), AT(43));
	soft_map(mm, AT(10), 33, RW, PRIVATE, NULL);
	poke(10, 34);
	mmun_soft_munmap(mm, AT(10), 34 * PAGE);
	flushed("munmap of 34 pages", 0, ~0ul);
	mmun_soft_munmap(mm, AT(10), 34 * PAGE);
	not_flushed("munmap of nothing");
}

static void test_huge(void)
{
	const unsigned long huge = 0x40000000ul;

	soft_map(mm, huge, HUGE_PAGES, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < HUGE_PAGES; i++)
		soft_poke(mm, huge + i * PAGE, i);
	tlb_watch(&tlb, huge, HUGE_PAGES);
	expect_nothing();
	tlb.last_words = 0x1a57;
	is(mmun_soft_madvise(mm, huge, MMUN_SOFT_HUGE_SIZE, MADV_COLLAPSE), 0, "collapsed");
	tlb.last_words = 0;
	flushed("a collapse", 0, ~0ul);
	is(soft_peek(mm, huge + 7 * PAGE), 0x1a57,
	   "S12: what the device wrote before the flush is in the copy");
	mmun_soft_mremap(mm, huge, MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_HUGE_SIZE,
			 MREMAP_MAYMOVE | MREMAP_FIXED, huge + MMUN_SOFT_HUGE_SIZE);
	flushed("mremap of a huge page", 0, ~0ul);
	tlb_watch(&tlb, huge + MMUN_SOFT_HUGE_SIZE, 64);
	mmun_soft_madvise(mm, huge + MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_HUGE_SIZE, MADV_DONTNEED);
	flushed("MADV_DONTNEED of a huge page", huge + MMUN_SOFT_HUGE_SIZE,
		huge + 2 * MMUN_SOFT_HUGE_SIZE);
	mmun_soft_madvise(mm, huge + MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_HUGE_SIZE, MADV_HUGEPAGE);
	soft_poke(mm, huge + MMUN_SOFT_HUGE_SIZE, 1);
	tlb_fill(&tlb);
	expect_nothing();
	soft_map(mm, huge + MMUN_SOFT_HUGE_SIZE, 1, RW, PRIVATE, NULL);
	is(tlb.calls, 2, "a split, and what is unmapped then");
	flushed("MAP_FIXED into a huge page", huge + MMUN_SOFT_HUGE_SIZE,
		huge + MMUN_SOFT_HUGE_SIZE + PAGE);
	mmun_soft_munmap(mm, huge + MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_HUGE_SIZE);
	expect_nothing();
}

static void test_file(void)
{
	const unsigned long at = 0x20000000ul;
	struct file *file = soft_new_file(soft, "file", MMUN_SOFT_FILE_REGULAR, 4);

	soft_map(mm, at, 4, RW, MAP_SHARED, file);
	for (unsigned long i = 0; i < 4; i++)
		soft_poke(mm, at + i * PAGE, i);
	tlb_watch(&tlb, at, 4);
	expect_nothing();
	mmun_soft_ftruncate(file, 2 * PAGE);
	flushed("truncate", at + 2 * PAGE, at + 4 * PAGE);
	mmun_soft_fsync(file);
	is(tlb.calls, 2, "page by page");
	tlb.start = at;
	flushed("write-back", at, tlb.end);
	mmun_soft_fsync(file);
	not_flushed("write-back of what is clean");
	mmun_soft_munmap(mm, at, 4 * PAGE);
	mmun_soft_file_put(file);
	expect_nothing();
}

/* The callback of before Linux 6.6: the same ranges, and those of the sections. */
static void test_older(void)
{
	struct mm_struct *child;

	poke(0, 8);
	advise(1, 1, MADV_DONTNEED);
	is(older.calls, 2, "S12: ->invalidate_range: at the flush, and at the end of the section");
	is(older.ends, 1, "before ->invalidate_range_end, of its range");
	expect_nothing();
	advise(1, 1, MADV_DONTNEED);
	is(older.calls, 1, "at the end also where nothing was flushed");
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	poke(0, 1);
	expect_nothing();
	soft_poke(mm, AT(4), 1);
	is(older.calls, 1, "S12: ->invalidate_range: at the flush alone where a page is copied");
	is(older.ends, 1, "whose section ends as others do");
	mmput(child);
	poke(0, 8);
	mmun_soft_clear_soft_dirty(mm);
	ok(older.calls > 0 && older.start < older.end && older.end != ~0ul, "never of everything");
	expect_nothing();
}

static void test_only_end(void)
{
	struct mmu_notifier_range range = { .mm = mm, .start = AT(0), .end = AT(1) };

	if (mmu_notifier_invalidate_range_start(&range))
		bail_out("refused");
	older.start = AT(0);
	older.end = AT(1);
	mmu_notifier_invalidate_range_only_end(&range);
	ok(older.calls == 0 && older.ends == 1, "an only_end leaves ->invalidate_range out");
	expect_nothing();
	mmu_notifier_invalidate_range(mm, AT(3), AT(4));
	ok(older.calls == 1 && older.start == AT(3) && older.end == AT(4) && !tlb.calls,
	   "mmu_notifier_invalidate_range() calls the older one");
	expect_nothing();
	mmu_notifier_arch_invalidate_secondary_tlbs(mm, AT(3), AT(4));
	ok(tlb.calls == 1 && tlb.start == AT(3) && tlb.end == AT(4) && !older.calls,
	   "mmu_notifier_arch_invalidate_secondary_tlbs() the newer");
	expect_nothing();
}

static int start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return 0;
}

static void test_registration(void)
{
	const struct mmu_notifier_ops with_start = { .arch_invalidate_secondary_tlbs = tlb_flush,
						     .invalidate_range_start = start };
	const struct mmu_notifier_ops with_end = { .arch_invalidate_secondary_tlbs = tlb_flush,
						   .invalidate_range_end = older_end };
	struct mmu_notifier mn = { .ops = &with_start };

	is(mmu_notifier_register(&mn, mm), -EINVAL, "flushes and starts are not for one notifier");
	mn.ops = &with_end;
	is(mmu_notifier_register(&mn, mm), -EINVAL, "nor flushes and ends");
	older.mn.ops = &older_ops;
	is(mmu_notifier_register(&older.mn, mm), 0, "the older callback may be beside them");
	tlb_begin(&tlb, mm);
}

int main(void)
{
	struct mmun_soft_params params = { .memory = 4096 * PAGE, .swap = 64 * PAGE };

	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	test_registration();
	soft_map(mm, AT(0), 64, RW, PRIVATE, NULL);
	tlb_watch(&tlb, AT(0), 64);
	test_pages();
	test_fork();
	test_moves();
	test_huge();
	test_file();
	test_older();
	test_only_end();
	mmu_notifier_unregister(&older.mn, mm);
	mmu_notifier_unregister(&tlb.mn, mm);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
	return tap_done();
}
