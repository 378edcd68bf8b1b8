/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft: files and their page cache (cache.c, file.c, file_io.c, truncate.c).
 * Which bytes a growing or shrinking file loses was asked of Linux 6.18, a memfd for
 * shmem and ext4 for a file on a disk; memfd.c asks again.
 */
#include "recorder.h"

static struct recorder seen;

static struct file *regular(struct mmun_soft *soft, uint64_t size)
{
	struct file *file;

	if (mmun_soft_file_create(soft, "regular", MMUN_SOFT_FILE_REGULAR, size, &file))
		bail_out("cannot make a file");
	return file;
}

static struct file *shmem(struct mmun_soft *soft, uint64_t size)
{
	struct file *file;

	if (mmun_soft_file_create(soft, "shmem", MMUN_SOFT_FILE_SHMEM, size, &file))
		bail_out("cannot make a file");
	return file;
}

static int byte_of(struct file *file, uint64_t offset)
{
	unsigned char byte = 0;

	return mmun_soft_pread(file, &byte, 1, offset) == 1 ? byte : -1;
}

static void set_byte(struct mm_struct *mm, unsigned long address, unsigned char byte)
{
	if (mmun_soft_write(mm, address, &byte, 1, NULL))
		bail_out("cannot write a byte");
}

/* The signal when it cannot be read, negative. */
static int get_byte(struct mm_struct *mm, unsigned long address)
{
	struct mmun_soft_fault fault = { 0 };
	unsigned char byte = 0;

	return mmun_soft_read(mm, address, &byte, 1, &fault) ? -fault.signal : byte;
}

/* Making and ending. */

static void test_create(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file, *same;
	int failures = 0;

	is(mmun_soft_file_create(soft, "f", MMUN_SOFT_FILE_REGULAR, 1ull << 63, &file), -EINVAL,
	   "a file has fewer than 2^63 bytes");
	is(mmun_soft_file_create(soft, "f", (enum mmun_soft_file_kind)2, 0, &file), -EINVAL,
	   "there are two kinds");
	for (long nth = 1;; nth++) {
		int ret;

		fail_allocation(nth);
		ret = mmun_soft_file_create(soft, "name", MMUN_SOFT_FILE_SHMEM, 10, &file);
		fail_allocation(0);
		if (!ret)
			break;
		failures += ret == -ENOMEM;
	}
	is(failures, 3, "each allocation may fail");
	ok(!strcmp(mmun_soft_file_name(file), "name") && mmun_soft_file_size(file) == 10,
	   "name and size are as given");
	same = mmun_soft_file_get(file);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), -EBUSY, "a referenced file keeps the machine");
	mmun_soft_file_put(same);
	soft_gone(soft, live);
}

/* Reading and writing. */

static void test_read_write(enum mmun_soft_file_kind kind)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 0);
	char data[3 * PAGE], back[3 * PAGE];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 256);
	is(mmun_soft_pread(file, back, 10, 0), 0, "nothing is in an empty file");
	is(mmun_soft_pwrite(file, data, 5000, 3000), 5000, "a write beyond the end");
	is(mmun_soft_file_size(file), 8000, "extends the file");
	is(mmun_soft_pread(file, back, sizeof(back), 0), 8000, "a read ends at the end");
	memset(data + 2 * PAGE, 0, PAGE);
	ok(!memcmp(back + 3000, data, 5000), "what was written is read");
	is(back[0] | back[2999], 0, "what was not is zero");
	is(mmun_soft_pread(file, back, 1, 8000), 0, "at the end there is nothing");
	is(mmun_soft_pwrite(file, data, 0, 1ull << 40), 0, "writing nothing writes nothing");
	is(mmun_soft_file_size(file), 8000, "and does not extend");
	is(mmun_soft_pread(file, back, 1, 1ull << 63), -EINVAL, "no negative offsets");
	is(mmun_soft_pread(file, back, 1, INT64_MAX), -EINVAL, "nor an end beyond the largest");
	is(mmun_soft_pwrite(file, back, 2, INT64_MAX - 1), -EINVAL, "for writing either");
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "the file is gone");
}

