/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every operation that takes something away from an address space, under the eyes
 * of a secondary MMU that caches all it may (mirror.h).  A call site without its
 * section, or with the change outside it, leaves a stale translation behind.
 *
 * Not here: which ranges exactly (tests/unit/soft/).
 */
#include "mirror.h"
#include "tlb.h"

#include <fcntl.h>
#include <linux/falloc.h>

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

/* The scene: memory of every kind. */
#define SMALL        16
#define ANON         0x10000000ul
#define EQUAL        0x11000000ul /* pages of equal contents */
#define ZERO         0x12000000ul /* only read so far */
#define FILE_SHARED  0x20000000ul
#define FILE_PRIVATE 0x28000000ul
#define SHMEM        0x30000000ul
#define HUGE         0x40000000ul
#define PLAIN        0x48000000ul /* 2 MiB of small pages */
#define HEAP         0x50000000ul
#define DEVICE       0x58000000ul
#define ELSEWHERE    0x60000000ul
#define HUGE_PAGES   (MMUN_SOFT_HUGE_SIZE / PAGE)

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct file *regular, *shmem, *device;
static struct mirror mirror;
static struct tlb tlb;
static bool device_refuses;

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct page *page = mmun_soft_alloc_page(soft);
	int ret;

	if (!page)
		return -ENOMEM;
	vma->vm_flags |= VM_MIXEDMAP;
	ret = mmun_soft_vm_insert_page(vma, vma->vm_start, page);
	mmun_soft_put_page(page);
	return device_refuses ? -ENODEV : ret;
}

static const struct file_operations device_fops = { .mmap = device_mmap };

static void touch(unsigned long address, size_t pages)
{
	for (size_t i = 0; i < pages; i++)
		soft_poke(mm, address + i * PAGE, address + i);
	mirror_watch(&mirror, address, pages);
}

static void map_files(void)
{
	regular = soft_new_file(soft, "regular", MMUN_SOFT_FILE_REGULAR, SMALL);
	shmem = soft_new_file(soft, "shmem", MMUN_SOFT_FILE_SHMEM, SMALL);
	soft_map(mm, FILE_SHARED, SMALL, RW, MAP_SHARED, regular);
	soft_map(mm, FILE_PRIVATE, SMALL, RW, MAP_PRIVATE, regular);
	soft_map(mm, SHMEM, SMALL, RW, MAP_SHARED, shmem);
	touch(FILE_SHARED, SMALL);
	touch(SHMEM, SMALL);
	for (size_t i = 0; i < SMALL; i++)
		(void)soft_peek(mm, FILE_PRIVATE + i * PAGE);
	mirror_watch(&mirror, FILE_PRIVATE, SMALL);
}

static void map_device(void)
{
	device_refuses = false;
	if (mmun_soft_device_create(soft, "device", &device_fops, NULL, &device))
		bail_out("cannot make a device");
	soft_map(mm, DEVICE, 1, RW, MAP_SHARED, device);
	mirror_watch(&mirror, DEVICE, 1);
}

static void map_anonymous(void)
{
	soft_map(mm, ANON, SMALL, RW, PRIVATE, NULL);
	touch(ANON, SMALL);
	soft_map(mm, EQUAL, SMALL, RW, PRIVATE, NULL);
	for (size_t i = 0; i < SMALL; i++)
		soft_poke(mm, EQUAL + i * PAGE, 77);
	mirror_watch(&mirror, EQUAL, SMALL);
	soft_map(mm, ZERO, SMALL, RW, PRIVATE, NULL);
	(void)soft_peek(mm, ZERO);
	mirror_watch(&mirror, ZERO, SMALL);
	if (mmun_soft_set_brk_base(mm, HEAP))
		bail_out("no heap");
	mmun_soft_brk(mm, HEAP + SMALL * PAGE);
	touch(HEAP, SMALL);
}

/* Some parts of each 2 MiB are watched. */
static void map_huge(void)
{
	soft_map(mm, PLAIN, HUGE_PAGES, RW, PRIVATE, NULL);
	touch(PLAIN, SMALL);
	soft_map(mm, HUGE, HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, HUGE, MMUN_SOFT_HUGE_SIZE, MADV_HUGEPAGE);
	soft_poke(mm, HUGE, 1);
	mirror_watch(&mirror, HUGE, HUGE_PAGES / 2);
}

static void scene_begin(void)
{
	struct mmun_soft_params params = { .memory = 24 << 20, .swap = 8 << 20 };

	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	mirror_begin(&mirror, mm);
	map_anonymous();
	map_files();
	map_device();
	map_huge();
	mirror_fill(&mirror);
	tlb_begin(&tlb, mm);
	for (unsigned int i = 0; i < mirror.nr; i++)
		tlb_watch(&tlb, mirror.page[i].address, 1);
	memset(mirror.notified, 0, sizeof(mirror.notified));
	memset(mirror.notified_safe, 0, sizeof(mirror.notified_safe));
	mirror.dropped = 0;
}

