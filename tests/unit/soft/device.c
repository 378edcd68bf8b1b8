/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{fault/device,fault/gup,frame/page}.c: translations and the checker of accesses
 * through them, get_user_pages.
 */
#include <mmunotify/seq.h>

#include "checked.h"

static void test_translate(void)
{
	struct mmun_soft_translation t = { 0 };
	unsigned long at, value = 0;

	begin();
	at = soft_map(mm, 0x10000000, 4, RW, PRIVATE, NULL);
	is(mmun_soft_translate_present(mm, at, &t), -ENOENT, "nothing is present yet");
	is(stats().faults, 0, "and looking does not bring it in");
	is(translate(at, false, &t), 0, "a translation to read does");
	ok(!t.writable && !t.huge, "of the zero page, which is not written");
	is(mmun_soft_device_read(mm, at + 16, &t, &value, sizeof(value)), 0, "a device reads");
	is(value, 0, "zeros");
	is(translate(at, true, &t), 0, "a translation to write");
	ok(t.writable, "is writable");
	value = 5;
	is(mmun_soft_device_write(mm, at + 16, &t, &value, sizeof(value)), 0, "a device writes");
	is(soft_peek(mm, at + 16), 5, "and memory has it");
	is(translate(at, false, &t), 0, "a translation to read of a page that is written");
	ok(t.writable, "may be used to write");
	is(mmun_soft_translate_present(mm, at, &t), 0, "it is present");
	ok(t.writable && t.page, "and found without a fault");
	is(mmun_soft_translate_present(mm, at + (1ul << 48), &t), -ENOENT,
	   "not by an address that is the same in its lower 48 bits");
	is(stats().device_reads, 1, "reads are counted");
	is(stats().device_writes, 1, "writes too");

	is(translate(at - 1, false, &t), -EFAULT, "no mapping, no translation");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "read-only");
	is(translate(at, true, &t), -EFAULT, "is not translated to write");
	is(translate(at, false, &t), 0, "to read it is");
	ok(!t.writable, "without the right to write");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_NONE), 0, "without rights");
	is(translate(at, false, &t), -EFAULT, "there is none");
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_NOHUGEPAGE), 0, "advice does not mind");
	soft_poke(mm, at + PAGE, 1);
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_FREE), 0, "a page that may be dropped");
	t = translation(at + PAGE, false);
	ok(!t.writable, "is not written through a translation to read: the write could be lost");
	t = translation(at + PAGE, true);
	ok(t.writable, "one to write makes it dirty first");
	is(violations, 0, "nobody did wrong");
	end();
}

/* A device access with @t is refused as @kind, with nothing transferred. */
static void caught(const char *what, unsigned long at, const struct mmun_soft_translation *t,
		   bool write, enum mmun_soft_violation_kind kind)
{
	unsigned long value = 0x5555, pfn = mmun_soft_page_pfn(t->page);
	unsigned long before = word_of(t->page);
	long nr = violations;
	int ret = write ? mmun_soft_device_write(mm, at, t, &value, sizeof(value))
			: mmun_soft_device_read(mm, at, t, &value, sizeof(value));

	is(ret, -EFAULT, "%s: the access is refused", what);
	is(violations, nr + 1, "%s: and reported", what);
	is(last.kind, kind, "%s: as what it is", what);
	ok(last.mm == mm && last.address == at && last.pfn == pfn && last.write == write,
	   "%s: with the place", what);
	ok(value == 0x5555 && word_of(t->page) == before, "%s: nothing is transferred", what);
}

