/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/table/table.c, zap.c, protect.c and move.c: page tables, and
 * what changes many entries at once.
 */
#include "entries.h"

static soft_pte value_at(unsigned long address)
{
	soft_pte value;

	mmun_mutex_lock(&sm->page_table_lock);
	value = mmun_soft_pte_value(sm, address);
	mmun_mutex_unlock(&sm->page_table_lock);
	return value;
}

static void set_at(unsigned long address, soft_pte value)
{
	if (mmun_soft_pte_make(sm, address))
		bail_out("no table");
	mmun_mutex_lock(&sm->page_table_lock);
	mmun_soft_pte_set(sm, address, value);
	mmun_mutex_unlock(&sm->page_table_lock);
}

/* An entry that refers to nothing which is counted. */
static soft_pte mark(unsigned long number)
{
	return (soft_pte)number << SOFT_PTE_SHIFT | SOFT_PTE_NONLINEAR;
}

static void set_huge(unsigned long address, struct page *page)
{
	struct soft_table *leaf = mmun_soft_leaf_alloc();

	if (!leaf || mmun_soft_pmd_make(sm, address))
		bail_out("no table");
	mmun_mutex_lock(&sm->page_table_lock);
	mmun_soft_pmd_set_huge(sm, address, soft_pte_make(page, SOFT_PTE_WRITE | SOFT_PTE_YOUNG),
			       leaf);
	mmun_mutex_unlock(&sm->page_table_lock);
}

static void clear_huge(unsigned long address)
{
	struct soft_table *leaf;

	mmun_mutex_lock(&sm->page_table_lock);
	leaf = mmun_soft_pmd_clear_huge(sm, address);
	mmun_mutex_unlock(&sm->page_table_lock);
	mmun_free(leaf);
}

static bool has_leaf(unsigned long address)
{
	bool has;

	mmun_mutex_lock(&sm->page_table_lock);
	has = mmun_soft_pte(sm, address);
	mmun_mutex_unlock(&sm->page_table_lock);
	return has;
}

static void test_make(void)
{
	long live;
	int wrong = 0;

	begin(16, 0);
	live = mmun_alloc_live();
	ok(!has_leaf(AT) && !value_at(AT), "nothing is there at first");
	for (long nth = 1; nth <= 3; nth++) {
		fail_allocation(nth);
		wrong += mmun_soft_pte_make(sm, AT) != -ENOMEM;
		fail_allocation(0);
		wrong += has_leaf(AT);
		mmun_soft_tables_free(sm, 0, MMUN_SOFT_TASK_SIZE);
		wrong += mmun_alloc_live() != live;
	}
	is(wrong, 0, "each failing allocation of a table leaves a usable rest");
	is(mmun_soft_pte_make(sm, AT), 0, "made");
	is(mmun_alloc_live(), live + 3, "three tables for the first address");
	is(mmun_soft_pte_make(sm, AT + HUGE - PAGE), 0, "again, in the same leaf");
	is(mmun_soft_pmd_make(sm, AT + HUGE), 0, "a place for a huge entry beside it");
	is(mmun_alloc_live(), live + 3, "needs no more");
	set_at(AT, mark(7));
	ok(value_at(AT) == mark(7) && !value_at(AT + PAGE), "an entry is where it was put");
	mmun_soft_tables_free(sm, 0, MMUN_SOFT_TASK_SIZE);
	is(mmun_alloc_live(), live + 3, "tables in use are not freed");
	set_at(AT, 0);
	mmun_soft_tables_free(sm, AT, AT + HUGE - PAGE);
	is(mmun_alloc_live(), live + 3, "nor those that reach beyond the range");
	mmun_soft_tables_free(sm, AT, AT + HUGE);
	is(mmun_alloc_live(), live + 2, "a leaf that lies in it is");
	mmun_soft_tables_free(sm, 0, MMUN_SOFT_TASK_SIZE + PAGE);
	is(mmun_alloc_live(), live, "and all, when nothing is left");
	is(mmun_soft_pte_make(sm, MMUN_SOFT_TASK_SIZE - PAGE), 0, "the last page has a place");
	set_at(MMUN_SOFT_TASK_SIZE - PAGE, mark(1));
	set_at(MMUN_SOFT_TASK_SIZE - PAGE, 0);
	end();
}