static unsigned long violations(void)
{
	struct mmun_soft_stats stats;

	mmun_soft_stats(soft, &stats);
	return stats.violations;
}

static void scene_end(void)
{
	mmu_notifier_unregister(&tlb.mn, mm);
	mmu_notifier_unregister(&mirror.mn, mm);
	mmput(mm);
	mmun_soft_file_put(regular);
	mmun_soft_file_put(shmem);
	mmun_soft_file_put(device);
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

/* The operations: 0 for done. */

static int do_munmap(void)
{
	return mmun_soft_munmap(mm, ANON + 2 * PAGE, 8 * PAGE);
}

static int do_fixed(void)
{
	return soft_map(mm, ANON, 4, RW, PRIVATE, NULL) != ANON;
}

static int do_brk(void)
{
	return mmun_soft_brk(mm, HEAP + 2 * PAGE) != HEAP + 2 * PAGE;
}

static int do_remap_file_pages(void)
{
	return mmun_soft_remap_file_pages(mm, FILE_SHARED, 2 * PAGE, 0, 8, 0);
}

static int do_protect(void)
{
	return mmun_soft_mprotect(mm, ANON, SMALL * PAGE, PROT_READ);
}

static int do_protect_shared(void)
{
	return mmun_soft_mprotect(mm, FILE_SHARED, PAGE, PROT_READ);
}

static int do_move(void)
{
	return mmun_soft_mremap(mm, ANON, SMALL * PAGE, SMALL * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
				ELSEWHERE) != ELSEWHERE;
}

static int do_move_huge(void)
{
	return mmun_soft_mremap(mm, HUGE, MMUN_SOFT_HUGE_SIZE, MMUN_SOFT_HUGE_SIZE,
				MREMAP_MAYMOVE | MREMAP_FIXED, ELSEWHERE) != ELSEWHERE;
}

static int do_move_and_stay(void)
{
	return mmun_soft_mremap(mm, ANON, SMALL * PAGE, SMALL * PAGE,
				MREMAP_MAYMOVE | MREMAP_FIXED | 4 /* DONTUNMAP */,
				ELSEWHERE) != ELSEWHERE;
}

static int do_shrink(void)
{
	return mmun_soft_mremap(mm, ANON, SMALL * PAGE, PAGE, 0, 0) != ANON;
}

static int do_dontneed(void)
{
	return mmun_soft_madvise(mm, ANON, SMALL * PAGE, MADV_DONTNEED);
}

static int do_free(void)
{
	return mmun_soft_madvise(mm, ANON, SMALL * PAGE, MADV_FREE);
}

static int do_remove(void)
{
	return mmun_soft_madvise(mm, SHMEM, 4 * PAGE, MADV_REMOVE);
}

static int do_pageout(void)
{
	return mmun_soft_madvise(mm, ANON, SMALL * PAGE, MADV_PAGEOUT);
}

static int do_pageout_file(void)
{
	return mmun_soft_madvise(mm, FILE_PRIVATE, SMALL * PAGE, MADV_DONTNEED) ||
	       mmun_soft_madvise(mm, FILE_SHARED, SMALL * PAGE, MADV_PAGEOUT);
}

static int do_collapse(void)
{
	return mmun_soft_madvise(mm, PLAIN, MMUN_SOFT_HUGE_SIZE, MADV_COLLAPSE);
}

static int do_merge(void)
{
	int ret = mmun_soft_madvise(mm, EQUAL, SMALL * PAGE, MADV_MERGEABLE);

	for (int i = 0; i < 3; i++)
		mmun_soft_ksm_scan(soft);
	return ret;
}

static int do_unmerge(void)
{
	return do_merge() || mmun_soft_madvise(mm, EQUAL, SMALL * PAGE, MADV_UNMERGEABLE);
}

static int do_truncate(void)
{
	return mmun_soft_ftruncate(regular, PAGE);
}

static int do_punch(void)
{
	return mmun_soft_punch_hole(shmem, 0, 4 * PAGE);
}

static int do_fsync(void)
{
	return mmun_soft_fsync(regular);
}

static int do_fork(void)
{
	struct mm_struct *child;

	if (mmun_soft_mm_fork(mm, &child))
		return -ENOMEM;
	mmput(child);
	return 0;
}

static int do_cow(void)
{
	struct mm_struct *child;

	if (mmun_soft_mm_fork(mm, &child))
		return -ENOMEM;
	for (int i = 0; i < SMALL; i++)
		soft_poke(mm, ANON + i * PAGE, i);
	mmput(child);
	return 0;
}

static int do_write_zero_page(void)
{
	soft_poke(mm, ZERO, 1);
	return 0;
}

static int do_write_private_file(void)
{
	soft_poke(mm, FILE_PRIVATE, 1);
	return 0;
}

static int do_reclaim(void)
{
	/* The first round finds them young. */
	size_t freed = mmun_soft_reclaim(soft, 64);

	if (!freed)
		freed = mmun_soft_reclaim(soft, 64);
	return !freed;
}

static int do_migrate(void)
{
	return mmun_soft_migrate(mm, ANON) || mmun_soft_migrate(mm, FILE_SHARED);
}

static int do_split_munmap(void)
{
	return mmun_soft_munmap(mm, HUGE + 3 * PAGE, PAGE);
}

static int do_split_protect(void)
{
	return mmun_soft_mprotect(mm, HUGE, 4 * PAGE, PROT_READ);
}

static int do_clear_soft_dirty(void)
{
	return mmun_soft_clear_soft_dirty(mm);
}

static int do_reap(void)
{
	return mmun_soft_oom_reap(mm);
}

static int do_zap_device(void)
{
	mmap_read_lock(mm);
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(mm, DEVICE), DEVICE, PAGE);
	mmap_read_unlock(mm);
	return 0;
}