static void test_violations(void)
{
	struct mmun_soft_translation t;
	struct mm_struct *child;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 8, RW, PRIVATE, NULL);
	t = translation(at, true);
	is(mmun_soft_munmap(mm, at, PAGE), 0, "unmapped");
	caught("unmapped", at, &t, false, MMUN_SOFT_FREED);
	is(word_of(t.page), 0xaaaaaaaaaaaaaaaa, "the frame reads as poison");
	soft_map(mm, at, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	caught("mapped again", at, &t, true, MMUN_SOFT_FREED);

	t = translation(at + PAGE, false);
	soft_poke(mm, at + PAGE, 1);
	caught("zero page written over", at + PAGE, &t, false, MMUN_SOFT_REPLACED);
	t = translation(at + PAGE, true);
	is(mmun_soft_migrate(mm, at + PAGE), 0, "migrated");
	caught("migrated", at + PAGE, &t, false, MMUN_SOFT_FREED);
	t = translation(at + PAGE, true);
	is(mmun_soft_madvise(mm, at + PAGE, PAGE, MADV_PAGEOUT), 0, "swapped out");
	caught("swapped out", at + PAGE, &t, false, MMUN_SOFT_FREED);

	t = translation(at + 2 * PAGE, true);
	is(mmun_soft_mprotect(mm, at + 2 * PAGE, PAGE, PROT_READ), 0, "protected");
	caught("protected", at + 2 * PAGE, &t, true, MMUN_SOFT_WRITE_PROTECTED);
	t = translation(at + 3 * PAGE, true);
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	caught("B23: after fork", at + 3 * PAGE, &t, true, MMUN_SOFT_WRITE_PROTECTED);
	t = translation(at + 3 * PAGE, false);
	caught("never writable", at + 3 * PAGE, &t, true, MMUN_SOFT_WRITE_PROTECTED);
	soft_poke(mm, at + 3 * PAGE, 2);
	caught("copied", at + 3 * PAGE, &t, false, MMUN_SOFT_REPLACED);
	mmput(child);
	is(stats().violations, violations, "all are counted");
	end();
}

/* PROT_NONE keeps the frame, and takes it away from a device. */
static void test_no_access(void)
{
	struct mmun_soft_translation t, shared;
	struct file *file;
	unsigned long at, there, value = 0, faults;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 1);
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	there = soft_map(mm, 0, 1, RW, MAP_SHARED, file);
	soft_poke(mm, at, 3);
	soft_poke(mm, there, 4);
	t = translation(at, true);
	shared = translation(there, true);
	is(mmun_soft_mprotect(mm, at, 2 * PAGE, PROT_NONE), 0, "PROT_NONE");
	is(mmun_soft_mprotect(mm, there, PAGE, PROT_NONE), 0, "of a file too");
	caught("PROT_NONE: a read", at, &t, false, MMUN_SOFT_NO_ACCESS);
	caught("PROT_NONE: a write", at, &t, true, MMUN_SOFT_NO_ACCESS);
	caught("PROT_NONE: of a file", there, &shared, false, MMUN_SOFT_NO_ACCESS);
	ok(entry_of(at).present && entry_of(at).pfn == mmun_soft_page_pfn(t.page),
	   "the frame is kept");
	is(mmun_soft_translate_present(mm, at, &t), -ENOENT, "but not translated");
	is(mmun_soft_read(mm, at, &value, sizeof(value), NULL), -EFAULT, "nor read");

	faults = stats().faults;
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "PROT_READ gives back");
	is(soft_peek(mm, at), 3, "what was there");
	is(mmun_soft_mprotect(mm, there, PAGE, PROT_READ), 0, "of the file");
	is(soft_peek(mm, there), 4, "as well");
	is(stats().faults, faults, "without a fault");
	is(mmun_soft_translate_present(mm, at, &t), 0, "it is translated again");
	is(mmun_soft_device_read(mm, at, &t, &value, sizeof(value)), 0, "a device reads");
	is(value, 3, "it");
	caught("PROT_READ: a write", at, &t, true, MMUN_SOFT_WRITE_PROTECTED);
	mmun_soft_file_put(file);
	end();
}

/* [at, at + PAGE) without rights: nothing is translated; @value is what comes back with them. */
static void came_back(const char *what, struct mm_struct *of, unsigned long at, unsigned long value)
{
	struct mmun_soft_translation t;
	struct mmun_soft_entry entry;

	mmun_soft_pagemap(of, at, &entry);
	ok(entry.present, "%s: the page is there", what);
	is(mmun_soft_translate_present(of, at, &t), -ENOENT, "%s: without access", what);
	is(mmun_soft_mprotect(of, at, PAGE, PROT_READ), 0, "%s: rights come back", what);
	is(mmun_soft_translate_present(of, at, &t), 0, "%s: and the translation", what);
	is(soft_peek(of, at), value, "%s: and the contents", what);
}

