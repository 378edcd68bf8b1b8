/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{vma/vma,vma/merge,call/protect,call/show}.c: splits and merges, mprotect, look-up.
 * Which mappings merge was asked of Linux 6.18 with the same calls.
 */
#include "types.h"
#include "recorder.h"
#include "layout.h"
#include "vma/vma.h"

static int map_at(struct scene *s, long page, long pages, int prot, int flags)
{
	return (int)(long)(mmun_soft_mmap(s->mm, AT(page), (size_t)pages * PAGE, prot,
					  flags | MAP_FIXED, NULL, 0) -
			   AT(page));
}

static int protect(struct scene *s, long page, long pages, int prot)
{
	return mmun_soft_mprotect(s->mm, AT(page), (size_t)pages * PAGE, prot);
}

static void test_lookup(void)
{
	struct scene s = scene_begin(NULL);
	struct vm_area_struct *vma;

	map_at(&s, 2, 2, RW, PRIVATE);
	map_at(&s, 8, 1, PROT_READ, PRIVATE);
	mmap_read_lock(s.mm);
	vma = mmun_soft_find_vma(s.mm, AT(0));
	ok(vma && vma->vm_start == AT(2), "find_vma: the next one above");
	ok(mmun_soft_find_vma(s.mm, AT(3)) == vma, "or the one around");
	ok(mmun_soft_find_vma(s.mm, AT(4))->vm_start == AT(8), "an end is outside");
	ok(!mmun_soft_find_vma(s.mm, AT(9)), "nothing above the last");
	ok(mmun_soft_vma_lookup(s.mm, AT(2)) == vma && !mmun_soft_vma_lookup(s.mm, AT(4)),
	   "vma_lookup: only the one around");
	mmap_read_unlock(s.mm);
	scene_end(&s, "look-up");
}

static void test_new_merges(void)
{
	struct scene s = scene_begin(NULL);

	map_at(&s, 0, 2, RW, PRIVATE);
	map_at(&s, 4, 2, RW, PRIVATE);
	is_layout(s.mm, "0-2 rw-p, 4-6 rw-p", "two mappings with a hole");
	map_at(&s, 2, 2, RW, PRIVATE);
	is_layout(s.mm, "0-6 rw-p", "what fills the hole joins both");
	map_at(&s, 6, 1, PROT_READ, PRIVATE);
	map_at(&s, 7, 1, RW, PRIVATE | MAP_NORESERVE);
	is_layout(s.mm, "0-6 rw-p, 6-7 r--p, 7-8 rw-p", "other rights, other flags: not joined");
	is(soft_mm(s.mm)->map_count, 3, "the count of mappings follows");
	is(soft_mm(s.mm)->total_pages, 8, "and that of pages");
	soft_poke(s.mm, AT(0), 1);
	soft_poke(s.mm, AT(7), 1);
	mmun_soft_munmap(s.mm, AT(6), PAGE);
	map_at(&s, 8, 1, RW, PRIVATE | MAP_NORESERVE);
	is_layout(s.mm, "0-6 rw-p, 7-9 rw-p", "a new one joins one with pages of its own");
	scene_end(&s, "merge");
}

/* Both sides have pages and an anon_vma each: the new one joins the left side only. */
static void test_two_anon_vmas(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 1, 7);
	scene_fill(&s, 2, 1, 9);
	map_at(&s, 1, 1, RW, PRIVATE);
	is_layout(s.mm, "0-2 rw-p, 2-3 rw-p", "two anon_vmas do not become one mapping");
	is(soft_peek(s.mm, AT(2)), 9, "the pages stay");
	scene_end(&s, "anon_vmas");
}

static void test_files_merge(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);

	mmun_soft_mmap(s.mm, AT(0), 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, f, 0);
	mmun_soft_mmap(s.mm, AT(2), 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, f, 2 * PAGE);
	is_layout(s.mm, "0-4 rw-s f+0", "continued offsets are one mapping");
	mmun_soft_mmap(s.mm, AT(4), 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, f, 0);
	is_layout(s.mm, "0-4 rw-s f+0, 4-6 rw-s f+0", "others are two");
	map_at(&s, 6, 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	map_at(&s, 7, 1, RW, MAP_SHARED | MAP_ANONYMOUS);
	is_layout(s.mm,
		  "0-4 rw-s f+0, 4-6 rw-s f+0, 6-7 rw-s /dev/zero (deleted)+0, "
		  "7-8 rw-s /dev/zero (deleted)+0",
		  "shared memory without a file has one each");
	mmun_soft_file_put(f);
	scene_end(&s, "files");
}

