/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{call/advise,call/lockmem}.c: madvise, mlock, msync.  Results were asked of
 * Linux 6.18 with the same calls.
 */
#include "types.h"
#include "recorder.h"
#include "layout.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

static int advise(struct scene *s, long page, long pages, int advice)
{
	return mmun_soft_madvise(s->mm, AT(page), (size_t)pages * PAGE, advice);
}

static int first_flags(const struct mmun_soft_map *map, void *arg)
{
	*(unsigned long *)arg = map->flags;
	return 1;
}

static unsigned long flags_of_first(struct scene *s)
{
	unsigned long flags = 0;

	mmun_soft_maps(s->mm, first_flags, &flags);
	return flags;
}

static void test_errors(void)
{
	struct scene s = scene_begin(NULL);

	soft_map(s.mm, AT(0), 2, RW, PRIVATE, NULL);
	soft_map(s.mm, AT(4), 2, RW, PRIVATE, NULL);
	is(advise(&s, 0, 1, 77), -EINVAL, "unknown advice");
	is(advise(&s, 0, 0, 77), -EINVAL, "for nothing, too");
	is(advise(&s, 0, 0, MADV_DONTNEED), 0, "known advice for nothing");
	is(mmun_soft_madvise(s.mm, AT(0) + 1, PAGE, MADV_NORMAL), -EINVAL, "an odd address");
	is(mmun_soft_madvise(s.mm, AT(0), ~0ul, MADV_NORMAL), -EINVAL, "a length that wraps");
	is(advise(&s, 0, 6, MADV_DONTFORK), -ENOMEM, "a hole");
	is_layout(s.mm, "0-2 rw-p, 4-6 rw-p", "layout");
	ok(flags_of_first(&s) & VM_DONTCOPY, "what is around it was advised");
	is(advise(&s, 2, 1, MADV_DONTNEED), -ENOMEM, "only a hole");
	is(advise(&s, 6, 1, MADV_DONTNEED), -ENOMEM, "nothing above");
	scene_end(&s, "errors");
}

static const struct {
	const char *name;
	int set, clear;
	unsigned long flag;
} pairs[] = {
	{ "MADV_RANDOM", MADV_RANDOM, MADV_NORMAL, VM_RAND_READ },
	{ "MADV_SEQUENTIAL", MADV_SEQUENTIAL, MADV_NORMAL, VM_SEQ_READ },
	{ "MADV_DONTFORK", MADV_DONTFORK, MADV_DOFORK, VM_DONTCOPY },
	{ "MADV_WIPEONFORK", MADV_WIPEONFORK, MADV_KEEPONFORK, VM_WIPEONFORK },
	{ "MADV_MERGEABLE", MADV_MERGEABLE, MADV_UNMERGEABLE, VM_MERGEABLE },
	{ "MADV_HUGEPAGE", MADV_HUGEPAGE, MADV_NOHUGEPAGE, VM_HUGEPAGE },
	{ "MADV_DONTDUMP", MADV_DONTDUMP, MADV_DODUMP, VM_DONTDUMP },
};

static void test_flags(void)
{
	struct recorder r;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct scene s = scene_begin(NULL);

		scene_fill(&s, 0, 4, 1);
		record(&r, s.mm);
		is(advise(&s, 0, 2, pairs[i].set), 0, "%s", pairs[i].name);
		is_layout(s.mm, "0-2 rw-p, 2-4 rw-p", "splits");
		ok(flags_of_first(&s) & pairs[i].flag, "and sets its flag");
		is(advise(&s, 0, 2, pairs[i].clear), 0, "its opposite");
		ok(!(flags_of_first(&s) & pairs[i].flag), "clears it");
		is(r.nr, 0, "no notifier is called");
		is(scene_peek_from(&s, 0, 4, 1), 4, "no page is lost");
		stop_recording(&r, s.mm);
		scene_end(&s, pairs[i].name);
	}
}

static void test_fork_advice(void)
{
	struct scene s = scene_begin(NULL);
	struct mm_struct *child;
	struct mmun_soft_fault why;
	char byte;

	scene_fill(&s, 0, 3, 1);
	is(advise(&s, 1, 1, MADV_DONTFORK), 0, "one not for the child");
	is(advise(&s, 2, 1, MADV_WIPEONFORK), 0, "one that is wiped");
	is(mmun_soft_mm_fork(s.mm, &child), 0, "fork");
	is_layout(child, "0-1 rw-p, 2-3 rw-p", "the child has two");
	is(soft_peek(child, AT(0)), 1, "one with its contents");
	is(soft_peek(child, AT(2)), 0, "one without");
	is(mmun_soft_read(child, AT(1), &byte, 1, &why), -EFAULT, "and nothing in between");
	mmput(child);
	scene_end(&s, "fork");
}

