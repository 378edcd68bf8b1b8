/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guest as an object: made in an address space, which it may outlive.
 *
 * I1  The notifier holds the struct of the mm, not its users: exit runs although
 *     a guest exists, and stops it through ->release.
 * I2  After mmu_notifier_unregister() no callback runs: the tables can be freed
 *     without the lock.
 *
 * Not here: memory (slots.c), running (guest.c).
 * Tests: tests/contract/secondary/kvm.c.
 */
#include "vm.h"

#include <errno.h>

#include "alloc.h"

static int always_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			unsigned long end)
{
	return 1;
}

static void set_ops(struct mmun_kvm *kvm)
{
	kvm->ops = mmun_kvm_notifier_ops;
	if (kvm->params.without_release)
		kvm->ops.release = NULL;
	if (kvm->params.always_young) {
		kvm->ops.clear_flush_young = always_young;
		kvm->ops.clear_young = always_young;
	}
	kvm->mn.ops = &kvm->ops;
}

int mmun_kvm_create(struct mm_struct *mm, const struct mmun_kvm_params *params,
		    struct mmun_kvm **out)
{
	struct mmun_kvm *kvm = mmun_alloc(sizeof(*kvm));
	int ret;

	if (!kvm)
		return -ENOMEM;
	kvm->mm = mm;
	if (params)
		kvm->params = *params;
	set_ops(kvm);
	pthread_mutex_init(&kvm->mmu_lock, NULL);
	ret = mmu_notifier_register(&kvm->mn, mm);
	if (ret)
		goto free_kvm;
	*out = kvm;
	return 0;

free_kvm:
	pthread_mutex_destroy(&kvm->mmu_lock);
	mmun_free(kvm);
	return ret;
}

void mmun_kvm_destroy(struct mmun_kvm *kvm)
{
	mmu_notifier_unregister(&kvm->mn, kvm->mm);
	mmun_kvm_tables_free(kvm);
	for (unsigned int i = 0; i < MMUN_KVM_SLOTS; i++)
		mmun_free(kvm->slots[i].dirty);
	pthread_mutex_destroy(&kvm->mmu_lock);
	mmun_free(kvm);
}

void mmun_kvm_stats(struct mmun_kvm *kvm, struct mmun_kvm_stats *out)
{
	pthread_mutex_lock(&kvm->mmu_lock);
	*out = kvm->stats;
	pthread_mutex_unlock(&kvm->mmu_lock);
}

int mmun_kvm_vcpu_create(struct mmun_kvm *kvm, struct mmun_kvm_vcpu **out)
{
	struct mmun_kvm_vcpu *vcpu = mmun_alloc(sizeof(*vcpu));

	if (!vcpu)
		return -ENOMEM;
	vcpu->kvm = kvm;
	*out = vcpu;
	return 0;
}

void mmun_kvm_vcpu_destroy(struct mmun_kvm_vcpu *vcpu)
{
	mmun_kvm_spare_free(&vcpu->spare);
	mmun_free(vcpu);
}

struct mmun_kvm_state *mmun_kvm_vcpu_state(struct mmun_kvm_vcpu *vcpu)
{
	return &vcpu->state;
}
