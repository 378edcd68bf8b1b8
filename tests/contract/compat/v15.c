/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* linux/mmu_notifier_v15.h: the functions of 2008 with their types, and what each does. */
#include "machine.h"

#include <linux/mmu_notifier_v15.h>

static struct {
	struct mmu_notifier mn;
	unsigned int released, starts, ends, pages, asked;
	unsigned long start, end;
	int young;
} seen;

static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	seen.released++;
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	seen.asked++;
	return seen.young;
}

static void invalidate_page(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	seen.pages++;
	seen.start = address;
}

static void range_start(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			unsigned long end)
{
	seen.starts++;
	seen.start = start;
	seen.end = end;
}

static void range_end(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		      unsigned long end)
{
	seen.ends += start == seen.start && end == seen.end;
}

static const struct mmu_notifier_ops ops = {
	.release = release,
	.clear_flush_young = clear_flush_young,
	.invalidate_page = invalidate_page,
	.invalidate_range_start = range_start,
	.invalidate_range_end = range_end,
};

/* What the patches declare; a type that differs does not compile. */
static const struct {
	int (*add)(struct mmu_notifier *mn, struct mm_struct *mm);
	int (*add_locked)(struct mmu_notifier *mn, struct mm_struct *mm);
	void (*remove)(struct mmu_notifier *mn, struct mm_struct *mm);
	void (*mm_destroy)(struct mm_struct *mm);
	void (*mm_release)(struct mm_struct *mm);
	int (*young)(struct mm_struct *mm, unsigned long address);
	void (*page)(struct mm_struct *mm, unsigned long address);
	void (*start)(struct mm_struct *mm, unsigned long start, unsigned long end);
	void (*end)(struct mm_struct *mm, unsigned long start, unsigned long end);
	int (*has)(struct mm_struct *mm);
	int (*lock)(struct mm_struct *mm, struct mm_lock_data *data);
	void (*unlock)(struct mm_struct *mm, struct mm_lock_data *data);
} declared = {
	mmu_notifier_register,
	__mmu_notifier_register,
	mmu_notifier_unregister,
	__mmu_notifier_mm_destroy,
	__mmu_notifier_release,
	__mmu_notifier_clear_flush_young,
	__mmu_notifier_invalidate_page,
	__mmu_notifier_invalidate_range_start,
	__mmu_notifier_invalidate_range_end,
	mm_has_notifiers,
	mm_lock,
	mm_unlock,
};

static void test_registration(struct mm_struct *mm)
{
	struct mm_lock_data data;

	mmu_notifier_mm_init(mm);
	is(declared.has(mm), 0, "no notifier yet");
	is(declared.add(&seen.mn, mm), -EINVAL, "one without operations");
	seen.mn.ops = &ops;
	is(declared.add_locked(&seen.mn, mm), -EDEADLK, "the mmap lock is not held for write");
	mmap_write_lock(mm);
	is(declared.add_locked(&seen.mn, mm), 0, "now it is");
	is(declared.lock(mm, &data), 0, "mm_lock(), which the caller holds the mmap lock for");
	declared.unlock(mm, &data);
	mmap_write_unlock(mm);
	is(declared.has(mm), 1, "a notifier");
	declared.remove(&seen.mn, mm);
	is(seen.released, 1, "->release at the end of it");
	is(declared.add(&seen.mn, mm), 0, "and again, without the lock");
}

static void test_events(struct mm_struct *mm)
{
	declared.start(mm, AT, AT + 2 * PAGE_SIZE);
	ok(seen.starts == 1 && seen.start == AT && seen.end == AT + 2 * PAGE_SIZE,
	   "a section by its addresses");
	declared.end(mm, AT, AT + 2 * PAGE_SIZE);
	is(seen.ends, 1, "and its end");
	mmu_notifier_invalidate_range_start(mm, AT, AT + PAGE_SIZE);
	mmu_notifier_invalidate_range_end(mm, AT, AT + PAGE_SIZE);
	ok(seen.starts == 2 && seen.ends == 2, "by the other names");
	declared.page(mm, AT + PAGE_SIZE);
	ok(seen.pages == 1 && seen.start == AT + PAGE_SIZE, "a page");
	seen.young = 1;
	is(declared.young(mm, AT), 1, "a young one");
	seen.young = 0;
	is(mmu_notifier_clear_flush_young(mm, AT), 0, "an old one");
	is(seen.asked, 2, "each was asked for");
	map(AT, 2, PROT_READ | PROT_WRITE);
	mmun_soft_munmap(mm, AT, 2 * PAGE_SIZE);
	ok(seen.starts == 3 && seen.ends == 3 && seen.end == AT + 2 * PAGE_SIZE,
	   "munmap() by its range");
}

static void test_end(struct mm_struct *mm)
{
	declared.mm_release(mm);
	is(seen.released, 2, "->release of all");
	declared.remove(&seen.mn, mm);
	is(seen.released, 2, "is not called again");
	declared.mm_destroy(mm);
	mmu_notifier_mm_destroy(mm);
	is(declared.has(mm), 1, "the chain goes with the address space");
}

int main(void)
{
	start_machine();
	test_registration(current->mm);
	test_events(current->mm);
	test_end(current->mm);
	stop_machine(0);
	return tap_done();
}
