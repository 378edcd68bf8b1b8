/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hypervisor after Linux's KVM: guest-physical memory is memory of a program.
 *
 * Memory slots say which guest frames are which addresses of the program.  Shadow
 * page tables hold the translations guest frame -> page frame that the guest has
 * used; a notifier keeps them true.  The guest is a small interpreter.
 *
 * Everything here may be called from any number of threads; a vcpu is run by one
 * at a time.
 */
#ifndef MMUN_KVM_H
#define MMUN_KVM_H

#include <mmunotify/soft.h>

struct mmun_kvm;
struct mmun_kvm_vcpu;

#define MMUN_KVM_SLOTS     16
#define MMUN_KVM_REGISTERS 8
/** Guest-physical addresses are below this. */
#define MMUN_KVM_GUEST_SIZE (1ul << 39)

/** Zero is the default everywhere. */
struct mmun_kvm_params {
	/** For tests: subscribe without ->release. */
	bool without_release;
	/** For tests: answer every question about young pages with 1. */
	bool always_young;
	/** For tests: called in a fault between the look-up of a page and the check, no lock
	 *  held; in ->release once the guest has been stopped, no lock held; and in each
	 *  access of the guest to memory, under the lock. */
	void (*looked_up)(void *arg, unsigned long gpa);
	void (*in_release)(void *arg);
	void (*in_access)(void *arg);
	void *arg;
};

/** One counter per branch. */
#define MMUN_KVM_STATS(X) \
	X(faults, "shadow page faults") \
	X(fault_retry_open, "faults begun again: a section was open") \
	X(fault_retry_ended, "faults begun again: a section had ended meanwhile") \
	X(fault_retry_slots, "faults begun again: the slots had changed") \
	X(fault_elsewhere, "faults kept although sections elsewhere had ended") \
	X(fault_refused, "faults in memory that the program has not mapped") \
	X(mapped, "shadow entries made") \
	X(made_writable, "shadow entries made writable") \
	X(zapped, "shadow entries dropped") \
	X(changed, "shadow entries changed in place") \
	X(change_missed, "changes in place that became a drop") \
	X(aged, "shadow entries found young") \
	X(starts, "sections that began") \
	X(ends, "sections that ended") \
	X(starts_uncounted, "sections beyond those whose ranges are kept") \
	X(dirty_logged, "pages entered into a dirty log") \
	X(cache_refreshed, "cached pages looked up again") \
	X(cache_hits, "cached pages used") \
	X(releases, "times the program's memory ended")

struct mmun_kvm_stats {
#define MMUN_KVM_STATS_FIELD(name, text) unsigned long name;
	MMUN_KVM_STATS(MMUN_KVM_STATS_FIELD)
#undef MMUN_KVM_STATS_FIELD
};

/** mmun_kvm_create() - a guest without memory, in @mm.  @params may be NULL.
 *  Return: 0; -ENOMEM; what mmu_notifier_register() said. */
int mmun_kvm_create(struct mm_struct *mm, const struct mmun_kvm_params *params,
		    struct mmun_kvm **out);
/** mmun_kvm_destroy() - no vcpu and no cached page of it is left.  @mm may have ended. */
void mmun_kvm_destroy(struct mmun_kvm *kvm);
void mmun_kvm_stats(struct mmun_kvm *kvm, struct mmun_kvm_stats *out);

/* Memory. */

enum {
	MMUN_KVM_LOG_DIRTY = 1u << 0,
	MMUN_KVM_READONLY = 1u << 1,
};

struct mmun_kvm_region {
	unsigned int slot;
	unsigned int flags;
	unsigned long guest_address;
	/** 0 removes the slot. */
	unsigned long size;
	unsigned long address;
};

/** mmun_kvm_set_region() - make, move, change or remove a slot.
 *  Return: 0; -EINVAL (not page aligned, no such slot, too large); -EEXIST (overlaps another);
 *  -ENOMEM. */