static void test_shared_refuses(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 4);

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	is(advise(&s, 0, 4, MADV_FREE), -EINVAL, "MADV_FREE is for anonymous memory");
	is(advise(&s, 0, 4, MADV_WIPEONFORK), -EINVAL, "MADV_WIPEONFORK too");
	is(advise(&s, 0, 4, MADV_COLLAPSE), -EINVAL, "and MADV_COLLAPSE");
	is(advise(&s, 0, 4, MADV_MERGEABLE), 0, "MADV_MERGEABLE is accepted");
	ok(!(flags_of_first(&s) & VM_MERGEABLE), "without effect");
	soft_map(s.mm, AT(0), 4, RW, PRIVATE, NULL);
	is(advise(&s, 0, 4, MADV_REMOVE), -EINVAL, "MADV_REMOVE is for files");
	soft_map(s.mm, AT(0), 4, RW, MAP_PRIVATE, f);
	is(advise(&s, 0, 4, MADV_REMOVE), -EACCES, "that are shared");
	mmun_soft_file_put(f);
	scene_end(&s, "shared");
}

static void test_dontneed(void)
{
	struct scene s = scene_begin(NULL);
	size_t frames = soft_free_frames(s.soft);
	struct recorder r;

	scene_fill(&s, 0, 4, 9);
	record(&r, s.mm);
	is(advise(&s, 1, 2, MADV_DONTNEED), 0, "MADV_DONTNEED");
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_DONTNEED, AT(1), 2),
	   "notifies of its range");
	is((long)frames - (long)soft_free_frames(s.soft), 2, "frees the pages");
	is(soft_peek(s.mm, AT(1)), 0, "zero from now on");
	is(soft_peek(s.mm, AT(3)), 12, "the others stay");
	forget(&r);
	is(advise(&s, 0, 1, MADV_FREE), 0, "MADV_FREE");
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_FREE, AT(0), 1), "notifies, too");
	is(soft_peek(s.mm, AT(0)), 9, "and keeps the page until it is needed");
	mmun_soft_mlock(s.mm, AT(0), 4 * PAGE);
	forget(&r);
	is(advise(&s, 0, 4, MADV_DONTNEED), -EINVAL, "locked memory is needed");
	is(forget(&r), 0, "so no notifier is called");
	is(advise(&s, 0, 1, MADV_DONTNEED_LOCKED), 0, "unless one says so");
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_DONTNEED_LOCKED, AT(0), 1), "notified");
	stop_recording(&r, s.mm);
	scene_end(&s, "dontneed");
}

static void test_remove(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	struct recorder r;
	char byte = 1;

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	soft_map(s.mm, AT(8), 4, RW, MAP_SHARED, f);
	soft_poke(s.mm, AT(1), 5);
	record(&r, s.mm);
	is(advise(&s, 1, 1, MADV_REMOVE), 0, "MADV_REMOVE");
	ok(r.nr >= 2 && r.event[0].op == MMUN_OP_MADV_REMOVE, "notifies each place that maps it");
	is(soft_peek(s.mm, AT(9)), 0, "the page is gone everywhere");
	is(mmun_soft_pread(f, &byte, 1, PAGE), 1, "the file as long as before");
	is(byte, 0, "but empty there");
	stop_recording(&r, s.mm);
	mmun_soft_file_put(f);
	scene_end(&s, "remove");
}

static void test_populate(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	struct mmun_soft_entry entry;

	soft_map(s.mm, AT(0), 2, RW, PRIVATE, NULL);
	is(advise(&s, 0, 2, MADV_POPULATE_READ), 0, "MADV_POPULATE_READ");
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(entry.present && entry.zero, "maps the zero page");
	is(advise(&s, 0, 2, MADV_POPULATE_WRITE), 0, "MADV_POPULATE_WRITE");
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(entry.present && entry.writable && !entry.zero, "an own one");
	is(advise(&s, 0, 3, MADV_POPULATE_READ), -ENOMEM, "over a hole");
	mmun_soft_mprotect(s.mm, AT(0), PAGE, PROT_READ);
	is(advise(&s, 0, 1, MADV_POPULATE_WRITE), -EINVAL, "without the right");
	soft_map(s.mm, AT(0), 2, PROT_WRITE, PRIVATE, NULL);
	is(advise(&s, 0, 1, MADV_POPULATE_READ), -EINVAL, "of either kind");
	soft_map(s.mm, AT(0), 2, RW, MAP_SHARED, f);
	is(advise(&s, 0, 2, MADV_POPULATE_READ), -EFAULT, "beyond the end of a file");
	mmun_soft_file_put(f);
	scene_end(&s, "populate");
}

