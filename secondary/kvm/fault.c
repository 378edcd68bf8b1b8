/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guest's accesses to memory, and the faults behind them.
 *
 * I1  An access uses its entry under mmu_lock, which a section's start takes:
 *     when start has returned no access of the old page is under way.
 * I2  An entry is made only if neither the sections (mmun_kvm_seq_retry) nor the
 *     slots have changed what was looked up, and the program's memory has not ended.
 *
 * Not here: which instruction makes which access (guest.c).
 * Tests: tests/contract/secondary/kvm.c, kvm_races.c.
 */
#include "vm.h"

#include <errno.h>

/* What a fault found under the lock, before the look-up. */
struct fault {
	unsigned long gpa;
	bool write;
	unsigned long address;
	unsigned long seq;
	unsigned long slots_generation;
};

static int fault_begin(struct mmun_kvm *kvm, struct fault *fault)
{
	struct kvm_slot *slot;
	int ret = 0;

	pthread_mutex_lock(&kvm->mmu_lock);
	kvm_count(kvm, faults);
	slot = mmun_kvm_slot_of(kvm, kvm_gfn(fault->gpa));
	if (kvm->released) {
		ret = -EIO;
	} else if (!slot || (fault->write && slot->flags & MMUN_KVM_READONLY)) {
		ret = -ENXIO;
	} else {
		fault->address = kvm_slot_address(slot, kvm_gfn(fault->gpa));
		fault->seq = kvm_seq_begin(kvm);
		fault->slots_generation = kvm->slots_generation;
	}
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}

int mmun_kvm_look_up(struct mmun_kvm *kvm, unsigned long gpa, unsigned long address, bool write,
		     struct mmun_soft_translation *t)
{
	int ret;

	mmap_read_lock(kvm->mm);
	ret = mmun_soft_translate(kvm->mm, address, write, t);
	mmap_read_unlock(kvm->mm);
	if (kvm->params.looked_up)
		kvm->params.looked_up(kvm->params.arg, gpa);
	return ret;
}

/* A page of a logged slot stays read-only until its first write, which comes here to
 * be logged: hardware would report no other. */
static void map(struct mmun_kvm_vcpu *vcpu, const struct fault *fault,
		const struct mmun_soft_translation *t)
{
	unsigned long gfn = kvm_gfn(fault->gpa);
	struct mmun_kvm *kvm = vcpu->kvm;
	struct kvm_slot *slot = mmun_kvm_slot_of(kvm, gfn);
	struct kvm_spte *spte = mmun_kvm_spte_make(kvm, gfn, &vcpu->spare);

	if (spte->present) {
		mmun_kvm_spte_zap(kvm, spte);
		kvm_count(kvm, made_writable);
	}
	spte->t = *t;
	spte->present = true;
	spte->writable = t->writable && (fault->write || !slot->dirty) &&
			 !(slot->flags & MMUN_KVM_READONLY);
	if (fault->write)
		mmun_kvm_slot_mark_dirty(kvm, slot, gfn);
	kvm_count(kvm, mapped);
}

/* @ret: what the look-up said. */
static int fault_end(struct mmun_kvm_vcpu *vcpu, const struct fault *fault, int ret,
		     const struct mmun_soft_translation *t)
{
	struct mmun_kvm *kvm = vcpu->kvm;

	pthread_mutex_lock(&kvm->mmu_lock);
	if (kvm->released) {
		ret = -EIO;
	} else if (kvm->slots_generation != fault->slots_generation) {
		kvm_count(kvm, fault_retry_slots);
		ret = -EAGAIN;
	} else if (mmun_kvm_seq_retry(kvm, fault->seq, fault->address)) {
		ret = -EAGAIN;
	} else if (ret) {
		kvm_count(kvm, fault_refused);
	} else {
		map(vcpu, fault, t);
	}
	pthread_mutex_unlock(&kvm->mmu_lock);
	return ret;
}

int mmun_kvm_fault(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, bool write)
{
	struct fault fault = { .gpa = gpa, .write = write };
	struct mmun_soft_translation t;
	int ret;

	do {
		ret = mmun_kvm_spare_fill(&vcpu->spare);
		if (ret)
			return ret;
		ret = fault_begin(vcpu->kvm, &fault);
		if (ret)
			return ret;
		ret = mmun_kvm_look_up(vcpu->kvm, gpa, fault.address, write, &t);
		ret = fault_end(vcpu, &fault, ret, &t);
	} while (ret == -EAGAIN);
	return ret;
}

/* -EAGAIN: there is no entry that permits it. */
static int access_now(struct mmun_kvm *kvm, unsigned long gpa, void *buffer, size_t length,
		      bool write)
{
	unsigned long gfn = kvm_gfn(gpa), address;
	struct kvm_spte *spte = mmun_kvm_spte(kvm, gfn);
	struct kvm_slot *slot;

	if (!spte || (write && !spte->writable))
		return -EAGAIN;
	if (kvm->params.in_access)
		kvm->params.in_access(kvm->params.arg);
	slot = mmun_kvm_slot_of(kvm, gfn);
	address = kvm_slot_address(slot, gfn) + gpa % MMUN_SOFT_PAGE_SIZE;
	spte->young = true;
	if (!write)
		return mmun_soft_device_read(kvm->mm, address, &spte->t, buffer, length);
	spte->dirty = true;
	return mmun_soft_device_write(kvm->mm, address, &spte->t, buffer, length);
}

int mmun_kvm_access(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, void *buffer, size_t length,
		    bool write)
{
	struct mmun_kvm *kvm = vcpu->kvm;
	int ret;

	if (gpa >= MMUN_KVM_GUEST_SIZE)
		return -ENXIO;
	for (;;) {
		pthread_mutex_lock(&kvm->mmu_lock);
		ret = kvm->released ? -EIO : access_now(kvm, gpa, buffer, length, write);
		pthread_mutex_unlock(&kvm->mmu_lock);
		if (ret != -EAGAIN)
			return ret;
		ret = mmun_kvm_fault(vcpu, gpa, write);
		if (ret)
			return ret;
	}
}
