/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Contract: the hypervisor of secondary/kvm on a software address space: guest,
 * slots, dirty pages, ageing, pages that are replaced.
 */
#include "kvm_scene.h"

static void test_guest(void)
{
	/* Adds the words of four pages and stores the sum. */
	const struct mmun_kvm_insn sum[] = {
		{ .op = MMUN_KVM_SET, .a = 0, .imm = 4 },
		{ .op = MMUN_KVM_SET, .a = 1, .imm = 0 },
		{ .op = MMUN_KVM_SET, .a = 2, .imm = 0 },
		{ .op = MMUN_KVM_SET, .a = 4, .imm = 0 },
		{ .op = MMUN_KVM_LOAD, .a = 3, .b = 1 },
		{ .op = MMUN_KVM_ADD, .a = 2, .b = 3 },
		{ .op = MMUN_KVM_ADD, .a = 1, .b = 4, .imm = PAGE },
		{ .op = MMUN_KVM_LOOP, .a = 0, .imm = CODE_GPA + 4 * 16 },
		{ .op = MMUN_KVM_STORE, .a = 2, .b = 1 },
		{ .op = MMUN_KVM_HALT },
	};
	struct mmun_kvm_state *state;

	begin();
	state = mmun_kvm_vcpu_state(vcpu);
	for (int i = 0; i < 4; i++)
		put(mm, at + i * PAGE, 10 + i);
	program(sum, sizeof(sum));
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_HALT, "a guest runs until it halts");
	is(get(mm, at + 4 * PAGE), 46, "the program reads what the guest stored");
	state->pc = CODE_GPA;
	mmun_soft_munmap(mm, at + 2 * PAGE, PAGE);
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_FAULT, "it exits where the program has no memory");
	is(state->exit_address, 2 * PAGE, "and says where");
	map_at(mm, at + 2 * PAGE, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	put(mm, at + 2 * PAGE, 100);
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_HALT, "when it is there the guest goes on");
	is(get(mm, at + 4 * PAGE), 134, "with the instruction that had exited");
	state->pc = 0x5000000000 - 16;
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_MMIO, "no slot: the program emulates the access");
	state->pc = CODE_GPA + 8;
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_BAD_INSN, "an instruction across the boundary");
	state->pc = CODE_GPA;
	state->budget = 3;
	is(mmun_kvm_run(vcpu), MMUN_KVM_EXIT_BUDGET, "a run may be limited");
	is(state->pc, CODE_GPA + 3 * 16, "to so many instructions");
	done("guest");
}

static void test_create(void)
{
	struct mmun_kvm *another = NULL;
	struct mm_struct *idle;

	begin();
	idle = new_mm();
	ok(!mm_has_notifiers(idle) && mm_has_notifiers(mm),
	   "S10: only an address space with a guest has notifiers");
	mmap_write_lock(idle);
	is(mmun_kvm_create(idle, NULL, &another), -EDEADLK,
	   "B19: a registration that fails is a guest that is not made");
	mmap_write_unlock(idle);
	ok(!another && !mm_has_notifiers(idle), "B19: and leaves nothing");
	mmput(idle);
	is(set_region(2, 8 * PAGE, 16, at, 0), -EEXIST, "slots do not overlap");
	is(set_region(2, 1, 1, at, 0), -EINVAL, "and are whole pages");
	is(set_region(99, 0, 1, at, 0), -EINVAL, "there are only so many");
	is(set_region(2, CODE_GPA * 2, 1, at, MMUN_KVM_READONLY), 0, "a read-only slot");
	put(mm, at, 5);
	is(load(CODE_GPA * 2), 5, "shows the same memory");
	is(store(CODE_GPA * 2, 6), -ENXIO, "stores to it are the program's to emulate");
	done("create");
}

static void test_dirty_log(void)
{
	unsigned long bits = 0;

	begin();
	is(mmun_kvm_get_dirty_log(kvm, 0, &bits, 1), -ENOENT, "a slot that is not logged");
	is(set_region(0, 0, GUEST_PAGES, at, MMUN_KVM_LOG_DIRTY), 0, "logging begins");
	load(0);
	load(PAGE);
	store(PAGE, 1);
	store(3 * PAGE, 1);
	is(mmun_kvm_get_dirty_log(kvm, 0, &bits, 1), 0, "the log is taken");
	is(bits, 1 << 1 | 1 << 3, "it has what was written");
	is(mmun_kvm_get_dirty_log(kvm, 0, &bits, 1), 0, "and again");
	is(bits, 0, "nothing was written since");
	store(3 * PAGE, 2);
	mmun_soft_madvise(mm, at, GUEST_PAGES * PAGE, MADV_DONTNEED);
	store(5 * PAGE, 2);
	mmun_kvm_get_dirty_log(kvm, 0, &bits, 1);
	is(bits, 1 << 3 | 1 << 5, "first stores are seen anew, dropped pages are not forgotten");
	done("dirty log");
}

