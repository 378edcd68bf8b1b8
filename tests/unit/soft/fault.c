/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/{fault/fault,fault/file,fault/access,section}.c: bringing pages in, what an
 * access is refused for, and what notifiers hear of it.
 */
#include "recorder.h"

#define SHARED_RW(mm, pages, file) soft_map((mm), 0, (pages), RW, MAP_SHARED, (file))

static struct mmun_soft *soft;
static struct mm_struct *mm;
static struct recorder events;
static long live;

static void begin_with(const struct mmun_soft_params *params)
{
	live = mmun_alloc_live();
	soft = soft_machine(params);
	mm = soft_new_mm(soft);
	record(&events, mm);
}

static void begin(void)
{
	begin_with(&(struct mmun_soft_params){ .memory = 4096 * PAGE, .swap = 256 * PAGE });
}

static void end(void)
{
	stop_recording(&events, mm);
	mmput(mm);
	is(mmun_soft_destroy(soft), 0, "the machine has nothing left");
	is(mmun_alloc_live(), live, "and leaves nothing behind");
}

static struct mmun_soft_stats stats(void)
{
	struct mmun_soft_stats out;

	mmun_soft_stats(soft, &out);
	return out;
}

static struct mmun_soft_entry entry(unsigned long address)
{
	struct mmun_soft_entry out;

	mmun_soft_pagemap(mm, address, &out);
	return out;
}

static void test_anonymous(void)
{
	unsigned long at;
	struct mmun_soft_entry e;

	begin();
	at = soft_map(mm, 0, 4, RW, PRIVATE, NULL);
	is(soft_peek(mm, at), 0, "untouched memory reads as zero");
	ok(entry(at).present && entry(at).zero && !entry(at).writable, "through the zero page");
	is(stats().zero_mapped, 1, "which is counted");
	is(forget(&events), 0, "a first read calls no notifier");
	soft_poke(mm, at, 1);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1),
	   "a write over the zero page clears one page");
	is(soft_peek(mm, at), 1, "and arrives");
	e = entry(at);
	ok(e.writable && e.dirty && e.young && e.soft_dirty && !e.zero, "in a page of its own");
	is(e.refcount, 1, "that has one reference");
	is(e.mapcount, 1, "and one mapping");

	soft_poke(mm, at + PAGE + 8, 2);
	is(forget(&events), 0, "a first write calls no notifier");
	is(soft_peek(mm, at + PAGE), 0, "the rest of its page is zero");
	is(stats().anon_filled, 1, "it filled one page");
	soft_poke(mm, at + PAGE, 3);
	is(stats().faults, 3, "a second write does not fault");
	end();
}

static void test_flags_of_sections(void)
{
	struct mm_struct *child;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_peek(mm, at);
	soft_poke(mm, at + PAGE, 1);
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	forget(&events);
	soft_poke(mm, at, 1);
	soft_poke(mm, at + PAGE, 1);
	is(events.nr, 2, "two sections");
	is(events.event[0].flags, MMU_NOTIFIER_RANGE_BLOCKABLE | MMUN_RANGE_READ_LOCKED,
	   "over the zero page: blockable, in a read section, and pins of it are not safe");
	is(events.event[1].flags,
	   MMU_NOTIFIER_RANGE_BLOCKABLE | MMUN_RANGE_READ_LOCKED | MMUN_RANGE_PINNED_SAFE,
	   "over a page without pins: pinned pages stay");
	ok(!events.event[0].unchanged && !events.event[1].unchanged, "both changed something");
	mmput(child);
	end();
}

/* An access of @length at @address is refused. */
static void refused(unsigned long address, size_t length, bool write, int signal, int code,
		    unsigned long at, const char *reason)
{
	struct mmun_soft_fault fault = { 0 };
	char buffer[3 * PAGE] = "";
	int ret = write ? mmun_soft_write(mm, address, buffer, length, &fault)
			: mmun_soft_read(mm, address, buffer, length, &fault);

	is(ret, -EFAULT, "%s: -EFAULT", reason);
	is(fault.signal, signal, "%s: the signal", reason);
	is(fault.code, code, "%s: its code", reason);
	is(fault.address, at, "%s: the first byte that cannot be accessed", reason);
	ok(fault.reason && !strcmp(fault.reason, reason), "%s: says so", reason);
}