static void test_huge_entries(void)
{
	struct page *page;
	soft_pte value;
	int wrong = 0;
	long live;

	begin(1024, 0);
	page = mmun_soft_page_alloc_huge(soft);
	live = mmun_alloc_live();
	set_huge(AT, page);
	is(mmun_soft_pte_make(sm, AT + PAGE), -EEXIST, "no small entry beside a huge one");
	value = value_at(AT + 5 * PAGE);
	ok(value & SOFT_PTE_HUGE && soft_pte_number(value) == mmun_soft_page_pfn(page) + 5,
	   "a part of a huge entry names its own frame");
	fail_allocation(1);
	mmun_mutex_lock(&sm->page_table_lock);
	mmun_soft_pmd_split(sm, AT);
	mmun_mutex_unlock(&sm->page_table_lock);
	fail_allocation(0);
	for (unsigned long i = 0; i < 512; i++)
		wrong += value_at(AT + i * PAGE) !=
			 soft_pte_make(page + i, SOFT_PTE_WRITE | SOFT_PTE_YOUNG);
	is(wrong, 0, "split, its parts say the same, and no memory was needed");
	for (unsigned long i = 0; i < 512; i++)
		set_at(AT + i * PAGE, 0);
	mmun_soft_tables_free(sm, 0, MMUN_SOFT_TASK_SIZE);
	set_huge(AT, page);
	set_huge(AT + HUGE, page);
	clear_huge(AT);
	clear_huge(AT + HUGE);
	mmun_soft_tables_free(sm, 0, MMUN_SOFT_TASK_SIZE);
	is(mmun_alloc_live(), live, "nothing of it is left");
	mmun_soft_huge_put(page);
	end();
}

static int list_entries(unsigned long address, soft_pte value, void *arg)
{
	unsigned long **next = arg;

	*(*next)++ = address;
	return address == AT + 4 * HUGE ? 42 : 0;
}

static void test_walk(void)
{
	const unsigned long expected[] = {
		AT, AT + HUGE - PAGE, AT + HUGE, AT + 2 * HUGE + 3 * PAGE, AT + 4 * HUGE,
	};
	unsigned long found[16], *next = found;
	struct soft_walk walk;
	struct page *page;

	begin(1024, 0);
	page = mmun_soft_page_alloc_huge(soft);
	set_at(AT - PAGE, mark(1));
	for (int i = 0; i < 2; i++)
		set_at(expected[i], mark(1));
	set_huge(AT + HUGE, page);
	set_at(expected[3], mark(1));
	set_at(expected[4], mark(1));
	set_at(AT + 5 * HUGE, mark(1));
	is(mmun_soft_for_each_entry(sm, AT, AT + 6 * HUGE, list_entries, &next), 42,
	   "the walk stops when the visitor says so");
	ok(next - found == 5 && !memcmp(found, expected, sizeof(expected)),
	   "each entry once and in order, a huge one too");
	next = found;
	mmun_soft_for_each_entry(sm, AT + HUGE + 7 * PAGE, AT + HUGE + 9 * PAGE, list_entries,
				 &next);
	ok(next - found == 1 && found[0] == AT + HUGE + 7 * PAGE,
	   "a huge one from its first address in the range");
	ok(value_at(AT + HUGE) & SOFT_PTE_HUGE, "looking does not split it");

	walk = (struct soft_walk){ sm, AT + HUGE, AT + 2 * HUGE, .whole = true };
	mmun_mutex_lock(&sm->page_table_lock);
	ok(mmun_soft_walk_find(&walk) && soft_walk_huge(&walk), "a whole one is found as such");
	walk = (struct soft_walk){ sm, AT + HUGE, AT + 2 * HUGE - PAGE, .whole = true };
	ok(mmun_soft_walk_find(&walk) && !soft_walk_huge(&walk), "one in part is split");
	mmun_mutex_unlock(&sm->page_table_lock);
	for (unsigned long i = 0; i < 512; i++)
		set_at(AT + HUGE + i * PAGE, 0);
	set_at(AT - PAGE, 0);
	for (int i = 0; i < 5; i++)
		set_at(expected[i], 0);
	set_at(AT + 5 * HUGE, 0);
	mmun_soft_huge_put(page);
	end();
}

/* As in Linux: a table goes with the last mapping that is in it. */
static void test_tables_go(void)
{
	long before;

	begin(64, 0);
	soft_map(mm, AT + HUGE, 1, RW, PRIVATE, NULL);
	soft_poke(mm, AT + HUGE, 1);
	before = mmun_alloc_live();
	soft_map(mm, AT, 512, RW, PRIVATE | MAP_NORESERVE, NULL);
	(void)soft_peek(mm, AT);
	(void)soft_peek(mm, AT + HUGE - PAGE);
	mmun_soft_munmap(mm, AT, HUGE - PAGE);
	ok(has_leaf(AT), "a mapping is left at the end of the leaf");
	mmun_soft_munmap(mm, AT + HUGE - PAGE, PAGE);
	ok(!has_leaf(AT), "the last one takes it along");
	is(mmun_alloc_live(), before, "nothing is left of them");
	end();
}