/* What the guest wrote must survive in the file when the page cache's page goes. */
static void test_dirty_pages(void)
{
	struct file *file;
	long value = 0;

	begin();
	file = new_file(MMUN_SOFT_FILE_REGULAR, GUEST_PAGES);
	map_at(mm, at, GUEST_PAGES, MAP_SHARED | MAP_FIXED, file);
	is(store(0, 77), 0, "the guest stores to a file");
	is(mmun_soft_fsync(file), 0, "which is written back");
	is(store(0, 78), 0, "and stores again");
	mmun_soft_munmap(mm, at, GUEST_PAGES * PAGE);
	mmun_soft_reclaim(machine, 100);
	mmun_soft_reclaim(machine, 100);
	mmun_soft_pread(file, &value, sizeof(value), 0);
	is(value, 78, "B19: what the guest wrote was marked dirty");
	mmun_soft_file_put(file);
	done("dirty pages");
}

static size_t age_out(int rounds)
{
	size_t freed = 0;

	for (int i = 0; i < rounds; i++)
		freed += mmun_soft_reclaim(machine, 1000);
	return freed;
}

static void test_young(void)
{
	struct mmun_kvm *second;
	struct mmun_kvm_vcpu *cpu;
	const struct mmun_kvm_region region = { 0, 0, 0, GUEST_PAGES * PAGE, 0 };
	struct mmun_kvm_region all = region;
	long value;

	begin();
	put(mm, at, 1);
	if (mmun_kvm_create(mm, NULL, &second) || mmun_kvm_vcpu_create(second, &cpu))
		bail_out("no second guest");
	all.address = at;
	mmun_kvm_set_region(second, &all);
	load(0);
	mmun_kvm_read(cpu, 0, &value, sizeof(value));
	is(mmu_notifier_test_young(mm, at), 1, "S9: a page that a guest has used is young");
	is(mmu_notifier_clear_flush_young(mm, at, at + PAGE), 1, "S9: until it is asked");
	is(mmu_notifier_test_young(mm, at), 0, "S9: every guest was asked, none is young now");
	load(0);
	is(mmu_notifier_test_young(mm, at), 1, "S9: one use makes it young again");
	is(mmu_notifier_clear_young(mm, at, at + PAGE), 1, "S9: clear_young too");
	is(mmu_notifier_clear_young(mm, at, at + PAGE), 0, "S9: clears it");
	mmun_kvm_vcpu_destroy(cpu);
	mmun_kvm_destroy(second);
	done("young");
}

static void test_aging(void)
{
	size_t freed;

	begin();
	put(mm, at, 1);
	age_out(4);
	load(0);
	ok(age_out(6) > 0, "B22: a page that the guest no longer uses is reclaimed");
	is(load(0), 1, "and comes back from swap");
	done("aging");
	begin_with((struct mmun_kvm_params){ .always_young = true });
	put(mm, at, 1);
	load(0);
	freed = age_out(6);
	is(freed, 0, "B22: with a guest that always says young nothing ever is");
	done("always young");
}

static void test_change_pte(void)
{
	struct mmu_notifier_range mine, others;
	unsigned long before;

	begin();
	put(mm, at, 9);
	put(mm, at + PAGE, 9);
	load(0);
	load(PAGE);
	mmun_soft_madvise(mm, at, 2 * PAGE, MADV_MERGEABLE);
	is(mmun_soft_ksm_scan(machine) + mmun_soft_ksm_scan(machine), 1,
	   "two equal pages are merged");
	ok(stats().changed >= 1, "change_pte: the entry is changed in place");
	is(load(0), 9, "and good");
	is(load(PAGE), 9, "both are");
	is(store(0, 10), 0, "a store to the merged page");
	is(get(mm, at), 10, "copies it apart");
	is(load(PAGE), 9, "the other one stays");

	before = stats().change_missed;
	section_open(&mine, mm, at, at + PAGE);
	section_open(&others, mm, at, at + 2 * PAGE);
	mmu_notifier_change_pte(mm, at, 0);
	is(stats().change_missed, before + 1,
	   "S5: not in place while somebody else's section is open too");
	mmu_notifier_invalidate_range_end(&others);
	mmu_notifier_change_pte(mm, at, 0);
	mmu_notifier_invalidate_range_end(&mine);
	is(stats().change_missed, before + 1, "S5: but when that has ended");
	is(load(0), 10, "and the page is right");
	done("change_pte");
}

static void test_copy_on_write(void)
{
	struct mm_struct *child;

	begin();
	is(load(0), 0, "the guest reads the zero page");
	put(mm, at, 1);
	is(load(0), 1, "and what replaces it");
	store(0, 2);
	child = fork_mm(mm);
	store(0, 3);
	is(get(child, at), 2, "B23: a child does not see what the guest stores after fork");
	put(mm, at, 4);
	is(load(0), 4, "the guest follows the parent's copy");
	mmput(child);
	done("copy on write");
}

int main(void)
{
	test_guest();
	test_create();
	test_dirty_log();
	test_dirty_pages();
	test_young();
	test_aging();
	test_change_pte();
	test_copy_on_write();
	return tap_done();
}
