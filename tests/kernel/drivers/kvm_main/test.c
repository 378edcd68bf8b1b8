/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Memory of a guest: the hypervisor finds the page of a guest's address, and enters it in the
 * guest's page table if no invalidation began meanwhile; callbacks take it out.  The table is
 * an array here, the rest is kvm_main.c's.
 */
#include "../../changes.h"

#include <linux/kvm_host.h>

#define AT     0x10000000ul
#define PAGES  16ul
#define GUEST  0x40ul /* its first frame */
#define ROUNDS 1500

static const struct file_operations *device_fops, *vm_fops;
static struct file vm_file;
static struct kvm *kvm;

/* The guest's page table, under mmu_lock. */
static struct entry {
	struct given given;
	bool writable, young;
} table[PAGES];
static unsigned long wrong, taken, retried;

int kvm_test_register(struct miscdevice *misc)
{
	device_fops = misc->fops;
	return 0;
}

struct file *anon_inode_getfile(const char *name, const struct file_operations *fops, void *priv,
				int flags)
{
	vm_fops = fops;
	vm_file.private_data = priv;
	return &vm_file;
}

static bool zap(gfn_t start, gfn_t end)
{
	bool any = false;

	for (gfn_t gfn = max(start, (gfn_t)GUEST); gfn < min(end, (gfn_t)(GUEST + PAGES)); gfn++) {
		any |= table[gfn - GUEST].given.there;
		taken += table[gfn - GUEST].given.there;
		table[gfn - GUEST].given.there = false;
	}
	return any;
}

bool kvm_unmap_gfn_range(struct kvm *vm, struct kvm_gfn_range *range)
{
	return zap(range->start, range->end);
}

static bool age(struct kvm_gfn_range *range, bool clear)
{
	bool young = false;

	for (gfn_t gfn = range->start; gfn < range->end; gfn++) {
		young |= table[gfn - GUEST].given.there && table[gfn - GUEST].young;
		table[gfn - GUEST].young &= !clear;
	}
	return young;
}

bool kvm_age_gfn(struct kvm *vm, struct kvm_gfn_range *range)
{
	return age(range, true);
}

bool kvm_test_age_gfn(struct kvm *vm, struct kvm_gfn_range *range)
{
	return age(range, false);
}

void kvm_arch_flush_shadow_all(struct kvm *vm)
{
	spin_lock(&vm->mmu_lock);
	zap(0, GUEST + PAGES);
	spin_unlock(&vm->mmu_lock);
}

void kvm_arch_flush_shadow_memslot(struct kvm *vm, struct kvm_memory_slot *slot)
{
	spin_lock(&vm->mmu_lock);
	zap(slot->base_gfn, slot->base_gfn + slot->npages);
	spin_unlock(&vm->mmu_lock);
}

/* A fault of the guest. */

static void (*after_lookup)(void);

static int enter(gfn_t gfn, bool write)
{
	unsigned long seq = READ_ONCE(kvm->mmu_invalidate_seq);
	struct entry *e = &table[gfn - GUEST];
	void (*hook)(void) = after_lookup;
	struct kvm_memory_slot *slot;
	bool writable = false;
	hva_t hva = 0;
	kvm_pfn_t pfn;
	int idx, ret = 0;

	smp_rmb();
	idx = srcu_read_lock(&kvm->srcu);
	slot = gfn_to_memslot(kvm, gfn);
	pfn = __gfn_to_pfn_memslot(slot, gfn, false, false, NULL, write, &writable, &hva);
	if (is_error_noslot_pfn(pfn)) {
		srcu_read_unlock(&kvm->srcu, idx);
		return -EFAULT;
	}
	after_lookup = NULL;
	if (hook)
		hook();
	spin_lock(&kvm->mmu_lock);
	if (mmu_invalidate_retry_gfn(kvm, seq, gfn)) {
		retried++;
		ret = -EAGAIN;
	} else {
		wrong += !give(&e->given, hva, pfn_to_page(pfn));
		e->writable = writable;
	}
	spin_unlock(&kvm->mmu_lock);
	srcu_read_unlock(&kvm->srcu, idx);
	kvm_release_pfn_clean(pfn);
	return ret;
}

static bool try(unsigned long page, bool write)
{
	struct entry *e = &table[page];
	unsigned long address = AT + page * PAGE_SIZE;
	bool can;

	spin_lock(&kvm->mmu_lock);
	can = e->given.there && (e->writable || !write);
	if (can) {
		device_reads(&e->given, address);
		if (write)
			device_writes(&e->given, address, address);
		e->young = true;
	}
	spin_unlock(&kvm->mmu_lock);
	return can;
}

static int use(unsigned long page, bool write)
{
	int ret = -EAGAIN;

	for (int i = 0; i < 50 && ret == -EAGAIN; i++) {
		if (try(page, write))
			return 0;
		ret = enter(GUEST + page, write);
		if (!ret)
			ret = -EAGAIN;
	}
	return ret;
}

