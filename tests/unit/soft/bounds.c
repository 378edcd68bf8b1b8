/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{vma,call}: ranges that end where something else begins: the ends of the
 * address space and of files, neighbours, the heap, mappings of drivers.
 */
#include "fault/fault.h"
#include "frame/page.h"
#include "layout.h"
#include "recorder.h"
#include "vma/vma.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define END   MMUN_SOFT_TASK_SIZE
#define FIXED (PRIVATE | MAP_FIXED)
#define MOVE  (MREMAP_MAYMOVE | MREMAP_FIXED)
#define HUGE  MMUN_SOFT_HUGE_SIZE

static long map(struct scene *s, unsigned long at, size_t length, int flags)
{
	return (long)mmun_soft_mmap(s->mm, at, length, RW, flags, NULL, 0);
}

static long remap(struct scene *s, unsigned long from, size_t old, size_t new, int flags,
		  unsigned long to)
{
	return (long)mmun_soft_mremap(s->mm, from, old, new, flags, to);
}

static unsigned long flags_at(struct scene *s, unsigned long address)
{
	struct vm_area_struct *vma;
	unsigned long flags = 0;

	mmap_read_lock(s->mm);
	vma = mmun_soft_vma_lookup(s->mm, address);
	if (vma)
		flags = vma->vm_flags;
	mmap_read_unlock(s->mm);
	return flags;
}

/* The last page of the address space is as good as any. */
static void test_last_page(void)
{
	struct scene s = scene_begin(NULL);
	const unsigned long last = END - PAGE;

	is(map(&s, last, PAGE, FIXED), (long)last, "the last page is mapped");
	is(map(&s, last, 2 * PAGE, FIXED), -ENOMEM, "and nothing behind it");
	soft_poke(s.mm, last, 5);
	is(mmun_soft_mprotect(s.mm, last, PAGE, PROT_READ), 0, "protected");
	is(mmun_soft_mprotect(s.mm, last, 2 * PAGE, RW), -ENOMEM, "alone");
	is(flags_at(&s, last) & VM_WRITE, VM_WRITE, "what is there was changed before");
	is(mmun_soft_madvise(s.mm, last, PAGE, MADV_COLD), 0, "advised");
	is(mmun_soft_mlock(s.mm, last, PAGE), 0, "locked");
	is(mmun_soft_munlock(s.mm, last, PAGE), 0, "and not");
	is(mmun_soft_msync(s.mm, last, PAGE, MS_SYNC), 0, "synced");
	is(soft_peek(s.mm, last), 5, "read");
	is(mmun_soft_munmap(s.mm, last, PAGE + 1), -EINVAL, "a byte more cannot be unmapped");
	is(mmun_soft_munmap(s.mm, END, 0), -EINVAL, "nor nothing");
	is(mmun_soft_munmap(s.mm, END + PAGE, PAGE), -EINVAL, "nor what is beyond");
	is(flags_at(&s, last) & VM_READ, VM_READ, "it is still there");
	is(mmun_soft_munmap(s.mm, last, PAGE), 0, "but the page itself");
	is(flags_at(&s, last), 0, "is gone");
	is(map(&s, last, PAGE, PRIVATE), (long)last, "it is a hint");
	mmun_soft_munmap(s.mm, last, PAGE);
	is(map(&s, last, 2 * PAGE, PRIVATE), (long)(END - (128ul << 20) - 2 * PAGE),
	   "that does not fit: elsewhere");
	is(map(&s, END, PAGE, PRIVATE), (long)(END - (128ul << 20) - 3 * PAGE), "the end is none");
	is(mmun_soft_madvise(s.mm, AT(0), -AT(0) + PAGE, MADV_COLD), -EINVAL,
	   "advice for a range that wraps");
	is(mmun_soft_madvise(s.mm, AT(0), ~0ul, MADV_COLD), -EINVAL, "or is no length");
	is(map(&s, 0, END, FIXED), -EPERM, "all of it cannot be had: the first pages are kept");
	is(map(&s, 0, END + PAGE, FIXED), -ENOMEM, "more of it is not there");
	is(map(&s, MMUN_SOFT_MIN_ADDRESS - PAGE, PAGE, FIXED), -EPERM, "below the lowest address");
	is(map(&s, MMUN_SOFT_MIN_ADDRESS, PAGE, FIXED), (long)MMUN_SOFT_MIN_ADDRESS, "and at it");
	scene_end(&s, "last page");
}

static void test_hints(void)
{
	struct scene s = scene_begin(NULL);

	map(&s, AT(4), PAGE, FIXED);
	is(map(&s, AT(2), 2 * PAGE, PRIVATE), (long)AT(2), "a hint up to the next mapping");
	is(map(&s, AT(5), PAGE, PRIVATE), (long)AT(5), "or from the end of one");
	ok(map(&s, AT(1), 2 * PAGE, PRIVATE) != (long)AT(1), "not into one");
	is(map(&s, AT(1), PAGE, PRIVATE | MAP_FIXED_NOREPLACE), (long)AT(1),
	   "MAP_FIXED_NOREPLACE up to the next mapping");
	is(map(&s, AT(6), PAGE, PRIVATE | MAP_FIXED_NOREPLACE), (long)AT(6), "or from the end");
	is(map(&s, AT(0), 2 * PAGE, PRIVATE | MAP_FIXED_NOREPLACE), -EEXIST, "not into one");
	scene_end(&s, "hints");
}

