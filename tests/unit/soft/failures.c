/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft: no memory, for each operation at each place.
 *
 * Every allocation that an operation makes fails in turn.  It says so, or has done all the
 * same what it was asked for; it loses no contents; done again it succeeds; and in the end
 * everything is free.
 */
#include "layout.h"

#include "frame/page.h"
#include "vma/vma.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define MOVE   (MREMAP_MAYMOVE | MREMAP_FIXED)
#define PAGES  8
#define FRAMES (4 * HUGE_PAGES)

static struct scene s;
static struct file *file;
static struct mm_struct *child;

static void private_pages(void)
{
	scene_fill(&s, 0, PAGES, 10);
}

static bool private_intact(void)
{
	return scene_peek_from(&s, 0, PAGES, 10) == PAGES;
}

static bool is_flag(long page, unsigned long flag, bool set)
{
	struct vm_area_struct *vma = mmun_soft_vma_lookup(s.mm, AT(page));

	return vma && !!(vma->vm_flags & flag) == set;
}

/* Only the pages 2 to 4 have it. */
static bool middle_has(unsigned long flag)
{
	return is_flag(1, flag, false) && is_flag(2, flag, true) && is_flag(4, flag, true) &&
	       is_flag(5, flag, false);
}

/* Layout. */

static long do_map(void)
{
	return (long)mmun_soft_mmap(s.mm, AT(2), 3 * PAGE, PROT_READ, PRIVATE | MAP_FIXED, NULL, 0);
}

static bool map_done(void)
{
	return !strcmp(layout(s.mm), "0-2 rw-p, 2-5 r--p, 5-8 rw-p") &&
	       scene_peek_from(&s, 5, 3, 15) == 3 && !soft_peek(s.mm, AT(2));
}

static long do_map_shared(void)
{
	return (long)mmun_soft_mmap(s.mm, AT(16), PAGE, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED,
				    NULL, 0);
}

static bool map_shared_done(void)
{
	soft_poke(s.mm, AT(16), 5);
	return soft_peek(s.mm, AT(16)) == 5 && is_flag(16, VM_SHARED, true);
}

static long do_unmap(void)
{
	return mmun_soft_munmap(s.mm, AT(2), 3 * PAGE);
}

static bool unmap_done(void)
{
	return !strcmp(layout(s.mm), "0-2 rw-p, 5-8 rw-p") && scene_peek_from(&s, 5, 3, 15) == 3;
}

static long do_protect(void)
{
	return mmun_soft_mprotect(s.mm, AT(2), 3 * PAGE, PROT_READ);
}

static bool protect_done(void)
{
	return !strcmp(layout(s.mm), "0-2 rw-p, 2-5 r--p, 5-8 rw-p");
}

/* A middle that has been written becomes one with neighbours that have not. */
static void three_kinds(void)
{
	soft_map(s.mm, AT(0), PAGES, RW, PRIVATE, NULL);
	mmun_soft_mprotect(s.mm, AT(2), 3 * PAGE, RW | PROT_EXEC);
	for (long i = 2; i < 5; i++)
		soft_poke(s.mm, AT(i), 10 + (unsigned long)i);
}

static bool three_intact(void)
{
	return scene_peek_from(&s, 2, 3, 12) == 3;
}

static long do_join(void)
{
	return mmun_soft_mprotect(s.mm, AT(2), 3 * PAGE, RW);
}

static bool join_done(void)
{
	return !strcmp(layout(s.mm), "0-8 rw-p") && three_intact();
}

static long do_shift(void)
{
	return mmun_soft_mprotect(s.mm, AT(2), 2 * PAGE, RW);
}

static bool shift_done(void)
{
	return !strcmp(layout(s.mm), "0-4 rw-p, 4-5 rwxp, 5-8 rw-p") && three_intact();
}

static long do_shift_up(void)
{
	return mmun_soft_mprotect(s.mm, AT(3), 2 * PAGE, RW);
}

static bool shift_up_done(void)
{
	return !strcmp(layout(s.mm), "0-2 rw-p, 2-3 rwxp, 3-8 rw-p") && three_intact();
}

static long do_move(void)
{
	return (long)mmun_soft_mremap(s.mm, AT(2), 3 * PAGE, 3 * PAGE, MOVE, AT(1024));
}

static bool move_done(void)
{
	return scene_peek_from(&s, 1024, 3, 12) == 3 && scene_peek_from(&s, 0, 2, 10) == 2 &&
	       scene_peek_from(&s, 5, 3, 15) == 3;
}

