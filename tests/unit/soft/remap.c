/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{call/remap,call/nonlinear}.c: mremap and remap_file_pages.  Results and
 * layouts were asked of Linux 6.18 with the same calls, but for remap_file_pages,
 * which it only emulates.
 */
#include "types.h"
#include "recorder.h"
#include "layout.h"

#define MOVE (MREMAP_MAYMOVE | MREMAP_FIXED)
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* Pages of the arena; the result too, or -errno. */
static long remap(struct scene *s, long from, long old, long new, int flags, long to)
{
	mmun_soft_address at = mmun_soft_mremap(s->mm, AT(from), (size_t)old * PAGE,
						(size_t) new *PAGE, flags, AT(to));

	return mmun_soft_is_error(at) ? (long)at : ((long)at - (long)ARENA) / (long)PAGE;
}

static void test_errors(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 3, 1);
	is(remap(&s, 0, 1, 1, 0x40, 0), -EINVAL, "an unknown flag");
	is((long)mmun_soft_mremap(s.mm, AT(0) + 1, PAGE, PAGE, 0, 0), -EINVAL, "an odd address");
	is(remap(&s, 0, 1, 0, 0, 0), -EINVAL, "to nothing");
	is((long)mmun_soft_mremap(s.mm, AT(0), PAGE, 1ul << 47, 0, 0), -EINVAL, "to too much");
	is((long)mmun_soft_mremap(s.mm, AT(0), 1ul << 62, PAGE, 0, 0), -EINVAL, "from too much");
	is((long)mmun_soft_mremap(s.mm, AT(1), -AT(0), PAGE, 0, 0), -EINVAL, "or what wraps");
	is((long)mmun_soft_mremap(s.mm, AT(0), 1ul << 62, PAGE, MOVE, AT(0) - 16 * PAGE), -EINVAL,
	   "also to a place");
	is(remap(&s, 0, 1, 1, MREMAP_FIXED, 8), -EINVAL, "fixed without permission to move");
	is((long)mmun_soft_mremap(s.mm, AT(0), PAGE, PAGE, MOVE, AT(8) + 1), -EINVAL,
	   "to an odd address");
	is((long)mmun_soft_mremap(s.mm, AT(0), PAGE, PAGE, MOVE, MMUN_SOFT_TASK_SIZE), -EINVAL,
	   "or beyond the end");
	is(remap(&s, 0, 2, 2, MOVE, 1), -EINVAL, "onto itself");
	is(remap(&s, 0, 1, 2, MOVE | MREMAP_DONTUNMAP, 8), -EINVAL, "DONTUNMAP does not resize");
	is(remap(&s, 5, 1, 2, MREMAP_MAYMOVE, 0), -EFAULT, "nothing there");
	is(remap(&s, 0, 4, 8, MREMAP_MAYMOVE, 0), -EFAULT, "more than there is");
	is(remap(&s, 0, 0, 2, MREMAP_MAYMOVE, 0), -EINVAL, "a copy of private memory");
	is(remap(&s, 5, 1, 1, MOVE, 8), -EFAULT, "a move of nothing");
	is(remap(&s, 2, 4, 8, MOVE, 16), -EFAULT, "a move that grows, of two");
	is_layout(s.mm, "0-3 rw-p", "none of these changes anything");
	scene_end(&s, "errors");
}

static void test_resize(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;
	long at;

	scene_fill(&s, 0, 4, 10);
	record(&r, s.mm);
	is(remap(&s, 0, 4, 4, 0, 0), 0, "the same size");
	is(remap(&s, 0, 4, 6, 0, 0), 0, "room above");
	is_layout(s.mm, "0-6 rw-p", "grows in place");
	is(forget(&r), 0, "which calls no notifier");
	is(remap(&s, 0, 6, 3, 0, 0), 0, "smaller");
	ok(just_one(&r, MMU_NOTIFY_UNMAP, MMUN_OP_MREMAP, AT(3), 3), "notifies of the tail");
	soft_map(s.mm, AT(3), 1, PROT_READ, PRIVATE, NULL);
	is(remap(&s, 0, 3, 5, 0, 0), -ENOMEM, "no room, no move");
	forget(&r);
	at = remap(&s, 0, 3, 5, MREMAP_MAYMOVE, 0);
	ok(at > 0, "a move makes room");
	is(r.nr, 2, "two sections");
	ok(r.event[0].start == AT(0) && r.event[0].end == AT(3) && r.event[1].start == AT(0) &&
		   r.event[1].end == AT(3) && r.event[0].class == MMU_NOTIFY_UNMAP &&
		   r.event[0].op == MMUN_OP_MREMAP,
	   "the old range twice: entries, and mapping");
	is(scene_peek_from(&s, at, 3, 10), 3, "the pages came along");
	is(soft_peek(s.mm, AT(at + 4)), 0, "what is new is zero");
	stop_recording(&r, s.mm);
	scene_end(&s, "resize");
}