/* What is large enough is aligned for huge pages if it may have them, and nothing else is. */
static void test_large_places(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, HUGE_PAGES);
	const long top = map(&s, 0, PAGE, PRIVATE);

	is((long)mmun_soft_mmap(s.mm, 0, HUGE, PROT_READ, MAP_PRIVATE, f, 0), top - (long)HUGE,
	   "a private mapping of a file");
	is(map(&s, 0, HUGE, MAP_SHARED | MAP_ANONYMOUS), top - 2 * (long)HUGE, "shared memory");
	is(map(&s, 0, HUGE + PAGE, PRIVATE), top - 3 * (long)HUGE - (long)PAGE,
	   "memory of no whole number");
	is(map(&s, 0, HUGE, PRIVATE) % (long)HUGE, 0, "private memory");
	map(&s, AT(0), PAGE, FIXED);
	map(&s, AT(1), PAGE, FIXED | MAP_STACK);
	is(remap(&s, AT(0), PAGE, HUGE, MREMAP_MAYMOVE, 0) % (long)HUGE, 0,
	   "what grows to whole huge pages");
	map(&s, AT(0), PAGE, FIXED);
	ok(remap(&s, AT(0), PAGE, HUGE + PAGE, MREMAP_MAYMOVE, 0) % (long)HUGE,
	   "not what grows to more");
	mmun_soft_mmap(s.mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, f, 0);
	map(&s, AT(1), PAGE, FIXED);
	ok(remap(&s, AT(0), PAGE, HUGE, MREMAP_MAYMOVE, 0) % (long)HUGE, "nor a file");
	mmun_soft_file_put(f);
	scene_end(&s, "large");
}

/* A mapping behind the one that is replaced is not replaced, and counts. */
static void test_limit_beside(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .address_space = 8 * PAGE });

	map(&s, AT(0), 4 * PAGE, FIXED);
	map(&s, AT(8), 4 * PAGE, FIXED);
	is(map(&s, AT(4), 4 * PAGE, FIXED), -ENOMEM, "between two that are all there may be");
	is(map(&s, AT(2), 4 * PAGE, FIXED), -ENOMEM, "nor over the half of one");
	is(map(&s, AT(8), 4 * PAGE, FIXED | MAP_STACK), (long)AT(8), "in place of one");
	scene_end(&s, "limit");
}

/* A stack grows within the limit of the address space, too. */
static void test_stack_limit(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .address_space = 8 * PAGE });
	struct mmun_soft_fault why;
	char byte = 1;

	map(&s, AT(0), 4 * PAGE, FIXED);
	map(&s, AT(4096), PAGE, FIXED | MAP_GROWSDOWN);
	is(mmun_soft_write(s.mm, AT(4092), &byte, 1, &why), -EFAULT, "by four pages it cannot");
	is(why.signal, SIGSEGV, "which is SIGSEGV");
	is(mmun_soft_write(s.mm, AT(4093), &byte, 1, &why), 0, "by three it can");
	is(mmun_soft_write(s.mm, AT(4092), &byte, 1, &why), -EFAULT, "then no more");
	is_layout(s.mm, "0-4 rw-p, 4093-4097 rw-p [stack]+0", "layout");
	scene_end(&s, "stack's limit");
}

/* Nor below the first page that there is an offset for: it came from a low address. */
static void test_stack_offset(void)
{
	struct scene s = scene_begin(NULL);
	const unsigned long low = 32 * PAGE;
	struct mmun_soft_fault why;
	char byte = 1;

	map(&s, low, PAGE, FIXED | MAP_GROWSDOWN);
	soft_poke(s.mm, low, 5);
	is(remap(&s, low, PAGE, PAGE, MOVE, AT(4096)), (long)AT(4096), "a stack moves up");
	is(mmun_soft_write(s.mm, AT(4096 - 33), &byte, 1, &why), -EFAULT, "33 pages are too many");
	is(mmun_soft_write(s.mm, AT(4096 - 32), &byte, 1, &why), 0, "32 are not");
	is(soft_peek(s.mm, AT(4096)), 5, "it has what it had");
	scene_end(&s, "stack's offset");
}

/* New memory counts as written, and so does what it becomes one with. */
static void test_new_is_dirty(void)
{
	struct scene s = scene_begin(NULL);

	map(&s, AT(0), PAGE, FIXED);
	is(mmun_soft_clear_soft_dirty(s.mm), 0, "what was written is forgotten");
	ok(!soft_entry(s.mm, AT(0)).soft_dirty, "also of new memory");
	map(&s, AT(1), PAGE, FIXED);
	is_layout(s.mm, "0-2 rw-p", "more of it");
	ok(soft_entry(s.mm, AT(1)).soft_dirty, "counts as written");
	scene_end(&s, "soft-dirty");
}