/* Whatever happens to a page meanwhile, its entry goes on to permit nothing. */
static void test_no_access_stays(void)
{
	struct page *pinned, *page;
	struct mm_struct *child;
	unsigned long at, to;

	begin();
	at = soft_map(mm, 0, 8, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 8; i++)
		soft_poke(mm, at + i * PAGE, 10 + i);
	is(get(at + PAGE, 1, FOLL_WRITE | FOLL_PIN, &pinned), 1, "a pinned page");
	is(mmun_soft_madvise(mm, at + 4 * PAGE, 2 * PAGE, MADV_MERGEABLE), 0, "two that merge");
	soft_poke(mm, at + 5 * PAGE, 14);
	is(mmun_soft_mprotect(mm, at, 8 * PAGE, PROT_NONE), 0, "PROT_NONE");
	is(mmun_soft_migrate(mm, at), 0, "a page migrates");
	came_back("migrated", mm, at, 10);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	came_back("pinned, copied by fork", child, at + PAGE, 11);
	came_back("forked", child, at + 2 * PAGE, 12);
	mmput(child);
	came_back("shared by fork", mm, at + 2 * PAGE, 12);
	is(mmun_soft_ksm_scan(soft), 1, "pages merge");
	came_back("merged", mm, at + 4 * PAGE, 14);
	came_back("merged with", mm, at + 5 * PAGE, 14);
	is(mmun_soft_madvise(mm, at + 6 * PAGE, PAGE, MADV_PAGEOUT), 0, "a page is swapped");
	is(get(at + 6 * PAGE, 1, FOLL_FORCE, &page), 1, "and forced in");
	mmun_soft_put_page(page);
	came_back("swapped in by force", mm, at + 6 * PAGE, 16);
	is(get(at + 3 * PAGE, 1, FOLL_FORCE | FOLL_WRITE, &page), 1, "forced to be written");
	mmun_soft_put_page(page);
	came_back("shared, copied by force", mm, at + 3 * PAGE, 13);
	to = mmun_soft_mremap(mm, at + 7 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			      at + 32 * PAGE);
	is(to, at + 32 * PAGE, "a page moves");
	came_back("moved", mm, to, 17);
	to = soft_map(mm, 0, 2, PROT_NONE, PRIVATE, NULL);
	is(get(to, 1, FOLL_FORCE, &page), 1, "nothing, forced in");
	came_back("the zero page", mm, to, 0);
	is(get(to + PAGE, 1, FOLL_FORCE | FOLL_WRITE, &page), 1, "or to be written");
	mmun_soft_put_page(page);
	came_back("zeros", mm, to + PAGE, 0);
	mmun_soft_unpin_page(pinned);
	is(violations, 0, "nobody did wrong");
	end();
}

/* A second user keeps the frame: it is not freed, but not this address's any more. */
static void test_replaced_file_page(void)
{
	struct mmun_soft_translation t;
	struct file *file;
	unsigned long at;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, file);
	t = translation(at, true);
	is(mmun_soft_munmap(mm, at, PAGE), 0, "a file is unmapped");
	caught("file page", at, &t, false, MMUN_SOFT_REPLACED);
	mmun_soft_file_put(file);
	end();
}

/* A notifier without ->release whose device goes on after the last user has gone. */
static const struct mmu_notifier_ops no_ops;

static void test_after_exit(void)
{
	struct mmu_notifier mn = { .ops = &no_ops };
	struct mmun_soft_translation t;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	if (mmu_notifier_register(&mn, mm))
		bail_out("cannot register");
	t = translation(at, true);
	mmput(mm);
	caught("U9: after exit", at, &t, true, MMUN_SOFT_AFTER_EXIT);
	caught("U9: reading after exit", at, &t, false, MMUN_SOFT_AFTER_EXIT);
	is(mmun_soft_translate_present(mm, at, &t), -ENOENT, "U9: nothing is translated any more");
	mmu_notifier_unregister(&mn, mm);
	is(mmun_soft_destroy(soft), 0, "the machine goes");
}

static void stale_write(void *arg)
{
	struct mmun_soft_translation t;
	unsigned long at;

	soft = soft_machine(NULL);
	mm = soft_new_mm(soft);
	at = soft_map(mm, 0x10000000, 1, RW, PRIVATE, NULL);
	t = translation(at, true);
	mmun_soft_munmap(mm, at, PAGE);
	mmun_soft_device_write(mm, at, &t, "x", 1);
}

static void unpin_twice(void *arg)
{
	struct page *page;

	begin();
	page = mmun_soft_alloc_page(soft);
	mmun_soft_unpin_page(page);
}

