/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * primary/soft/fault/special.c: frames that a driver maps by their numbers, and every operation over
 * such an entry.
 */
#include "checked.h"

#define PAGES 4

/* What the device maps wherever a fault asks: a page that is the test's. */
static struct page *frame;
static struct file *device;
static unsigned long at;
static bool keeps_file = true;

static vm_fault_t map_frame(struct vm_fault *vmf)
{
	int ret = mmun_soft_vm_insert_pfn(vmf->vma, vmf->address, mmun_soft_page_pfn(frame));

	return ret == -ENOMEM ? VM_FAULT_OOM : ret ? VM_FAULT_SIGBUS : VM_FAULT_NOPAGE;
}

static const struct vm_operations_struct frame_vm_ops = { .fault = map_frame };

static int map_device(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &frame_vm_ops;
	vma->vm_flags |= VM_PFNMAP;
	if (!keeps_file) {
		vma->vm_file = NULL;
		mmun_soft_file_put(file);
	}
	return 0;
}

static const struct file_operations frame_fops = { .mmap = map_device };

static void begin_mapped(int flags)
{
	begin();
	frame = mmun_soft_alloc_page(soft);
	if (!frame || mmun_soft_device_create(soft, "frames", &frame_fops, NULL, &device))
		bail_out("cannot make a device");
	at = soft_map(mm, 0, PAGES, RW, flags, device);
}

/* The test's reference is the only one, and nobody has it mapped. */
static void uncounted(const char *what)
{
	struct page *own[1] = { frame };

	is(mmun_soft_page_is_free(frame), false, "%s: the frame is there", what);
	if (entry_of(at).present) {
		is(entry_of(at).refcount, 1, "%s: with the test's reference alone", what);
		is(entry_of(at).mapcount, 0, "%s: and mapped by nobody", what);
	}
	mmun_soft_put_page(own[0]);
	ok(mmun_soft_page_is_free(own[0]), "%s: that was the last reference", what);
	frame = mmun_soft_alloc_page(soft);
}

/* The mapping has to be gone or its entries, when the frame goes. */
static void end_mapped(const char *what)
{
	mmun_soft_munmap(mm, at, PAGES * PAGE);
	uncounted(what);
	mmun_soft_put_page(frame);
	mmun_soft_file_put(device);
	is(violations, 0, "%s: nothing was stale", what);
	end();
}

static int insert(unsigned long address, unsigned long pfn)
{
	int ret;

	mmap_write_lock(mm);
	ret = mmun_soft_vm_insert_pfn(mmun_soft_find_vma(mm, at), address, pfn);
	mmap_write_unlock(mm);
	return ret;
}

static void test_insert(void)
{
	struct mmun_soft_entry entry;
	unsigned long pfn, plain;

	begin_mapped(MAP_SHARED);
	pfn = mmun_soft_page_pfn(frame);
	is(insert(at + PAGES * PAGE, pfn), -EFAULT, "not outside of the mapping");
	is(insert(at - PAGE, pfn), -EFAULT, "on neither side");
	is(insert(at, 1ul << 28), -EINVAL, "no number that an entry has no room for");
	is(insert(at, 5000), -EINVAL, "nor one of no frame");
	is(insert(at + 8, pfn), 0, "a frame is mapped by its number");
	is(insert(at, pfn), -EBUSY, "not where one is");
	soft_poke(mm, at, 3);
	is(word_of(frame), 3, "what is written goes there");
	*(unsigned long *)mmun_soft_page_address(frame) = 4;
	is(soft_peek(mm, at + PAGE), 4, "a fault maps it too");
	entry = entry_of(at + PAGE);
	ok(entry.present && entry.writable, "writable from the beginning");
	is(entry.pfn, pfn, "with its number");
	is(entry.refcount, 1, "without a reference");
	is(entry.mapcount, 0, "or counting as mapped");
	plain = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	mmap_write_lock(mm);
	is(mmun_soft_vm_insert_pfn(mmun_soft_vma_lookup(mm, plain), plain, pfn), -EINVAL,
	   "only where a driver said VM_PFNMAP");
	mmap_write_unlock(mm);
	end_mapped("after use");
}