static void test_coherent(enum mmun_soft_file_kind kind)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 2);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);
	unsigned long private = soft_map(mm, 0, 2, RW, MAP_PRIVATE, file);
	unsigned long word = 0x1122334455667788;

	record(&seen, mm);
	soft_poke(mm, at + PAGE, 5);
	is(byte_of(file, PAGE), 5, "what a mapping writes is read by descriptor");
	is(soft_peek(mm, private + PAGE), 5, "and through a private mapping");
	is(mmun_soft_pwrite(file, &word, 8, PAGE + 8), 8, "what is written by descriptor");
	ok(soft_peek(mm, at + PAGE + 8) == word, "is seen by the mapping");
	is(seen.nr, 0, "a write by descriptor calls no notifier");
	soft_poke(mm, private + PAGE, 6);
	is(byte_of(file, PAGE), 5, "a private copy does not reach the file");
	mmu_notifier_unregister(&seen.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

static void test_holes(void)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = shmem(soft, 100 * PAGE);
	size_t before = soft_free_frames(soft);

	is(byte_of(file, 50 * PAGE), 0, "a hole of shmem reads as zero");
	is(soft_free_frames(soft), before, "and takes no frame");
	mmun_soft_file_put(file);
	mmun_soft_destroy(soft);
}

static void test_write_without_memory(void)
{
	const struct mmun_soft_params params = { .memory = 32 * PAGE };
	struct mmun_soft *soft = soft_machine(&params);
	struct file *file = shmem(soft, 0);
	static char data[64 * PAGE];
	long done;

	done = mmun_soft_pwrite(file, data, sizeof(data), 0);
	ok(done > 0 && done < (long)sizeof(data) && done % (long)PAGE == 0,
	   "a write ends where memory does");
	is(mmun_soft_file_size(file), done, "the file is as long as what was written");
	is(mmun_soft_pwrite(file, data, 1, 1ull << 30), -ENOMEM, "the next one has none at all");
	is(mmun_soft_file_size(file), done, "and does not extend the file");
	mmun_soft_file_put(file);
	mmun_soft_destroy(soft);
}

/* Every allocation fails once; the file is none the worse. */
static void test_failures(enum mmun_soft_file_kind kind)
{
	long live = mmun_alloc_live(), done;
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 0);
	char data[2 * PAGE];
	int failures = 0, ret = -1;

	memset(data, 7, sizeof(data));
	for (long nth = 1; ret; nth++) {
		fail_allocation(nth);
		done = mmun_soft_pwrite(file, data, sizeof(data), 1000);
		fail_allocation(0);
		failures += done < (long)sizeof(data);
		if (done < 0 && mmun_soft_file_size(file))
			bail_out("a failed write has extended the file");
		ret = done != sizeof(data);
		if (mmun_soft_ftruncate(file, 0))
			bail_out("cannot truncate to nothing");
	}
	ok(failures >= 3, "a write may fail at each of %d allocations", failures);
	mmun_soft_file_put(file);
	soft_gone(soft, live);
}

/* Truncate. */

static void test_truncate(enum mmun_soft_file_kind kind)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 8);
	struct mm_struct *mm = soft_new_mm(soft), *other = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 8, RW, MAP_SHARED, file);
	unsigned long private = soft_map(mm, 0, 8, RW, MAP_PRIVATE, file);
	unsigned long theirs = soft_map(other, 0, 8, PROT_READ, MAP_SHARED, file);
	size_t before;

	soft_tag(mm, at, 8, 10);
	is(soft_tagged(other, theirs, 8, 10), 8, "another address space maps it too");
	soft_poke(mm, private + 2 * PAGE, 77);
	soft_poke(mm, private + 5 * PAGE, 78);
	set_byte(mm, at + 3 * PAGE + 200, 9);
	before = soft_free_frames(soft);

	record(&seen, other);
	is(mmun_soft_ftruncate(file, 3 * PAGE + 100), 0, "truncate");
	is(seen.nr, 2, "notifies twice");
	for (int i = 0; i < 2; i++)
		ok(seen.event[i].start == theirs + 4 * PAGE &&
			   seen.event[i].end == theirs + 8 * PAGE &&
			   seen.event[i].class == MMU_NOTIFY_CLEAR &&
			   seen.event[i].op == MMUN_OP_TRUNCATE && seen.event[i].blockable,
		   "S1: an address space that did not ask, of all that goes");
	mmu_notifier_unregister(&seen.mn, other);
	is(soft_free_frames(soft) - before, 5, "four pages and a private copy are free");
	is(mmun_soft_file_size(file), 3 * PAGE + 100, "the size is what was asked for");
	is(get_byte(mm, at + 4 * PAGE), -SIGBUS, "beyond the end is SIGBUS");
	is(get_byte(mm, private + 5 * PAGE), -SIGBUS, "for a private copy, too");
	is(get_byte(mm, at + 3 * PAGE + 200), 0, "the rest of the last page is zero");
	is(get_byte(other, theirs + 3 * PAGE), 13, "its beginning stays");
	is(get_byte(mm, private + 2 * PAGE), 77, "a private copy before the end stays");

	is(mmun_soft_ftruncate(file, 8 * PAGE), 0, "growing again");
	is(get_byte(mm, at + 5 * PAGE), 0, "does not bring the old contents back");
	is(get_byte(mm, private + 5 * PAGE), 0, "nor those of the private copy");
	is(mmun_soft_ftruncate(file, 1ull << 63), -EINVAL, "no negative sizes");
	mmput(mm);
	mmput(other);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* What a mapping has written behind the end, when the end moves. */
