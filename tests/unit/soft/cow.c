/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/fault/cow.c, gup.c: what is copied on write, what is reused, and what
 * pins and forced writes do about it.
 */
#include "recorder.h"

#include "fault/fault.h"
#include "table/table.h"
#include "vma/vma.h"

#define SAFE(event) ((bool)((event).flags & MMUN_RANGE_PINNED_SAFE))

static struct mmun_soft *soft;
static struct mm_struct *mm, *child;
static struct recorder events;
static long live;

static void begin(void)
{
	struct mmun_soft_params params = { .memory = 4096 * PAGE, .swap = 64 * PAGE };

	live = mmun_alloc_live();
	soft = soft_machine(&params);
	mm = soft_new_mm(soft);
	record(&events, mm);
}

static void end(void)
{
	stop_recording(&events, mm);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
	is(mmun_alloc_live(), live, "and leaves nothing behind");
}

static void make_child(void)
{
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	forget(&events);
}

static struct mmun_soft_stats stats(void)
{
	struct mmun_soft_stats out;

	mmun_soft_stats(soft, &out);
	return out;
}

static struct mmun_soft_entry entry_of(struct mm_struct *of, unsigned long address)
{
	struct mmun_soft_entry out;

	mmun_soft_pagemap(of, address, &out);
	return out;
}

/* get_user_pages() of one page. */
static long get(unsigned long address, unsigned int gup_flags, struct page **page)
{
	long ret;

	mmap_read_lock(mm);
	ret = mmun_soft_get_user_pages(mm, address, 1, gup_flags, page);
	mmap_read_unlock(mm);
	return ret;
}

static unsigned long word_of(const struct page *page)
{
	return *(unsigned long *)mmun_soft_page_address(page);
}

static void test_fork(void)
{
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	make_child();
	ok(entry_of(mm, at).pfn == entry_of(child, at).pfn, "parent and child share the page");
	is(entry_of(mm, at).mapcount, 2, "mapped twice");
	ok(!entry_of(mm, at).writable && !entry_of(child, at).writable, "read-only");
	soft_poke(child, at, 2);
	is(forget(&events), 0, "a write by the child is not the parent's business");
	is(soft_peek(mm, at), 1, "whose contents stay");
	soft_poke(mm, at, 3);
	is(forget(&events), 0, "the parent reuses the page that the child has left");
	is(stats().cow_reused, 1, "which is counted");
	is(soft_peek(child, at), 2, "each has its own");

	mmput(child);
	make_child();
	soft_poke(mm, at, 4);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1),
	   "with another child alive the parent's write replaces one page");
	is(soft_peek(child, at), 3, "the child keeps the old one");
	mmput(child);
	end();
}

static void test_reuse_after_exit(void)
{
	unsigned long at, pfn;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	pfn = entry_of(mm, at).pfn;
	make_child();
	mmput(child);
	soft_poke(mm, at, 2);
	is(forget(&events), 0, "when the child is gone no notifier is called");
	is(entry_of(mm, at).pfn, pfn, "the page is the same");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "read-only");
	is(mmun_soft_mprotect(mm, at, PAGE, RW), 0, "and back");
	forget(&events);
	soft_poke(mm, at, 3);
	is(forget(&events), 0, "a write after that calls no notifier either");
	is(stats().cow_copied, 0, "nothing was copied");
	end();
}

/* What a device has after fork. */
static void test_device_after_fork(void)
{
	struct mmun_soft_translation t;
	unsigned long at, value = 9;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	mmap_read_lock(mm);
	is(mmun_soft_translate(mm, at, true, &t), 0, "a device may write");
	mmap_read_unlock(mm);
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	is(events.nr, 1, "B23: fork notifies the parent's devices");
	ok(events.event[0].class == MMU_NOTIFY_PROTECTION_PAGE && events.event[0].start <= at &&
		   events.event[0].end >= at + PAGE && events.event[0].ended,
	   "B23: that the page is write-protected");
	ok(mmun_soft_translate_present(mm, at, &t) == 0 && !t.writable,
	   "B23: a translation made now does not write");
	is(soft_peek(child, at), 0, "B23: the child has what was there");
	forget(&events);
	mmap_read_lock(mm);
	is(mmun_soft_translate(mm, at, true, &t), 0, "B23: to write again");
	mmap_read_unlock(mm);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1), "B23: takes a copy");
	is(mmun_soft_device_write(mm, at, &t, &value, sizeof(value)), 0, "B23: which is written");
	is(soft_peek(child, at), 0, "B23: without the child seeing it");
	is(soft_peek(mm, at), 9, "B23: but the parent does");
	mmput(child);
	end();
}