static void test_users(void)
{
	struct mmun_soft_translation t;
	unsigned long value = 0;
	struct page *page;

	begin_mapped(MAP_SHARED | MAP_POPULATE);
	ok(!entry_of(at).present, "MAP_POPULATE leaves it alone");
	soft_poke(mm, at, 7);
	is(get(at, 1, 0, &page), -EFAULT, "get_user_pages finds no page");
	is(translate(at, false, &t), -EFAULT, "nor does a translation that faults");
	is(mmun_soft_translate_present(mm, at, &t), 0, "one of what is there");
	ok(t.page == frame && t.writable && t.young, "says what the entry says");
	is(mmun_soft_device_read(mm, at, &t, &value, 8), 0, "and is good");
	is(value, 7, "for what is there");
	is(mmun_soft_madvise(mm, at, PAGE, MADV_DONTNEED), -EINVAL, "MADV_DONTNEED is refused");
	is(mmun_soft_migrate(mm, at), -ENOENT, "a migration finds nothing");
	ok(mmun_soft_test_and_clear_young(mm, at), "it was used");
	ok(!mmun_soft_test_and_clear_young(mm, at), "and not since");
	mmun_soft_reclaim(soft, 64);
	ok(entry_of(at).present, "reclaim passes by");
	is(entry_of(at).refcount, 1, "with no reference left behind");
	end_mapped("after others looked");
}

static void test_unmap(void)
{
	struct recorder events;

	begin_mapped(MAP_SHARED);
	record(&events, mm);
	soft_poke(mm, at, 1);
	soft_poke(mm, at + PAGE, 2);
	is(forget(&events), 0, "faults fill in without a section");
	mmap_read_lock(mm);
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(mm, at), at, PAGE);
	mmap_read_unlock(mm);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_DRIVER, at, 1), "the driver takes one away");
	ok(!entry_of(at).present && entry_of(at + PAGE).present, "that one");
	is(entry_of(at + PAGE).refcount, 1, "and no reference");
	mmun_soft_munmap(mm, at + PAGE, PAGE);
	ok(just_one(&events, MMU_NOTIFY_UNMAP, MMUN_OP_MUNMAP, at + PAGE, 1), "munmap does too");
	soft_poke(mm, at, 3);
	stop_recording(&events, mm);
	end_mapped("unmapped");

	begin_mapped(MAP_SHARED);
	soft_poke(mm, at, 1);
	mmun_soft_file_put(device);
	mmput(mm);
	is(word_of(frame), 1, "exit leaves the frame to its owner");
	mmun_soft_put_page(frame);
	ok(mmun_soft_page_is_free(frame), "whose reference was the last");
	is(mmun_soft_destroy(soft), 0, "the machine goes");
	is(mmun_alloc_live(), live, "with everything");
}

static void test_protect(void)
{
	struct mmun_soft_fault fault;
	unsigned long value = 9;

	begin_mapped(MAP_SHARED);
	soft_poke(mm, at, 1);
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_READ), 0, "mprotect takes the right to write");
	ok(entry_of(at).present && !entry_of(at).writable, "from the entry");
	is(mmun_soft_write(mm, at, &value, 8, &fault), -EFAULT, "a write is refused");
	is(fault.signal, SIGSEGV, "as anywhere");
	is(soft_peek(mm, at), 1, "a read is not");
	is(mmun_soft_mprotect(mm, at, PAGE, PROT_NONE), 0, "then all rights");
	is(mmun_soft_read(mm, at, &value, 8, &fault), -EFAULT, "so is a read now");
	is(mmun_soft_mprotect(mm, at, PAGE, RW), 0, "and back");
	soft_poke(mm, at, 2);
	is(word_of(frame), 2, "the same frame is written");
	is(entry_of(at).refcount, 1, "with no reference more");
	is(mmun_soft_clear_soft_dirty(mm), 0, "soft-dirty is cleared");
	ok(!entry_of(at).soft_dirty && !entry_of(at).writable, "also here");
	soft_poke(mm, at, 3);
	ok(entry_of(at).soft_dirty, "and set by a write");
	end_mapped("protected");
}