static void test_protect_splits(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 8, 50);
	is(protect(&s, 2, 3, PROT_READ), 0, "rights of the middle");
	is_layout(s.mm, "0-2 rw-p, 2-5 r--p, 5-8 rw-p", "split in three");
	is(protect(&s, 0, 2, PROT_READ), 0, "of the left");
	is_layout(s.mm, "0-5 r--p, 5-8 rw-p", "joined with the middle");
	is(protect(&s, 4, 2, RW), 0, "over a boundary");
	is_layout(s.mm, "0-4 r--p, 4-8 rw-p", "the boundary moved");
	is(protect(&s, 4, 1, PROT_READ), 0, "back");
	is_layout(s.mm, "0-5 r--p, 5-8 rw-p", "and the boundary with it");
	is(protect(&s, 0, 8, RW), 0, "all");
	is_layout(s.mm, "0-8 rw-p", "are one again");
	is(scene_peek_from(&s, 0, 8, 50), 8, "with all the pages");
	soft_poke(s.mm, AT(3), 1);
	is(soft_peek(s.mm, AT(3)), 1, "that can be written");
	scene_end(&s, "mprotect");
}

static void test_protect_both_sides(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 6, 1);
	protect(&s, 2, 2, PROT_READ);
	is(protect(&s, 2, 2, RW), 0, "the one in between");
	is_layout(s.mm, "0-6 rw-p", "joins both sides at once");
	is(soft_mm(s.mm)->map_count, 1, "one mapping is left");
	scene_end(&s, "mprotect of the middle");
}

static void test_protect_errors(void)
{
	struct scene s = scene_begin(NULL);
	struct mmun_soft_fault why;

	map_at(&s, 0, 2, RW, PRIVATE);
	map_at(&s, 3, 1, RW, PRIVATE);
	is(mmun_soft_mprotect(s.mm, AT(0) + 1, PAGE, 0), -EINVAL, "an odd address");
	is(protect(&s, 0, 1, 0x40), -EINVAL, "unknown rights");
	is(protect(&s, 0, 0, RW), 0, "nothing at all");
	is(mmun_soft_mprotect(s.mm, AT(0), ~0ul - PAGE, RW), -ENOMEM, "a range that wraps");
	is(protect(&s, 2, 1, RW), -ENOMEM, "a hole");
	is(protect(&s, 0, 4, PROT_READ), -ENOMEM, "a hole further up");
	is_layout(s.mm, "0-2 r--p, 3-4 rw-p", "what was below it has changed");
	is(protect(&s, 0, 1, PROT_READ | PROT_GROWSDOWN), -EINVAL, "nothing that grows down");
	is(protect(&s, 0, 1, PROT_READ | PROT_GROWSUP), -EINVAL, "nor up");
	is(mmun_soft_write(s.mm, AT(0), &s, 1, &why), -EFAULT, "no write to what may be read");
	ok(why.signal == SIGSEGV && why.address == AT(0), "is a SIGSEGV there");
	scene_end(&s, "mprotect errors");
}

/* A right to write counts as a promise of memory, which shows in what merges. */
static void test_accounting(void)
{
	struct scene s = scene_begin(NULL);

	map_at(&s, 0, 4, PROT_READ, PRIVATE);
	map_at(&s, 4, 4, RW, PRIVATE);
	protect(&s, 4, 4, PROT_READ);
	is_layout(s.mm, "0-8 r--p", "never written: the promise is taken back");
	mmun_soft_munmap(s.mm, AT(0), 8 * PAGE);
	map_at(&s, 0, 4, PROT_READ, PRIVATE);
	map_at(&s, 4, 4, RW, PRIVATE);
	soft_poke(s.mm, AT(4), 1);
	protect(&s, 4, 4, PROT_READ);
	is_layout(s.mm, "0-4 r--p, 4-8 r--p", "written: it stays");
	scene_end(&s, "accounting");
}

static void test_protect_events(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	map_at(&s, 0, 4, RW, PRIVATE);
	record(&r, s.mm);
	protect(&s, 0, 4, PROT_READ);
	ok(just_one(&r, MMU_NOTIFY_PROTECTION_VMA, MMUN_OP_MPROTECT, AT(0), 4),
	   "mprotect notifies of its range, populated or not");
	protect(&s, 0, 4, PROT_READ);
	is(forget(&r), 0, "and of nothing if the rights are the same");
	protect(&s, 1, 1, RW);
	ok(just_one(&r, MMU_NOTIFY_PROTECTION_VMA, MMUN_OP_MPROTECT, AT(1), 1),
	   "of a part: just that");
	is(mmun_soft_clear_soft_dirty(s.mm), 0, "soft-dirty is cleared");
	is(r.nr, 3, "a section for each mapping");
	ok(r.event[0].class == MMU_NOTIFY_SOFT_DIRTY && r.event[0].op == MMUN_OP_SOFT_DIRTY,
	   "of its own class");
	stop_recording(&r, s.mm);
	scene_end(&s, "mprotect events");
}

