/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hypervisor as the files of this folder see it.
 *
 * kvm->mmu_lock protects everything: slots, shadow entries, caches, and what
 * sections are open.  Callbacks take it and nothing else; memory is looked up and
 * allocated outside it.
 *
 * The protocol of all look-ups (invalidate.c):
 *
 *   mmu_lock:  slot, program address, seq = kvm_seq_begin()
 *   no lock:   look the page up
 *   mmu_lock:  kvm_seq_retry(seq, address)?  then begin again;
 *              else use it
 *
 * vm.c slots.c shadow.c invalidate.c fault.c cache.c guest.c.
 * Tests: tests/contract/secondary/kvm*.c.
 */
#ifndef MMUN_KVM_VM_H
#define MMUN_KVM_VM_H

#include <pthread.h>

#include "kvm.h"
#include "list.h"

/* Sections whose ranges are kept while open; those that ended lately. */
#define KVM_MAX_OPEN 8
#define KVM_ENDED    64

struct kvm_span {
	unsigned long start, end; /* addresses of the program */
};

struct kvm_invalidate {
	/* Sections ended so far: ended[seq % KVM_ENDED] is the next one's place. */
	unsigned long seq;
	unsigned int in_progress;
	unsigned int nr_open; /* ... of them in open[] */
	struct kvm_span open[KVM_MAX_OPEN];
	struct kvm_span ended[KVM_ENDED];
};

struct kvm_slot {
	unsigned long base_gfn, npages; /* npages 0: unused */
	unsigned long address;
	unsigned int flags;
	unsigned long *dirty; /* one bit per page, or NULL */
};

struct kvm_spte {
	struct mmun_soft_translation t;
	bool present;
	bool writable; /* t.writable, less what logging takes away */
	bool young;
	bool dirty; /* written through since it was made */
};

#define KVM_TABLE_BITS    9
#define KVM_TABLE_ENTRIES (1u << KVM_TABLE_BITS)
#define KVM_TABLE_MASK    (KVM_TABLE_ENTRIES - 1ul)

/* Three levels over 27 bits of guest frame number; freed with the guest. */
struct kvm_leaf {
	struct kvm_spte spte[KVM_TABLE_ENTRIES];
};
struct kvm_middle {
	struct kvm_leaf *leaf[KVM_TABLE_ENTRIES];
};

/* Tables made before the lock is taken, to be linked under it. */
struct kvm_spare {
	struct kvm_middle *middle;
	struct kvm_leaf *leaf;
};

struct mmun_kvm {
	struct mmu_notifier mn;
	struct mmu_notifier_ops ops;
	struct mm_struct *mm;
	struct mmun_kvm_params params;

	pthread_mutex_t mmu_lock;
	bool released;
	struct kvm_invalidate invalidate;
	struct kvm_slot slots[MMUN_KVM_SLOTS];
	/* Counts changes of slots: what was looked up through older ones is void. */
	unsigned long slots_generation;
	struct kvm_middle *root[KVM_TABLE_ENTRIES];
	struct mmun_kvm_cache *caches;
	struct mmun_kvm_stats stats;
};

struct mmun_kvm_vcpu {
	struct mmun_kvm *kvm;
	struct mmun_kvm_state state;
	struct kvm_spare spare;
};

struct mmun_kvm_cache {
	struct mmun_kvm *kvm;
	struct mmun_kvm_cache *next; /* mmu_lock */
	unsigned long gpa;

	/* mmu_lock: */
	bool valid;
	unsigned long address;
	unsigned long slots_generation;
	struct mmun_soft_translation t;
};

/* All of these: mmu_lock held, unless said. */

#define kvm_count(kvm, field) ((void)(kvm)->stats.field++)

static inline unsigned long kvm_gfn(unsigned long gpa)
{
	return gpa >> MMUN_SOFT_PAGE_SHIFT;
}

/* slots.c */
struct kvm_slot *mmun_kvm_slot_of(struct mmun_kvm *kvm, unsigned long gfn);
static inline unsigned long kvm_slot_address(const struct kvm_slot *slot, unsigned long gfn)
{
	return slot->address + ((gfn - slot->base_gfn) << MMUN_SOFT_PAGE_SHIFT);
}
/* The guest frames [*first, *last) of @slot that are [start, end) of the program; false: none. */
bool mmun_kvm_slot_frames(const struct kvm_slot *slot, unsigned long start, unsigned long end,
			  unsigned long *first, unsigned long *last);
void mmun_kvm_slot_mark_dirty(struct mmun_kvm *kvm, struct kvm_slot *slot, unsigned long gfn);

/* shadow.c */
/* Not under the lock.  -ENOMEM. */
int mmun_kvm_spare_fill(struct kvm_spare *spare);
void mmun_kvm_spare_free(struct kvm_spare *spare);
/* The table that holds @gfn's entry, or NULL. */
struct kvm_leaf *mmun_kvm_leaf(struct mmun_kvm *kvm, unsigned long gfn);
/* NULL: nothing there. */
struct kvm_spte *mmun_kvm_spte(struct mmun_kvm *kvm, unsigned long gfn);
/* With the tables above it, from @spare. */
struct kvm_spte *mmun_kvm_spte_make(struct mmun_kvm *kvm, unsigned long gfn,
				    struct kvm_spare *spare);
/* Drops the entry; what the guest wrote is marked in the page, which is still mapped. */
void mmun_kvm_spte_zap(struct mmun_kvm *kvm, struct kvm_spte *spte);
/* Calls @visit for each present entry of [first, last). */
void mmun_kvm_for_each_spte(struct mmun_kvm *kvm, unsigned long first, unsigned long last,
			    void (*visit)(struct mmun_kvm *kvm, unsigned long gfn,
					  struct kvm_spte *spte, void *arg),
			    void *arg);
void mmun_kvm_zap_frames(struct mmun_kvm *kvm, unsigned long first, unsigned long last);
/* Not under the lock; nobody else is left. */
void mmun_kvm_tables_free(struct mmun_kvm *kvm);

/* invalidate.c */
extern const struct mmu_notifier_ops mmun_kvm_notifier_ops;
static inline unsigned long kvm_seq_begin(const struct mmun_kvm *kvm)
{
	return kvm->invalidate.seq;
}
/* Has a section that covers @address been open at any time since @seq?  Perhaps is true too. */
bool mmun_kvm_seq_retry(struct mmun_kvm *kvm, unsigned long seq, unsigned long address);

/* fault.c; not under the lock. */
/* The shadow entry of @gpa, as a read or as a @write.  0; -ENXIO; -EFAULT; -ENOMEM; -EIO. */
int mmun_kvm_fault(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, bool write);
/* The look-up between the two locks: takes and drops the mmap lock, calls the test's hook. */
int mmun_kvm_look_up(struct mmun_kvm *kvm, unsigned long gpa, unsigned long address, bool write,
		     struct mmun_soft_translation *t);
/* One access within a page; a user of the memory is held. */
int mmun_kvm_access(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, void *buffer, size_t length,
		    bool write);

/* cache.c */
void mmun_kvm_caches_invalidate(struct mmun_kvm *kvm, unsigned long start, unsigned long end);

#endif