static void test_move(void)
{
	unsigned long old, there = 0x50000000ul;

	for (int whole = 0; whole < 2; whole++) {
		begin_mapped(MAP_SHARED);
		soft_poke(mm, at, 1);
		old = at;
		at = mmun_soft_mremap(mm, at, PAGES * PAGE, PAGES * PAGE,
				      MREMAP_MAYMOVE | MREMAP_FIXED,
				      there + (unsigned)whole * PAGE);
		is(at, there + (unsigned)whole * PAGE, "the mapping moves");
		ok(entry_of(at).present, "the entry too");
		is(entry_of(at).refcount, 1, "without a reference");
		*(unsigned long *)mmun_soft_page_address(frame) = 6;
		is(soft_peek(mm, at), 6, "to the same frame");
		ok(!entry_of(old).present, "and nothing stays");
		end_mapped("moved");
	}
}

static void test_fork(void)
{
	struct mm_struct *child;

	begin_mapped(MAP_SHARED);
	soft_poke(mm, at, 1);
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	ok(soft_entry(child, at).present, "copies the entry");
	is(soft_entry(child, at).refcount, 1, "and takes no reference");
	is(soft_entry(child, at).mapcount, 0, "nor counts it");
	soft_poke(child, at, 5);
	is(soft_peek(mm, at), 5, "both have the frame");
	mmput(child);
	is(word_of(frame), 5, "which the child's end leaves alone");
	is(entry_of(at).refcount, 1, "altogether");
	end_mapped("forked");
}

static void test_private(void)
{
	struct recorder events;
	struct mm_struct *child;

	begin_mapped(MAP_PRIVATE);
	record(&events, mm);
	*(unsigned long *)mmun_soft_page_address(frame) = 4;
	is(soft_peek(mm, at), 4, "a private mapping shows the frame");
	ok(!entry_of(at).writable, "read-only");
	forget(&events);
	soft_poke(mm, at, 5);
	ok(just_one(&events, MMU_NOTIFY_CLEAR, MMUN_OP_COW, at, 1),
	   "a write replaces it by a copy");
	is(word_of(frame), 4, "of what it held");
	is(soft_peek(mm, at), 5, "which is written");
	is(entry_of(at).mapcount, 1, "an anonymous page");
	is(soft_peek(mm, at + PAGE), 4, "the rest shows the frame");
	is(entry_of(at + PAGE).refcount, 1, "whose references are as before");
	is(mmun_soft_mm_fork(mm, &child), 0, "fork");
	soft_poke(child, at + PAGE, 6);
	is(soft_peek(mm, at + PAGE), 4, "each copies for itself");
	mmput(child);
	is(entry_of(at + PAGE).refcount, 1, "from the frame as it was");
	stop_recording(&events, mm);
	end_mapped("private");
}

/* An anonymous page that only the entry leads to besides its owner is not taken over by a write. */
static void test_private_of_anonymous(void)
{
	unsigned long source;
	struct page *own;

	begin_mapped(MAP_PRIVATE);
	own = frame;
	source = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, source, 8);
	is(get(source, 1, 0, &frame), 1, "an anonymous page");
	mmun_soft_put_page(frame);
	is(soft_peek(mm, at), 8, "is mapped by its number");
	soft_poke(mm, at, 9);
	is(soft_peek(mm, source), 8, "a private write leaves it its owner's");
	is(entry_of(source).refcount, 1, "with its reference");
	is(entry_of(source).mapcount, 1, "and mapped once");
	frame = own;
	end_mapped("anonymous");
}