static void test_force(void)
{
	struct file *file;
	struct page *page;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	is(mmun_soft_mprotect(mm, at, 2 * PAGE, PROT_READ), 0, "read-only");
	forget(&events);
	is(get(at, FOLL_WRITE, &page), -EFAULT, "a write is refused");
	is(get(at, FOLL_WRITE | FOLL_FORCE, &page), 1, "unless forced");
	is(forget(&events), 0, "a forced write to an own page calls no notifier");
	ok(!entry_of(mm, at).writable && entry_of(mm, at).dirty, "the entry stays read-only");
	*(unsigned long *)mmun_soft_page_address(page) = 2;
	mmun_soft_put_page(page);
	is(soft_peek(mm, at), 2, "the write is seen");
	is(get(at + PAGE, FOLL_WRITE | FOLL_FORCE, &page), 1, "a page that nobody touched");
	mmun_soft_put_page(page);
	ok(entry_of(mm, at + PAGE).present && !entry_of(mm, at + PAGE).writable,
	   "is made, read-only");
	make_child();
	is(get(at, FOLL_WRITE | FOLL_FORCE, &page), 1, "one that is shared after fork");
	mmun_soft_put_page(page);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1), "is copied");
	mmput(child);

	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	at = soft_map(mm, 0, 1, PROT_READ, MAP_SHARED, file);
	is(get(at, FOLL_WRITE | FOLL_FORCE, &page), -EFAULT, "a shared file is not forced");
	at = soft_map(mm, 0, 1, PROT_READ, MAP_PRIVATE, file);
	soft_peek(mm, at);
	is(get(at, FOLL_WRITE | FOLL_FORCE, &page), 1, "a private one is");
	mmun_soft_put_page(page);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1), "in a copy");
	at = soft_map(mm, 0, 1, PROT_NONE, PRIVATE, NULL);
	is(get(at, 0, &page), -EFAULT, "no access");
	is(get(at, FOLL_FORCE, &page), 1, "but by force");
	mmun_soft_put_page(page);
	mmun_soft_file_put(file);
	end();
}

static void test_pins_and_fork(void)
{
	struct page *page;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	is(get(at, FOLL_PIN | FOLL_WRITE, &page), 1, "a page is pinned");
	make_child();
	ok(entry_of(child, at).pfn != entry_of(mm, at).pfn, "fork copies it for the child");
	is(soft_peek(child, at), 1, "with its contents");
	soft_poke(mm, at, 2);
	is(forget(&events), 0, "the parent writes to it as before");
	is(word_of(page), 2, "and the pin's owner sees that");
	is(soft_peek(child, at), 1, "the child does not");
	mmun_soft_unpin_page(page);
	mmput(child);
	end();
}

static void test_unshare(void)
{
	struct page *page, *plain;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	soft_poke(mm, at + PAGE, 1);
	make_child();
	is(get(at, 0, &plain), 1, "a reference to a shared page");
	is(forget(&events), 0, "changes nothing");
	is(get(at, FOLL_PIN, &page), 1, "a pin");
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1), "takes a copy, even to read");
	ok(page != plain, "not the page that the child has");
	ok(!entry_of(mm, at).writable, "which is not writable yet");
	soft_poke(mm, at, 2);
	is(forget(&events), 0, "the write that makes it so calls no notifier");
	is(word_of(page), 2, "so the pin's owner sees it");
	is(word_of(plain), 1, "the one with a reference does not");
	mmun_soft_unpin_page(page);
	mmun_soft_put_page(plain);
	mmput(child);
	is(get(at + PAGE, FOLL_PIN, &page), 1, "with the child gone");
	is(forget(&events), 0, "a pin takes the page as it is");
	mmun_soft_unpin_page(page);
	end();
}