static void test_age(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .swap = 64 * PAGE });
	struct mmun_soft_entry entry;

	scene_fill(&s, 0, 4, 30);
	is(advise(&s, 0, 4, MADV_COLD), 0, "MADV_COLD");
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(entry.present && !entry.young, "the pages stay, old");
	is(advise(&s, 0, 4, MADV_PAGEOUT), 0, "MADV_PAGEOUT");
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(entry.swapped, "they go to swap");
	is(advise(&s, 0, 4, MADV_WILLNEED), 0, "MADV_WILLNEED");
	is(scene_peek_from(&s, 0, 4, 30), 4, "and come back");
	mmun_soft_mlock(s.mm, AT(0), PAGE);
	is(advise(&s, 0, 1, MADV_COLD), -EINVAL, "locked ones do not age");
	is(advise(&s, 0, 1, MADV_PAGEOUT), -EINVAL, "nor go");
	scene_end(&s, "age");
}

static void test_collapse(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .memory = 16 << 20 });
	struct mmun_soft_entry entry;
	struct recorder r;

	soft_map(s.mm, AT(0), 2 * HUGE_PAGES, RW, PRIVATE, NULL);
	is(advise(&s, 0, HUGE_PAGES, MADV_COLLAPSE), -EINVAL, "nothing was ever there");
	soft_poke(s.mm, AT(3), 33);
	record(&r, s.mm);
	is(advise(&s, 0, HUGE_PAGES, MADV_COLLAPSE), 0, "MADV_COLLAPSE");
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_MADV_COLLAPSE, AT(0), HUGE_PAGES), "is notified");
	mmun_soft_pagemap(s.mm, AT(3), &entry);
	ok(entry.huge, "one huge page");
	is(soft_peek(s.mm, AT(3)), 33, "with the contents");
	is(advise(&s, 1, 4, MADV_COLLAPSE), -EINVAL, "less than one");
	forget(&r);
	is(advise(&s, 0, 1, MADV_DONTNEED), 0, "a part is dropped");
	is(r.nr, 2, "two sections");
	ok(r.event[0].op == MMUN_OP_HUGE_SPLIT && r.event[0].end == AT(HUGE_PAGES) &&
		   r.event[1].op == MMUN_OP_MADV_DONTNEED && r.event[1].end == AT(1),
	   "the split of the whole, and the part");
	is(soft_peek(s.mm, AT(3)), 33, "the rest stays");
	is(advise(&s, 0, 2 * HUGE_PAGES, MADV_NOHUGEPAGE), 0, "MADV_NOHUGEPAGE");
	is(advise(&s, 0, HUGE_PAGES, MADV_COLLAPSE), -EINVAL, "then not");
	stop_recording(&r, s.mm);
	scene_end(&s, "collapse");
}

static void test_again(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .max_map_count = 2 });

	soft_map(s.mm, AT(0), 4, RW, PRIVATE, NULL);
	soft_map(s.mm, AT(8), 1, RW, PRIVATE, NULL);
	is(advise(&s, 0, 1, MADV_DONTFORK), -EAGAIN, "no room for a split: try again");
	is_layout(s.mm, "0-4 rw-p, 8-9 rw-p", "nothing has changed");
	scene_end(&s, "again");
}

static int lock(struct scene *s, long page, long pages)
{
	return mmun_soft_mlock(s->mm, AT(page), (size_t)pages * PAGE);
}

static int unlock(struct scene *s, long page, long pages)
{
	return mmun_soft_munlock(s->mm, AT(page), (size_t)pages * PAGE);
}