static void touch_stale(unsigned long address, const char *what)
{
	struct mmun_soft_fault fault;
	unsigned long value = 1;
	long before = violations;

	is(mmun_soft_read(mm, address, &value, 8, &fault), -EFAULT, "%s: a read is refused", what);
	is(fault.signal, SIGBUS, "%s: by SIGBUS", what);
	is(violations, before + 1, "%s: and reported", what);
	ok(last.task && last.kind == MMUN_SOFT_FREED && !last.write && last.mm == mm &&
		   last.address == address,
	   "%s: as a task's access to a freed frame", what);
	is(mmun_soft_write(mm, address, &value, 8, &fault), -EFAULT, "%s: so is a write", what);
	is(violations, before + 2, "%s: reported", what);
	ok(last.write, "%s: as one", what);
}

static void test_freed_beneath(void)
{
	struct mmun_soft_translation t;
	unsigned long pfn, value;
	struct page *held[1024];
	int nr = 0;

	begin_mapped(MAP_SHARED);
	soft_poke(mm, at, 1);
	soft_poke(mm, at + PAGE, 1);
	soft_poke(mm, at + 2 * PAGE, 1);
	mmun_soft_translate_present(mm, at, &t);
	pfn = mmun_soft_page_pfn(frame);
	mmun_soft_put_page(frame);
	touch_stale(at, "freed");
	is(mmun_soft_device_read(mm, at, &t, &value, 8), -EFAULT, "no device gets there either");
	ok(!last.task, "which is said of the device");
	mmun_soft_translate_present(mm, at, &t);
	is(mmun_soft_device_read(mm, at, &t, &value, 8), -EFAULT, "nor one that looks now");
	is(last.kind, MMUN_SOFT_FREED, "as the frame was freed");
	do {
		held[nr] = mmun_soft_alloc_page(soft);
	} while (held[nr] && mmun_soft_page_pfn(held[nr++]) != pfn);
	frame = held[nr - 1];
	is(mmun_soft_page_pfn(frame), pfn, "somebody else gets the frame");
	touch_stale(at, "reused");
	is(word_of(frame), 0, "nothing is written there");
	mmun_soft_mprotect(mm, at, PAGE, PROT_READ | PROT_EXEC);
	mmun_soft_mprotect(mm, at, PAGE, RW);
	touch_stale(at, "after mprotect");
	mmap_read_lock(mm);
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(mm, at), at, PAGE);
	mmap_read_unlock(mm);
	soft_poke(mm, at, 2);
	is(word_of(frame), 2, "where the driver takes it away a fault maps what is right");
	while (--nr)
		mmun_soft_put_page(held[nr - 1]);
	violations = 0;
	end_mapped("beneath");
}

static void test_freed_beneath_copies(void)
{
	struct mm_struct *child, *parent;

	begin_mapped(MAP_SHARED);
	soft_poke(mm, at, 1);
	mmun_soft_mm_fork(mm, &child);
	mmun_soft_put_page(frame);
	frame = mmun_soft_alloc_page(soft);
	parent = mm;
	mm = child;
	touch_stale(at, "in a child");
	mm = parent;
	at = mmun_soft_mremap(mm, at, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			      0x50000000ul);
	touch_stale(at, "moved");
	mmput(child);
	violations = 0;
	end_mapped("copies");

	begin_mapped(MAP_PRIVATE);
	soft_peek(mm, at);
	mmun_soft_put_page(frame);
	frame = mmun_soft_alloc_page(soft);
	touch_stale(at, "private");
	violations = 0;
	end_mapped("private copies");
}

/* The notifier of the memory's owner: what keeps such an entry good. */
struct keeper {
	struct mmu_notifier mn;
	unsigned long source;
	bool disconnected;
	int zapped;
};

static int keep_good(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct keeper *keeper = mmun_container_of(mn, struct keeper, mn);

	if (keeper->disconnected || range->start > keeper->source || range->end <= keeper->source)
		return 0;
	mmun_soft_zap_vma_ptes(mmun_soft_vma_lookup(mm, at), at, PAGE);
	keeper->zapped++;
	return 0;
}