static void test_protect_stack(void)
{
	struct scene s = scene_begin(NULL);

	is(mmun_soft_mprotect(s.mm, AT(4), PAGE, PROT_READ | PROT_GROWSDOWN), -ENOMEM,
	   "PROT_GROWSDOWN where nothing is");
	map(&s, AT(8), 2 * PAGE, FIXED | MAP_GROWSDOWN);
	is(mmun_soft_mprotect(s.mm, AT(4), PAGE, PROT_READ | PROT_GROWSDOWN), -ENOMEM,
	   "below a stack");
	is(mmun_soft_mprotect(s.mm, AT(7), PAGE, PROT_READ | PROT_GROWSDOWN), -ENOMEM,
	   "just below it");
	is(mmun_soft_mprotect(s.mm, AT(9), PAGE, PROT_READ | PROT_GROWSDOWN), 0, "in it");
	is_layout(s.mm, "8-10 r--p [stack]+0", "is from its start");
	is(mmun_soft_mprotect(s.mm, AT(9), PAGE, PROT_READ | PROT_GROWSUP), -EINVAL,
	   "nothing grows up");
	is(mmun_soft_mprotect(s.mm, AT(4), PAGE, PROT_READ | PROT_GROWSUP), -ENOMEM,
	   "nor is anything there");
	scene_end(&s, "stack");
}

/* msync looks at what is in its range, and at nothing behind. */
static void test_sync(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_REGULAR, 2);

	soft_map(s.mm, AT(2), 2, RW, MAP_SHARED, f);
	soft_tag(s.mm, AT(2), 2, 1);
	is(mmun_soft_msync(s.mm, AT(0), 2 * PAGE, MS_SYNC), -ENOMEM, "a hole up to a mapping");
	is(soft_stats_of(s.soft).cleaned, 0, "which is not written");
	is(mmun_soft_msync(s.mm, AT(2), PAGE, MS_SYNC), 0, "its first page");
	is(soft_stats_of(s.soft).cleaned, 1, "is written alone");
	is(mmun_soft_msync(s.mm, AT(2), 2 * PAGE, MS_INVALIDATE), 0, "MS_INVALIDATE");
	is(mmun_soft_mlock(s.mm, AT(3), PAGE), 0, "is refused when one is locked");
	is(mmun_soft_msync(s.mm, AT(2), 2 * PAGE, MS_INVALIDATE), -EBUSY, "of them");
	is(mmun_soft_msync(s.mm, AT(2), PAGE, MS_INVALIDATE), 0, "in the range");
	mmun_soft_file_put(f);
	scene_end(&s, "msync");
}

/* A file has offsets below 2^63. */
static void test_file_offsets(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	const uint64_t end = 1ul << 63;
	char byte = 1;

	is((long)mmun_soft_mmap(s.mm, AT(0), PAGE, RW, MAP_SHARED | MAP_FIXED, f, end - 2 * PAGE),
	   (long)AT(0), "the last page but one of the largest file");
	is((long)mmun_soft_mmap(s.mm, AT(0), 2 * PAGE, RW, MAP_SHARED | MAP_FIXED, f,
				end - 2 * PAGE),
	   -EOVERFLOW, "not up to its end");
	is((long)mmun_soft_mmap(s.mm, AT(8), PAGE, RW, MAP_SHARED_VALIDATE | MAP_FIXED, f, 0),
	   (long)AT(8), "MAP_SHARED_VALIDATE with flags that it knows");
	is((long)mmun_soft_mmap(s.mm, AT(8), PAGE, RW, MAP_SHARED | MAP_HUGETLB, f, 0), -EINVAL,
	   "huge pages of a plain file");
	is(mmun_soft_pwrite(f, &byte, 1, end - 1), -EINVAL, "a write behind the largest offset");
	is(mmun_soft_pread(f, &byte, 1, end - 1), -EINVAL, "a read");
	is(mmun_soft_pread(f, &byte, 1, end - 2), 0, "before it there is just nothing");
	is(mmun_soft_pread(f, &byte, 1, end), -EINVAL, "an offset that is none");
	is(mmun_soft_ftruncate(f, end), -EINVAL, "a size that is none");
	is(mmun_soft_ftruncate(f, end - 1), 0, "the largest");
	is((long)mmun_soft_file_size(f), (long)(end - 1), "is had");
	is(mmun_soft_punch_hole(f, 0, 0), -EINVAL, "a hole of nothing");
	is(mmun_soft_punch_hole(f, end, 1), -EINVAL, "behind all");
	is(mmun_soft_punch_hole(f, 0, end), -EINVAL, "longer than all");
	is(mmun_soft_punch_hole(f, end - 1, 1), -EFBIG, "across the end");
	is(mmun_soft_punch_hole(f, end - 2, 1), 0, "up to it");
	is(mmun_soft_punch_hole(f, 0, end - 1), 0, "all that there may be");
	mmun_soft_file_put(f);
	scene_end(&s, "file offsets");
}