static void test_longterm(void)
{
	struct page *page;
	struct file *regular, *shmem;
	unsigned long at;

	begin();
	regular = soft_new_file(soft, "r", MMUN_SOFT_FILE_REGULAR, 2);
	shmem = soft_new_file(soft, "s", MMUN_SOFT_FILE_SHMEM, 2);
	at = soft_map(mm, 0, 2, RW, MAP_PRIVATE, regular);
	is(get(at, FOLL_PIN, &page), 1, "a short pin to read a private mapping");
	is(forget(&events), 0, "takes the file's page");
	soft_poke(mm, at, 1);
	is(events.nr, 1, "a write leaves it behind");
	ok(!SAFE(events.event[0]), "which is not said to be safe for pins");
	forget(&events);
	is(word_of(page), 0, "its owner does not see the write");
	mmun_soft_unpin_page(page);
	is(get(at + PAGE, FOLL_PIN | FOLL_LONGTERM, &page), 1, "a pin for long");
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at + PAGE, 1), "takes a copy");
	soft_poke(mm, at + PAGE, 2);
	is(forget(&events), 0, "a write");
	is(word_of(page), 2, "goes there");
	mmun_soft_unpin_page(page);

	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	is(get(at, FOLL_PIN | FOLL_LONGTERM, &page), 1, "of untouched memory");
	soft_poke(mm, at, 3);
	is(word_of(page), 3, "too");
	mmun_soft_unpin_page(page);
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, regular);
	is(get(at, FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE, &page), -EFAULT,
	   "a file that is written back is not pinned for long to be written");
	is(get(at, FOLL_PIN | FOLL_LONGTERM, &page), 1, "to be read it is");
	mmun_soft_unpin_page(page);
	is(get(at, FOLL_PIN | FOLL_WRITE, &page), 1, "for short it is");
	mmun_soft_unpin_page(page);
	at = soft_map(mm, 0, 1, RW, MAP_SHARED, shmem);
	is(get(at, FOLL_PIN | FOLL_LONGTERM | FOLL_WRITE, &page), 1, "memory is");
	mmun_soft_unpin_page(page);
	mmun_soft_file_put(shmem);
	mmun_soft_file_put(regular);
	end();
}

static void test_ksm(void)
{
	unsigned long at, pages = 4;

	begin();
	at = soft_map(mm, 0, pages, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < pages; i++)
		soft_poke(mm, at + i * PAGE, 5);
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_MERGEABLE), 0, "mergeable");
	for (int i = 0; i < 4 && !entry_of(mm, at).ksm; i++)
		mmun_soft_ksm_scan(soft);
	ok(entry_of(mm, at).ksm && entry_of(mm, at).pfn == entry_of(mm, at + PAGE).pfn,
	   "equal pages are one");
	forget(&events);
	soft_poke(mm, at, 6);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1), "a write copies it apart");
	is(soft_peek(mm, at + PAGE), 5, "the others stay");
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_UNMERGEABLE), 0, "unmergeable");
	is(forget(&events), 3, "copies each of the rest apart");
	is(stats().ksm_unmerged, 4, "which is counted");
	ok(!entry_of(mm, at + PAGE).ksm && !entry_of(mm, at + 3 * PAGE).ksm, "all are plain");
	is(soft_peek(mm, at + 3 * PAGE), 5, "and keep their contents");
	end();
}

static void test_huge(void)
{
	unsigned long at = 0x40000000, pages = MMUN_SOFT_HUGE_PAGES;

	begin();
	soft_map(mm, at, pages, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_HUGEPAGE), 0, "huge pages are wanted");
	soft_poke(mm, at, 1);
	ok(entry_of(mm, at).huge, "there is one");
	make_child();
	mmput(child);
	soft_poke(mm, at + PAGE, 2);
	is(forget(&events), 0, "when the child is gone it is reused");
	ok(entry_of(mm, at).huge && entry_of(mm, at).writable, "whole");
	end();
}

/* Of two threads that write to a huge page which became ours, the second one has looked at
 * the entry before the first one set it. */
static void test_huge_raced(void)
{
	struct soft_vm_fault vmf = { .address = 0x40000000, .flags = SOFT_FAULT_WRITE };
	unsigned long at = 0x40000000, pages = MMUN_SOFT_HUGE_PAGES;
	unsigned long raced;

	begin();
	soft_map(mm, at, pages, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_HUGEPAGE), 0, "huge pages are wanted");
	soft_poke(mm, at, 1);
	make_child();
	mmput(child);
	mmap_read_lock(mm);
	vmf.vma = mmun_soft_vma_find(soft_mm(mm), at);
	vmf.orig_pte = mmun_soft_pte_value(soft_mm(mm), at);
	mmap_read_unlock(mm);
	soft_poke(mm, at + PAGE, 2);
	forget(&events);
	raced = stats().faults_minor_raced;
	mmap_read_lock(mm);
	is(mmun_soft_do_wp_page(&vmf), 0, "the second of two writers looks again");
	mmap_read_unlock(mm);
	is(stats().faults_minor_raced, raced + 1, "which is counted");
	is(forget(&events), 0, "and splits nothing");
	ok(entry_of(mm, at).huge && entry_of(mm, at).writable, "the page is whole");
	end();
}

/* What happens while the section of a copy opens. */
static unsigned int meanwhile;
static struct page *got;