static void test_behind_end(enum mmun_soft_file_kind kind)
{
	const bool disk = kind == MMUN_SOFT_FILE_REGULAR;
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 0);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 2, RW, MAP_SHARED, file);

	mmun_soft_ftruncate(file, 100);
	set_byte(mm, at + 200, 7);
	mmun_soft_ftruncate(file, 150);
	is(get_byte(mm, at + 200), disk ? 0 : 7, "growing inside the page");
	mmun_soft_ftruncate(file, 100);
	set_byte(mm, at + 200, 7);
	set_byte(mm, at + 300, 8);
	mmun_soft_pwrite(file, "x", 1, 250);
	is(get_byte(mm, at + 200), disk ? 0 : 7, "before a write behind the end");
	is(get_byte(mm, at + 300), 8, "behind that write");
	mmun_soft_ftruncate(file, 100);
	set_byte(mm, at + 200, 7);
	mmun_soft_pwrite(file, "x", 1, 5000);
	is(get_byte(mm, at + 200), disk ? 0 : 7, "a write to the next page");
	mmun_soft_ftruncate(file, 100);
	set_byte(mm, at + 200, 7);
	mmun_soft_ftruncate(file, 100);
	is(get_byte(mm, at + 200), 0, "the same size again");
	set_byte(mm, at + 200, 7);
	mmun_soft_fsync(file);
	is(get_byte(mm, at + 200), disk ? 0 : 7, "writing back");
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

static void test_punch(enum mmun_soft_file_kind kind)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = soft_new_file(soft, "f", kind, 8);
	struct mm_struct *mm = soft_new_mm(soft), *other = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 8, RW, MAP_SHARED, file);
	unsigned long private = soft_map(other, 0, 8, RW, MAP_PRIVATE, file);

	soft_tag(mm, at, 8, 10);
	is(soft_tagged(other, private, 8, 10), 8, "a private mapping elsewhere");
	soft_poke(other, private + 3 * PAGE, 99);
	record(&seen, other);
	is(mmun_soft_punch_hole(file, 2 * PAGE + 100, 3 * PAGE), 0, "punch");
	ok(seen.nr == 1 && seen.event[0].start == private + 3 * PAGE &&
		   seen.event[0].end == private + 5 * PAGE && seen.event[0].op == MMUN_OP_FALLOCATE,
	   "S1: notifies once, of the whole pages");
	is(get_byte(other, private + 3 * PAGE), 99, "private copies stay");
	is(get_byte(other, private + 4 * PAGE), 0, "other pages are zero there");
	is(get_byte(mm, at + 3 * PAGE), 0, "and here");
	is(get_byte(mm, at + 2 * PAGE), 12, "before the hole nothing changes");
	is(mmun_soft_file_size(file), 8 * PAGE, "nor does the size");
	set_byte(mm, at + 7 * PAGE + 50, 1);
	set_byte(mm, at + 7 * PAGE + 60, 2);
	forget(&seen);
	is(mmun_soft_punch_hole(file, 7 * PAGE + 50, 10), 0, "a hole inside a page");
	ok(!get_byte(mm, at + 7 * PAGE + 50) && get_byte(mm, at + 7 * PAGE + 60) == 2,
	   "zeroes just these bytes");
	is(seen.nr, 0, "and unmaps nothing");
	is(mmun_soft_punch_hole(file, 0, 0), -EINVAL, "an empty hole is refused");
	is(mmun_soft_punch_hole(file, 1ull << 63, 1), -EINVAL, "a negative offset as well");
	is(mmun_soft_punch_hole(file, INT64_MAX - 10, 100), -EFBIG, "and one too far");
	is(mmun_soft_punch_hole(file, 1ull << 40, 10), 0, "behind the end is fine");
	mmu_notifier_unregister(&seen.mn, other);
	mmput(mm);
	mmput(other);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Pages that have gone to swap or to the store are found by truncate as well. */