static void test_remap_bounds(void)
{
	struct scene s = scene_begin(NULL);

	scene_fill(&s, 0, 4, 10);
	is(remap(&s, AT(0), 4 * PAGE, END, 0, 0), -ENOMEM, "there is no room for all");
	is(remap(&s, AT(0), 4 * PAGE, END + PAGE, 0, 0), -EINVAL, "more than all is no length");
	is(remap(&s, AT(0), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, END), -EINVAL,
	   "a hint beyond the end is no place either");
	is(remap(&s, AT(0), 4 * PAGE, 4 * PAGE, MOVE, END - 4 * PAGE), (long)(END - 4 * PAGE),
	   "to the very end");
	is(remap(&s, END - 4 * PAGE, 4 * PAGE, 5 * PAGE, 0, 0), -ENOMEM, "where nothing grows");
	is(remap(&s, END - 4 * PAGE, 4 * PAGE, 4 * PAGE, MOVE, AT(0)), (long)AT(0), "and back");
	is(scene_peek_from(&s, 0, 4, 10), 4, "with all pages");
	is(remap(&s, AT(2), 2 * PAGE, 2 * PAGE, MOVE, AT(4)), (long)AT(4),
	   "to the place behind itself");
	is(remap(&s, AT(4), 2 * PAGE, 2 * PAGE, MOVE, AT(2)), (long)AT(2), "before itself");
	is(remap(&s, AT(2), 2 * PAGE, 2 * PAGE, MOVE, AT(3)), -EINVAL, "not onto its end");
	is(remap(&s, AT(2), 2 * PAGE, 2 * PAGE, MOVE, AT(1)), -EINVAL, "or its beginning");
	is(scene_peek_from(&s, 0, 4, 10), 4, "all pages are there");
	is_layout(s.mm, "0-4 rw-p", "in one mapping");
	map(&s, AT(6), PAGE, FIXED);
	is(remap(&s, AT(0), 4 * PAGE, 6 * PAGE, 0, 0), (long)AT(0), "growing up to a neighbour");
	is_layout(s.mm, "0-7 rw-p", "closes the gap");
	is(remap(&s, AT(2), 2 * PAGE, 3 * PAGE, 0, 0), -ENOMEM, "the middle cannot grow");
	is(remap(&s, AT(0), 2 * PAGE, 3 * PAGE, 0, 0), -ENOMEM, "nor the beginning");
	is(remap(&s, AT(4), 3 * PAGE, 4 * PAGE, 0, 0), (long)AT(4), "the end can");
	is_layout(s.mm, "0-8 rw-p", "in place");
	scene_end(&s, "mremap");
}

/* The sections of a move that shrinks: each for what it takes, and no more. */
static void test_remap_shrinks(void)
{
	struct scene s = scene_begin(NULL);
	struct recorder r;

	scene_fill(&s, 0, 6, 10);
	record(&r, s.mm);
	is(remap(&s, AT(0), 6 * PAGE, 2 * PAGE, MOVE, AT(16)), (long)AT(16), "two of six move");
	is(r.nr, 3, "the tail, then the rest twice");
	ok(r.event[0].start == AT(2) && r.event[0].end == AT(6), "the tail is what is left out");
	ok(r.event[1].start == AT(0) && r.event[1].end == AT(2), "entries of what moves");
	ok(r.event[2].start == AT(0) && r.event[2].end == AT(2), "and the mapping");
	is(scene_peek_from(&s, 16, 2, 10), 2, "both came along");
	stop_recording(&r, s.mm);
	scene_end(&s, "shrinks");
}

/* What MREMAP_DONTUNMAP leaves is not locked; what it makes is, also when it joins a neighbour. */
static void test_dontunmap_locked(void)
{
	struct scene s = scene_begin(NULL);
	const int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP;

	scene_fill(&s, 0, 4, 10);
	mmun_soft_mlock(s.mm, AT(0), 4 * PAGE);
	is(remap(&s, AT(2), 2 * PAGE, 2 * PAGE, MOVE, AT(8)), (long)AT(8), "locked memory moves");
	is(remap(&s, AT(8), 2 * PAGE, 2 * PAGE, flags, AT(2)), (long)AT(2),
	   "and back, leaving its place mapped");
	is(flags_at(&s, AT(0)) & VM_LOCKED, VM_LOCKED, "what stood beside is locked");
	is(flags_at(&s, AT(2)) & VM_LOCKED, VM_LOCKED, "so is what came");
	is(flags_at(&s, AT(8)) & (VM_LOCKED | VM_READ), VM_READ, "not what was left");
	is(scene_peek_from(&s, 0, 4, 10), 4, "the pages are where they should be");
	is(soft_peek(s.mm, AT(8)), 0, "and nowhere else");
	is_layout(s.mm, "0-4 rw-p, 8-10 rw-p", "layout");
	scene_end(&s, "dontunmap");
}

/* What grows up to a neighbour takes it in, whoever its pages came from. */
static void test_grow_inherited(void)
{
	struct scene s = scene_begin(NULL);
	struct mm_struct *child;

	scene_fill(&s, 0, 2, 10);
	soft_map(s.mm, AT(4), 2, RW, PRIVATE, NULL);
	is(mmun_soft_mm_fork(s.mm, &child), 0, "fork");
	is((long)mmun_soft_mremap(child, AT(0), 2 * PAGE, 4 * PAGE, 0, 0), (long)AT(0),
	   "the child's mapping grows");
	is_layout(child, "0-6 rw-p", "up to one that was never touched, which it takes in");
	is_layout(s.mm, "0-2 rw-p, 4-6 rw-p", "the parent's are as they were");
	mmput(child);
	scene_end(&s, "inherited");
}