static void unmap_moved(void)
{
	mmun_soft_munmap(s.mm, AT(1024), 3 * PAGE);
}

static void confined_pages(void)
{
	private_pages();
	soft_map(s.mm, AT(PAGES), 1, PROT_READ, PRIVATE, NULL);
}

static unsigned long grown;

static long do_grow(void)
{
	grown = mmun_soft_mremap(s.mm, AT(0), PAGES * PAGE, 2 * PAGES * PAGE, MREMAP_MAYMOVE, 0);
	return (long)grown;
}

static bool grow_done(void)
{
	return soft_tagged(s.mm, grown, PAGES, 10) == PAGES &&
	       !soft_peek(s.mm, grown + PAGES * PAGE);
}

static void heap_base(void)
{
	mmun_soft_set_brk_base(s.mm, AT(32));
}

static long do_brk(void)
{
	return mmun_soft_brk(s.mm, AT(34)) == AT(34) ? 0 : -ENOMEM;
}

static bool brk_done(void)
{
	return !strcmp(layout(s.mm), "32-34 rw-p [heap]+0");
}

/* Advice. */

static long do_advise(void)
{
	return mmun_soft_madvise(s.mm, AT(2), 3 * PAGE, MADV_DONTFORK);
}

static bool advise_done(void)
{
	return middle_has(VM_DONTCOPY);
}

static long do_lock(void)
{
	return mmun_soft_mlock(s.mm, AT(2), 3 * PAGE);
}

static bool lock_done(void)
{
	return middle_has(VM_LOCKED);
}

static void untouched_pages(void)
{
	soft_map(s.mm, AT(0), PAGES, RW, PRIVATE, NULL);
}

static long do_lock_new(void)
{
	return mmun_soft_mlock(s.mm, AT(2), 3 * PAGE);
}

static bool lock_new_done(void)
{
	return middle_has(VM_LOCKED) && soft_entry(s.mm, AT(2)).present &&
	       soft_entry(s.mm, AT(4)).present;
}

static long do_populate(void)
{
	return mmun_soft_madvise(s.mm, AT(0), PAGES * PAGE, MADV_POPULATE_WRITE);
}

static bool populate_done(void)
{
	return soft_entry(s.mm, AT(0)).writable && soft_entry(s.mm, AT(PAGES - 1)).writable;
}

static long do_populate_read(void)
{
	return mmun_soft_madvise(s.mm, AT(0), PAGES * PAGE, MADV_POPULATE_READ);
}

static bool populate_read_done(void)
{
	return soft_entry(s.mm, AT(0)).zero && soft_entry(s.mm, AT(PAGES - 1)).zero;
}