static void test_refusals(void)
{
	unsigned long at, none = 0x10000000;
	struct mmun_soft_fault fault = { .signal = 1 };
	char byte = 0;

	begin();
	at = soft_map(mm, none + 16 * PAGE, 4, RW, PRIVATE, NULL);
	refused(none, 1, false, SIGSEGV, SEGV_MAPERR, none, "no mapping there");
	refused(none + 5, 1, true, SIGSEGV, SEGV_MAPERR, none + 5, "no mapping there");
	refused(MMUN_SOFT_TASK_SIZE, 1, false, SIGSEGV, SEGV_MAPERR, MMUN_SOFT_TASK_SIZE,
		"no mapping there");
	refused(at + 4 * PAGE - 1, 2, true, SIGSEGV, SEGV_MAPERR, at + 4 * PAGE,
		"no mapping there");
	is(mmun_soft_mprotect(mm, at + PAGE, PAGE, PROT_READ), 0, "one page is read-only");
	refused(at + PAGE - 4, 8, true, SIGSEGV, SEGV_ACCERR, at + PAGE,
		"write to a read-only mapping");
	is(mmun_soft_mprotect(mm, at + 2 * PAGE, PAGE, PROT_NONE), 0, "one is not accessible");
	refused(at + 2 * PAGE - 1, 2, false, SIGSEGV, SEGV_ACCERR, at + 2 * PAGE,
		"the mapping permits no access");
	refused(at + 2 * PAGE, 1, true, SIGSEGV, SEGV_ACCERR, at + 2 * PAGE,
		"the mapping permits no access");
	is(mmun_soft_mprotect(mm, at + 3 * PAGE, PAGE, PROT_WRITE), 0, "one is write-only");
	is(mmun_soft_read(mm, at + 3 * PAGE, &byte, 1, &fault), 0,
	   "which on this processor can be read");
	is(fault.signal, 0, "an access that succeeds has no fault");
	is(mmun_soft_read(mm, none, NULL, 0, NULL), 0, "no bytes can be read anywhere");
	is(mmun_soft_read(mm, none, &byte, 1, NULL), -EFAULT, "the reason need not be asked for");
	is(stats().segv, 8, "refusals are counted");
	is(stats().sigbus, 0, "by signal");
	end();
}

static void test_partial_transfer(void)
{
	char text[] = "abcdefgh", back[9] = "";
	struct mmun_soft_fault fault;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	is(mmun_soft_write(mm, at + PAGE - 3, text, 8, &fault), 0, "a write crosses pages");
	is(mmun_soft_read(mm, at + PAGE - 3, back, 8, &fault), 0, "and is read back");
	ok(!strcmp(text, back), "whole");
	is(mmun_soft_write(mm, at + 2 * PAGE - 3, text, 8, &fault), -EFAULT,
	   "one that runs out of the mapping fails");
	is(mmun_soft_read(mm, at + 2 * PAGE - 3, back, 3, &fault), 0, "what lies below");
	ok(!strncmp(back, "abc", 3), "was written");
	end();
}

static void test_fetch(void)
{
	unsigned long at, value = 0x90909090;
	struct mmun_soft_fault fault;

	begin();
	at = soft_map(mm, 0, 2, RW, PRIVATE, NULL);
	soft_poke(mm, at, value);
	is(mmun_soft_fetch(mm, at, &value, 4, &fault), -EFAULT, "code needs PROT_EXEC");
	is(fault.code, SEGV_ACCERR, "else SEGV_ACCERR");
	is(mmun_soft_fetch(mm, at + PAGE, &value, 4, &fault), -EFAULT, "also where nothing was");
	ok(entry(at + PAGE).zero, "the page is there then, as on a processor");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_EXEC), 0, "with PROT_EXEC alone");
	is(mmun_soft_fetch(mm, at, &value, 4, &fault), 0, "it can be fetched");
	is(value & 0xffffffff, 0x90909090, "as it was written");
	is(mmun_soft_read(mm, at, &value, 4, &fault), 0, "and read");
	is(mmun_soft_write(mm, at, &value, 4, &fault), -EFAULT, "not written");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_NONE), 0, "without rights");
	is(mmun_soft_fetch(mm, at, &value, 4, &fault), -EFAULT, "it is not fetched");
	end();
}