/* Holes have nothing to fill. */
static void test_populate_holes(void)
{
	struct scene s = scene_begin(NULL);
	long ret;

	soft_map(s.mm, AT(2), 2, RW, PRIVATE, NULL);
	soft_map(s.mm, AT(6), 2, RW, PRIVATE, NULL);
	mmap_read_lock(s.mm);
	ret = mmun_soft_populate_all(soft_mm(s.mm), AT(0), AT(7), SOFT_FAULT_ALLOW_RETRY);
	mmap_read_unlock(s.mm);
	is(ret, 0, "a range with holes is filled");
	mmap_read_lock(s.mm);
	ret = mmun_soft_populate_all(soft_mm(s.mm), AT(20), AT(22), SOFT_FAULT_ALLOW_RETRY);
	mmap_read_unlock(s.mm);
	is(ret, 0, "and one that has nothing but a hole");
	ok(soft_entry(s.mm, AT(2)).present && soft_entry(s.mm, AT(3)).present &&
		   soft_entry(s.mm, AT(6)).present,
	   "where there is something");
	ok(!soft_entry(s.mm, AT(7)).present, "and not behind its end");
	scene_end(&s, "holes");
}

static int find_source(const struct mmun_soft_map *found, void *arg)
{
	*(int *)arg += found->start == AT(8) && !found->anon_vma;
	return 0;
}

/* What is left is as if nobody had ever touched it. */
static void test_dontunmap_fresh(void)
{
	struct scene s = scene_begin(NULL);
	int fresh = 0;

	scene_fill(&s, 8, 2, 10);
	is(remap(&s, AT(8), 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP,
		 AT(32)),
	   (long)AT(32), "MREMAP_DONTUNMAP");
	mmun_soft_maps(s.mm, find_source, &fresh);
	is(fresh, 1, "the old mapping has had no pages");
	is(scene_peek_from(&s, 32, 2, 10), 2, "the new one has them");
	scene_end(&s, "fresh");
}

/* A part of a huge page: it is split, which is notified, before anything moves. */
static void test_move_part_of_huge(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .memory = 4 * HUGE });
	const unsigned long at = 0x40000000;
	struct recorder r;

	soft_map(s.mm, at, HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(s.mm, at, HUGE, MADV_HUGEPAGE);
	soft_tag(s.mm, at, HUGE_PAGES, 1);
	record(&r, s.mm);
	is(remap(&s, at + 4 * PAGE, 3 * PAGE, 3 * PAGE, MOVE, AT(0)), (long)AT(0), "three pages");
	ok(r.event[0].op == MMUN_OP_HUGE_SPLIT && r.event[0].start == at &&
		   r.event[0].end == at + HUGE,
	   "first comes the split");
	ok(r.nr == 3 && r.event[1].op == MMUN_OP_MREMAP && r.event[1].start == at + 4 * PAGE &&
		   r.event[1].end == at + 7 * PAGE,
	   "then the move");
	is(soft_tagged(s.mm, AT(0), 3, 5), 3, "they are there");
	is(soft_tagged(s.mm, at, 4, 1) + soft_tagged(s.mm, at + 7 * PAGE, HUGE_PAGES - 7, 8),
	   HUGE_PAGES - 3, "and the others where they were");
	stop_recording(&r, s.mm);
	scene_end(&s, "part of a huge page");
}

static void test_heap(void)
{
	struct scene s = scene_begin(NULL);

	is(mmun_soft_set_brk_base(s.mm, END), -EINVAL, "no heap at the end");
	is(mmun_soft_set_brk_base(s.mm, END - PAGE), 0, "one page before it");
	is(mmun_soft_set_brk_base(s.mm, MMUN_SOFT_MIN_ADDRESS - PAGE), -EINVAL, "nor too low");
	is(mmun_soft_set_brk_base(s.mm, MMUN_SOFT_MIN_ADDRESS), 0, "as low as anything");
	is(mmun_soft_set_brk_base(s.mm, AT(8)), 0, "the base may move while there is no heap");
	soft_map(s.mm, AT(6), 2, PROT_READ, PRIVATE, NULL);
	is(mmun_soft_brk(s.mm, AT(8)), AT(8), "the break is at the base");
	is(mmun_soft_brk(s.mm, AT(8) - 1), AT(8), "and not below");
	is(mmun_soft_brk(s.mm, AT(12)), AT(12), "it grows");
	soft_map(s.mm, AT(12), 2, PROT_READ, PRIVATE, NULL);
	is_layout(s.mm, "6-8 r--p, 8-12 rw-p [heap]+0, 12-14 r--p",
		  "only what is between base and break is called the heap");
	is(flags_at(&s, AT(8)) & (VM_ACCOUNT | VM_MAYEXEC | VM_MAYREAD | VM_MAYWRITE),
	   VM_ACCOUNT | VM_MAYEXEC | VM_MAYREAD | VM_MAYWRITE, "with the rights of a heap");
	is(mmun_soft_munmap(s.mm, AT(8), 4 * PAGE), 0, "the heap is unmapped");
	is(mmun_soft_brk(s.mm, AT(10)), AT(12), "then the break does not go down");
	is(mmun_soft_munmap(s.mm, AT(12), 2 * PAGE), 0, "nothing is above either");
	is(mmun_soft_brk(s.mm, AT(10)), AT(12), "it does not");
	is(mmun_soft_brk(s.mm, AT(12) - 5), AT(12) - 5, "but within its page");
	is(mmun_soft_brk(s.mm, AT(13)), AT(13), "and up");
	is(mmun_soft_brk(s.mm, AT(10)), AT(10), "and down over the hole");
	is_layout(s.mm, "6-8 r--p", "nothing of it is left");
	scene_end(&s, "heap");
}