static struct soft_vma *vma_at(unsigned long address)
{
	return mmun_soft_vma_find(sm, address);
}

static void zap_as_change(unsigned long start, unsigned long stop, const struct soft_zap *how)
{
	struct soft_change change;

	mmun_soft_change_begin(&change, mm);
	mmun_soft_zap(vma_at(start), start, stop, how);
	mmun_soft_change_end(&change, mm);
}

static void test_zap_anonymous(void)
{
	size_t before;

	begin(1024, 16);
	soft_map(mm, AT, 700, RW, PRIVATE, NULL);
	before = soft_free_frames(soft);
	for (unsigned long i = 0; i < 600; i++)
		soft_poke(mm, AT + i * PAGE, i);
	(void)soft_peek(mm, AT + 650 * PAGE);
	is(before - soft_free_frames(soft), 600, "600 pages written, one read");
	zap_as_change(AT + PAGE, AT + 599 * PAGE, NULL);
	is(before - soft_free_frames(soft), 2, "emptied, their frames are free");
	ok(soft_peek(mm, AT + 599 * PAGE) == 599 && !soft_peek(mm, AT + PAGE),
	   "what is outside the range stays");
	mmun_soft_madvise(mm, AT, PAGE, MADV_PAGEOUT);
	ok(entry_of(mm, AT).swapped, "one is swapped out");
	zap_as_change(AT, AT + 700 * PAGE, NULL);
	is(before - soft_free_frames(soft), 0, "the rest");
	ok(!entry_of(mm, AT).swapped && !value_at(AT + 650 * PAGE), "slots and zero pages too");
	end();
}

static void map_private_file(struct file *file)
{
	soft_map(mm, AT, 8, RW, MAP_PRIVATE, file);
	for (unsigned long i = 0; i < 8; i++) {
		if (i % 2)
			soft_poke(mm, AT + i * PAGE, i);
		else
			(void)soft_peek(mm, AT + i * PAGE);
	}
}

static bool present(unsigned long page)
{
	return value_at(AT + page * PAGE) & SOFT_PTE_PRESENT;
}

static void test_zap_private_file(void)
{
	struct soft_zap how = { .first = 2, .last = 5, .keep_private = true };
	struct file *file;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 8);
	map_private_file(file);
	zap_as_change(AT, AT + 8 * PAGE, &how);
	ok(present(0) && present(1) && present(6) && present(7), "pages of other indices stay");
	ok(!present(2) && !present(4), "file pages of these go");
	ok(present(3) && present(5), "private copies stay if they shall");
	how.keep_private = false;
	zap_as_change(AT, AT + 8 * PAGE, &how);
	ok(!present(3) && !present(5), "and go otherwise");
	mmun_soft_file_put(file);
	end();
}

static void test_zap_dirty(void)
{
	struct file *file;
	struct page *page;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 2);
	soft_map(mm, AT, 2, RW, MAP_SHARED, file);
	soft_poke(mm, AT, 1);
	page = mmun_soft_pfn_page(soft, entry_of(mm, AT).pfn);
	is(mmun_soft_fsync(file), 0, "written back");
	ok(!soft_page_test(page, SOFT_PAGE_DIRTY), "the page is clean");
	soft_poke(mm, AT, 2);
	soft_page_clear(page, SOFT_PAGE_DIRTY | SOFT_PAGE_REFERENCED);
	zap_as_change(AT, AT + PAGE, NULL);
	ok(soft_page_test(page, SOFT_PAGE_DIRTY), "what the entry knew is not lost: dirty");
	ok(soft_page_test(page, SOFT_PAGE_REFERENCED), "and young");
	is(page->mapcount, 0, "nobody maps it");
	is(page->refcount, 1, "but the cache has it");
	mmun_soft_file_put(file);
	end();
}