static int do_refused_device(void)
{
	device_refuses = true;
	return mmun_soft_mmap(mm, ELSEWHERE, PAGE, RW, MAP_SHARED | MAP_FIXED, device, 0) !=
	       (unsigned long)-ENODEV;
}

#define NO_STALE 1 /* what goes was never to be seen: nothing can be dropped */
#define SAFE     2 /* pages with pins stay where they are (docs/EVENTS.md) */

static const struct {
	const char *name;
	enum mmun_op notified;
	int (*run)(void);
	unsigned int flags;
} operations[] = {
	{ "munmap", MMUN_OP_MUNMAP, do_munmap, 0 },
	{ "MAP_FIXED", MMUN_OP_MMAP_FIXED, do_fixed, 0 },
	{ "brk", MMUN_OP_BRK, do_brk, 0 },
	{ "remap_file_pages", MMUN_OP_REMAP_FILE_PAGES, do_remap_file_pages, 0 },
	{ "mprotect", MMUN_OP_MPROTECT, do_protect, SAFE },
	{ "mprotect of a shared page", MMUN_OP_MPROTECT, do_protect_shared, SAFE },
	{ "mremap", MMUN_OP_MREMAP, do_move, 0 },
	{ "mremap of a huge page", MMUN_OP_MREMAP, do_move_huge, 0 },
	{ "MREMAP_DONTUNMAP", MMUN_OP_MREMAP, do_move_and_stay, 0 },
	{ "mremap that shrinks", MMUN_OP_MREMAP, do_shrink, 0 },
	{ "MADV_DONTNEED", MMUN_OP_MADV_DONTNEED, do_dontneed, 0 },
	{ "MADV_FREE", MMUN_OP_MADV_FREE, do_free, SAFE },
	{ "MADV_REMOVE", MMUN_OP_MADV_REMOVE, do_remove, 0 },
	{ "MADV_PAGEOUT", MMUN_OP_MADV_PAGEOUT, do_pageout, SAFE },
	{ "MADV_PAGEOUT of a file", MMUN_OP_MADV_PAGEOUT, do_pageout_file, SAFE },
	{ "MADV_COLLAPSE", MMUN_OP_MADV_COLLAPSE, do_collapse, SAFE },
	{ "merging", MMUN_OP_KSM, do_merge, SAFE },
	{ "MADV_UNMERGEABLE", MMUN_OP_COW, do_unmerge, SAFE },
	{ "truncate", MMUN_OP_TRUNCATE, do_truncate, 0 },
	{ "a hole punched", MMUN_OP_FALLOCATE, do_punch, 0 },
	{ "fsync", MMUN_OP_MKCLEAN, do_fsync, SAFE },
	{ "fork", MMUN_OP_FORK, do_fork, SAFE },
	{ "copy-on-write after fork", MMUN_OP_COW, do_cow, SAFE },
	{ "the first write over the zero page", MMUN_OP_COW, do_write_zero_page, 0 },
	{ "the first write to a private file page", MMUN_OP_COW, do_write_private_file, SAFE },
	{ "reclaim", MMUN_OP_RECLAIM, do_reclaim, SAFE },
	{ "migration", MMUN_OP_MIGRATE, do_migrate, SAFE },
	{ "munmap inside a huge page", MMUN_OP_HUGE_SPLIT, do_split_munmap, SAFE },
	{ "mprotect inside a huge page", MMUN_OP_HUGE_SPLIT, do_split_protect, SAFE },
	{ "soft-dirty", MMUN_OP_SOFT_DIRTY, do_clear_soft_dirty, SAFE },
	{ "the out-of-memory reaper", MMUN_OP_OOM_REAP, do_reap, 0 },
	{ "zap_vma_ptes", MMUN_OP_DRIVER, do_zap_device, 0 },
	{ "a driver that refuses", MMUN_OP_DRIVER, do_refused_device, NO_STALE },
};