static void test_shared_file(enum mmun_soft_file_kind kind, const char *name)
{
	struct file *file;
	unsigned long at, other_at, value = 7;
	struct mm_struct *other;

	begin();
	file = soft_new_file(soft, name, kind, 3);
	at = SHARED_RW(mm, 3, file);
	other = soft_new_mm(soft);
	other_at = SHARED_RW(other, 3, file);
	is(soft_peek(mm, at), 0, "%s: a new file reads as zero", name);
	ok(entry(at).file && !entry(at).writable, "%s: by a read-only entry", name);
	soft_poke(mm, at, 1);
	ok(entry(at).writable && entry(at).dirty, "%s: the write makes it writable", name);
	soft_poke(mm, at + PAGE, 2);
	is(forget(&events), 0, "%s: shared writes call no notifier", name);
	is(soft_peek(other, other_at), 1, "%s: the other mapping sees the write", name);
	is(mmun_soft_pread(file, &value, sizeof(value), PAGE), (long)sizeof(value),
	   "%s: so does a read by descriptor", name);
	is(value, 2, "%s: with the value", name);
	value = 3;
	is(mmun_soft_pwrite(file, &value, sizeof(value), 2 * PAGE), (long)sizeof(value),
	   "%s: a write by descriptor", name);
	is(soft_peek(mm, at + 2 * PAGE), 3, "%s: is seen in the mapping", name);
	is(forget(&events), 0, "%s: and calls no notifier", name);
	mmput(other);
	mmun_soft_file_put(file);
	end();
}

static void test_mkclean(void)
{
	struct file *file;
	unsigned long at;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 1);
	at = SHARED_RW(mm, 1, file);
	soft_poke(mm, at, 1);
	forget(&events);
	is(mmun_soft_fsync(file), 0, "the page is written back");
	ok(just_one(&events, MMU_NOTIFY_PROTECTION_PAGE, MMUN_OP_MKCLEAN, at, 1),
	   "write-protected first");
	ok(!entry(at).writable && !entry(at).dirty, "and is clean");
	is(mmun_soft_fsync(file), 0, "there is nothing more");
	is(forget(&events), 0, "to write");
	soft_poke(mm, at, 2);
	is(forget(&events), 0, "the next write makes it writable again, quietly");
	is(mmun_soft_fsync(file), 0, "which is found");
	is(forget(&events), 1, "by the next writeback");
	mmun_soft_file_put(file);
	end();
}

static void test_private_file(void)
{
	struct file *file;
	unsigned long at, value = 5;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 3);
	mmun_soft_pwrite(file, &value, sizeof(value), 0);
	mmun_soft_pwrite(file, &value, sizeof(value), PAGE);
	at = soft_map(mm, 0, 3, RW, MAP_PRIVATE, file);
	soft_poke(mm, at + 8, 6);
	is(forget(&events), 0, "a first write copies the page and calls no notifier");
	is(soft_peek(mm, at), 5, "the copy has the file's contents");
	is(soft_peek(mm, at + PAGE), 5, "a read maps the file's page");
	ok(entry(at + PAGE).file && !entry(at).file, "which is not a copy");
	soft_poke(mm, at + PAGE, 7);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at + PAGE, 1),
	   "a write after it replaces one page");
	is(mmun_soft_pread(file, &value, sizeof(value), PAGE), (long)sizeof(value), "the file");
	is(value, 5, "keeps what it had");
	value = 9;
	mmun_soft_pwrite(file, &value, sizeof(value), PAGE);
	is(soft_peek(mm, at + PAGE), 7, "the copy keeps what it has");
	is(stats().cow_copied, 2, "two copies were made");
	mmun_soft_file_put(file);
	end();
}