static void cross_page(void *arg)
{
	struct mmun_soft_translation t;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	t = translation(at, true);
	mmun_soft_device_write(mm, at + PAGE - 1, &t, "xy", 2);
}

static void test_reports(void)
{
	char text[512];

	ok(exited_well(run_in_child(stale_write, NULL, text, sizeof(text))),
	   "without a function of its own");
	ok(strstr(text, "mmunotify: a secondary MMU writes to address 0x10000000 "
			"through a stale translation: freed frame (frame "),
	   "a violation is one sentence on stderr");
	ok(!strcmp(mmun_soft_violation_name(MMUN_SOFT_REPLACED), "replaced frame") &&
		   !strcmp(mmun_soft_violation_name(MMUN_SOFT_WRITE_PROTECTED),
			   "write-protected address") &&
		   !strcmp(mmun_soft_violation_name(MMUN_SOFT_AFTER_EXIT),
			   "address space that has ended") &&
		   !strcmp(mmun_soft_violation_name(MMUN_SOFT_NO_ACCESS), "address without access"),
	   "each kind has a name");
	ok(!strcmp(mmun_soft_violation_name((enum mmun_soft_violation_kind)99), "unknown"),
	   "what is no kind too");
	ok(aborted(run_in_child(unpin_twice, NULL, text, sizeof(text))) && strstr(text, "unpinned"),
	   "unpinning what is not pinned is misuse");
	ok(aborted(run_in_child(cross_page, NULL, text, sizeof(text))) &&
		   strstr(text, "crosses a page"),
	   "so is an access across pages");
}

static void test_get_user_pages(void)
{
	struct page *pages[4] = { NULL };
	unsigned long at, pfn;

	begin();
	at = soft_map(mm, 0x10000000, 3, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	is(get(at, 0, 0, pages), 0, "no pages are got anywhere");
	is(get(at + 5 * PAGE, 1, 0, pages), -EFAULT, "none where nothing is mapped");
	is(get(at + 123, 4, FOLL_WRITE, pages), 3, "as many as there are, from any address");
	is(word_of(pages[0]), 1, "with their contents");
	pfn = mmun_soft_page_pfn(pages[0]);
	ok(mmun_soft_pfn_page(soft, pfn) == pages[0], "a page has a number");
	ok(mmun_soft_pfn_page(soft, ~0ul >> 12) == NULL, "not every number has a page");
	is(mmun_soft_munmap(mm, at, 3 * PAGE), 0, "unmapped");
	is(word_of(pages[0]), 1, "a page that is held stays");
	mmun_soft_get_page(pages[0]);
	for (int i = 0; i < 3; i++)
		mmun_soft_put_page(pages[i]);
	is(word_of(pages[0]), 1, "as long as any holds it");
	mmun_soft_put_page(pages[0]);
	is(word_of(pages[0]), 0xaaaaaaaaaaaaaaaa, "then it is poison");

	at = soft_map(mm, 0x10000000, 1, PROT_WRITE, PRIVATE, NULL);
	is(get(at, 1, 0, pages), -EFAULT, "reading needs PROT_READ here");
	is(get(at, 1, FOLL_WRITE, NULL), 1, "pages need not be taken");
	at = soft_map(mm, 0x10000000, 1, RW, PRIVATE, NULL);
	is(get(at, 1, FOLL_PIN, pages), 1, "the zero page can be pinned");
	mmun_soft_set_page_dirty(pages[0]);
	mmun_soft_unpin_page(pages[0]);
	is(get(at, 1, 0, pages), 1, "and got");
	mmun_soft_put_page(pages[0]);
	is(soft_peek(mm, at), 0, "it stays zero");
	end();
}

static void test_pages(void)
{
	size_t before;
	struct page *page;

	begin();
	before = soft_free_frames(soft);
	page = mmun_soft_alloc_page(soft);
	ok(page && !word_of(page), "a page of a driver's own is zero");
	is(soft_free_frames(soft), before - 1, "and a frame");
	mmun_soft_set_page_dirty(page);
	mmun_soft_put_page(page);
	is(soft_free_frames(soft), before, "that goes back");
	fail_allocation(1);
	ok(!mmun_soft_alloc_page(soft), "or there is none");
	fail_allocation(0);
	end();
}

/* A device that keeps the contract, while another thread changes everything. */
#define BUSY_PAGES 16
#define ROUNDS     3000

struct good_device {
	struct mmu_notifier mn;
	pthread_mutex_t lock;
	struct mmun_seq seq;
	struct mmun_soft_translation cached[BUSY_PAGES];
	bool valid[BUSY_PAGES];
	unsigned long at;
	long stop, accesses;
};

static int good_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct good_device *device = mmun_container_of(mn, struct good_device, mn);

	pthread_mutex_lock(&device->lock);
	mmun_seq_start(&device->seq);
	for (unsigned long i = 0; i < BUSY_PAGES; i++)
		if (device->at + i * PAGE >= range->start && device->at + i * PAGE < range->end)
			device->valid[i] = false;
	pthread_mutex_unlock(&device->lock);
	return 0;
}