static void test_heap_limits(void)
{
	struct scene s = scene_begin(
		&(struct mmun_soft_params){ .address_space = 8 * PAGE, .max_map_count = 3 });

	mmun_soft_set_brk_base(s.mm, AT(64));
	is(mmun_soft_brk(s.mm, AT(73)), AT(64), "more than the address space has");
	is(mmun_soft_brk(s.mm, AT(72)), AT(72), "all of it");
	is(mmun_soft_brk(s.mm, AT(64)), AT(64), "and back");
	for (int i = 0; i < 4; i++)
		soft_map(s.mm, AT(2 * i), 1, RW, PRIVATE, NULL);
	is(mmun_soft_brk(s.mm, AT(65)), AT(64), "more mappings than may be");
	mmun_soft_munmap(s.mm, AT(0), PAGE);
	is(mmun_soft_brk(s.mm, AT(65)), AT(65), "the last one that may");
	scene_end(&s, "heap limits");
}

/* A part of 2 MiB is not collapsed, and one that is missing is no error. */
static void test_collapse_range(void)
{
	struct scene s = scene_begin(&(struct mmun_soft_params){ .memory = 8 * HUGE });
	const unsigned long at = 0x40200000, next = at + HUGE;
	struct page *pinned;

	soft_map(s.mm, at, HUGE_PAGES, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(s.mm, at + PAGE, HUGE - PAGE, MADV_COLLAPSE), -EINVAL,
	   "memory without any pages");
	soft_poke(s.mm, at + PAGE, 7);
	is(mmun_soft_madvise(s.mm, at + PAGE, PAGE, MADV_COLLAPSE), -EINVAL, "within a block");
	is(mmun_soft_madvise(s.mm, at + PAGE, HUGE - PAGE, MADV_COLLAPSE), 0,
	   "up to the end of one: nothing to do");
	ok(!soft_entry(s.mm, at + PAGE).huge, "and nothing done");
	is(mmun_soft_madvise(s.mm, at, HUGE, MADV_NOHUGEPAGE), 0, "where none is wanted");
	is(mmun_soft_madvise(s.mm, at, HUGE, MADV_COLLAPSE), -EINVAL, "none is made");
	is(mmun_soft_madvise(s.mm, at, HUGE, MADV_HUGEPAGE), 0, "else");
	is(mmun_soft_madvise(s.mm, at, HUGE, MADV_COLLAPSE), 0, "a whole block");
	ok(soft_entry(s.mm, at).huge && soft_peek(s.mm, at + PAGE) == 7, "becomes a huge page");
	is(mmun_soft_munmap(s.mm, at, HUGE), 0, "again");

	soft_map(s.mm, at, 2 * HUGE_PAGES, RW, PRIVATE, NULL);
	soft_poke(s.mm, at, 1);
	soft_poke(s.mm, next, 2);
	mmap_read_lock(s.mm);
	is(mmun_soft_get_user_pages(s.mm, at, 1, FOLL_WRITE | FOLL_PIN, &pinned), 1,
	   "with a pinned page in the first of two");
	mmap_read_unlock(s.mm);
	is(mmun_soft_madvise(s.mm, at, 2 * HUGE, MADV_COLLAPSE), -EAGAIN, "an error is reported");
	ok(!soft_entry(s.mm, at).huge && soft_entry(s.mm, next).huge, "and the other collapsed");
	is(mmun_soft_collapse(s.mm, at), -EBUSY, "by itself the pinned one is busy");
	is(mmun_soft_collapse(s.mm, at - PAGE), -EINVAL, "before the mapping nothing is");
	is(mmun_soft_collapse(s.mm, next + HUGE), -EINVAL, "nor behind");
	mmun_soft_unpin_page(pinned);
	is(mmun_soft_collapse(s.mm, at + HUGE - 1), 0, "then its last byte stands for it");
	ok(soft_entry(s.mm, at).huge, "as a whole");
	scene_end(&s, "collapse");
}

/* A driver whose mappings get the flags that are set here. */
static struct {
	unsigned long flags, not_flags;
	bool wants_close;
	int splits, closed;
	unsigned long refuse_at;
} driver;