static void test_end_of_file(void)
{
	struct file *file;
	unsigned long at, private_at;
	const char *reason = "beyond the end of the file";

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 4);
	at = SHARED_RW(mm, 4, file);
	private_at = soft_map(mm, 0, 4, RW, MAP_PRIVATE, file);
	is(mmun_soft_ftruncate(file, PAGE + 10), 0, "the file ends in its second page");
	soft_poke(mm, at + PAGE + 16, 1);
	is(soft_peek(mm, at + PAGE + 16), 1, "the rest of that page can be used");
	refused(at + 2 * PAGE, 1, false, SIGBUS, BUS_ADRERR, at + 2 * PAGE, reason);
	refused(at + 2 * PAGE + 9, 1, true, SIGBUS, BUS_ADRERR, at + 2 * PAGE + 9, reason);
	refused(private_at + 2 * PAGE - 1, 2, true, SIGBUS, BUS_ADRERR, private_at + 2 * PAGE,
		reason);
	is(stats().sigbus, 3, "refusals are counted");
	is(mmun_soft_ftruncate(file, 4 * PAGE), 0, "when it grows again");
	is(soft_peek(mm, at + 3 * PAGE), 0, "the pages are there");
	mmun_soft_file_put(file);
	end();
}

static void test_nonlinear(void)
{
	struct file *file;
	unsigned long at;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 4);
	for (unsigned long i = 0; i < 4; i++)
		mmun_soft_pwrite(file, &(unsigned long){ i + 1 }, sizeof(long), i * PAGE);
	at = SHARED_RW(mm, 4, file);
	is(soft_peek(mm, at), 1, "linear at first");
	is(mmun_soft_remap_file_pages(mm, at, PAGE, 0, 3, 0), 0, "page 0 shows page 3");
	is(mmun_soft_remap_file_pages(mm, at + PAGE, PAGE, 0, 3, 0), 0, "page 1 too");
	is(soft_peek(mm, at), 4, "a fault finds the page that was chosen");
	is(soft_peek(mm, at + PAGE), 4, "twice");
	is(soft_peek(mm, at + 2 * PAGE), 3, "the others stay");
	soft_poke(mm, at, 40);
	is(soft_peek(mm, at + 3 * PAGE), 40, "and all are one page");
	mmun_soft_file_put(file);
	end();
}

static void test_swap(void)
{
	unsigned long at;
	struct mm_struct *child;

	begin();
	at = soft_map(mm, 0, 4, RW, PRIVATE, NULL);
	for (unsigned long i = 0; i < 4; i++)
		soft_poke(mm, at + i * PAGE, i + 1);
	is(mmun_soft_madvise(mm, at, 4 * PAGE, MADV_PAGEOUT), 0, "pages are swapped out");
	is(stats().swapped_out, 4, "all of them");
	ok(entry(at).swapped && !entry(at).present, "the entries say so");
	forget(&events);
	is(soft_peek(mm, at), 1, "a read brings the contents back");
	ok(entry(at).soft_dirty, "it counts as written as before");
	soft_poke(mm, at + PAGE + 8, 20);
	is(soft_peek(mm, at + PAGE), 2, "a write too");
	is(forget(&events), 0, "neither calls a notifier");
	soft_poke(mm, at, 11);
	is(forget(&events), 0, "and the page that was read can be written: it is ours alone");
	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	forget(&events);
	is(soft_peek(child, at + 2 * PAGE), 3, "a slot can be read by a child");
	soft_poke(mm, at + 2 * PAGE, 30);
	is(soft_peek(child, at + 2 * PAGE), 3, "and by the parent: each has its copy");
	is(soft_peek(mm, at + 2 * PAGE), 30, "and its own contents");
	is(forget(&events), 0, "without a section");
	is(stats().swapped_in, 4, "four pages came back");
	mmput(child);
	is(stats().swap_free, stats().swap_slots - 1, "one slot is in use");
	end();
}