static void get_meanwhile(struct recorder *r, const struct mmu_notifier_range *range)
{
	r->in_start = NULL;
	/* The faulting thread holds the mmap lock. */
	if (mmun_soft_get_user_pages(mm, range->start, 1, meanwhile, &got) != 1)
		bail_out("cannot get the page");
}

static void test_pinned_meanwhile(void)
{
	struct file *file;
	unsigned long at;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	at = soft_map(mm, 0, 1, RW, MAP_PRIVATE, file);
	soft_peek(mm, at);
	meanwhile = FOLL_PIN;
	events.in_start = get_meanwhile;
	soft_poke(mm, at, 1);
	is(events.nr, 2, "a page that is pinned while its copy is announced as safe for pins");
	ok(SAFE(events.event[0]) && events.event[0].unchanged, "is not replaced then");
	ok(!SAFE(events.event[1]) && !events.event[1].unchanged, "but in a section that says so");
	is(soft_peek(mm, at), 1, "and the write is done");
	mmun_soft_unpin_page(got);
	mmun_soft_file_put(file);
	end();
}

static void test_overtaken(void)
{
	struct page *other;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_peek(mm, at);
	meanwhile = FOLL_WRITE;
	events.in_start = get_meanwhile;
	soft_poke(mm, at, 1);
	is(events.nr, 2, "a copy that another fault overtakes");
	ok(events.event[0].unchanged != events.event[1].unchanged, "changes nothing");
	is(word_of(got), 1, "the write goes to the page that the other one made");
	is(stats().faults_minor_raced, 1, "which is counted");
	is(get(at, 0, &other), 1, "there is");
	ok(other == got, "one page");
	mmun_soft_put_page(other);
	mmun_soft_put_page(got);
	end();
}

static void test_shared_again(void)
{
	struct page *page;
	unsigned long at = 0x40000000;

	begin();
	soft_map(mm, at, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	mmun_soft_madvise(mm, at, MMUN_SOFT_HUGE_SIZE, MADV_HUGEPAGE);
	soft_poke(mm, at, 1);
	make_child();
	mmput(child);
	is(get(at + 5 * PAGE, 0, &page), 1, "somebody has a part of a huge page");
	soft_poke(mm, at, 2);
	is(events.nr, 1, "a write splits it");
	is(events.event[0].op, MMUN_OP_HUGE_SPLIT, "as not all of it is known to be ours");
	forget(&events);
	soft_poke(mm, at + 5 * PAGE, 2);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at + 5 * PAGE, 1),
	   "that part is copied");
	mmun_soft_put_page(page);
	end();
}

/* Parent and child write the same pages at once. */
#define RACE_PAGES 32
#define ROUNDS     40

struct writer {
	struct mm_struct *mm;
	unsigned long at, tag;
};

static void *write_all(void *arg)
{
	struct writer *writer = arg;

	for (unsigned long i = 0; i < RACE_PAGES; i++)
		soft_poke(writer->mm, writer->at + i * PAGE, writer->tag);
	return NULL;
}

static unsigned long differing(const struct writer *writer)
{
	unsigned long wrong = 0;

	for (unsigned long i = 0; i < RACE_PAGES; i++)
		wrong += soft_peek(writer->mm, writer->at + i * PAGE) != writer->tag;
	return wrong;
}

static void test_race(void)
{
	struct writer parent, other;
	unsigned long wrong = 0;
	size_t before;
	pthread_t thread;

	begin();
	before = soft_free_frames(soft);
	parent.mm = mm;
	parent.at = other.at = soft_map(mm, 0, RACE_PAGES, RW, PRIVATE, NULL);
	for (unsigned long round = 0; round < ROUNDS; round++) {
		parent.tag = 2 * round + 1;
		other.tag = 2 * round + 2;
		make_child();
		other.mm = child;
		thread = spawn(write_all, &other);
		write_all(&parent);
		pthread_join(thread, NULL);
		wrong += differing(&parent) + differing(&other);
		mmput(child);
	}
	is(wrong, 0, "no write is lost or seen by the other when both copy at once");
	is(before - soft_free_frames(soft), RACE_PAGES, "no frame is lost");
	end();
}

int main(void)
{
	test_fork();
	test_reuse_after_exit();
	test_device_after_fork();
	test_force();
	test_pins_and_fork();
	test_unshare();
	test_longterm();
	test_ksm();
	test_huge();
	test_huge_raced();
	test_pinned_meanwhile();
	test_overtaken();
	test_shared_again();
	test_race();
	return tap_done();
}
