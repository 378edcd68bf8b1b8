/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A guest of secondary/kvm with 16 pages of a program's memory and one for its
 * program, and the hooks by which a test comes in between.
 */
#ifndef MMUN_TESTS_SECONDARY_KVM_SCENE_H
#define MMUN_TESTS_SECONDARY_KVM_SCENE_H

#include "kvm.h"
#include "machine.h"

#define GUEST_PAGES 16
#define CODE_GPA    0x100000ul
#define CODE_SLOT   1

static struct mm_struct *mm;
static struct mmun_kvm *kvm;
static struct mmun_kvm_vcpu *vcpu;
/* Guest page 0... of slot 0 is here; the guest's program is elsewhere. */
static unsigned long at, code;

/* What happens once between a look-up and its entry, in release, and in an access. */
static void (*meanwhile)(void);
static void (*in_release)(void);
static void (*in_access)(void);

static UNUSED void looked_up(void *arg, unsigned long gpa)
{
	once(&meanwhile);
}

static UNUSED void hook_release(void *arg)
{
	once(&in_release);
}

static UNUSED void hook_access(void *arg)
{
	once(&in_access);
}

static UNUSED int set_region(unsigned int slot, unsigned long gpa, unsigned long pages,
			     unsigned long address, unsigned int flags)
{
	const struct mmun_kvm_region region = { slot, flags, gpa, pages * PAGE, address };

	return mmun_kvm_set_region(kvm, &region);
}

static UNUSED void begin_with(struct mmun_kvm_params params)
{
	machine_begin();
	mm = new_mm();
	params.looked_up = looked_up;
	params.in_release = hook_release;
	params.in_access = hook_access;
	if (mmun_kvm_create(mm, &params, &kvm) || mmun_kvm_vcpu_create(kvm, &vcpu))
		bail_out("no guest");
	at = map(mm, GUEST_PAGES);
	code = map_at(mm, 0x70000000, 1, MAP_PRIVATE | MAP_FIXED, NULL);
	if (set_region(0, 0, GUEST_PAGES, at, 0) || set_region(CODE_SLOT, CODE_GPA, 1, code, 0))
		bail_out("no slot");
}

static UNUSED void begin(void)
{
	begin_with((struct mmun_kvm_params){ 0 });
}

static UNUSED void end_guest(void)
{
	mmun_kvm_vcpu_destroy(vcpu);
	mmun_kvm_destroy(kvm);
}

static UNUSED void done(const char *what)
{
	end_guest();
	mmput(mm);
	machine_done(what);
}

static UNUSED struct mmun_kvm_stats stats(void)
{
	struct mmun_kvm_stats out;

	mmun_kvm_stats(kvm, &out);
	return out;
}

static UNUSED long load(unsigned long gpa)
{
	long value = 0;
	int ret = mmun_kvm_read(vcpu, gpa, &value, sizeof(value));

	return ret ? ret : value;
}

static UNUSED int store(unsigned long gpa, long value)
{
	return mmun_kvm_write(vcpu, gpa, &value, sizeof(value));
}

static UNUSED void program(const struct mmun_kvm_insn *insns, size_t size)
{
	if (mmun_soft_write(mm, code, insns, size, NULL))
		bail_out("no program");
	mmun_kvm_vcpu_state(vcpu)->pc = CODE_GPA;
}

#endif