static void test_stack(void)
{
	unsigned long top = 0x20000000, at = top - PAGE, value;
	struct mmun_soft_fault fault;

	begin();
	soft_map(mm, at, 1, RW, PRIVATE | MAP_GROWSDOWN, NULL);
	soft_map(mm, top - 2048 * PAGE, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at - 8, 1);
	is(soft_peek(mm, at - 8), 1, "the stack grows by a page");
	soft_poke(mm, top - 64 * PAGE, 2);
	is(soft_peek(mm, top - 64 * PAGE), 2, "or by many");
	is(mmun_soft_read(mm, top - 1900 * PAGE, &value, 8, &fault), -EFAULT,
	   "but not into the gap above the next mapping");
	is(fault.signal, SIGSEGV, "SIGSEGV");
	is(fault.code, SEGV_MAPERR, "SEGV_MAPERR");
	ok(!strcmp(fault.reason, "the mapping above cannot grow down to there"), "says so");
	is(mmun_soft_read(mm, top - 4096 * PAGE, &value, 8, &fault), -EFAULT,
	   "below the next mapping nothing grows");
	ok(!strcmp(fault.reason, "no mapping there"), "says so");
	is(forget(&events), 0, "no notifier was called");
	end();
}

static void test_huge(void)
{
	unsigned long at = 0x40000000, pages = 2 * MMUN_SOFT_HUGE_PAGES;
	struct mm_struct *child;

	begin();
	soft_map(mm, at, pages, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, pages * PAGE, MADV_HUGEPAGE), 0, "huge pages are wanted");
	soft_poke(mm, at + 5 * PAGE, 1);
	ok(entry(at).huge && entry(at).writable, "a first write takes one");
	is(stats().huge_filled, 1, "which is counted");
	is(soft_peek(mm, at + 6 * PAGE), 0, "it is zero");
	is(forget(&events), 0, "no notifier was called");
	is(mmun_soft_mprotect(mm, at, pages * PAGE, PROT_READ), 0, "read-only");
	is(mmun_soft_mprotect(mm, at, pages * PAGE, RW), 0, "and back");
	forget(&events);
	soft_poke(mm, at + 7 * PAGE, 1);
	ok(entry(at).huge && entry(at).writable, "the huge page becomes writable whole");
	is(forget(&events), 0, "which calls no notifier");

	if (mmun_soft_mm_fork(mm, &child))
		bail_out("cannot fork");
	forget(&events);
	soft_poke(mm, at + 5 * PAGE, 2);
	is(events.nr, 2, "a write to a shared huge page has two sections");
	is(events.event[0].op, MMUN_OP_HUGE_SPLIT, "the split");
	is(events.event[0].start, at, "of the whole");
	is(events.event[0].end, at + MMUN_SOFT_HUGE_SIZE, "2 MiB");
	is(events.event[1].op, MMUN_OP_COW, "and the copy");
	is(events.event[1].start, at + 5 * PAGE, "of one page");
	is(soft_peek(child, at + 5 * PAGE), 1, "the child keeps its contents");
	is(soft_peek(mm, at + 5 * PAGE), 2, "the parent has its own");
	mmput(child);
	end();
}