static const struct mmu_notifier_ops keeper_ops = { .invalidate_range_start = keep_good };

static void test_contract(bool disconnected)
{
	struct keeper keeper = { .mn.ops = &keeper_ops, .disconnected = disconnected };
	struct page *own;

	begin_mapped(MAP_SHARED);
	own = frame;
	keeper.source = soft_map(mm, 0, 1, RW, PRIVATE, NULL);
	soft_poke(mm, keeper.source, 8);
	get(keeper.source, 1, 0, &frame);
	mmun_soft_put_page(frame);
	if (mmu_notifier_register(&keeper.mn, mm))
		bail_out("cannot register");
	is(soft_peek(mm, at), 8, "memory of somebody");
	is(mmun_soft_migrate(mm, keeper.source), 0, "the page moves, whatever else maps it");
	ok(entry_of(at).present == disconnected, "%s",
	   disconnected ? "without the notifier the entry stays"
			: "the notifier takes the entry away");
	if (disconnected) {
		touch_stale(at, "disconnected");
		violations = 0;
	} else {
		is(keeper.zapped, 1, "once");
		get(keeper.source, 1, 0, &frame);
		mmun_soft_put_page(frame);
		is(soft_peek(mm, at), 8, "and a fault maps the page where it is now");
	}
	mmu_notifier_unregister(&keeper.mn, mm);
	frame = own;
	end_mapped("by contract");
}

/* Every allocation of a fault fails in turn. */
static void test_no_memory(void)
{
	struct mmun_soft_fault fault;
	unsigned long value;
	int ret, n = 1;

	begin_mapped(MAP_SHARED);
	for (;; n++) {
		fail_allocation(n);
		ret = mmun_soft_read(mm, at, &value, 8, &fault);
		fail_allocation(0);
		if (!ret)
			break;
		is(ret, -ENOMEM, "without memory number %d a fault fails", n);
		is(fault.signal, SIGKILL, "as any does");
		ok(!entry_of(at).present, "and nothing is mapped");
	}
	ok(n > 1, "it needs some");
	for (n = 1;; n++) {
		struct mm_struct *child;

		fail_allocation(n);
		ret = mmun_soft_mm_fork(mm, &child);
		fail_allocation(0);
		is(entry_of(at).refcount, 1, "fork takes no reference, without memory or with");
		if (!ret) {
			mmput(child);
			break;
		}
	}
	end_mapped("without memory");

	begin_mapped(MAP_PRIVATE);
	soft_peek(mm, at);
	for (n = 1;; n++) {
		value = 5;
		fail_allocation(n);
		ret = mmun_soft_write(mm, at, &value, 8, &fault);
		fail_allocation(0);
		if (!ret)
			break;
		is(entry_of(at).refcount, 1, "a copy that fails leaves the frame as it was");
	}
	is(soft_peek(mm, at), 5, "and then succeeds");
	end_mapped("copied without memory");
}

static void test_file_put(void)
{
	keeps_file = false;
	begin_mapped(MAP_SHARED);
	keeps_file = true;
	soft_poke(mm, at, 1);
	is(word_of(frame), 1, "a driver that gives the file back has its mapping all the same");
	ok(!mmun_soft_vma_lookup(mm, at)->vm_file, "with no file");
	mmun_soft_munmap(mm, at, PAGE);
	is(soft_peek(mm, at + PAGE), 1, "a part of it too");
	end_mapped("without a file");
}

int main(void)
{
	test_insert();
	test_users();
	test_unmap();
	test_protect();
	test_move();
	test_fork();
	test_private();
	test_private_of_anonymous();
	test_freed_beneath();
	test_freed_beneath_copies();
	test_contract(false);
	test_contract(true);
	test_no_memory();
	test_file_put();
	return tap_done();
}
