/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft: from a page to its mappings (rmap.c, unmap.c), seen through what
 * needs the way: reclaim, migration, writeback, truncate.
 */
#include "family.h"

#define MAX_MMS 8

static struct recorder recorders[MAX_MMS];

/* Unmapping. */

static struct mmun_soft *swapping_machine(void)
{
	const struct mmun_soft_params params = { .memory = 256 * PAGE, .swap = 256 * PAGE };

	return soft_machine(&params);
}

static void test_reclaim_family(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = swapping_machine();
	struct mm_struct *mm[4];

	mm[0] = soft_new_mm(soft);
	map_at(mm[0], 0, 4, RW);
	soft_tag(mm[0], base, 4, 70);
	for (int i = 1; i < 4; i++)
		mm[i] = forked(mm[i - 1]);
	/* A split, and a page that is elsewhere now. */
	protect(mm[2], 1, PROT_READ);
	ok(!mmun_soft_is_error(mmun_soft_mremap(mm[3], base + 2 * PAGE, PAGE, PAGE,
						MREMAP_MAYMOVE | MREMAP_FIXED, base + 64 * PAGE)),
	   "a page moves");
	for (int i = 0; i < 4; i++)
		record(&recorders[i], mm[i]);
	is(mmun_soft_reclaim(soft, 256), 4, "pages of a family of four are found in all");
	for (int i = 0; i < 4; i++) {
		is(single_pages(&recorders[i], MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), 4,
		   "S1: a section for each page, in address space %d", i);
		is(recorders[i].nr, 4, "and no other");
		ok(recorders[i].asked >= 4, "S9: after it was asked whether it is young");
		mmu_notifier_unregister(&recorders[i].mn, mm[i]);
	}
	is(soft_tagged(mm[0], base, 4, 70) + soft_tagged(mm[2], base, 4, 70), 8,
	   "everybody reads the same again");
	is(soft_peek(mm[3], base + 64 * PAGE), 72, "also what had moved");
	for (int i = 0; i < 4; i++)
		mmput(mm[i]);
	soft_gone(soft, live);
}

static void test_locked(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct mm_struct *mm = soft_new_mm(soft);
	struct page *page;

	map_at(mm, 0, 2, RW);
	soft_tag(mm, base, 2, 5);
	is(mmun_soft_mlock(mm, base, PAGE), 0, "mlock");
	is(mmun_soft_reclaim(soft, 256), 1, "a locked page is not unmapped");
	ok(soft_entry(mm, base).present, "it stays");
	is(mmun_soft_migrate(mm, base), 0, "but it may move");
	mmun_soft_munlock(mm, base, PAGE);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, base, 1, FOLL_PIN, &page), 1, "pin it");
	mmap_read_unlock(mm);
	is(mmun_soft_reclaim(soft, 256), 0, "a pinned one is not unmapped");
	is(mmun_soft_migrate(mm, base), -EBUSY, "and does not move");
	mmun_soft_unpin_page(page);
	is(mmun_soft_reclaim(soft, 256), 1, "until it is unpinned");
	is(soft_tagged(mm, base, 2, 5), 2, "contents are right");
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* A driver's lock order: callbacks may access memory as the device does. */
static int looks;
static struct mm_struct *looked_at;

static int look_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		      unsigned long end)
{
	struct mmun_soft_translation t;
	unsigned long word;

	looks += mm == looked_at && end == start + PAGE &&
		 !mmun_soft_translate_present(mm, start, &t) &&
		 !mmun_soft_device_read(mm, start, &t, &word, sizeof(word));
	return 0;
}

