/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses of a guest, and a page of it that the hypervisor itself uses. */
#ifndef MMUN_TESTS_KERNEL_KVM_TYPES_H
#define MMUN_TESTS_KERNEL_KVM_TYPES_H

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

typedef u64 gpa_t, gfn_t, kvm_pfn_t;
#define INVALID_GPA (~(gpa_t)0)

struct kvm;
struct kvm_memory_slot;
struct kvm_create_guest_memfd;

struct gfn_to_pfn_cache {
	u64 generation;
	gpa_t gpa;
	unsigned long uhva;
	struct kvm_memory_slot *memslot;
	struct kvm *kvm;
	struct list_head list;
	rwlock_t lock;
	struct mutex refresh_lock;
	void *khva;
	kvm_pfn_t pfn;
	bool active, valid;
};

#endif