static void test_lock(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 2);
	struct mmun_soft_entry entry;

	soft_map(s.mm, AT(0), 4, RW, PRIVATE, NULL);
	is(lock(&s, 1, 2), 0, "mlock");
	is_layout(s.mm, "0-1 rw-p, 1-3 rw-p, 3-4 rw-p", "splits");
	mmun_soft_pagemap(s.mm, AT(2), &entry);
	ok(entry.present && entry.writable, "and fills, to be written");
	is(mmun_soft_munlock(s.mm, AT(1) + 5, 2 * PAGE - 10), 0, "munlock of whole pages");
	is_layout(s.mm, "0-4 rw-p", "joins again");
	is(lock(&s, 2, 4), -ENOMEM, "over the end");
	is_layout(s.mm, "0-2 rw-p, 2-4 rw-p", "what is there was marked");
	is(lock(&s, 6, 1), -ENOMEM, "a hole");
	is(lock(&s, 0, 0), 0, "nothing");
	is(mmun_soft_mlock(s.mm, AT(0), ~0ul - 4 * PAGE), -EINVAL, "a range that wraps");
	is(unlock(&s, 0, 8), -ENOMEM, "munlock over the end");
	soft_map(s.mm, AT(0), 2, PROT_NONE, PRIVATE, NULL);
	is(lock(&s, 0, 2), -ENOMEM, "memory without rights cannot be filled");
	ok(flags_of_first(&s) & VM_LOCKED, "but is marked");
	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	is(lock(&s, 0, 4), -ENOMEM, "nor can what is beyond the end of a file");
	is(lock(&s, 0, 2), 0, "what is not can");
	soft_map(s.mm, AT(0), 2, PROT_READ, PRIVATE | MAP_LOCKED, NULL);
	is(mmun_soft_mprotect(s.mm, AT(0), 2 * PAGE, RW), 0, "locked memory becomes writable");
	mmun_soft_pagemap(s.mm, AT(1), &entry);
	ok(entry.present && entry.writable, "and does not fault any more");
	mmun_soft_file_put(f);
	scene_end(&s, "mlock");
}

static int sync_pages(struct scene *s, long page, long pages, int flags)
{
	return mmun_soft_msync(s->mm, AT(page), (size_t)pages * PAGE, flags);
}

static void test_sync(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_REGULAR, 8);
	struct mmun_soft_entry entry;
	struct recorder r;

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	soft_map(s.mm, AT(6), 2, RW, PRIVATE, NULL);
	for (long i = 0; i < 4; i++)
		soft_poke(s.mm, AT(i), 7);
	record(&r, s.mm);
	is(sync_pages(&s, 0, 2, MS_SYNC), 0, "msync");
	is(r.nr, 2, "one section per page");
	ok(r.event[0].class == MMU_NOTIFY_PROTECTION_PAGE && r.event[0].op == MMUN_OP_MKCLEAN,
	   "that is write-protected");
	mmun_soft_pagemap(s.mm, AT(0), &entry);
	ok(!entry.dirty && !entry.writable, "it is clean");
	mmun_soft_pagemap(s.mm, AT(3), &entry);
	ok(entry.dirty, "the others are not");
	forget(&r);
	is(sync_pages(&s, 2, 2, MS_ASYNC), 0, "MS_ASYNC");
	is(forget(&r), 0, "does nothing");
	is(sync_pages(&s, 0, 8, MS_SYNC), -ENOMEM, "over a hole");
	is(forget(&r), 2, "all but it is done");
	is(sync_pages(&s, 0, 8, MS_ASYNC), -ENOMEM, "over a hole, MS_ASYNC");
	is(sync_pages(&s, 0, 1, MS_SYNC | MS_ASYNC), -EINVAL, "both");
	is(sync_pages(&s, 0, 1, 64), -EINVAL, "unknown flags");
	is(mmun_soft_msync(s.mm, AT(0) + 1, PAGE, MS_SYNC), -EINVAL, "an odd address");
	is(mmun_soft_msync(s.mm, AT(0), ~0ul - PAGE, MS_SYNC), -ENOMEM, "a range that wraps");
	is(sync_pages(&s, 0, 0, MS_SYNC), 0, "nothing");
	lock(&s, 0, 4);
	is(sync_pages(&s, 0, 4, MS_INVALIDATE), -EBUSY, "MS_INVALIDATE of locked memory");
	stop_recording(&r, s.mm);
	mmun_soft_file_put(f);
	scene_end(&s, "msync");
}

int main(void)
{
	test_errors();
	test_flags();
	test_fork_advice();
	test_shared_refuses();
	test_dontneed();
	test_remove();
	test_populate();
	test_age();
	test_collapse();
	test_again();
	test_lock();
	test_sync();
	return tap_done();
}