static void test_not_in_memory(enum mmun_soft_file_kind kind)
{
	const struct mmun_soft_params params = { .memory = 64 * PAGE, .swap = 64 * PAGE };
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(&params);
	struct file *file = soft_new_file(soft, "f", kind, 16);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 16, RW, MAP_SHARED, file);

	soft_tag(mm, at, 16, 30);
	is(mmun_soft_reclaim(soft, 64), 16, "all pages of the file are reclaimed");
	is(get_byte(mm, at + 9 * PAGE), 39, "one comes back");
	mmun_soft_reclaim(soft, 64);
	is(mmun_soft_ftruncate(file, 4 * PAGE + 4), 0, "truncate in the middle of one");
	is(soft_stats_of(soft).swap_slots - soft_stats_of(soft).swap_free,
	   kind == MMUN_SOFT_FILE_SHMEM ? 4 : 0, "no swap slot of what is gone is kept");
	is(get_byte(mm, at + 4 * PAGE), 34, "what is before the end comes back");
	is(mmun_soft_punch_hole(file, PAGE + 1, 10), 0, "a hole in one that is not in memory");
	is(get_byte(mm, at + PAGE), 31, "keeps its first byte");
	is(get_byte(mm, at + PAGE + 1), 0, "and zeroes the next");
	mmun_soft_ftruncate(file, 16 * PAGE);
	is(get_byte(mm, at + 9 * PAGE), 0, "what was dropped is zero");
	mmput(mm);
	mmun_soft_reclaim(soft, 64);
	mmun_soft_file_put(file);
	is(soft_stats_of(soft).swap_free, soft_stats_of(soft).swap_slots, "all slots are free");
	soft_gone(soft, live);
}