static void test_huge_place(void)
{
	unsigned long at = 0x40000000;

	begin_with(&(struct mmun_soft_params){ .memory = 4096 * PAGE, .huge_always = true });
	soft_map(mm, at + PAGE, MMUN_SOFT_HUGE_PAGES - 1, RW, PRIVATE, NULL);
	soft_poke(mm, at + PAGE, 1);
	ok(!entry(at + PAGE).huge, "a mapping that is not all of the 2 MiB gets small pages");
	soft_map(mm, at, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	ok(!entry(at).huge, "so does one that has small pages already");
	at += MMUN_SOFT_HUGE_SIZE;
	soft_map(mm, at, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	ok(entry(at).huge, "always means without being asked");
	at += MMUN_SOFT_HUGE_SIZE;
	soft_map(mm, at, MMUN_SOFT_HUGE_PAGES, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, MMUN_SOFT_HUGE_SIZE, MADV_NOHUGEPAGE), 0, "unless refused");
	soft_poke(mm, at, 1);
	ok(!entry(at).huge, "then pages are small");
	end();
}

static void test_populate(void)
{
	struct file *file;
	unsigned long at;

	begin();
	at = soft_map(mm, 0, 4, RW, PRIVATE | MAP_POPULATE, NULL);
	ok(entry(at).writable && entry(at + 3 * PAGE).writable,
	   "MAP_POPULATE makes private pages as if written");
	at = soft_map(mm, 0, 4, PROT_READ, PRIVATE | MAP_POPULATE, NULL);
	ok(entry(at).zero, "read-only ones as if read");
	at = soft_map(mm, 0, 4, RW, PRIVATE, NULL);
	is(mmun_soft_madvise(mm, at, 2 * PAGE, MADV_POPULATE_READ), 0, "MADV_POPULATE_READ");
	ok(entry(at).zero && !entry(at + 2 * PAGE).present, "reads as far as asked");
	is(forget(&events), 0, "neither calls a notifier");
	is(mmun_soft_madvise(mm, at, 2 * PAGE, MADV_POPULATE_WRITE), 0, "MADV_POPULATE_WRITE");
	ok(entry(at + PAGE).writable, "writes");
	is(forget(&events), 2, "over the zero page, which has a section");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "a read-only page");
	is(mmun_soft_madvise(mm, at, PAGE, MADV_POPULATE_WRITE), -EINVAL, "is not written");
	is(mmun_soft_munmap(mm, at + PAGE, PAGE), 0, "a hole");
	is(mmun_soft_madvise(mm, at, 3 * PAGE, MADV_POPULATE_READ), -ENOMEM, "is found");
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_SHMEM, 1);
	at = SHARED_RW(mm, 2, file);
	is(mmun_soft_madvise(mm, at, 2 * PAGE, MADV_POPULATE_READ), -EFAULT,
	   "the end of a file too");
	ok(entry(at).present, "what came before is there");
	mmun_soft_file_put(file);
	end();
}

/* Each kind of fault with each of its allocations failing in turn. */
static int prepare_read(unsigned long at)
{
	return (int)soft_peek(mm, at);
}

static int prepare_swap(unsigned long at)
{
	soft_poke(mm, at, 1);
	return mmun_soft_madvise(mm, at, PAGE, MADV_PAGEOUT);
}

static void sweep(const char *what, unsigned long at, int (*prepare)(unsigned long at))
{
	struct mmun_soft_fault fault;
	int ret = -ENOMEM;
	long nth = 0;

	if (prepare && prepare(at))
		bail_out("cannot prepare");
	while (ret == -ENOMEM && nth < 100) {
		fail_allocation(++nth);
		ret = mmun_soft_write(mm, at, "x", 1, &fault);
		fail_allocation(0);
		if (ret == -ENOMEM && fault.signal != SIGKILL)
			break;
	}
	is(ret, 0, "%s: succeeds when memory is there again", what);
	ok(nth > 1, "%s: fails with SIGKILL when not (%ld allocations)", what, nth - 1);
	is(soft_peek(mm, at) & 0xff, 'x', "%s: and the write is done", what);
}

static void test_out_of_memory(void)
{
	struct file *file;

	begin();
	file = soft_new_file(soft, "f", MMUN_SOFT_FILE_REGULAR, 8);
	sweep("first write", soft_map(mm, 0x10000000, 1, RW, PRIVATE, NULL), NULL);
	sweep("over the zero page", soft_map(mm, 0x20000000, 1, RW, PRIVATE, NULL), prepare_read);
	sweep("swapped", soft_map(mm, 0x30000000, 1, RW, PRIVATE, NULL), prepare_swap);
	sweep("shared file", soft_map(mm, 0x50000000, 1, RW, MAP_SHARED, file), NULL);
	sweep("private file", soft_map(mm, 0x60000000, 8, RW, MAP_PRIVATE, file) + 4 * PAGE, NULL);
	sweep("mapped private file", 0x60000000 + 5 * PAGE, prepare_read);
	mmun_soft_file_put(file);
	end();
}