static int set_memory(u64 pages)
{
	const struct kvm_userspace_memory_region2 region = {
		.slot = 1,
		.guest_phys_addr = GUEST << PAGE_SHIFT,
		.memory_size = pages * PAGE_SIZE,
		.userspace_addr = AT,
	};

	return kvm_set_memory_region(kvm, &region);
}

static int use_all(bool write)
{
	int ret = 0;

	for (unsigned long i = 0; i < PAGES && !ret; i++)
		ret = use(i, write);
	return ret;
}

static void test_one_by_one(void)
{
	unsigned long before;

	is(use(0, true), -EFAULT, "a guest without memory");
	is(set_memory(PAGES), 0, "gets some");
	for (unsigned int what = 1; what < ALL_CHANGES; what <<= 1) {
		is(use_all(true), 0, "all pages are used");
		before = taken;
		change((enum change)what, AT, 4);
		if (what != WRITE && what != RECLAIM)
			ok(taken > before, "change %#x takes them", what);
		is(use_all(false), 0, "and they come again");
	}
	is(use(1, true), 0, "a page is written");
	is(get(AT + PAGE_SIZE), AT + PAGE_SIZE, "the task sees that");
	mmun_soft_munmap(mm, AT + PAGE_SIZE, PAGE_SIZE);
	is(use(1, false), -EFAULT, "not what is not mapped");
	map(AT + PAGE_SIZE, 1, PROT_READ | PROT_WRITE, 0, NULL);
	is(use_all(true), 0, "but when it is");
	before = taken;
	is(set_memory(0), 0, "memory is taken from the guest");
	ok(taken > before, "with its pages");
	is(use(0, true), -EFAULT, "and is not there any more");
	is(set_memory(PAGES), 0, "until it is given back");
	is(wrong, 0, "each page was the right one");
	is(violations(), 0, "none was used after its time");
}

static void drop(void)
{
	mmun_soft_madvise(mm, AT, PAGE_SIZE, MADV_DONTNEED);
}

static void drop_aside(void)
{
	aside(drop);
}

static void test_section_in_the_middle(void)
{
	unsigned long before = retried;

	drop();
	after_lookup = drop_aside;
	is(use(0, true), 0, "a page with a section between its look-up and its entry");
	is(retried, before + 1, "is looked up again");
	is(wrong, 0, "and is the right one then");
	is(violations(), 0, "and used in its time");
}

static void test_threads(void)
{
	struct changes changes = { .at = AT, .pages = PAGES, .which = ALL_CHANGES };
	unsigned int state = 1;
	unsigned long used = 0, other = 0;

	start_changes(&changes);
	for (int i = 0; i < ROUNDS || (i < 20 * ROUNDS && changed(&changes) < ROUNDS / 4); i++) {
		int ret = use(draw(&state, PAGES), draw(&state, 2));

		used += !ret;
		other += ret && ret != -EAGAIN && ret != -EFAULT;
		if (!draw(&state, 50))
			other += set_memory(0) || set_memory(PAGES);
	}
	stop_changes(&changes);
	is(other, 0, "uses against changes, and slots that come and go");
	is(use_all(true), 0, "all pages at the end");
	is(wrong, 0, "each page was the right one");
	is(violations(), 0, "none was used after its time");
	is(kvm->mn_active_invalidate_count, 0, "sections balance");
	is(kvm->mmu_invalidate_in_progress, 0, "in both counts");
	diag("%lu changes, %lu uses, %lu looked up again", changed(&changes), used, retried);
}

/* Shows that the rest would be seen. */
static void test_control(void)
{
	static const struct mmu_notifier_ops deaf = { 0 };
	const struct mmu_notifier_ops *ops = kvm->mmu_notifier.ops;
	unsigned long before = violations();

	is(use(0, true), 0, "a page");
	kvm->mmu_notifier.ops = &deaf;
	drop();
	is(use(0, true), 0, "is used without the callbacks");
	ok(violations() > before, "when the task has it no more");
	kvm->mmu_notifier.ops = ops;
	drop();
}

int main(void)
{
	start_machine();
	map(AT, PAGES, PROT_READ | PROT_WRITE, 0, NULL);
	is(kvm_init(sizeof(struct kvm_vcpu), 0, THIS_MODULE), 0, "a hypervisor");
	is(device_fops->unlocked_ioctl(NULL, KVM_CREATE_VM, 0), 3, "a machine");
	kvm = vm_file.private_data;
	test_one_by_one();
	test_section_in_the_middle();
	test_threads();
	test_control();
	is(use_all(true), 0, "all pages");
	mmgrab(mm);
	end_task();
	ok(!try(0, false), "the end of the memory takes every page");
	mm = kvm->mm;
	vm_fops->release(NULL, &vm_file);
	mmdrop(mm);
	kvm_exit();
	stop_machine(0);
	return tap_done();
}
