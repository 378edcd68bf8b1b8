/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where x86-64 instructions end, and the little of what they do that is needed
 * to say which system call a `syscall` instruction makes.
 * Reads its arguments only; no tables are written, nothing is allocated.
 * Tests: tests/glibc/check.sh (every boundary beside a disassembler).
 */
#ifndef MMUN_SELF_INSN_H
#define MMUN_SELF_INSN_H

#include <stdbool.h>

/* General registers by number, as the encoding has them. */
enum { MMUN_RAX, MMUN_RCX, MMUN_RDX, MMUN_RBX, MMUN_RSP, MMUN_RBP, MMUN_RSI, MMUN_RDI };
#define MMUN_NO_REGISTER (-1)

struct mmun_insn {
	unsigned char length;
	/* 0: one byte, 1: 0f, 2: 0f 38, 3: 0f 3a; those of VEX, EVEX and XOP as they
	 * number them. */
	unsigned char map;
	unsigned char opcode;
	/* VEX, EVEX or XOP. */
	bool vector;
	bool has_modrm, operand16, repeat, wide;
	unsigned char rex, modrm;
	/* A displacement from the address behind the instruction. */
	bool rip_relative;
	unsigned char displacement_at;
	/* The immediate: 0 bytes if there is none. */
	unsigned char immediate_at, immediate_size;
};

/* The register that the modrm byte names: as its operand, or in memory's place. */
static inline int mmun_insn_reg(const struct mmun_insn *insn)
{
	return (insn->modrm >> 3 & 7) | (insn->rex & 4 ? 8 : 0);
}

static inline int mmun_insn_rm(const struct mmun_insn *insn)
{
	return (insn->modrm & 7) | (insn->rex & 1 ? 8 : 0);
}

static inline bool mmun_insn_has_memory(const struct mmun_insn *insn)
{
	return insn->has_modrm && insn->modrm < 0xc0;
}

/* Decode what stands at @code, of which @size bytes may be read.
 * Return: false if that is no instruction that we know. */
bool mmun_insn_decode(struct mmun_insn *insn, const unsigned char *code, unsigned long size);

/*
 * Pass over instructions of frequent forms that neither jump nor branch, from @at on:
 * the length of each is added to the byte of @lengths where it begins.
 * Return: where one is that must be decoded.
 */
unsigned int mmun_insn_pass(const unsigned char *code, unsigned int at, unsigned int size,
			    unsigned char *lengths);

/*
 * The frequent jumps and branches: those without a prefix.
 * Return: the length, and how far behind the instruction the target is; 0: decode it.
 */
unsigned int mmun_insn_plain_branch(const unsigned char *code, unsigned long size, long *distance);

/* How it goes on. */
enum mmun_flow {
	MMUN_FLOW_NEXT,   /* with the next instruction */
	MMUN_FLOW_CALL,   /* with the next one, after a call */
	MMUN_FLOW_BRANCH, /* there or with the next one */
	MMUN_FLOW_JUMP,   /* there */
	MMUN_FLOW_AWAY,   /* somewhere else: ret, jump through a register, trap */
};
enum mmun_flow mmun_insn_flow(const struct mmun_insn *insn);

/* Does it nothing, as the padding between functions? */
bool mmun_insn_is_nop(const struct mmun_insn *insn);

/* Has it a direct target, and how far behind the instruction? */
bool mmun_insn_target(const struct mmun_insn *insn, const unsigned char *code, long *distance);

/* What an instruction leaves in a register. */
enum mmun_write {
	MMUN_WRITE_NONE,  /* what was there */
	MMUN_WRITE_VALUE, /* @value */
	MMUN_WRITE_COPY,  /* what is in register @from */
	MMUN_WRITE_UNKNOWN,
};
struct mmun_effect {
	enum mmun_write write;
	unsigned int value;
	int from;
};
struct mmun_effect mmun_insn_effect(const struct mmun_insn *insn, const unsigned char *code,
				    int reg);

#endif
