/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an instruction does, as far as it matters here: how it goes on, and which general
 * registers it writes.  One whose effect is not known writes every register.
 * Not here: where it ends (insn.c).
 * Tests: tests/glibc/check.sh (flow and targets), tests/glibc/sites.c.
 */
#include "insn.h"

#include <string.h>

enum mmun_flow mmun_insn_flow(const struct mmun_insn *insn)
{
	int reg = insn->modrm >> 3 & 7;

	if (insn->vector)
		return MMUN_FLOW_NEXT;
	if (insn->map == 1) {
		if ((insn->opcode & 0xf0) == 0x80)
			return MMUN_FLOW_BRANCH;
		/* ud2, ud1, ud0, sysret, sysexit */
		return insn->opcode == 0x0b || insn->opcode == 0xb9 || insn->opcode == 0xff ||
				       insn->opcode == 0x07 || insn->opcode == 0x35
			       ? MMUN_FLOW_AWAY
			       : MMUN_FLOW_NEXT;
	}
	if (insn->map)
		return MMUN_FLOW_NEXT;
	switch (insn->opcode) {
	case 0xe8:
		return MMUN_FLOW_CALL;
	case 0xe9:
	case 0xeb:
		return MMUN_FLOW_JUMP;
	case 0xe0:
	case 0xe1:
	case 0xe2:
	case 0xe3:
		return MMUN_FLOW_BRANCH;
	case 0xc2:
	case 0xc3:
	case 0xca:
	case 0xcb:
	case 0xcf:
	case 0xcc:
	case 0xf4:
		return MMUN_FLOW_AWAY;
	case 0xff:
		if (reg == 2 || reg == 3)
			return MMUN_FLOW_CALL;
		return reg == 4 || reg == 5 ? MMUN_FLOW_AWAY : MMUN_FLOW_NEXT;
	}
	return (insn->opcode & 0xf0) == 0x70 ? MMUN_FLOW_BRANCH : MMUN_FLOW_NEXT;
}

bool mmun_insn_is_nop(const struct mmun_insn *insn)
{
	if (insn->vector)
		return false;
	return (insn->map == 0 && insn->opcode == 0x90 && !insn->repeat) ||
	       (insn->map == 1 && insn->opcode == 0x1f);
}

bool mmun_insn_target(const struct mmun_insn *insn, const unsigned char *code, long *distance)
{
	enum mmun_flow flow = mmun_insn_flow(insn);
	int value;
	/* xbegin branches when the transaction ends early. */
	bool begins = !insn->vector && !insn->map && insn->opcode == 0xc7 && insn->modrm == 0xf8;

	if (!begins && flow != MMUN_FLOW_BRANCH && flow != MMUN_FLOW_JUMP &&
	    (flow != MMUN_FLOW_CALL || insn->opcode != 0xe8))
		return false;
	if (insn->immediate_size == 1) {
		*distance = (signed char)code[insn->immediate_at];
		return true;
	}
	memcpy(&value, code + insn->immediate_at, sizeof(value));
	*distance = value;
	return true;
}

/*
 * What an opcode writes, as a set: bit N is register N, and what only the instruction can say
 * is a bit above.
 */
/* clang-format off */
enum {
	A = 1 << MMUN_RAX, C = 1 << MMUN_RCX, D = 1 << MMUN_RDX, B = 1 << MMUN_RBX,
	SP = 1 << MMUN_RSP, BP = 1 << MMUN_RBP, SI = 1 << MMUN_RSI, DI = 1 << MMUN_RDI,
	R11 = 1 << 11,
	/* What a called function may change: all but rbx, rsp, rbp and r12 to r15. */
	CL = 0x0fc7,

	N = 0,		/* nothing: flags, memory, vector registers */
	RM = 1 << 16,	/* what modrm names, if that is a register */
	RG = 1 << 17,	/* the register field of modrm */
	LO = 1 << 18,	/* the low bits of the opcode */
	BY = 1 << 19,	/* a byte of it: without REX numbers 4 to 7 are the upper halves of others */
	FD = 1 << 20,	/* it depends on the register field: one_byte_field(), two_byte_field() */
	U = 1 << 21,	/* not known: anything */
	S = SI | DI | C,	/* moves and compares of strings */
	T = DI | C,		/* the same with one string */
};