static void test_move(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	scene_fill(&s, 0, 8, 20);
	scene_fill(&s, 16, 4, 90);
	record(&r, s.mm);
	is(remap(&s, 2, 3, 3, MOVE, 16), 16, "the middle goes elsewhere");
	is(r.nr, 3, "three sections");
	ok(r.event[0].start == AT(16) && r.event[0].end == AT(19), "what was there");
	ok(r.event[1].start == AT(2) && r.event[2].start == AT(2), "the old range, twice");
	is_layout(s.mm, "0-2 rw-p, 5-8 rw-p, 16-19 rw-p, 19-20 rw-p", "layout");
	is(scene_peek_from(&s, 16, 3, 22), 3, "the pages moved");
	is(soft_peek(s.mm, AT(19)), 93, "what was not meant stayed");
	is(remap(&s, 16, 3, 3, MOVE, 2), 2, "back");
	is_layout(s.mm, "0-8 rw-p, 19-20 rw-p", "one mapping again");
	is(scene_peek_from(&s, 0, 8, 20), 8, "all as it was");
	is(remap(&s, 0, 8, 2, MOVE, 32), 32, "a move that shrinks");
	is_layout(s.mm, "19-20 rw-p, 32-34 rw-p", "drops the tail");
	is(remap(&s, 32, 2, 4, MOVE, 40), 40, "and one that grows");
	is_layout(s.mm, "19-20 rw-p, 40-44 rw-p", "adds one");
	is(scene_peek_from(&s, 40, 2, 20), 2, "the pages came along");
	stop_recording(&r, s.mm);
	scene_end(&s, "move");
}

static void test_move_next_to_itself(void)
{
	struct scene s = scene_begin(NULL);

	soft_map(s.mm, AT(0), 4, RW, PRIVATE, NULL);
	is(remap(&s, 0, 2, 2, MOVE, 4), 4, "untouched memory behind itself");
	is_layout(s.mm, "2-6 rw-p", "is one mapping: it may as well be new");
	mmun_soft_munmap(s.mm, AT(0), 16 * PAGE);
	scene_fill(&s, 0, 4, 1);
	is(remap(&s, 0, 2, 2, MOVE, 4), 4, "memory with pages");
	is_layout(s.mm, "2-4 rw-p, 4-6 rw-p", "is two");
	is(soft_peek(s.mm, AT(4)), 1, "with the pages");
	mmun_soft_munmap(s.mm, AT(0), 16 * PAGE);
	soft_map(s.mm, AT(0), 2, RW, PRIVATE, NULL);
	soft_map(s.mm, AT(4), 4, RW, PRIVATE, NULL);
	is(remap(&s, 4, 2, 2, MOVE, 2), 2, "into a hole below itself");
	is_layout(s.mm, "0-4 rw-p, 6-8 rw-p", "what is below takes it in");
	scene_end(&s, "next to itself");
}

static void test_several(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 2, 1);
	soft_map(s.mm, AT(4), 2, PROT_READ, PRIVATE, NULL);
	soft_map(s.mm, AT(100), 16, RW, PRIVATE, NULL);
	is(remap(&s, 0, 8, 8, MOVE, 104), 104, "several mappings move in one call");
	is_layout(s.mm, "100-104 rw-p, 104-106 rw-p, 106-108 rw-p, 108-110 r--p, 110-116 rw-p",
		  "at their distances, and what is between at the target stays");
	is(scene_peek_from(&s, 104, 2, 1), 2, "with their pages");
	is(remap(&s, 98, 8, 8, MOVE, 0), -EFAULT, "but not with a hole at the start");
	scene_end(&s, "several");
}