static void test_zap_nonlinear(void)
{
	struct soft_zap how = { .first = 5, .last = 5, .keep_nonlinear = true };
	struct file *file;
	unsigned long value = 55;

	begin(64, 0);
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	mmun_soft_pwrite(file, &value, sizeof(value), 5 * PAGE);
	soft_map(mm, AT, 4, RW, MAP_SHARED, file);
	is(mmun_soft_remap_file_pages(mm, AT + PAGE, PAGE, 0, 5, 0), 0, "page 1 shows page 5");
	is(soft_peek(mm, AT + PAGE), 55, "it does");
	(void)soft_peek(mm, AT + 2 * PAGE);
	zap_as_change(AT, AT + 4 * PAGE, &how);
	ok(value_at(AT + PAGE) == mark(5), "emptied, the entry remembers which page it chose");
	ok(present(2), "an entry of another page stays, wherever it is");
	is(soft_peek(mm, AT + PAGE), 55, "it faults the same page in again");
	how = (struct soft_zap){ .first = 1, .last = 1, .keep_nonlinear = true };
	zap_as_change(AT, AT + 4 * PAGE, &how);
	ok(present(1), "its place does not matter, its page does");
	zap_as_change(AT, AT + 4 * PAGE, NULL);
	ok(!value_at(AT + PAGE), "unmapping forgets it");
	mmun_soft_file_put(file);
	end();
}

static void test_lazy_free(void)
{
	struct mm_struct *child;
	struct page *page;

	begin(64, 16);
	soft_map(mm, AT, 4, RW, PRIVATE, NULL);
	soft_poke(mm, AT, 1);
	soft_poke(mm, AT + PAGE, 2);
	soft_poke(mm, AT + 2 * PAGE, 3);
	mmun_soft_madvise(mm, AT + PAGE, PAGE, MADV_PAGEOUT);
	page = mmun_soft_pfn_page(soft, entry_of(mm, AT).pfn);
	is(mmun_soft_madvise(mm, AT, 2 * PAGE, MADV_FREE), 0, "MADV_FREE");
	ok(!entry_of(mm, AT).dirty && entry_of(mm, AT).writable, "the page is clean and writable");
	ok(!soft_page_test(page, SOFT_PAGE_SWAPBACKED | SOFT_PAGE_DIRTY), "reclaim may drop it");
	ok(!entry_of(mm, AT + PAGE).swapped, "a swapped one is dropped at once");
	is(soft_peek(mm, AT), 1, "a page that is still there is what it was");
	is(mmun_soft_reclaim(soft, 4) >= 1, 1, "reclaim comes");
	is(soft_peek(mm, AT), 0, "and it is gone");
	is(soft_peek(mm, AT + 2 * PAGE), 3, "others are not");
	soft_poke(mm, AT + 3 * PAGE, 4);
	mmun_soft_mm_fork(mm, &child);
	page = mmun_soft_pfn_page(soft, entry_of(mm, AT + 3 * PAGE).pfn);
	mmun_soft_madvise(mm, AT + 3 * PAGE, PAGE, MADV_FREE);
	ok(soft_page_test(page, SOFT_PAGE_SWAPBACKED), "a page that others map is not touched");
	mmput(child);
	end();
}

static void test_protect(void)
{
	struct mmun_soft_translation t;
	struct page *pinned;
	struct soft_change change;

	begin(64, 0);
	soft_map(mm, AT, 4, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 4; i++)
		soft_poke(mm, AT + i * PAGE, i);
	mmun_soft_change_begin(&change, mm);
	mmun_soft_protect(vma_at(AT), AT + PAGE, AT + 3 * PAGE);
	mmun_soft_change_end(&change, mm);
	ok(entry_of(mm, AT).writable && entry_of(mm, AT + 3 * PAGE).writable,
	   "outside of the range entries stay writable");
	ok(!entry_of(mm, AT + PAGE).writable && !entry_of(mm, AT + 2 * PAGE).writable,
	   "inside they do not");
	soft_poke(mm, AT + PAGE, 9);
	ok(entry_of(mm, AT + PAGE).writable, "a fault gives it back");

	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, AT, 1, FOLL_PIN | FOLL_WRITE, &pinned), 1, "a pin");
	mmap_read_unlock(mm);
	is(mmun_soft_clear_soft_dirty(mm), 0, "soft-dirty is cleared");
	ok(!entry_of(mm, AT + PAGE).soft_dirty && !entry_of(mm, AT + PAGE).writable,
	   "of entries, which become read-only");
	ok(entry_of(mm, AT).soft_dirty && entry_of(mm, AT).writable, "but not of a pinned page");
	soft_poke(mm, AT + PAGE, 10);
	ok(entry_of(mm, AT + PAGE).soft_dirty, "a write sets it again");
	is(mmun_soft_translate_present(mm, AT + 2 * PAGE, &t), 0, "a reader's translation");
	ok(!t.writable, "is not writable then");
	mmun_soft_unpin_page(pinned);
	end();
}