static const unsigned int one_byte[256] = {
	/* 00 */ RM|BY, RM, RG|BY, RG, A, A, A, A, RM|BY, RM, RG|BY, RG, A, A, A, A,
	/* 10 */ RM|BY, RM, RG|BY, RG, A, A, A, A, RM|BY, RM, RG|BY, RG, A, A, A, A,
	/* 20 */ RM|BY, RM, RG|BY, RG, A, A, A, A, RM|BY, RM, RG|BY, RG, A, A, A, A,
	/* 30 */ RM|BY, RM, RG|BY, RG, A, A, A, A, N, N, N, N, N, N, N, N,
	/* 40 */ U, U, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	/* 50 */ N, N, N, N, N, N, N, N, LO, LO, LO, LO, LO, LO, LO, LO,
	/* 60 */ U, U, U, RG, U, U, U, U, N, RG, N, RG, U, U, U, U,
	/* 70 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 80 */ FD|BY, FD, U, FD, N, N, RM|RG|BY, RM|RG, RM|BY, RM, RG|BY, RG, U, RG, U, RM,
	/* 90 */ N, A|LO, A|LO, A|LO, A|LO, A|LO, A|LO, A|LO, A, D, U, N, N, N, N, A,
	/* a0 */ A, A, N, N, S, S, S, S, N, N, T, T, U, U, T, T,
	/* b0 */ LO|BY, LO|BY, LO|BY, LO|BY, LO|BY, LO|BY, LO|BY, LO|BY, LO, LO, LO, LO, LO, LO, LO, LO,
	/* c0 */ RM|BY, RM, N, N, U, U, RM|BY, RM, U, BP|SP, U, U, N, U, U, U,
	/* d0 */ RM|BY, RM, RM|BY, RM, U, U, U, U, N, N, N, N, N, N, N, FD,
	/* e0 */ C, C, C, N, U, U, U, U, CL, N, U, N, U, U, U, U,
	/* f0 */ U, U, U, U, N, N, FD|BY, FD, N, N, U, U, N, N, RM|BY, FD,
};