static void test_dontunmap(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	scene_fill(&s, 0, 4, 7);
	mmun_soft_mlock(s.mm, AT(0), 4 * PAGE);
	record(&r, s.mm);
	is(remap(&s, 0, 4, 4, MOVE | MREMAP_DONTUNMAP, 32), 32, "MREMAP_DONTUNMAP");
	ok(just_one(&r, MMU_NOTIFY_UNMAP, MMUN_OP_MREMAP, AT(0), 4),
	   "notifies of the old range once: it stays mapped");
	is_layout(s.mm, "0-4 rw-p, 32-36 rw-p", "both are there");
	is(scene_peek_from(&s, 32, 4, 7), 4, "the pages went");
	is(soft_peek(s.mm, AT(1)), 0, "and left nothing");
	is(mmun_soft_madvise(s.mm, AT(0), PAGE, MADV_DONTNEED), 0, "the old one is not locked");
	is(mmun_soft_madvise(s.mm, AT(32), PAGE, MADV_DONTNEED), -EINVAL, "the new one is");
	stop_recording(&r, s.mm);
	scene_end(&s, "DONTUNMAP");
}

static void test_shared(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	long at;

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	soft_poke(s.mm, AT(1), 5);
	is(remap(&s, 1, 0, 2, MOVE, 16), 16, "no old length: shared memory once more");
	is_layout(s.mm, "0-4 rw-s f+0, 16-18 rw-s f+1", "both map the file");
	soft_poke(s.mm, AT(16), 6);
	is(soft_peek(s.mm, AT(1)), 6, "the same page");
	at = remap(&s, 16, 2, 4, 0, 0);
	is(at, 16, "a file mapping grows over the file's next pages");
	is_layout(s.mm, "0-4 rw-s f+0, 16-20 rw-s f+1", "in place");
	is(remap(&s, 16, 4, 4, MOVE, 4), 4, "and moves");
	is_layout(s.mm, "0-4 rw-s f+0, 4-8 rw-s f+1", "with its offset");
	is(soft_peek(s.mm, AT(4)), 6, "and pages");
	mmun_soft_file_put(f);
	scene_end(&s, "shared");
}

static void test_locked(void)
{
	struct scene s = scene_begin(NULL);
	struct mmun_soft_entry entry;

	soft_map(s.mm, AT(0), 2, RW, PRIVATE | MAP_LOCKED, NULL);
	is(remap(&s, 0, 2, 4, 0, 0), 0, "locked memory grows");
	mmun_soft_pagemap(s.mm, AT(3), &entry);
	ok(entry.present, "the new part is there at once");
	scene_end(&s, "locked");
}

static void test_huge(void)
{
	struct scene s =
		scene_begin(&(struct mmun_soft_params){ .memory = 16 << 20, .huge_always = true });
	struct mmun_soft_entry entry;

	soft_map(s.mm, AT(0), 2 * HUGE_PAGES, RW, PRIVATE, NULL);
	soft_poke(s.mm, AT(9), 42);
	soft_poke(s.mm, AT(HUGE_PAGES + 3), 43);
	is(remap(&s, 0, HUGE_PAGES, HUGE_PAGES, MOVE, 4 * HUGE_PAGES), (long)(4 * HUGE_PAGES),
	   "a whole huge page");
	mmun_soft_pagemap(s.mm, AT(4 * HUGE_PAGES), &entry);
	ok(entry.huge, "moves as one");
	is(soft_peek(s.mm, AT(4 * HUGE_PAGES + 9)), 42, "with its contents");
	is(remap(&s, 4 * HUGE_PAGES + 9, 1, 1, MOVE, 1), 1, "a part of it");
	is(soft_peek(s.mm, AT(1)), 42, "moves alone");
	is(remap(&s, HUGE_PAGES, HUGE_PAGES, HUGE_PAGES, MOVE, 8 * HUGE_PAGES + 5),
	   (long)(8 * HUGE_PAGES + 5), "one to an odd place");
	is(soft_peek(s.mm, AT(8 * HUGE_PAGES + 8)), 43, "moves in small pages");
	scene_end(&s, "huge");
}

static int move_there(struct scene *s)
{
	long at = remap(s, 2, 4, 4, MOVE, 3000);

	return at < 0 ? (int)at : 0;
}