int mmun_kvm_set_region(struct mmun_kvm *kvm, const struct mmun_kvm_region *region);

/** mmun_kvm_get_dirty_log() - a bit for each page of @slot that the guest wrote since the last
 *  call (or since logging began); @words counts longs.  -ENOENT: no such slot, or not logged;
 *  -EINVAL: @words is too small. */
int mmun_kvm_get_dirty_log(struct mmun_kvm *kvm, unsigned int slot, unsigned long *bitmap,
			   size_t words);

/* Running. */

/** An instruction: 16 bytes of guest memory, on a boundary of 16. */
struct mmun_kvm_insn {
	uint8_t op;
	/** Numbers of registers. */
	uint8_t a, b;
	uint8_t zero[5];
	uint64_t imm;
};

enum {
	/** a = imm */
	MMUN_KVM_SET,
	/** a = the 8 bytes at b + imm */
	MMUN_KVM_LOAD,
	/** the 8 bytes at b + imm = a */
	MMUN_KVM_STORE,
	/** a = a + b + imm */
	MMUN_KVM_ADD,
	/** a = a - 1; to imm unless a is 0 */
	MMUN_KVM_LOOP,
	MMUN_KVM_HALT,
};

enum mmun_kvm_exit {
	MMUN_KVM_EXIT_HALT,
	/** No slot at ->exit_address (or a store to a read-only one): the program emulates
	 *  the access; the instruction is not done. */
	MMUN_KVM_EXIT_MMIO,
	/** The slot's program address maps nothing: -EFAULT in ->error. */
	MMUN_KVM_EXIT_FAULT,
	/** No such instruction, or an unaligned one or access. */
	MMUN_KVM_EXIT_BAD_INSN,
	/** ->budget instructions are done. */
	MMUN_KVM_EXIT_BUDGET,
};

struct mmun_kvm_state {
	uint64_t reg[MMUN_KVM_REGISTERS];
	uint64_t pc;
	/** Instructions to do at most; 0: no limit. */
	unsigned long budget;
	/* What the last run says: */
	unsigned long exit_address;
	bool exit_write;
	int error;
};

int mmun_kvm_vcpu_create(struct mmun_kvm *kvm, struct mmun_kvm_vcpu **out);
void mmun_kvm_vcpu_destroy(struct mmun_kvm_vcpu *vcpu);
/** Registers and the rest; to be changed between runs only. */
struct mmun_kvm_state *mmun_kvm_vcpu_state(struct mmun_kvm_vcpu *vcpu);

/** mmun_kvm_run() - run until something happens.
 *  Context: sleeps; mmap lock not held.
 *  Return: enum mmun_kvm_exit; -EIO once the program's memory has ended. */
int mmun_kvm_run(struct mmun_kvm_vcpu *vcpu);

/** mmun_kvm_read() / _write() - one access of 1...8 bytes within a page as the guest would do
 *  it.  Return: 0; -ENXIO where the guest would exit with MMIO; -EFAULT; -ENOMEM; -EIO. */
int mmun_kvm_read(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, void *buffer, size_t length);
int mmun_kvm_write(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, const void *buffer,
		   size_t length);

/* Pages that the hypervisor itself uses: a guest address looked up once. */

struct mmun_kvm_cache;
/** mmun_kvm_cache_create() - of the page at @gpa.  -ENOMEM. */
int mmun_kvm_cache_create(struct mmun_kvm *kvm, unsigned long gpa, struct mmun_kvm_cache **out);
void mmun_kvm_cache_destroy(struct mmun_kvm_cache *cache);
/** Within the page; looks the page up again when it has changed.  Return as mmun_kvm_read(). */
int mmun_kvm_cache_read(struct mmun_kvm_cache *cache, size_t offset, void *buffer, size_t length);
int mmun_kvm_cache_write(struct mmun_kvm_cache *cache, size_t offset, const void *buffer,
			 size_t length);

#endif