/* What needs a page for an edge fails before anything changes. */
static void test_no_memory_for_edge(enum mmun_soft_file_kind kind)
{
	const struct mmun_soft_params params = { .memory = 64 * PAGE, .swap = 64 * PAGE };
	struct mmun_soft *soft = soft_machine(&params);
	struct file *file = soft_new_file(soft, "f", kind, 4);
	char data[4 * PAGE], back[4 * PAGE];
	int ret[4], truncated, punched;

	memset(data, 7, sizeof(data));
	mmun_soft_pwrite(file, data, sizeof(data), 0);
	is(mmun_soft_reclaim(soft, 64), 4, "nothing is in memory");
	fail_allocation(1);
	ret[0] = mmun_soft_ftruncate(file, 3 * PAGE + 1);
	fail_allocation(1);
	ret[1] = mmun_soft_punch_hole(file, 1, 10);
	fail_allocation(2);
	ret[2] = mmun_soft_punch_hole(file, 1, 2 * PAGE);
	fail_allocation(1);
	ret[3] = (int)mmun_soft_pread(file, back, PAGE, PAGE);
	fail_allocation(0);
	for (int i = 0; i < 4; i++)
		is(ret[i], -ENOMEM, "without memory operation %d fails", i);
	ok(mmun_soft_file_size(file) == 4 * PAGE &&
		   mmun_soft_pread(file, back, sizeof(back), 0) == sizeof(back) &&
		   !memcmp(data, back, sizeof(back)),
	   "and nothing has changed");
	truncated = mmun_soft_ftruncate(file, 3 * PAGE + 1);
	punched = mmun_soft_punch_hole(file, 1, 10);
	is(truncated + punched, 0, "they succeed with memory");
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* Writing back. */

static void test_fsync(void)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = regular(soft, 8 * PAGE);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 8, RW, MAP_SHARED, file);
	unsigned long again = soft_map(mm, 0, 8, RW, MAP_SHARED, file);

	soft_tag(mm, at, 5, 1);
	soft_poke(mm, again, 1);
	soft_peek(mm, again + PAGE);
	record(&seen, mm);
	is(mmun_soft_fsync(file), 0, "fsync");
	is(single_pages(&seen, MMUN_OP_MKCLEAN, MMU_NOTIFY_PROTECTION_PAGE), 10,
	   "S1: one section per page and shared mapping of it");
	is(seen.nr, 10, "and no other");
	is(soft_stats_of(soft).cleaned, 5, "five pages were dirty");
	ok(soft_entry(mm, at).present && !soft_entry(mm, at).writable && !soft_entry(mm, at).dirty,
	   "they stay mapped, write-protected");
	forget(&seen);
	is(mmun_soft_fsync(file) + (int)seen.nr, 0, "a second one has nothing to do");
	soft_poke(mm, at, 50);
	is(seen.nr, 0, "making it writable again calls no notifier");
	is(mmun_soft_fsync(file), 0, "after a write");
	is(seen.nr, 2, "there is one page to clean");
	mmun_soft_pwrite(file, "w", 1, 7 * PAGE);
	mmun_soft_fsync(file);
	is(seen.nr, 2, "a page that nobody maps needs no protection");
	mmun_soft_reclaim(soft, 1000);
	is(get_byte(mm, at) + get_byte(mm, at + 7 * PAGE), 50 + 'w', "the store has it all");
	mmu_notifier_unregister(&seen.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

/* A second mapping of the file, notified of its cleaning when the first has been cleaned. */
struct late_writer {
	struct mmu_notifier mn;
	struct mm_struct *first;
	unsigned long at;
	bool done;
};

static void *write_late(void *arg)
{
	const struct late_writer *w = arg;

	soft_poke(w->first, w->at, 2);
	return NULL;
}

static int late_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct late_writer *w = mmun_container_of(mn, struct late_writer, mn);

	if (!w->done)
		pthread_join(spawn(write_late, w), NULL);
	w->done = true;
	return 0;
}

static void test_fsync_against_writer(void)
{
	static const struct mmu_notifier_ops ops = { .invalidate_range_start = late_start };
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = regular(soft, PAGE);
	struct mm_struct *first = soft_new_mm(soft), *second = soft_new_mm(soft);
	struct late_writer w = { .mn.ops = &ops, .first = first };

	w.at = soft_map(first, 0, 1, RW, MAP_SHARED, file);
	soft_map(second, 0, 1, RW, MAP_SHARED, file);
	soft_poke(first, w.at, 1);
	if (mmu_notifier_register(&w.mn, second))
		bail_out("cannot register");
	mmun_soft_fsync(file);
	ok(w.done && soft_entry(first, w.at).dirty, "written between write-protection and copy");
	mmun_soft_fsync(file);
	ok(!soft_entry(first, w.at).dirty && !soft_entry(first, w.at).writable,
	   "S1: the next fsync finds the page dirty");
	is(soft_stats_of(soft).cleaned, 2, "both have stored it");
	mmu_notifier_unregister(&w.mn, second);
	mmput(second);
	mmput(first);
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

static struct file *half_written;

static bool sync_half_written(size_t size)
{
	struct file *file = half_written;

	half_written = NULL;
	if (file)
		mmun_soft_fsync(file);
	return false;
}

static void test_fsync_against_write(void)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = regular(soft, 8);
	char data[PAGE];

	memset(data, 'y', sizeof(data));
	mmun_soft_pwrite(file, data, 8, 0);
	half_written = file;
	mmun_store_release(&mmun_alloc_fail, sync_half_written);
	is(mmun_soft_pwrite(file, data, PAGE, 8), (long)PAGE, "a write that extends the file");
	mmun_store_release(&mmun_alloc_fail, NULL);
	ok(!half_written && mmun_soft_file_size(file) == PAGE + 8, "written back half way");
	is(byte_of(file, 8) + byte_of(file, PAGE - 1) + byte_of(file, PAGE + 7), 3 * 'y',
	   "none of it is taken for what lies behind the end");
	mmun_soft_file_put(file);
	is(mmun_soft_destroy(soft), 0, "everything is gone");
}