/* Each allocation fails once; the pages are in the one place or the other. */
static void test_no_memory(void)
{
	struct scene s = scene_begin(NULL);
	int nth, ret = -1, odd = 0, lost = 0;

	scene_fill(&s, 0, 8, 60);
	for (nth = 1; nth < 100 && ret; nth++) {
		fail_allocation(nth);
		ret = move_there(&s);
		fail_allocation(0);
		odd += ret && ret != -ENOMEM;
		lost += ret && scene_peek_from(&s, 0, 8, 60) != 8;
	}
	ok(!ret && nth > 3, "mremap succeeds after %d failures", nth - 2);
	is(odd + lost, 0, "each was -ENOMEM and moved everything back");
	is(scene_peek_from(&s, 3000, 4, 62), 4, "then it is moved");
	scene_end(&s, "no memory");
}

static void test_map_count(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .max_map_count = 8 });

	scene_fill(&s, 0, 4, 1);
	soft_map(s.mm, AT(8), 1, RW, PRIVATE, NULL);
	is(remap(&s, 1, 1, 1, MOVE, 20), 20, "a move far from the limit");
	is(remap(&s, 3, 1, 1, MOVE, 22), -ENOMEM, "none close to it");
	scene_end(&s, "map count");
}

static long choose(struct scene *s, long page, long pages, unsigned long pgoff)
{
	return mmun_soft_remap_file_pages(s->mm, AT(page), (size_t)pages * PAGE, 0, pgoff, 0);
}

static void test_nonlinear(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	struct mmun_soft_entry entry;
	struct recorder r;

	soft_map(s.mm, AT(0), 8, RW, MAP_SHARED, f);
	for (unsigned long i = 0; i < 8; i++)
		soft_poke(s.mm, AT(i), 100 + i);
	record(&r, s.mm);
	is(choose(&s, 2, 2, 2), 0, "the pages that are there");
	is(forget(&r), 0, "no change");
	is(choose(&s, 0, 2, 6), 0, "other pages of the file");
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_REMAP_FILE_PAGES, AT(0), 2), "notified");
	is_layout(s.mm, "0-8 rw-s f+0", "the mapping stays one");
	is(soft_peek(s.mm, AT(0)), 106, "and shows them");
	is(soft_peek(s.mm, AT(2)), 102, "the others as before");
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(entry.present, "they are there at once");
	soft_poke(s.mm, AT(1), 5);
	is(soft_peek(s.mm, AT(7)), 5, "the same page twice");
	is(mmun_soft_madvise(s.mm, AT(0), 8 * PAGE, MADV_DONTNEED), 0, "MADV_DONTNEED");
	is(soft_peek(s.mm, AT(1)), 5, "does not forget the choice");
	is(mmun_soft_madvise(s.mm, AT(0), PAGE, MADV_REMOVE), -EINVAL, "no hole through it");
	forget(&r);
	is(mmun_soft_punch_hole(f, 7 * PAGE, PAGE), 0, "a hole through the file");
	ok(r.nr > 0, "is notified");
	is(soft_peek(s.mm, AT(1)), 0, "and seen in the chosen place");
	is(soft_peek(s.mm, AT(7)), 0, "the linear one too");
	is(remap(&s, 0, 2, 2, MOVE, 16), 16, "a part moves");
	is(soft_peek(s.mm, AT(16)), 106, "with the choice");
	stop_recording(&r, s.mm);
	mmun_soft_file_put(f);
	scene_end(&s, "nonlinear");
}

static void test_nonlinear_errors(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	int nth, ret = -1;

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	soft_map(s.mm, AT(8), 4, RW, MAP_PRIVATE, f);
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, PROT_READ, 1, 0), -EINVAL, "rights");
	is(choose(&s, 0, 0, 1), -EINVAL, "nothing");
	is(choose(&s, 3, 2, 1), -EINVAL, "over the end of the mapping");
	is(choose(&s, 8, 1, 1), -EINVAL, "a private mapping");
	is(choose(&s, 6, 1, 1), -EINVAL, "a hole");
	is(choose(&s, 0, 1, ~0ul), -EINVAL, "an offset that wraps");
	for (nth = 1; nth < 20 && ret; nth++) {
		fail_allocation(nth);
		ret = mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, 0, 3, MAP_NONBLOCK);
		fail_allocation(0);
	}
	is(ret, 0, "it succeeds when there is memory");
	mmun_soft_file_put(f);
	scene_end(&s, "remap_file_pages errors");
}

int main(void)
{
	test_errors();
	test_resize();
	test_move();
	test_move_next_to_itself();
	test_several();
	test_dontunmap();
	test_shared();
	test_locked();
	test_huge();
	test_no_memory();
	test_map_count();
	test_nonlinear();
	test_nonlinear_errors();
	return tap_done();
}