static int driver_may_split(struct vm_area_struct *vma, unsigned long address)
{
	driver.splits++;
	return address == driver.refuse_at ? -EBUSY : 0;
}

static void driver_close(struct vm_area_struct *vma)
{
	driver.closed++;
}

static const struct vm_operations_struct driver_vm_ops = { .may_split = driver_may_split };
static const struct vm_operations_struct closing_vm_ops = { .close = driver_close };

static int driver_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = driver.wants_close ? &closing_vm_ops : &driver_vm_ops;
	vma->vm_flags = (vma->vm_flags | driver.flags) & ~driver.not_flags;
	return 0;
}

static const struct file_operations driver_fops = { .mmap = driver_mmap };

static struct file *driver_file(struct scene *s, unsigned long flags)
{
	struct file *file;

	memset(&driver, 0, sizeof(driver));
	driver.flags = flags;
	if (mmun_soft_device_create(s->soft, "/dev/test", &driver_fops, NULL, &file))
		bail_out("no device");
	return file;
}

static void test_driver_remap(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = driver_file(&s, VM_IO | VM_DONTEXPAND);

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED | MAP_LOCKED, f);
	is(flags_at(&s, AT(0)) & (VM_LOCKED | VM_IO), VM_IO, "a driver's memory is not locked");
	is(mmun_soft_mlock(s.mm, AT(0), 4 * PAGE), 0, "asked to");
	is(flags_at(&s, AT(0)) & VM_LOCKED, 0, "it is not either");
	is(remap(&s, AT(0), 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE, 0), -EFAULT, "nor does it grow");
	is(remap(&s, AT(0), 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), -EINVAL,
	   "nor leave anything where it was");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, 0, 1, 0), -EINVAL,
	   "nor have its pages chosen");
	driver.refuse_at = AT(1);
	is(remap(&s, AT(1), 2 * PAGE, 2 * PAGE, MOVE, AT(16)), -EBUSY,
	   "the driver refuses to have it cut below");
	driver.refuse_at = AT(3);
	is(remap(&s, AT(1), 2 * PAGE, 2 * PAGE, MOVE, AT(16)), -EBUSY, "or above");
	is_layout(s.mm, "0-4 rw-s /dev/test+0", "then it stays as it is");
	driver.splits = 0;
	driver.refuse_at = AT(0);
	is(remap(&s, AT(0), 4 * PAGE, 4 * PAGE, MOVE, AT(16)), (long)AT(16), "as a whole it moves");
	is(driver.splits, 0, "without a question");
	is_layout(s.mm, "16-20 rw-s /dev/test+0", "to there");
	mmun_soft_file_put(f);
	scene_end(&s, "driver's mremap");
}

/* A driver's pages do not become more by themselves. */
static void test_driver_growth(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = driver_file(&s, VM_MIXEDMAP);

	soft_map(s.mm, AT(0), 2, RW, MAP_SHARED, f);
	is(remap(&s, AT(0), 2 * PAGE, 3 * PAGE, 0, 0), -ENOMEM, "it cannot grow in place");
	is_layout(s.mm, "0-2 rw-s /dev/test+0", "and does not");
	mmun_soft_file_put(f);
	scene_end(&s, "driver's growth");
}

/* FOLL_FORCE helps against mprotect, not against the driver. */
static void test_driver_force(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = driver_file(&s, VM_MIXEDMAP);
	struct page *page = mmun_soft_alloc_page(s.soft), *got;

	for (int may = 0; may < 2; may++) {
		driver.not_flags = may ? 0 : VM_MAYREAD;
		soft_map(s.mm, AT(0), 1, PROT_NONE, MAP_SHARED, f);
		mmun_soft_vm_insert_page(mmun_soft_vma_lookup(s.mm, AT(0)), AT(0), page);
		mmap_read_lock(s.mm);
		is(mmun_soft_get_user_pages(s.mm, AT(0), 1, 0, &got), -EFAULT, "nothing to read");
		is(mmun_soft_get_user_pages(s.mm, AT(0), 1, FOLL_FORCE, &got), may ? 1 : -EFAULT,
		   may ? "by force, if it may be made readable" : "ever, neither by force");
		mmap_read_unlock(s.mm);
		if (may)
			mmun_soft_put_page(got);
		mmun_soft_munmap(s.mm, AT(0), PAGE);
	}
	mmun_soft_put_page(page);
	mmun_soft_file_put(f);
	scene_end(&s, "force");
}

/* Mappings become one again unless their driver wants to hear of the end of each. */
static void test_driver_merge(bool wants_close)
{
	struct scene s = scene_begin(NULL);
	struct file *f = driver_file(&s, 0);

	driver.wants_close = wants_close;
	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	mmun_soft_mprotect(s.mm, AT(1), PAGE, PROT_READ);
	mmun_soft_mprotect(s.mm, AT(1), PAGE, RW);
	is_layout(s.mm,
		  wants_close ? "0-1 rw-s /dev/test+0, 1-2 rw-s /dev/test+1, 2-4 rw-s /dev/test+2"
			      : "0-4 rw-s /dev/test+0",
		  wants_close ? "those with ->close stay apart" : "those without merge");
	mmun_soft_munmap(s.mm, AT(0), 4 * PAGE);
	is(driver.closed, wants_close ? 3 : 0, "each is closed");
	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	is(remap(&s, AT(1), PAGE, PAGE, MOVE, AT(8)), (long)AT(8),
	   "a part moves, whether the driver can be asked or not");
	mmun_soft_file_put(f);
	scene_end(&s, "merge");
}