static void test_young(void)
{
	static const struct mmu_notifier_ops ops = { .clear_flush_young = look_young };
	struct mmu_notifier mn = { .ops = &ops };
	struct mmun_soft *soft = swapping_machine();
	struct mm_struct *mm = soft_new_mm(soft), *child;

	map_at(mm, 0, 3, RW);
	soft_tag(mm, base, 3, 1);
	child = forked(mm);
	looked_at = mm;
	if (mmu_notifier_register(&mn, mm))
		bail_out("cannot register");
	record(&recorders[0], child);
	recorders[0].young = 1;
	is(mmun_soft_reclaim(soft, 3), 0, "B22: a device that always says young keeps its pages");
	ok(looks >= 3, "S9, M3: the other is asked as well, and may use the page meanwhile");
	ok(recorders[0].asked >= 3, "S9: both are asked, whatever the first says");
	recorders[0].young = 0;
	is(mmun_soft_reclaim(soft, 3), 3, "until it says old");
	mmu_notifier_unregister(&mn, mm);
	mmu_notifier_unregister(&recorders[0].mn, child);
	mmput(mm);
	mmput(child);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* One young bit for 512 pages. */
static void test_young_huge(void)
{
	const struct mmun_soft_params params = {
		.memory = 2 * MMUN_SOFT_HUGE_SIZE,
		.swap = 2 * MMUN_SOFT_HUGE_SIZE,
		.huge_always = true,
	};
	struct mmun_soft *soft = soft_machine(&params);
	struct mm_struct *mm = soft_new_mm(soft);

	map_at(mm, 0, MMUN_SOFT_HUGE_PAGES, RW);
	soft_poke(mm, base + PAGE, 5);
	ok(soft_entry(mm, base).huge, "a huge page");
	record(&recorders[0], mm);
	is(mmun_soft_reclaim(soft, 1), 1, "reclaim takes a page of it");
	is(soft_stats_of(soft).reclaim_young, MMUN_SOFT_HUGE_PAGES,
	   "B22: not before each of its pages had a second chance");
	ok(!soft_entry(mm, base).huge, "it is split for that");
	ok(recorders[0].nr == 2 && recorders[0].event[0].op == MMUN_OP_HUGE_SPLIT &&
		   recorders[0].event[1].op == MMUN_OP_RECLAIM,
	   "S1: both are notified, in this order");
	is(soft_peek(mm, base + PAGE), 5, "the contents are the same");
	mmu_notifier_unregister(&recorders[0].mn, mm);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

static void test_given_up(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct mm_struct *mm = soft_new_mm(soft);
	struct page *page;

	map_at(mm, 0, 3, RW);
	soft_tag(mm, base, 3, 5);
	is(mmun_soft_madvise(mm, base, 3 * PAGE, MADV_FREE), 0, "MADV_FREE");
	soft_poke(mm, base + PAGE, 66);
	mmap_read_lock(mm);
	is(mmun_soft_get_user_pages(mm, base + 2 * PAGE, 1, 0, &page), 1, "somebody holds a page");
	mmap_read_unlock(mm);
	mmun_soft_reclaim(soft, 256);
	is(soft_peek(mm, base), 0, "a page that was given up is dropped");
	is(soft_peek(mm, base + PAGE), 66, "not if it was written again");
	is(soft_peek(mm, base + 2 * PAGE), 7, "nor if somebody holds it");
	mmun_soft_put_page(page);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Files. */

static void test_file_mappings(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 4);
	struct mm_struct *mm[3];
	unsigned long at[3];

	for (int i = 0; i < 3; i++) {
		mm[i] = soft_new_mm(soft);
		at[i] = soft_map(mm[i], 0, 4, RW, i == 2 ? MAP_PRIVATE : MAP_SHARED, file);
	}
	soft_tag(mm[0], at[0], 4, 20);
	soft_tag(mm[1], at[1], 2, 20);
	soft_tagged(mm[2], at[2], 4, 20);
	for (int i = 0; i < 3; i++)
		record(&recorders[i], mm[i]);

	mmun_soft_fsync(file);
	is(recorders[0].nr, 4, "S1: writeback protects each shared mapping");
	is(recorders[1].nr, 4, "in each address space");
	is(recorders[2].nr, 0, "and leaves private mappings alone");
	is(mmun_soft_migrate(mm[0], at[0]), 0, "a file page moves");
	is(single_pages(&recorders[1], MMUN_OP_MIGRATE, MMU_NOTIFY_CLEAR), 1,
	   "S1: all that map it are notified");
	is(single_pages(&recorders[2], MMUN_OP_MIGRATE, MMU_NOTIFY_CLEAR), 1,
	   "also with a private mapping");
	ok(soft_entry(mm[0], at[0]).pfn == soft_entry(mm[2], at[2]).pfn &&
		   soft_entry(mm[0], at[0]).present && soft_entry(mm[2], at[2]).present,
	   "all map the new frame at once");
	soft_poke(mm[1], at[1], 99);
	is(soft_peek(mm[2], at[2]), 99, "and share it as before");
	mmun_soft_reclaim(soft, 256);
	ok(!soft_entry(mm[0], at[0]).present && !soft_entry(mm[2], at[2]).present,
	   "reclaim takes it from all");
	is(soft_peek(mm[2], at[2]), 99, "and the store has it");
	for (int i = 0; i < 3; i++) {
		mmu_notifier_unregister(&recorders[i].mn, mm[i]);
		mmput(mm[i]);
	}
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Pages 0..7 of the file, backwards, and one of them twice. */
static unsigned long map_nonlinear(struct mm_struct *mm, struct file *file)
{
	unsigned long at = soft_map(mm, 0, 8, RW, MAP_SHARED, file);

	soft_tag(mm, at, 8, 40);
	for (unsigned long i = 0; i < 8; i++) {
		if (mmun_soft_remap_file_pages(mm, at + i * PAGE, PAGE, 0, i == 6 ? 7 : 7 - i, 0))
			bail_out("cannot remap file pages");
	}
	return at;
}

static void test_nonlinear(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 8);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = map_nonlinear(mm, file);

	is(soft_peek(mm, at), 47, "a nonlinear mapping shows page 7 first");
	is(soft_peek(mm, at + 6 * PAGE), 47, "and a second time");
	for (unsigned long i = 0; i < 8; i++)
		soft_peek(mm, at + i * PAGE);
	mmun_soft_fsync(file);
	record(&recorders[0], mm);
	is(mmun_soft_migrate(mm, at), 0, "a page that is mapped twice moves");
	is(recorders[0].nr, 2, "S1: both places are notified");
	ok(soft_entry(mm, at).present &&
		   soft_entry(mm, at).pfn == soft_entry(mm, at + 6 * PAGE).pfn,
	   "and follow");
	forget(&recorders[0]);
	mmun_soft_reclaim(soft, 256);
	is(single_pages(&recorders[0], MMUN_OP_RECLAIM, MMU_NOTIFY_CLEAR), 8,
	   "S1: reclaim finds every place");
	ok(!soft_entry(mm, at).present, "and takes the page away");
	is(soft_peek(mm, at + 3 * PAGE), 44, "an entry remembers its page");
	is(soft_peek(mm, at + 7 * PAGE), 40, "the last as well");
	soft_poke(mm, at + 3 * PAGE, 4);
	forget(&recorders[0]);
	mmun_soft_fsync(file);
	is(single_pages(&recorders[0], MMUN_OP_MKCLEAN, MMU_NOTIFY_PROTECTION_PAGE), 1,
	   "S1: writeback finds the one that was written");
	mmun_soft_ftruncate(file, 4 * PAGE);
	ok(mmun_soft_read(mm, at, &(char){ 0 }, 1, NULL) == -EFAULT, "truncate takes page 7");
	ok(!mmun_soft_read(mm, at + 7 * PAGE, &(char){ 0 }, 1, NULL), "but not page 0");
	mmun_soft_ftruncate(file, 8 * PAGE);
	is(soft_peek(mm, at), 0, "when the file grows again the entry faults its page in");
	mmun_soft_pwrite(file, "z", 1, 7 * PAGE);
	is(soft_peek(mm, at + 6 * PAGE), 'z', "which is page 7 still");
	mmu_notifier_unregister(&recorders[0].mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Everybody at once: what is dropped does not come back, what is cleaned is stored. */

#define SHARED_PAGES 16
#define ROUNDS       300

struct shared {
	struct mmun_soft *soft;
	struct file *file;
	struct mm_struct *mm[2];
	unsigned long at[2];
	int stop, wrong;
};

static void *writer(void *arg)
{
	struct shared *s = arg;

	for (unsigned int i = 0; !mmun_load_full(&s->stop); i++) {
		unsigned long offset = i * 7 % SHARED_PAGES * PAGE;
		unsigned long word = 1;

		(void)mmun_soft_write(s->mm[i & 1], s->at[i & 1] + offset, &word, 8, NULL);
		/* Every word of the file is 0 or 1. */
		if (!mmun_soft_read(s->mm[~i & 1], s->at[~i & 1] + offset, &word, 8, NULL) &&
		    word > 1)
			mmun_add_full(&s->wrong, 1);
	}
	return NULL;
}

static void *cleaner(void *arg)
{
	struct shared *s = arg;

	for (unsigned int i = 0; !mmun_load_full(&s->stop); i++) {
		switch (i % 4) {
		case 0:
			(void)mmun_soft_fsync(s->file);
			break;
		case 1:
			(void)mmun_soft_migrate(s->mm[0], s->at[0] + i % SHARED_PAGES * PAGE);
			break;
		case 2:
			(void)mmun_soft_reclaim(s->soft, 4);
			break;
		default:
			(void)mmun_soft_punch_hole(s->file, i % SHARED_PAGES * PAGE, 2 * PAGE);
		}
	}
	return NULL;
}

static void *forker(void *arg)
{
	struct shared *s = arg;
	struct mm_struct *child;

	while (!mmun_load_full(&s->stop)) {
		if (mmun_soft_mm_fork(s->mm[0], &child))
			continue;
		(void)mmun_soft_mprotect(child, s->at[0] + 2 * PAGE, 3 * PAGE, PROT_READ);
		mmput(child);
	}
	return NULL;
}

static void test_together(enum mmun_soft_file_kind kind)
{
	struct mmun_soft *soft = swapping_machine();
	struct shared s = { .soft = soft };
	pthread_t thread[3];
	int stale = 0;

	s.file = soft_new_file(soft, "f", kind, SHARED_PAGES);
	for (int i = 0; i < 2; i++) {
		s.mm[i] = soft_new_mm(soft);
		s.at[i] = soft_map(s.mm[i], 0, SHARED_PAGES, RW, MAP_SHARED, s.file);
	}
	thread[0] = spawn(writer, &s);
	thread[1] = spawn(cleaner, &s);
	thread[2] = spawn(forker, &s);
	for (int i = 0; i < ROUNDS; i++) {
		mmun_soft_ftruncate(s.file, PAGE);
		for (unsigned long page = 1; page < SHARED_PAGES; page++)
			stale += soft_entry(s.mm[i & 1], s.at[i & 1] + page * PAGE).present;
		mmun_soft_ftruncate(s.file, SHARED_PAGES * PAGE);
	}
	mmun_store_full(&s.stop, 1);
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	is(stale, 0, "S1: no page behind the end stays mapped, whatever else goes on");
	is(s.wrong, 0, "nobody reads what nobody wrote");
	for (int i = 0; i < 2; i++)
		mmput(s.mm[i]);
	mmun_soft_file_put(s.file);
	is(soft_free_frames(soft), soft_stats_of(soft).frames, "all frames are free");
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Moving into a neighbour that a walk visits before the old place. */

struct moving {
	struct mm_struct *mm;
	int stop;
};

static void *mover(void *arg)
{
	struct moving *m = arg;
	const unsigned long near = base + 2 * PAGE, far = base + 32 * PAGE;

	while (!mmun_load_full(&m->stop)) {
		if (mmun_soft_is_error(mmun_soft_mremap(m->mm, far, PAGE, PAGE,
							MREMAP_MAYMOVE | MREMAP_FIXED, near)) ||
		    mmun_soft_is_error(mmun_soft_mremap(m->mm, near, PAGE, PAGE,
							MREMAP_MAYMOVE | MREMAP_FIXED, far)))
			bail_out("cannot move");
	}
	return NULL;
}

static bool third_page_is_mapped(struct mm_struct *mm)
{
	return soft_entry(mm, base + 2 * PAGE).present || soft_entry(mm, base + 32 * PAGE).present;
}

static void test_moving(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct file *file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 3);
	struct moving m = { .mm = soft_new_mm(soft) };
	unsigned long word = 1;
	pthread_t thread;
	int stale = 0, mapped = 0;

	soft_map(m.mm, base, 2, RW, MAP_SHARED, file);
	if (mmun_soft_is_error(mmun_soft_mmap(m.mm, base + 32 * PAGE, PAGE, RW,
					      MAP_SHARED | MAP_FIXED, file, 2 * PAGE)))
		bail_out("cannot map");
	thread = spawn(mover, &m);
	for (int i = 0; i < 2000; i++) {
		(void)mmun_soft_write(m.mm, base + (i & 1 ? 2 : 32) * PAGE, &word, 8, NULL);
		mapped += third_page_is_mapped(m.mm);
		(void)mmun_soft_migrate(m.mm, base + 32 * PAGE);
		mmun_soft_ftruncate(file, 2 * PAGE);
		stale += third_page_is_mapped(m.mm);
		mmun_soft_ftruncate(file, 3 * PAGE);
	}
	mmun_store_full(&m.stop, 1);
	pthread_join(thread, NULL);
	ok(mapped > 0, "a page that moves between two mappings is mapped now and then");
	is(stale, 0, "S1: truncate catches it wherever it is");
	mmput(m.mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/*
 * The same step by step.  Page 2 moves to where the merged mapping is visited first:
 *
 *   mremap                          punch
 *   section starts                  looks at the new place: nothing there
 *   the entry moves                 (waits in its callback)
 *   section ends                    looks at the old place: nothing there
 *
 * The page must not be mapped after the hole was punched: the walk is kept out.
 */
static struct {
	struct mmu_notifier mn;
	struct file *file;
	pthread_t puncher;
	long new_place_seen, moved;
} between;

static void *punch_all(void *arg)
{
	(void)mmun_soft_punch_hole(between.file, 0, 3 * PAGE);
	return NULL;
}

static int between_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->origin->op == MMUN_OP_MREMAP && !between.puncher) {
		between.puncher = spawn(punch_all, NULL);
		for (int i = 0; i < 10 && !mmun_load_full(&between.new_place_seen); i++)
			let_others_run();
	}
	return 0;
}

static void between_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	if (range->origin->op == MMUN_OP_MREMAP) {
		mmun_store_full(&between.moved, 1);
	} else if (!mmun_load_full(&between.new_place_seen)) {
		mmun_store_full(&between.new_place_seen, 1);
		for (int i = 0; i < 10 && !mmun_load_full(&between.moved); i++)
			let_others_run();
	}
}

static const struct mmu_notifier_ops between_ops = {
	.invalidate_range_start = between_start,
	.invalidate_range_end = between_end,
};

static void test_moved_behind_a_walk(void)
{
	struct mmun_soft *soft = swapping_machine();
	struct mm_struct *mm = soft_new_mm(soft);

	between.file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 3);
	between.mn.ops = &between_ops;
	soft_map(mm, base, 2, RW, MAP_SHARED, between.file);
	if (mmun_soft_is_error(mmun_soft_mmap(mm, base + 32 * PAGE, PAGE, RW,
					      MAP_SHARED | MAP_FIXED, between.file, 2 * PAGE)))
		bail_out("cannot map");
	soft_poke(mm, base + 32 * PAGE, 3);
	if (mmu_notifier_register(&between.mn, mm))
		bail_out("cannot register");
	ok(!mmun_soft_is_error(mmun_soft_mremap(mm, base + 32 * PAGE, PAGE, PAGE,
						MREMAP_MAYMOVE | MREMAP_FIXED, base + 2 * PAGE)),
	   "a page moves while a hole is punched");
	pthread_join(between.puncher, NULL);
	is(count_maps(mm), 1, "into its neighbour");
	is(soft_peek(mm, base + 2 * PAGE), 0, "S1: the walk finds it there");
	mmu_notifier_unregister(&between.mn, mm);
	mmput(mm);
	mmun_soft_file_put(between.file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

int main(void)
{
	test_reclaim_family();
	test_locked();
	test_young();
	test_young_huge();
	test_given_up();
	test_file_mappings();
	test_nonlinear();
	test_moving();
	test_moved_behind_a_walk();
	test_together(MMUN_SOFT_FILE_REGULAR);
	test_together(MMUN_SOFT_FILE_SHMEM);
	return tap_done();
}