static void merged_pages(void)
{
	soft_map(s.mm, AT(0), PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(s.mm, AT(0), PAGES * PAGE, MADV_MERGEABLE);
	for (long i = 0; i < PAGES; i++)
		soft_poke(s.mm, AT(i), 4);
	if (mmun_soft_ksm_scan(s.soft) != PAGES - 1)
		bail_out("cannot merge");
}

static bool merged_intact(void)
{
	long right = 0;

	for (long i = 0; i < PAGES; i++)
		right += soft_peek(s.mm, AT(i)) == 4;
	return right == PAGES;
}

static long do_unmerge(void)
{
	return mmun_soft_madvise(s.mm, AT(2), 3 * PAGE, MADV_UNMERGEABLE);
}

static bool unmerge_done(void)
{
	return !soft_entry(s.mm, AT(2)).ksm && !soft_entry(s.mm, AT(4)).ksm &&
	       is_flag(2, VM_MERGEABLE, false) && is_flag(5, VM_MERGEABLE, true) &&
	       soft_entry(s.mm, AT(5)).ksm;
}

/* A merged page that moves is parted first: it is known by its place. */
static bool merged_move_done(void)
{
	return soft_peek(s.mm, AT(1024)) == 4 && !soft_entry(s.mm, AT(1024)).ksm;
}

/* Faults. */

static long do_write(void)
{
	unsigned long word = 5;

	return mmun_soft_write(s.mm, AT(3), &word, sizeof(word), NULL);
}

static bool write_done(void)
{
	return soft_entry(s.mm, AT(3)).writable && soft_peek(s.mm, AT(3)) == 5 &&
	       !soft_peek(s.mm, AT(4));
}

static long do_read(void)
{
	unsigned long word = 5;
	int ret = mmun_soft_read(s.mm, AT(3), &word, sizeof(word), NULL);

	return ret ? ret : (long)word;
}

static bool read_done(void)
{
	return soft_entry(s.mm, AT(3)).zero;
}

static void swapped_pages(void)
{
	private_pages();
	mmun_soft_madvise(s.mm, AT(0), PAGES * PAGE, MADV_PAGEOUT);
	if (!soft_entry(s.mm, AT(3)).swapped)
		bail_out("cannot swap");
}

static bool swap_in_done(void)
{
	return soft_entry(s.mm, AT(3)).present && soft_entry(s.mm, AT(2)).swapped &&
	       private_intact();
}

static void forked_pages(void)
{
	private_pages();
	if (mmun_soft_mm_fork(s.mm, &child))
		bail_out("cannot fork");
}

static void end_child(void)
{
	if (child)
		mmput(child);
	child = NULL;
}

static long do_copy(void)
{
	unsigned long word = 99;

	return mmun_soft_write(child, AT(3), &word, sizeof(word), NULL);
}

static bool copy_done(void)
{
	return soft_peek(child, AT(3)) == 99 && soft_peek(child, AT(2)) == 12 && private_intact();
}

static long do_get(void)
{
	struct page *pages[3];
	long got;

	mmap_read_lock(s.mm);
	got = mmun_soft_get_user_pages(s.mm, AT(2), 3, FOLL_WRITE | FOLL_PIN, pages);
	mmap_read_unlock(s.mm);
	for (long i = 0; i < got; i++)
		mmun_soft_unpin_page(pages[i]);
	return got == 3 ? 0 : got < 0 ? got : -ENOMEM;
}

static bool get_done(void)
{
	return soft_entry(s.mm, AT(2)).writable && soft_entry(s.mm, AT(4)).refcount == 1;
}

/* The whole. */

static long do_fork(void)
{
	child = NULL;
	return mmun_soft_mm_fork(s.mm, &child);
}

static void several_kinds(void)
{
	private_pages();
	mmun_soft_mprotect(s.mm, AT(4), 2 * PAGE, PROT_READ);
	mmun_soft_madvise(s.mm, AT(6), PAGE, MADV_PAGEOUT);
	soft_map(s.mm, AT(16), 4, RW, MAP_SHARED, file);
	soft_tag(s.mm, AT(16), 4, 50);
}

static bool several_intact(void)
{
	return private_intact() && scene_peek_from(&s, 16, 4, 50) == 4;
}

static bool fork_done(void)
{
	return soft_tagged(child, AT(0), PAGES, 10) == PAGES &&
	       soft_tagged(child, AT(16), 4, 50) == 4 && several_intact();
}

#define BLOCK (ARENA + MMUN_SOFT_HUGE_SIZE)

static void small_block(void)
{
	soft_map(s.mm, BLOCK, HUGE_PAGES, RW, PRIVATE, NULL);
	soft_tag(s.mm, BLOCK, 4, 7);
}

static bool block_intact(void)
{
	return soft_tagged(s.mm, BLOCK, 4, 7) == 4;
}

static long do_collapse(void)
{
	return mmun_soft_collapse(s.mm, BLOCK);
}

static long do_advise_collapse(void)
{
	return mmun_soft_madvise(s.mm, BLOCK, MMUN_SOFT_HUGE_SIZE, MADV_COLLAPSE);
}

static bool collapse_done(void)
{
	return soft_entry(s.mm, BLOCK).huge && block_intact();
}

static long do_migrate(void)
{
	return mmun_soft_migrate(s.mm, AT(3));
}

static bool migrate_done(void)
{
	return mmun_soft_migrate(s.mm, AT(3)) == 0 && private_intact();
}

/* Files. */

static bool file_has(uint64_t at, unsigned long value)
{
	unsigned long word = 0;

	return mmun_soft_pread(file, &word, sizeof(word), at) == sizeof(word) && word == value;
}

static void written_file(void)
{
	for (unsigned long i = 0; i < 4; i++)
		if (mmun_soft_pwrite(file, &i, sizeof(i), i * PAGE) != sizeof(i))
			bail_out("cannot write a file");
	mmun_soft_reclaim(s.soft, FRAMES);
}

static bool file_intact(void)
{
	return file_has(PAGE, 1) && file_has(2 * PAGE, 2) && file_has(3 * PAGE, 3);
}

static long do_pwrite(void)
{
	const unsigned long word = 1;
	long ret = mmun_soft_pwrite(file, &word, sizeof(word), PAGE);

	return ret == sizeof(word) ? 0 : ret;
}

static long do_pread(void)
{
	unsigned long word = 0;
	long ret = mmun_soft_pread(file, &word, sizeof(word), PAGE);

	return ret < 0 ? ret : word == 1 ? 0 : 1;
}

static long do_truncate(void)
{
	return mmun_soft_ftruncate(file, 3 * PAGE + 16);
}

static bool truncate_done(void)
{
	return mmun_soft_file_size(file) == 3 * PAGE + 16 && file_intact();
}

static long do_punch(void)
{
	return mmun_soft_punch_hole(file, PAGE + 100, 2 * PAGE);
}

static bool punch_done(void)
{
	return file_intact() == false && file_has(PAGE, 1) && file_has(2 * PAGE, 0) &&
	       file_has(3 * PAGE, 0);
}

static bool untouched_by_failure(void)
{
	return mmun_soft_file_size(file) >= 3 * PAGE && file_has(PAGE, 1);
}

static void mapped_file(void)
{
	written_file();
	soft_map(s.mm, AT(0), 4, RW, MAP_SHARED, file);
}

static long do_nonlinear(void)
{
	return mmun_soft_remap_file_pages(s.mm, AT(0), PAGE, 0, 2, 0);
}

static bool nonlinear_done(void)
{
	return soft_peek(s.mm, AT(0)) == 2 && soft_peek(s.mm, AT(3)) == 3;
}

#define EDGE (HUGE_PAGES - 1)

static void file_over_tables(void)
{
	written_file();
	soft_map(s.mm, AT(EDGE), 2, RW, MAP_SHARED, file);
}

static long do_nonlinear_over(void)
{
	return mmun_soft_remap_file_pages(s.mm, AT(EDGE), 2 * PAGE, 0, 1, 0);
}

static bool nonlinear_over_done(void)
{
	return soft_peek(s.mm, AT(EDGE)) == 1 && soft_peek(s.mm, AT(EDGE + 1)) == 2;
}

static long do_file_read(void)
{
	return do_read();
}

static bool file_read_done(void)
{
	return soft_entry(s.mm, AT(3)).file && soft_peek(s.mm, AT(3)) == 3;
}

static void private_file(void)
{
	written_file();
	soft_map(s.mm, AT(0), 4, RW, MAP_PRIVATE, file);
}

static bool file_copy_done(void)
{
	return !soft_entry(s.mm, AT(3)).file && soft_peek(s.mm, AT(3)) == 5 && file_intact();
}

static bool always(void)
{
	return true;
}

static void nothing(void)
{
}

static const struct op {
	const char *name;
	void (*prepare)(void);
	long (*run)(void);
	bool (*done)(void);
	/* Nothing is lost when it failed, or was not done yet. */
	bool (*intact)(void);
	int error, or_error;
	void (*after)(void);
} ops[] = {
	{ "mmap", private_pages, do_map, map_done, always, -ENOMEM, 0, nothing },
	{ "shared mmap", nothing, do_map_shared, map_shared_done, always, -ENOMEM, 0, nothing },
	{ "munmap", private_pages, do_unmap, unmap_done, private_intact, -ENOMEM, 0, nothing },
	{ "mprotect", private_pages, do_protect, protect_done, private_intact, -ENOMEM, 0,
	  nothing },
	{ "mprotect that joins", three_kinds, do_join, join_done, three_intact, -ENOMEM, 0,
	  nothing },
	{ "mprotect of the beginning", three_kinds, do_shift, shift_done, three_intact, -ENOMEM, 0,
	  nothing },
	{ "mprotect of the end", three_kinds, do_shift_up, shift_up_done, three_intact, -ENOMEM, 0,
	  nothing },
	{ "mremap", private_pages, do_move, move_done, private_intact, -ENOMEM, 0, unmap_moved },
	{ "mremap that grows", confined_pages, do_grow, grow_done, private_intact, -ENOMEM, 0,
	  nothing },
	{ "mremap of merged pages", merged_pages, do_move, merged_move_done, merged_intact, -ENOMEM,
	  0, unmap_moved },
	{ "brk", heap_base, do_brk, brk_done, always, -ENOMEM, 0, nothing },
	{ "madvise", private_pages, do_advise, advise_done, private_intact, -EAGAIN, 0, nothing },
	{ "mlock", private_pages, do_lock, lock_done, private_intact, -ENOMEM, -EAGAIN, nothing },
	{ "mlock of new memory", untouched_pages, do_lock_new, lock_new_done, always, -ENOMEM,
	  -EAGAIN, nothing },
	{ "MADV_POPULATE_WRITE", untouched_pages, do_populate, populate_done, always, -ENOMEM, 0,
	  nothing },
	{ "MADV_POPULATE_READ", untouched_pages, do_populate_read, populate_read_done, always,
	  -ENOMEM, 0, nothing },
	{ "MADV_UNMERGEABLE", merged_pages, do_unmerge, unmerge_done, merged_intact, -EAGAIN, 0,
	  nothing },
	{ "a write", untouched_pages, do_write, write_done, always, -ENOMEM, 0, nothing },
	{ "a read", untouched_pages, do_read, read_done, always, -ENOMEM, 0, nothing },
	{ "a read from swap", swapped_pages, do_read, swap_in_done, always, -ENOMEM, 0, nothing },
	{ "copy on write", forked_pages, do_copy, copy_done, private_intact, -ENOMEM, 0,
	  end_child },
	{ "get_user_pages", untouched_pages, do_get, get_done, always, -ENOMEM, 0, nothing },
	{ "fork", several_kinds, do_fork, fork_done, several_intact, -ENOMEM, 0, end_child },
	{ "collapse", small_block, do_collapse, collapse_done, block_intact, -ENOMEM, 0, nothing },
	{ "MADV_COLLAPSE", small_block, do_advise_collapse, collapse_done, block_intact, -ENOMEM, 0,
	  nothing },
	{ "migration", private_pages, do_migrate, migrate_done, private_intact, -ENOMEM, 0,
	  nothing },
	{ "pwrite", written_file, do_pwrite, file_intact, file_intact, -ENOMEM, 0, nothing },
	{ "pread", written_file, do_pread, file_intact, file_intact, -ENOMEM, 0, nothing },
	{ "ftruncate", written_file, do_truncate, truncate_done, file_intact, -ENOMEM, 0, nothing },
	{ "a hole", written_file, do_punch, punch_done, untouched_by_failure, -ENOMEM, 0, nothing },
	{ "remap_file_pages", mapped_file, do_nonlinear, nonlinear_done, file_intact, -ENOMEM, 0,
	  nothing },
	{ "remap_file_pages over two tables", file_over_tables, do_nonlinear_over,
	  nonlinear_over_done, file_intact, -ENOMEM, 0, nothing },
	{ "a read of a file", mapped_file, do_file_read, file_read_done, file_intact, -ENOMEM, 0,
	  nothing },
	{ "a write to a private file", private_file, do_write, file_copy_done, file_intact, -ENOMEM,
	  0, nothing },
};

struct result {
	long failures, errors, odd, undone, lost, again, leaked;
};

static void begin_op(const struct op *op, enum mmun_soft_file_kind kind)
{
	s = scene_begin(&(struct mmun_soft_params){ .memory = FRAMES * PAGE, .swap = 64 * PAGE });
	file = soft_new_file(s.soft, "f", kind, 4);
	child = NULL;
	op->prepare();
}

static void end_op(const struct op *op, struct result *r)
{
	struct mmun_soft_stats stats;

	op->after();
	mmput(s.mm);
	mmun_soft_file_put(file);
	mmu_notifier_synchronize();
	stats = soft_stats_of(s.soft);
	r->leaked += stats.frames != stats.frames_free || stats.swap_slots != stats.swap_free;
	r->leaked += mmun_soft_destroy(s.soft) != 0;
	r->leaked += mmun_alloc_live() != s.live;
}

/* False: it makes fewer than @nth allocations. */
static bool run_once(const struct op *op, enum mmun_soft_file_kind kind, long nth, struct result *r)
{
	bool failed;
	long ret;

	begin_op(op, kind);
	fail_allocation(nth);
	ret = op->run();
	failed = counted(&fail_countdown) <= 0;
	fail_allocation(0);
	r->failures += failed;
	if (ret < 0 && ret > -4096) {
		r->errors++;
		r->odd += !failed || (ret != op->error && ret != op->or_error);
		r->lost += !op->intact();
		ret = op->run();
		r->again += ret < 0 && ret > -4096;
	}
	r->undone += !op->done();
	end_op(op, r);
	return failed;
}

static void test_op(const struct op *op, enum mmun_soft_file_kind kind, const char *kind_name)
{
	struct result r = { 0 };
	long nth = 1;

	while (nth < 200 && run_once(op, kind, nth, &r))
		nth++;
	ok(r.failures > 0 && r.errors > 0, "%s (%s): %ld allocations fail in turn", op->name,
	   kind_name, r.failures);
	is(r.odd, 0, "%s: the error is the one that is documented", op->name);
	is(r.lost, 0, "%s: nothing is lost", op->name);
	is(r.again, 0, "%s: it works when there is memory", op->name);
	is(r.undone, 0, "%s: what succeeds is done", op->name);
	is(r.leaked, 0, "%s: everything is free in the end", op->name);
}

/* A machine is made as a whole or not at all. */
static void test_machine(void)
{
	const struct mmun_soft_params params = { .memory = 64 * PAGE, .swap = 16 * PAGE };
	long live = mmun_alloc_live(), needed, wrong = 0;
	struct mmun_soft *soft;

	allocations = 0;
	fail_allocation(1000);
	if (mmun_soft_create(&params, &soft))
		bail_out("cannot make a machine");
	fail_allocation(0);
	needed = counted(&allocations);
	mmun_soft_destroy(soft);
	for (long nth = 1; nth <= needed; nth++) {
		fail_allocation(nth);
		wrong += mmun_soft_create(&params, &soft) != -ENOMEM;
		fail_allocation(0);
		wrong += mmun_alloc_live() != live;
	}
	ok(needed > 4 && !wrong, "each of %ld allocations of a new machine is needed", needed);
}

/* What a machine has of the host's address space goes with it. */
static unsigned long host_pages(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	if (!statm || fscanf(statm, "%lu", &pages) != 1)
		bail_out("no /proc/self/statm");
	fclose(statm);
	return pages;
}

static void test_host_memory(void)
{
	const struct mmun_soft_params params = { .memory = 65536 * PAGE };
	unsigned long before = host_pages();

	for (int i = 0; i < 8; i++)
		mmun_soft_destroy(soft_machine(&params));
	ok(host_pages() < before + 4 * 65536, "machines that have gone leave no memory mapped");
}

/* A write behind the end that fails half way: the file has not grown. */
static void test_failed_growth(void)
{
	const char text[16] = "sixteen letters";
	struct file *f;
	long nth, errors = 0, wrong = 0, ret;

	for (nth = 1; nth < 20; nth++) {
		s = scene_begin(NULL);
		f = soft_new_file(s.soft, "f", MMUN_SOFT_FILE_REGULAR, 0);
		mmun_soft_pwrite(f, text, sizeof(text), 0);
		fail_allocation(nth);
		ret = mmun_soft_pwrite(f, text, sizeof(text), 3 * PAGE);
		fail_allocation(0);
		errors += ret < 0;
		wrong += mmun_soft_file_size(f) !=
			 (ret < 0 ? sizeof(text) : 3 * PAGE + sizeof(text));
		mmun_soft_file_put(f);
		mmput(s.mm);
		mmun_soft_destroy(s.soft);
	}
	ok(errors > 0, "writes behind the end of a file fail");
	is(wrong, 0, "and then its size is what it was");
}

/* Holes need no pages: truncating one works without memory. */
static void test_holes(enum mmun_soft_file_kind kind)
{
	struct mmun_soft_stats before;
	struct file *f;

	s = scene_begin(NULL);
	f = soft_new_file(s.soft, "f", kind, 8);
	before = soft_stats_of(s.soft);
	fail_allocation(1);
	is(mmun_soft_ftruncate(f, 5 * PAGE + 100), 0, "truncate within a hole");
	fail_allocation(1);
	is(mmun_soft_punch_hole(f, 100, 3 * PAGE), 0, "a hole within a hole");
	fail_allocation(0);
	is(soft_stats_of(s.soft).frames_free, before.frames_free, "neither makes a page");
	mmun_soft_file_put(f);
	scene_end(&s, "holes");
}

int main(void)
{
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		test_op(&ops[i], MMUN_SOFT_FILE_SHMEM, "shmem");
		test_op(&ops[i], MMUN_SOFT_FILE_REGULAR, "regular");
	}
	test_machine();
	test_host_memory();
	test_failed_growth();
	test_holes(MMUN_SOFT_FILE_SHMEM);
	test_holes(MMUN_SOFT_FILE_REGULAR);
	return tap_done();
}