static void test_driver_zap(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = driver_file(&s, 0);
	struct page *page = mmun_soft_alloc_page(s.soft);
	struct vm_area_struct *vma;
	struct recorder r;

	soft_map(s.mm, AT(2), 4, RW, MAP_SHARED, f);
	soft_map(s.mm, AT(8), 2, RW, PRIVATE, NULL);
	vma = mmun_soft_vma_lookup(s.mm, AT(2));
	is(mmun_soft_vm_insert_page(vma, AT(2), page), 0, "a page is put in at the start");
	is(mmun_soft_vm_insert_page(vma, AT(5), page), 0, "and at the end");
	is(mmun_soft_vm_insert_page(vma, AT(5), page), -EBUSY, "once");
	is(mmun_soft_vm_insert_page(vma, AT(1), page), -EFAULT, "not before it");
	is(mmun_soft_vm_insert_page(vma, AT(6), page), -EFAULT, "nor behind");
	record(&r, s.mm);
	mmun_soft_zap_vma_ptes(vma, AT(1), PAGE);
	mmun_soft_zap_vma_ptes(vma, AT(2), 5 * PAGE);
	mmun_soft_zap_vma_ptes(vma, AT(5), 2 * PAGE);
	mmun_soft_zap_vma_ptes(vma, AT(4), 0ul - PAGE);
	is(forget(&r), 0, "what is not all inside the mapping is not taken out");
	mmun_soft_zap_vma_ptes(vma, AT(5), PAGE);
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_DRIVER, AT(5), 1), "the last page is");
	ok(soft_entry(s.mm, AT(2)).present && !soft_entry(s.mm, AT(5)).present, "alone");
	mmun_soft_zap_vma_ptes(vma, AT(2), 4 * PAGE);
	ok(just_one(&r, MMU_NOTIFY_CLEAR, MMUN_OP_DRIVER, AT(2), 4), "and all of it");
	ok(!soft_entry(s.mm, AT(2)).present, "then nothing is left");
	soft_poke(s.mm, AT(8), 1);
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(s.mm, AT(8)), AT(8), PAGE);
	is(forget(&r), 0, "memory that is no driver's");
	is(soft_peek(s.mm, AT(8)), 1, "is left alone");
	stop_recording(&r, s.mm);
	mmun_soft_put_page(page);
	mmun_soft_file_put(f);
	scene_end(&s, "driver's pages");
}

static void test_nonlinear_bounds(void)
{
	struct scene s = scene_begin(NULL);
	struct file *f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_SHMEM, 8);
	const unsigned long last = 1ul << 52;

	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, f);
	soft_tag(s.mm, AT(0), 4, 100);
	is(mmun_soft_remap_file_pages(s.mm, AT(0), 5 * PAGE, 0, 0, 0), -EINVAL,
	   "more than the mapping");
	is(mmun_soft_remap_file_pages(s.mm, AT(0) - PAGE, 2 * PAGE, 0, 0, 0), -EINVAL,
	   "from before it");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE - 1, 0, 1, 0), -EINVAL, "less than a page");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, PROT_READ, 1, 0), -EINVAL, "with rights");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), 2 * PAGE, 0, ~0ul, 0), -EINVAL,
	   "offsets that wrap");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, 0, last - 1, 0), -EINVAL,
	   "or that no entry can hold");
	is(soft_tagged(s.mm, AT(0), 4, 100), 4, "nothing has changed");
	is(mmun_soft_remap_file_pages(s.mm, AT(2), 2 * PAGE, 0, 2, 0), 0, "where it is already");
	is(flags_at(&s, AT(0)) & VM_NONLINEAR, 0, "is not nonlinear");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, 0, last - 2, 0), 0, "the last offset");
	is(mmun_soft_remap_file_pages(s.mm, AT(0), 4 * PAGE, 0, 0, 0), 0, "and all as it was");
	is(soft_tagged(s.mm, AT(0), 4, 100), 4, "again");
	mmun_soft_file_put(f);
	scene_end(&s, "nonlinear");
}

int main(void)
{
	test_last_page();
	test_hints();
	test_large_places();
	test_limit_beside();
	test_stack_limit();
	test_stack_offset();
	test_new_is_dirty();
	test_protect_stack();
	test_sync();
	test_file_offsets();
	test_remap_bounds();
	test_remap_shrinks();
	test_dontunmap_locked();
	test_grow_inherited();
	test_populate_holes();
	test_dontunmap_fresh();
	test_move_part_of_huge();
	test_heap();
	test_heap_limits();
	test_collapse_range();
	test_driver_remap();
	test_driver_growth();
	test_driver_force();
	test_driver_merge(false);
	test_driver_merge(true);
	test_driver_zap();
	test_nonlinear_bounds();
	return tap_done();
}
