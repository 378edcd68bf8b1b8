/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A virtual machine of one slot, as its caches see it. */
#ifndef MMUN_TESTS_KERNEL_KVM_HOST_H
#define MMUN_TESTS_KERNEL_KVM_HOST_H

#include <linux/bug.h>
#include <linux/cleanup.h>
#include <linux/kvm_types.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mmu_notifier.h>
#include <linux/uaccess.h>

#define KVM_PFN_ERR_FAULT (0x7ffull << 52)
#define KVM_HVA_ERR_BAD   (1ul << 63)

struct kvm_memory_slot {
	gfn_t base_gfn;
	unsigned long npages, userspace_addr;
};

struct kvm_memslots {
	u64 generation;
	struct kvm_memory_slot slot;
};

struct kvm {
	struct mmu_notifier mmu_notifier;
	spinlock_t mn_invalidate_lock, gpc_lock, mmu_lock;
	unsigned long mn_active_invalidate_count, mmu_invalidate_seq;
	struct list_head gpc_list;
	struct kvm_memslots slots;
};

#define KVM_BUG_ON(cond, kvm)     ((void)(kvm), WARN_ON_ONCE(cond))
#define kvm_memslots(kvm)         (&(kvm)->slots)
#define is_error_noslot_pfn(pfn)  (!!((pfn)&KVM_PFN_ERR_FAULT))
#define kvm_is_error_hva(address) ((address) >= KVM_HVA_ERR_BAD)
#define kvm_is_error_gpa(gpa)     ((gpa) == INVALID_GPA)
#define gpa_to_gfn(gpa)           ((gfn_t)((gpa) >> PAGE_SHIFT))

static inline struct kvm_memory_slot *__gfn_to_memslot(struct kvm_memslots *slots, gfn_t gfn)
{
	struct kvm_memory_slot *slot = &slots->slot;

	return gfn >= slot->base_gfn && gfn - slot->base_gfn < slot->npages ? slot : NULL;
}

static inline unsigned long gfn_to_hva_memslot(struct kvm_memory_slot *slot, gfn_t gfn)
{
	return slot ? slot->userspace_addr + (gfn - slot->base_gfn) * PAGE_SIZE : KVM_HVA_ERR_BAD;
}

/* Before 6.13 a page goes by its frame. */
#define kvm_release_pfn_clean(pfn)    put_page(pfn_to_page(pfn))
#define kvm_release_page_unused(page) put_page(page)
#define kvm_release_page_clean(page)  put_page(page)

bool kvm_gpc_check(struct gfn_to_pfn_cache *gpc, unsigned long len);
int kvm_gpc_refresh(struct gfn_to_pfn_cache *gpc, unsigned long len);
void kvm_gpc_init(struct gfn_to_pfn_cache *gpc, struct kvm *kvm);
int kvm_gpc_activate(struct gfn_to_pfn_cache *gpc, gpa_t gpa, unsigned long len);
int kvm_gpc_activate_hva(struct gfn_to_pfn_cache *gpc, unsigned long uhva, unsigned long len);
void kvm_gpc_deactivate(struct gfn_to_pfn_cache *gpc);

#endif