static void test_operation(unsigned int i)
{
	const char *name = operations[i].name;

	scene_begin();
	is(operations[i].run(), 0, "%s", name);
	ok(mirror.notified[operations[i].notified], "B14: %s: notifiers are notified", name);
	is(mirror.notified_safe[operations[i].notified],
	   operations[i].flags & SAFE ? mirror.notified[operations[i].notified] : 0,
	   "%s: and whether pinned pages stay", name);
	ok(mirror.dropped || operations[i].flags & NO_STALE, "B14: %s: of pages that they had",
	   name);
	is(mirror.failed_at_start, 0, "S2: %s: the pages are there until start returns", name);
	is(mirror.failed + mirror_use_all(&mirror), 0,
	   "S1: %s: nothing has changed outside its section", name);
	is(violations(), 0, "B16: %s: no page went before its notification", name);
	is(mirror.open, 0, "S4: %s: every section ends", name);
	is(mirror.unmatched, 0, "S3: %s: each end matches its start", name);
	is(mirror.invalidated_pages, 0, "B17: %s: by ranges only", name);
	ok(tlb.calls, "S12: %s: devices that walk the tables are flushed", name);
	is(tlb_stale(&tlb), 0, "S12: %s: of all that changed, after it", name);
	is(tlb.freed, 0, "S12: %s: before a page is free", name);
	scene_end();
}

/* Where a huge page changes, the range says so. */
static void test_huge_ranges(void)
{
	scene_begin();
	do_split_munmap();
	is(mirror.notified_huge, 1,
	   "B17: one page of a huge one goes: all 2 MiB are notified first");
	scene_end();
	scene_begin();
	do_collapse();
	is(mirror.notified_huge, 1, "B17: a collapse, too");
	scene_end();
}

/* The entry is gone, but a device may write until it is notified. */
static void test_last_words(const char *what, int (*run)(void), unsigned long at)
{
	scene_begin();
	mirror.eager = false;
	mirror.last_words = 0x1a57;
	is(run(), 0, "%s under a device that writes", what);
	mirror.last_words = 0;
	is(soft_peek(mm, at), 0x1a57, "S6: %s: what a device wrote last is not lost", what);
	scene_end();
}

static void test_last_flush(const char *what, int (*run)(void), unsigned long at)
{
	scene_begin();
	mirror.eager = false;
	tlb.last_words = 0x1a57;
	is(run(), 0, "%s under a device that walks the tables", what);
	tlb.last_words = 0;
	is(soft_peek(mm, at), 0x1a57, "S12: %s: what it wrote before the flush is not lost", what);
	scene_end();
}

/* For who changes single pages: all of them, before it returns. */
static void test_page_callback(void)
{
	static struct mirror second;

	scene_begin();
	mirror_begin(&second, mm);
	mmu_notifier_invalidate_page(mm, ANON);
	ok(mirror.invalidated_pages == 1 && second.invalidated_pages == 1,
	   "S6: every notifier has been notified of a page when that returns");
	mmu_notifier_unregister(&second.mn, mm);
	scene_end();
}

/* Exit: ->release first, and then the pages. */
static void test_exit(void)
{
	scene_begin();
	mmget(mm);
	mmgrab(mm);
	mmput(mm);
	is(mirror.released, 0, "U1: no release while there are users");
	mmput(mm);
	is(mirror.released, 1, "U1: one with the last");
	is(mirror.failed_in_release, 0, "U1: every page is still there then");
	is(violations(), 0, "U1: none was used after it had gone");
	mmu_notifier_unregister(&tlb.mn, mm);
	mmu_notifier_unregister(&mirror.mn, mm);
	mmdrop(mm);
	mmun_soft_file_put(regular);
	mmun_soft_file_put(shmem);
	mmun_soft_file_put(device);
	is(mmun_soft_destroy(soft), 0, "the machine can go");
}

int main(void)
{
	for (unsigned int i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		test_operation(i);
	test_huge_ranges();
	test_last_words("MADV_PAGEOUT", do_pageout, ANON);
	test_last_words("MADV_PAGEOUT of a file", do_pageout_file, FILE_SHARED);
	test_last_words("migration", do_migrate, ANON);
	test_last_words("fsync", do_fsync, FILE_SHARED);
	test_last_flush("MADV_PAGEOUT", do_pageout, ANON);
	test_last_flush("migration", do_migrate, ANON);
	test_last_flush("fsync", do_fsync, FILE_SHARED);
	test_last_flush("MADV_COLLAPSE", do_collapse, PLAIN);
	test_page_callback();
	test_exit();
	return tap_done();
}