static void test_soft_dirty(void)
{
	struct scene s = scene_begin(NULL);
	struct mmun_soft_entry entry;

	scene_fill(&s, 0, 2, 1);
	mmun_soft_clear_soft_dirty(s.mm);
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(entry.present && !entry.soft_dirty && !entry.writable, "cleared pages are not dirty");
	soft_poke(s.mm, AT(0), 2);
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(entry.soft_dirty && entry.writable && !entry.file && entry.mapcount == 1,
	   "a written one is again");
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(!entry.soft_dirty, "the other is not");
	mmun_soft_pagemap(s.mm, AT(9), &entry);
	ok(!entry.present && !entry.soft_dirty, "nothing is where nothing is mapped");
	scene_end(&s, "soft-dirty");
}

static void test_map_count(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .max_map_count = 8 });
	int made = 0;

	while (!map_at(&s, 2 * made, 1, RW, PRIVATE))
		made++;
	is(made, 9, "one more than the limit, as in Linux");
	is(map_at(&s, 40, 1, RW, PRIVATE), (int)(-ENOMEM - AT(40)), "then no more");
	mmun_soft_munmap(s.mm, AT(0), 8 * PAGE);
	map_at(&s, 0, 4, RW, PRIVATE);
	map_at(&s, 5, 1, RW, PRIVATE);
	map_at(&s, 7, 1, PROT_READ, PRIVATE);
	is(soft_mm(s.mm)->map_count, 8, "at the limit");
	is(protect(&s, 1, 1, PROT_READ), -ENOMEM, "no split");
	is(mmun_soft_munmap(s.mm, AT(1), PAGE), -ENOMEM, "no hole");
	is(mmun_soft_munmap(s.mm, AT(3), PAGE), 0, "an end can go");
	scene_end(&s, "map count");
}

static int split_and_merge(struct scene *s)
{
	int ret = protect(s, 2, 2, PROT_READ);

	return ret ? ret : protect(s, 2, 2, RW);
}

/* Every allocation fails once. */
static void test_no_memory(void)
{
	struct scene s = scene_begin(NULL);
	int nth, ret = -1, odd = 0, wrong = 0;

	scene_fill(&s, 0, 6, 30);
	for (nth = 1; nth < 100 && ret; nth++) {
		fail_allocation(nth);
		ret = split_and_merge(&s);
		fail_allocation(0);
		odd += ret && ret != -ENOMEM;
		protect(&s, 0, 6, RW);
		wrong += scene_peek_from(&s, 0, 6, 30) != 6;
	}
	ok(!ret && nth > 3, "mprotect succeeds after %d failures", nth - 2);
	is(odd + wrong, 0, "each was -ENOMEM, and no page was lost");
	is_layout(s.mm, "0-6 rw-p", "one mapping again");
	scene_end(&s, "no memory");
}

/* fork: the child's pages came from the parent, so its mappings do not take others in. */
static void test_inherited(void)
{
	struct scene s = scene_begin(NULL), child;

	scene_fill(&s, 0, 2, 3);
	child = s;
	is(mmun_soft_mm_fork(s.mm, &child.mm), 0, "fork");
	map_at(&child, 2, 2, RW, PRIVATE);
	is_layout(child.mm, "0-2 rw-p, 2-4 rw-p", "inherited pages: a new mapping stays apart");
	map_at(&s, 2, 2, RW, PRIVATE);
	is_layout(s.mm, "0-4 rw-p", "in the parent it does not");
	mmput(child.mm);
	scene_end(&s, "fork");
}

static void test_huge_boundary(void)
{
	struct scene s =
		scene_begin(&(struct mmun_soft_params){ .memory = 16 << 20, .huge_always = true });
	struct mmun_soft_entry entry;
	struct recorder r;

	map_at(&s, 0, 2 * HUGE_PAGES, RW, PRIVATE);
	soft_poke(s.mm, AT(5), 42);
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(entry.huge, "a huge page");
	record(&r, s.mm);
	is(protect(&s, 0, 4, PROT_READ), 0, "a boundary inside it");
	is(r.nr, 2, "two sections");
	ok(r.event[0].op == MMUN_OP_HUGE_SPLIT && r.event[0].start == AT(0) &&
		   r.event[0].end == AT(HUGE_PAGES),
	   "first the split of all of it");
	ok(r.event[1].op == MMUN_OP_MPROTECT && r.event[1].end == AT(4), "then the part");
	mmun_soft_pagemap(s.mm, AT(5), &entry);
	ok(entry.present && !entry.huge, "small pages now");
	is(soft_peek(s.mm, AT(5)), 42, "with the same contents");
	stop_recording(&r, s.mm);
	scene_end(&s, "huge");
}

int main(void)
{
	test_lookup();
	test_new_merges();
	test_two_anon_vmas();
	test_files_merge();
	test_protect_splits();
	test_protect_both_sides();
	test_protect_errors();
	test_accounting();
	test_protect_events();
	test_soft_dirty();
	test_map_count();
	test_no_memory();
	test_inherited();
	test_huge_boundary();
	return tap_done();
}