/* The one section that may be refused. */
static int refuse(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	return mmu_notifier_range_blockable(range) ? 0 : -EAGAIN;
}

static const struct mmu_notifier_ops refusing_ops = { .invalidate_range_start = refuse };

static void test_refused_section(void)
{
	struct mmu_notifier mn = { .ops = &refusing_ops };
	unsigned long at;
	int state;

	begin();
	at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, at, 1);
	if (mmu_notifier_register(&mn, mm))
		bail_out("cannot register");
	is(mmun_soft_oom_reap(mm), -EAGAIN, "a section that may not sleep can be refused");
	is(soft_peek(mm, at), 1, "nothing is done then");
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	is(state, PTHREAD_CANCEL_ENABLE, "the thread can be cancelled again");
	mmu_notifier_unregister(&mn, mm);
	is(mmun_soft_oom_reap(mm), 0, "nobody refuses");
	is(soft_peek(mm, at), 0, "and it is done");
	end();
}

/* Threads that fault the same pages at once. */
#define RACERS     4
#define RACE_PAGES 64

static unsigned long race_at;

static void *racer(void *arg)
{
	unsigned long id = (uintptr_t)arg;

	for (unsigned long i = 0; i < RACE_PAGES; i++) {
		soft_peek(mm, race_at + i * PAGE + 64);
		soft_poke(mm, race_at + i * PAGE + 8 * id, id + 1);
	}
	return NULL;
}

static void test_race(void)
{
	pthread_t thread[RACERS];
	unsigned long wrong = 0;
	size_t before;

	begin();
	before = soft_free_frames(soft);
	race_at = soft_map(mm, 0, RACE_PAGES, RW, PRIVATE, NULL);
	for (uintptr_t i = 0; i < RACERS; i++)
		thread[i] = spawn(racer, (void *)i);
	for (int i = 0; i < RACERS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned long i = 0; i < RACE_PAGES; i++)
		for (unsigned long id = 0; id < RACERS; id++)
			wrong += soft_peek(mm, race_at + i * PAGE + 8 * id) != id + 1;
	is(wrong, 0, "no write is lost when threads fault one page");
	is(before - soft_free_frames(soft), RACE_PAGES, "each page got one frame");
	end();
}

/* Migration while others read and write: they wait for it and lose nothing. */
static long stop;

static void *migrator(void *arg)
{
	while (!mmun_load_full(&stop))
		mmun_soft_migrate(mm, race_at);
	return NULL;
}

static void test_migration(void)
{
	unsigned long wrong = 0;
	pthread_t thread;

	begin();
	race_at = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, race_at, 0);
	stop = 0;
	thread = spawn(migrator, NULL);
	for (unsigned long i = 1; i < 20000 || !stats().migrated; i++) {
		soft_poke(mm, race_at, i);
		wrong += soft_peek(mm, race_at) != i;
	}
	mmun_store_full(&stop, 1);
	pthread_join(thread, NULL);
	is(wrong, 0, "a page that moves keeps what is written to it");
	forget(&events);
	end();
}

int main(void)
{
	test_anonymous();
	test_flags_of_sections();
	test_refusals();
	test_partial_transfer();
	test_fetch();
	test_shared_file(MMUN_SOFT_FILE_REGULAR, "regular file");
	test_shared_file(MMUN_SOFT_FILE_SHMEM, "shmem file");
	test_mkclean();
	test_private_file();
	test_end_of_file();
	test_nonlinear();
	test_swap();
	test_stack();
	test_huge();
	test_huge_place();
	test_populate();
	test_out_of_memory();
	test_refused_section();
	test_race();
	test_migration();
	return tap_done();
}