static void test_fsync_shmem(void)
{
	struct mmun_soft *soft = soft_machine(NULL);
	struct file *file = shmem(soft, PAGE);
	struct mm_struct *mm = soft_new_mm(soft);
	unsigned long at = soft_map(mm, 0, 1, RW, MAP_SHARED, file);

	soft_poke(mm, at, 1);
	record(&seen, mm);
	is(mmun_soft_fsync(file), 0, "fsync of shmem succeeds");
	ok(!seen.nr && soft_entry(mm, at).writable, "and does nothing");
	mmu_notifier_unregister(&seen.mn, mm);
	mmput(mm);
	mmun_soft_file_put(file);
	mmun_soft_destroy(soft);
}

/* Devices. */

static int opened, flushed, released, refuse;

static int device_open(struct inode *inode, struct file *file)
{
	opened++;
	return refuse;
}

static int device_flush(struct file *file, void *id)
{
	flushed += !released;
	return 0;
}

static int device_release(struct inode *inode, struct file *file)
{
	released += file->private_data == &opened;
	return 0;
}

static int device_mmap(struct file *file, struct vm_area_struct *vma)
{
	return 0;
}

static const struct file_operations device_ops = {
	.mmap = device_mmap,
	.open = device_open,
	.flush = device_flush,
	.release = device_release,
};

static void test_device(void)
{
	long live = mmun_alloc_live();
	struct mmun_soft *soft = soft_machine(NULL);
	struct mm_struct *mm = soft_new_mm(soft);
	struct file *file;
	unsigned long at;
	char byte;

	is(mmun_soft_device_create(soft, "dev", NULL, NULL, &file), -EINVAL,
	   "no driver, no device");
	fail_allocation(2);
	is(mmun_soft_device_create(soft, "dev", &device_ops, NULL, &file), -ENOMEM, "no memory");
	fail_allocation(0);
	refuse = -EACCES;
	is(mmun_soft_device_create(soft, "dev", &device_ops, &opened, &file), -EACCES,
	   "the driver may refuse");
	refuse = 0;
	is(mmun_soft_device_create(soft, "dev", &device_ops, &opened, &file), 0, "or not");
	is(opened, 2, "it was asked");
	ok(file->private_data == &opened && file->f_op == &device_ops, "it finds its data");
	is(mmun_soft_pread(file, &byte, 1, 0), -EINVAL, "no read");
	is(mmun_soft_pwrite(file, &byte, 1, 0), -EINVAL, "no write");
	is(mmun_soft_ftruncate(file, 0), -EINVAL, "no size");
	is(mmun_soft_punch_hole(file, 0, 1), -ENODEV, "no holes");
	is(mmun_soft_fsync(file), -EINVAL, "nothing to write back");
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, file);
	mmun_soft_file_put(file);
	is(released, 0, "a mapping keeps it open");
	mmun_soft_munmap(mm, at, PAGE);
	ok(released == 1 && flushed == 1, "->flush, then ->release at the last put");
	mmput(mm);
	soft_gone(soft, live);
}

int main(void)
{
	test_create();
	for (int kind = MMUN_SOFT_FILE_REGULAR; kind <= MMUN_SOFT_FILE_SHMEM; kind++) {
		diag("%s", kind == MMUN_SOFT_FILE_SHMEM ? "shmem" : "regular file");
		test_read_write((enum mmun_soft_file_kind)kind);
		test_coherent((enum mmun_soft_file_kind)kind);
		test_failures((enum mmun_soft_file_kind)kind);
		test_truncate((enum mmun_soft_file_kind)kind);
		test_behind_end((enum mmun_soft_file_kind)kind);
		test_punch((enum mmun_soft_file_kind)kind);
		test_not_in_memory((enum mmun_soft_file_kind)kind);
		test_no_memory_for_edge((enum mmun_soft_file_kind)kind);
	}
	test_holes();
	test_write_without_memory();
	test_fsync();
	test_fsync_against_writer();
	test_fsync_against_write();
	test_fsync_shmem();
	test_device();
	return tap_done();
}