static const unsigned int two_bytes[256] = {
	/* 00 */ U, U, U, U, U, A|C|R11, U, U, U, U, U, N, U, N, U, U,
	/* 10 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, RM, N,
	/* 20 */ U, U, U, U, U, U, U, U, N, N, N, N, RG, RG, N, N,
	/* 30 */ U, A|D, U, U, U, U, U, U, U, U, U, U, U, U, U, U,
	/* 40 */ RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG, RG,
	/* 50 */ RG, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 60 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 70 */ N, N, N, N, N, N, N, N, U, U, U, U, U, U, RM, N,
	/* 80 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 90 */ RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY,
	/* 98 */ RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY, RM|BY,
	/* a0 */ N, N, A|B|C|D, N, RM, RM, U, U, N, N, U, RM, RM, RM, RM, RG,
	/* b0 */ A|RM|BY, A|RM|BY, U, RM, U, U, RG, RG, RG, U, FD, RM, RG, RG, RG, RG,
	/* c0 */ RM|RG|BY, RM|RG|BY, N, N, N, RG, N, FD, LO, LO, LO, LO, LO, LO, LO, LO,
	/* d0 */ N, N, N, N, N, N, N, RG, N, N, N, N, N, N, N, N,
	/* e0 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* f0 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, U,
};
/* clang-format on */

static unsigned int one_byte_field(const struct mmun_insn *insn, unsigned int field)
{
	switch (insn->opcode) {
	case 0xf6:
	case 0xf7:
		/* test; not, neg; mul, div */
		return field < 2 ? N : field < 4 ? RM : A | D;
	case 0xff:
		/* inc, dec; call; jmp, push */
		return field < 2 ? RM : field < 4 ? CL : N;
	case 0xdf:
		/* fnstsw */
		return insn->modrm == 0xe0 ? A : N;
	}
	/* cmp and the others of its kind */
	return field == 7 ? N : RM;
}

static unsigned int two_byte_field(const struct mmun_insn *insn, unsigned int field)
{
	/* bt and its kind; cmpxchg8b, rdrand */
	if (insn->opcode == 0xba)
		return field == 4 ? N : RM;
	return mmun_insn_has_memory(insn) ? A | D : RM;
}

/* The registers of what the tables say. */
static unsigned int resolve(const struct mmun_insn *insn, unsigned int writes)
{
	unsigned int named = 0;

	if (writes & U)
		return ~0U;
	if (writes & RM && !mmun_insn_has_memory(insn))
		named |= 1U << mmun_insn_rm(insn);
	if (writes & RG)
		named |= 1U << mmun_insn_reg(insn);
	if (writes & LO)
		named |= 1U << ((insn->opcode & 7) | (insn->rex & 1 ? 8 : 0));
	if (writes & BY && !insn->rex)
		named |= named >> 4 & 15;
	return (writes & 0xffff) | named;
}

static unsigned int one_byte_writes(const struct mmun_insn *insn)
{
	unsigned int writes = one_byte[insn->opcode];

	if (writes & FD)
		writes = (writes & BY) | one_byte_field(insn, insn->modrm >> 3 & 7);
	return resolve(insn, writes);
}

static unsigned int two_byte_writes(const struct mmun_insn *insn)
{
	unsigned int writes = two_bytes[insn->opcode];

	if (writes & FD)
		writes = two_byte_field(insn, insn->modrm >> 3 & 7);
	return resolve(insn, writes);
}

/* Of the wider vector forms only those that everybody uses; others may write
 * anything. */
static unsigned int other_writes(const struct mmun_insn *insn)
{
	if (insn->vector && insn->map == 1)
		return insn->opcode >= 0x90 && insn->opcode < 0xa0 ? ~0U : two_byte_writes(insn);
	if (insn->map == 2)
		return insn->opcode < 0xf0 ? 0 : ~0U;
	if (insn->map == 3)
		return insn->opcode >= 0x14 && insn->opcode < 0x18   ? ~0U
		       : insn->opcode >= 0x60 && insn->opcode < 0x64 ? 1 << MMUN_RCX
		       : insn->opcode < 0xf0                         ? 0
								     : ~0U;
	return ~0U;
}

struct mmun_effect mmun_insn_effect(const struct mmun_insn *insn, const unsigned char *code,
				    int reg)
{
	struct mmun_effect effect = { .write = MMUN_WRITE_NONE, .from = MMUN_NO_REGISTER };
	unsigned char op = insn->opcode;
	bool two_registers = insn->has_modrm && !mmun_insn_has_memory(insn);
	unsigned int writes;

	if (insn->map == 0)
		writes = one_byte_writes(insn);
	else if (insn->map == 1 && !insn->vector)
		writes = two_byte_writes(insn);
	else
		writes = other_writes(insn);
	if (!(writes >> reg & 1))
		return effect;
	effect.write = MMUN_WRITE_UNKNOWN;
	if (insn->map || insn->operand16)
		return effect;
	/* mov $value,%reg; with REX.W and four bytes the sign is extended. */
	if (op >= 0xb8 && op < 0xc0 && !insn->wide) {
		effect.write = MMUN_WRITE_VALUE;
		memcpy(&effect.value, code + insn->immediate_at, 4);
	} else if (op == 0xc7 && two_registers) {
		memcpy(&effect.value, code + insn->immediate_at, 4);
		if (!insn->wide || effect.value < 0x80000000U)
			effect.write = MMUN_WRITE_VALUE;
	} else if ((op == 0x31 || op == 0x33) && two_registers &&
		   mmun_insn_reg(insn) == mmun_insn_rm(insn)) {
		effect.write = MMUN_WRITE_VALUE;
		effect.value = 0;
	} else if ((op == 0x89 || op == 0x8b) && two_registers) {
		effect.write = MMUN_WRITE_COPY;
		effect.from = op == 0x89 ? mmun_insn_reg(insn) : mmun_insn_rm(insn);
	}
	return effect;
}