static int move_entries(unsigned long from, unsigned long to, unsigned long length,
			unsigned long *moved)
{
	struct soft_change change;
	int ret;

	mmun_soft_change_begin(&change, mm);
	ret = mmun_soft_move(vma_at(from), from, vma_at(to), to, length, moved);
	mmun_soft_change_end(&change, mm);
	return ret;
}

/* Moved entries belong to the other VMA's reverse map only after an mremap, which this is not. */
static void test_move(void)
{
	const unsigned long from = AT + HUGE - 5 * PAGE, to = AT + 0x20000000ul + 3 * PAGE;
	unsigned long moved;
	int wrong = 0;

	begin(1024, 0);
	soft_map(mm, from, 600, RW, PRIVATE, NULL);
	soft_map(mm, to, 600, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 600; i++)
		set_at(from + i * PAGE, mark(i + 1));
	fail_allocation(2);
	is(move_entries(from, to, 600 * PAGE, &moved), -ENOMEM, "no table for a part of it");
	fail_allocation(0);
	is(moved, 0, "nothing has moved");
	for (unsigned long i = 0; i < 600; i++)
		wrong += value_at(to + i * PAGE) || value_at(from + i * PAGE) != mark(i + 1);
	is(wrong, 0, "each entry is where it was");
	is(move_entries(from, to, 600 * PAGE, &moved), 0, "all of it");
	is(moved, 600 * PAGE, "moved");
	for (unsigned long i = 0; i < 600; i++) {
		wrong += value_at(to + i * PAGE) != mark(i + 1) || value_at(from + i * PAGE);
		set_at(to + i * PAGE, 0);
	}
	is(wrong, 0, "each entry at the same place of the other range");
	end();
}

static void test_move_leaf(void)
{
	int wrong = 0;
	unsigned long moved;
	long live;

	begin(64, 0);
	soft_map(mm, AT, 1024, RW, PRIVATE, NULL);
	soft_map(mm, AT + 16 * HUGE, 1024, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 1024; i += 3)
		set_at(AT + i * PAGE, mark(i));
	live = mmun_alloc_live();
	is(move_entries(AT, AT + 16 * HUGE, 2 * HUGE, &moved), 0, "aligned on both sides");
	is(mmun_alloc_live(), live, "leaves move as they are");
	for (unsigned long i = 0; i < 1024; i++) {
		wrong += value_at(AT + 16 * HUGE + i * PAGE) != (i % 3 ? 0 : mark(i));
		wrong += value_at(AT + i * PAGE) != 0;
	}
	is(wrong, 0, "with all that is in them");
	for (unsigned long i = 0; i < 1024; i++)
		set_at(AT + 16 * HUGE + i * PAGE, 0);
	end();
}

static void test_move_huge(void)
{
	unsigned long moved;
	struct page *page;

	begin(1024, 0);
	soft_map(mm, AT, 1024, RW, PRIVATE, NULL);
	soft_map(mm, AT + 16 * HUGE, 2048, RW, PRIVATE, NULL);
	page = mmun_soft_page_alloc_huge(soft);
	set_huge(AT, page);
	set_at(AT + 16 * HUGE, mark(1));
	set_at(AT + 16 * HUGE, 0);
	is(move_entries(AT, AT + 16 * HUGE, 2 * HUGE, &moved), 0, "a huge entry moves as one");
	ok(value_at(AT + 16 * HUGE) & SOFT_PTE_HUGE && !value_at(AT),
	   "over an empty table that is still there");
	is(move_entries(AT + 16 * HUGE, AT + PAGE, HUGE, &moved), 0, "to an odd place");
	ok(value_at(AT + 5 * PAGE) ==
		   soft_pte_make(page + 4, SOFT_PTE_WRITE | SOFT_PTE_YOUNG | SOFT_PTE_SOFT_DIRTY),
	   "it moves in parts");
	ok(!value_at(AT) && !value_at(AT + 16 * HUGE), "all of it");
	for (unsigned long i = 0; i < 512; i++)
		set_at(AT + PAGE + i * PAGE, 0);
	mmun_soft_huge_put(page);
	end();
}

int main(void)
{
	test_make();
	test_huge_entries();
	test_walk();
	test_tables_go();
	test_zap_anonymous();
	test_zap_private_file();
	test_zap_dirty();
	test_zap_nonlinear();
	test_lazy_free();
	test_protect();
	test_move();
	test_move_leaf();
	test_move_huge();
	return tap_done();
}
