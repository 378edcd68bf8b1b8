/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The guest: an interpreter whose program and data are guest-physical memory.
 *
 * I1  An instruction that exits is not done: the state is as before it, and a
 *     run after the cause is removed does it.
 * I2  A run holds a user of the program's memory.  If it turns out to be the
 *     last, ->release runs at the end of the run, where no lock is held.
 *     A subscription without ->release has nobody who stops the guest; it then runs on
 *     into the freed memory, which is what the checker is there to catch.
 *
 * Tests: tests/contract/secondary/kvm.c.
 */
#include "vm.h"

#include <errno.h>

/* What an access of an instruction means for the run; 0: go on. */
static int exit_of(struct mmun_kvm_state *state, int error, unsigned long gpa, bool write)
{
	state->exit_address = gpa;
	state->exit_write = write;
	state->error = error;
	if (error == -ENXIO)
		return MMUN_KVM_EXIT_MMIO;
	return error == -EIO ? -EIO : MMUN_KVM_EXIT_FAULT;
}

static bool is_good(const struct mmun_kvm_insn *insn)
{
	return insn->op <= MMUN_KVM_HALT && insn->a < MMUN_KVM_REGISTERS &&
	       insn->b < MMUN_KVM_REGISTERS;
}

/* Returns an exit, -EIO, or CONTINUE. */
#define CONTINUE 0x100

static int do_memory(struct mmun_kvm_vcpu *vcpu, const struct mmun_kvm_insn *insn)
{
	struct mmun_kvm_state *state = &vcpu->state;
	unsigned long gpa = state->reg[insn->b] + insn->imm;
	uint64_t value = state->reg[insn->a];
	bool write = insn->op == MMUN_KVM_STORE;
	int ret;

	if (gpa % sizeof(value))
		return MMUN_KVM_EXIT_BAD_INSN;
	ret = mmun_kvm_access(vcpu, gpa, &value, sizeof(value), write);
	if (ret)
		return exit_of(state, ret, gpa, write);
	if (!write)
		state->reg[insn->a] = value;
	return CONTINUE;
}

static int do_insn(struct mmun_kvm_vcpu *vcpu, const struct mmun_kvm_insn *insn)
{
	struct mmun_kvm_state *state = &vcpu->state;
	uint64_t next = state->pc + sizeof(*insn);
	int ret;

	switch (insn->op) {
	case MMUN_KVM_SET:
		state->reg[insn->a] = insn->imm;
		break;
	case MMUN_KVM_LOAD:
	case MMUN_KVM_STORE:
		ret = do_memory(vcpu, insn);
		if (ret != CONTINUE)
			return ret;
		break;
	case MMUN_KVM_ADD:
		state->reg[insn->a] += state->reg[insn->b] + insn->imm;
		break;
	case MMUN_KVM_LOOP:
		if (--state->reg[insn->a])
			next = insn->imm;
		break;
	case MMUN_KVM_HALT:
		state->pc = next;
		return MMUN_KVM_EXIT_HALT;
	}
	state->pc = next;
	return CONTINUE;
}

static int step(struct mmun_kvm_vcpu *vcpu)
{
	struct mmun_kvm_state *state = &vcpu->state;
	struct mmun_kvm_insn insn;
	int ret;

	if (state->pc % sizeof(insn))
		return MMUN_KVM_EXIT_BAD_INSN;
	ret = mmun_kvm_access(vcpu, state->pc, &insn, sizeof(insn), false);
	if (ret)
		return exit_of(state, ret, state->pc, false);
	return is_good(&insn) ? do_insn(vcpu, &insn) : MMUN_KVM_EXIT_BAD_INSN;
}

static int run(struct mmun_kvm_vcpu *vcpu)
{
	unsigned long done = 0, budget = vcpu->state.budget;
	int ret;

	for (;;) {
		if (budget && done++ == budget)
			return MMUN_KVM_EXIT_BUDGET;
		ret = step(vcpu);
		if (ret != CONTINUE)
			return ret;
	}
}

static bool memory_get(struct mmun_kvm *kvm, bool *got)
{
	*got = mmget_not_zero(kvm->mm);
	return *got || kvm->params.without_release;
}

int mmun_kvm_run(struct mmun_kvm_vcpu *vcpu)
{
	struct mmun_kvm *kvm = vcpu->kvm;
	bool got;
	int ret;

	if (!memory_get(kvm, &got))
		return -EIO;
	ret = run(vcpu);
	if (got)
		mmput(kvm->mm);
	return ret;
}

static int one_access(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, void *buffer, size_t length,
		      bool write)
{
	struct mmun_kvm *kvm = vcpu->kvm;
	bool got;
	int ret;

	if (!memory_get(kvm, &got))
		return -EIO;
	ret = mmun_kvm_access(vcpu, gpa, buffer, length, write);
	if (got)
		mmput(kvm->mm);
	return ret;
}

int mmun_kvm_read(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, void *buffer, size_t length)
{
	return one_access(vcpu, gpa, buffer, length, false);
}

int mmun_kvm_write(struct mmun_kvm_vcpu *vcpu, unsigned long gpa, const void *buffer, size_t length)
{
	return one_access(vcpu, gpa, (void *)(uintptr_t)buffer, length, true);
}