static void good_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	mmun_seq_end(&mmun_container_of(mn, struct good_device, mn)->seq);
}

static const struct mmu_notifier_ops good_ops = {
	.invalidate_range_start = good_start,
	.invalidate_range_end = good_end,
};

static void look_up(struct good_device *device, unsigned long i, bool write)
{
	struct mmun_soft_translation t;
	unsigned long seq;

	if (!mmun_seq_begin(&device->seq, &seq) || translate(device->at + i * PAGE, write, &t))
		return;
	pthread_mutex_lock(&device->lock);
	if (!mmun_seq_retry(&device->seq, seq)) {
		device->cached[i] = t;
		device->valid[i] = true;
	}
	pthread_mutex_unlock(&device->lock);
}

static void *drive(void *arg)
{
	struct good_device *device = arg;
	unsigned long i = 0, value = 0;

	while (!mmun_load_full(&device->stop)) {
		bool write = i++ & 1;
		unsigned long n = i / 2 % BUSY_PAGES, address = device->at + n * PAGE;
		struct mmun_soft_translation *t = &device->cached[n];

		pthread_mutex_lock(&device->lock);
		if (device->valid[n] && (!write || t->writable)) {
			if (write)
				mmun_soft_device_write(mm, address, t, &value, sizeof(value));
			else
				mmun_soft_device_read(mm, address, t, &value, sizeof(value));
			count(&device->accesses);
			pthread_mutex_unlock(&device->lock);
			continue;
		}
		pthread_mutex_unlock(&device->lock);
		look_up(device, n, write);
	}
	return NULL;
}

static void disturb(struct good_device *device, unsigned long i)
{
	unsigned long address = device->at + i % BUSY_PAGES * PAGE;
	struct mm_struct *child;

	switch (i * 7 % 6) {
	case 0:
		mmun_soft_madvise(mm, address, 2 * PAGE, MADV_DONTNEED);
		break;
	case 1:
		soft_map(mm, address, 1, RW, PRIVATE, NULL);
		break;
	case 2:
		if (!mmun_soft_mm_fork(mm, &child))
			mmput(child);
		break;
	case 3:
		mmun_soft_madvise(mm, address, PAGE, MADV_PAGEOUT);
		break;
	case 4:
		mmun_soft_mprotect(mm, address, PAGE, PROT_READ);
		mmun_soft_mprotect(mm, address, PAGE, RW);
		break;
	default:
		mmun_soft_migrate(mm, address);
	}
}

static void test_contract(void)
{
	struct good_device device = { .mn.ops = &good_ops, .lock = PTHREAD_MUTEX_INITIALIZER };
	pthread_t thread;

	begin();
	device.at = soft_map(mm, 0x10000000, BUSY_PAGES + 1, RW, PRIVATE, NULL);
	if (mmu_notifier_register(&device.mn, mm))
		bail_out("cannot register");
	thread = spawn(drive, &device);
	for (unsigned long i = 0; i < ROUNDS || !counted(&device.accesses); i++)
		disturb(&device, i);
	mmun_store_full(&device.stop, 1);
	pthread_join(thread, NULL);
	mmu_notifier_unregister(&device.mn, mm);
	is(violations, 0, "S5: a device that keeps the contract is never caught");
	diag("%ld accesses", device.accesses);
	end();
}

int main(void)
{
	test_translate();
	test_violations();
	test_no_access();
	test_no_access_stays();
	test_replaced_file_page();
	test_after_exit();
	test_reports();
	test_get_user_pages();
	test_pages();
	test_contract();
	return tap_done();
}
