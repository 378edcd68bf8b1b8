/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The encoding in tables: for each opcode what follows it, and which general
 * registers the instruction writes.  An opcode that is not known ends decoding;
 * one whose effect is not known writes every register.
 * Not here: APX (REX2, EVEX map 4), which no library uses yet.
 * Tests: tests/glibc/check.sh.
 */
#include "insn.h"

#include <string.h>

/* What follows an opcode; the low bits are how many bytes an immediate has that no
 * prefix changes. */
/* clang-format off */
enum {
	/* Branches, and what else the short way leaves to the long one. */
	L = 0x80,

	N = 0,		/* nothing */
	B = 1,		/* one byte */
	W = 2,		/* two bytes */
	E = 3,		/* three: enter */
	Z = 4,		/* four bytes, two with the operand size prefix */
	D = 4 | 0x08,	/* four bytes, a displacement: the prefix does not change it */
	V = 4 | 0x10,	/* eight with REX.W, else as Z */
	M = 0x20,	/* modrm */
	MB = M | B, MZ = M | Z,	/* modrm, then an immediate */
	O = L | 0x40,	/* an address: eight bytes, four with its prefix */
	G = L | 0x41,	/* modrm, and an immediate if the register field is 0 or 1: test */
	P = L | 0x42,	/* a prefix */
	X = L | 0x43,	/* no instruction here */

	BL = B | L, ML = M | L, MZL = MZ | L, DL = D | L,
};
/* clang-format on */
#define IMMEDIATE 0x07

/* clang-format off */
static const unsigned char one_byte[256] = {
	/* 00 */ M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, P,
	/* 10 */ M, M, M, M, B, Z, X, X, M, M, M, M, B, Z, X, X,
	/* 20 */ M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X,
	/* 30 */ M, M, M, M, B, Z, P, X, M, M, M, M, B, Z, P, X,
	/* 40 */ P, P, P, P, P, P, P, P, P, P, P, P, P, P, P, P,
	/* 50 */ N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
	/* 60 */ X, X, P, M, P, P, P, P, Z, MZ, B, MB, N, N, N, N,
	/* 70 */ BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL, BL,
	/* 80 */ MB, MZ, X, MB, M, M, M, M, M, M, M, M, M, M, M, ML,
	/* 90 */ N, N, N, N, N, N, N, N, N, N, X, N, N, N, N, N,
	/* a0 */ O, O, O, O, N, N, N, N, B, Z, N, N, N, N, N, N,
	/* b0 */ B, B, B, B, B, B, B, B, V, V, V, V, V, V, V, V,
	/* c0 */ MB, MB, W, N, P, P, MB, MZL, E, N, W, N, N, B, X, N,
	/* d0 */ M, M, M, M, X, X, X, N, M, M, M, M, M, M, M, M,
	/* e0 */ BL, BL, BL, BL, B, B, B, B, D, DL, X, BL, N, N, N, N,
	/* f0 */ P, N, P, P, N, N, G, G, N, N, N, N, N, N, M, ML,
};
/* clang-format on */

/* clang-format off */
static const unsigned char two_bytes[256] = {
	/* 00 */ M, M, M, M, X, N, N, N, N, N, X, N, X, M, N, MB,
	/* 10 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 20 */ ML, ML, ML, ML, X, X, X, X, M, M, M, M, M, M, M, M,
	/* 30 */ N, N, N, N, N, N, X, N, P, X, P, X, X, X, X, X,
	/* 40 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 50 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 60 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* 70 */ MB, MB, MB, MB, M, M, M, N, M, M, M, M, M, M, M, M,
	/* 80 */ DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL, DL,
	/* 90 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* a0 */ N, N, N, M, MB, M, M, M, N, N, N, M, MB, M, M, M,
	/* b0 */ M, M, M, M, M, M, M, M, M, M, MB, M, M, M, M, M,
	/* c0 */ M, M, MB, M, MB, MB, MB, M, N, N, N, N, N, N, N, N,
	/* d0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* e0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
	/* f0 */ M, M, M, M, M, M, M, M, M, M, M, M, M, M, M, M,
};
/* clang-format on */

struct reader {
	const unsigned char *code;
	unsigned int at, size;
};

static bool have(const struct reader *reader, unsigned int count)
{
	return reader->at + count <= reader->size;
}

/* Prefixes of another form than one byte; the opcode follows. */
static bool read_vector_prefix(struct mmun_insn *insn, struct reader *reader, unsigned char first)
{
	const unsigned char *p = reader->code + reader->at;
	unsigned int payload = first == 0xc5 ? 1 : first == 0x62 ? 3 : 2;
	/* Inverted: bit 7 extends reg, bit 5 rm. */
	unsigned char bits;

	if (!have(reader, payload + 1))
		return false;
	bits = ~p[0];
	insn->vector = true;
	insn->rex = (bits & 0x80 ? 4 : 0) | (first != 0xc5 && bits & 0x20 ? 1 : 0);
	insn->map = first == 0xc5 ? 1 : first == 0x62 ? p[0] & 7 : p[0] & 31;
	insn->opcode = p[payload];
	reader->at += payload + 1;
	return true;
}

static int vector_form(const struct mmun_insn *insn, unsigned char first)
{
	bool evex = first == 0x62, xop = first == 0x8f;

	switch (insn->map) {
	case 1:
		if (insn->opcode == 0x77 && !evex)
			return N;
		return two_bytes[insn->opcode] == MB ? MB : M;
	case 2:
		return M;
	case 3:
		return MB;
	case 5:
	case 6:
		return evex ? M : X;
	case 8:
		return xop ? MB : X;
	case 9:
		return xop ? M : X;
	case 10:
		return xop ? MZ : X;
	}
	return X;
}

static bool read_modrm(struct mmun_insn *insn, struct reader *reader)
{
	unsigned char mod, rm, size = 0;

	if (!have(reader, 1))
		return false;
	insn->has_modrm = true;
	insn->modrm = reader->code[reader->at++];
	mod = insn->modrm >> 6;
	rm = insn->modrm & 7;
	if (mod == 3)
		return true;
	if (rm == 4) {
		if (!have(reader, 1))
			return false;
		/* No base: a displacement instead. */
		if (mod == 0 && (reader->code[reader->at] & 7) == 5)
			size = 4;
		reader->at++;
	}
	insn->rip_relative = mod == 0 && rm == 5;
	if (mod == 1)
		size = 1;
	else if (mod == 2 || insn->rip_relative)
		size = 4;
	insn->displacement_at = reader->at;
	reader->at += size;
	return reader->at <= reader->size;
}

static bool read_immediate(struct mmun_insn *insn, struct reader *reader, unsigned int size)
{
	insn->immediate_at = reader->at;
	insn->immediate_size = size;
	reader->at += size;
	return reader->at <= reader->size;
}

static bool read_operands(struct mmun_insn *insn, struct reader *reader, int form, bool address32)
{
	unsigned int z = insn->operand16 && !(insn->rex & 8) ? 2 : 4;

	if ((form == M || form == MB || form == MZ || form == G) && !read_modrm(insn, reader))
		return false;
	switch (form) {
	case N:
	case M:
		return true;
	case B:
	case MB:
		return read_immediate(insn, reader, 1);
	case Z:
	case MZ:
		return read_immediate(insn, reader, z);
	case V:
		return read_immediate(insn, reader, insn->rex & 8 ? 8 : z);
	case D:
		return read_immediate(insn, reader, 4);
	case W:
		return read_immediate(insn, reader, 2);
	case E:
		return read_immediate(insn, reader, 3);
	case O:
		return read_immediate(insn, reader, address32 ? 4 : 8);
	case G:
		if (insn->modrm & 0x30)
			return true;
		return read_immediate(insn, reader, insn->opcode == 0xf6 ? 1 : z);
	}
	return false;
}

/* The opcode behind the escape 0f. */
static int read_escape(struct mmun_insn *insn, struct reader *reader)
{
	if (!have(reader, 1))
		return X;
	insn->map = 1;
	insn->opcode = reader->code[reader->at++];
	if (insn->opcode != 0x38 && insn->opcode != 0x3a)
		return two_bytes[insn->opcode];
	if (!have(reader, 1))
		return X;
	insn->map = insn->opcode == 0x38 ? 2 : 3;
	insn->opcode = reader->code[reader->at++];
	return insn->map == 2 ? M : MB;
}

/* Moves of and to control registers have no memory operand whatever they say;
 * two of AMD's take two bytes. */
static int special_form(const struct mmun_insn *insn, int form)
{
	if (insn->map != 1 || insn->vector)
		return form;
	if (insn->opcode >= 0x20 && insn->opcode <= 0x23)
		return B;
	return form;
}

static bool is_prefix(unsigned char byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	}
	return false;
}

bool mmun_insn_decode(struct mmun_insn *insn, const unsigned char *code, unsigned long size)
{
	struct reader reader = { code, 0, size < 15 ? size : 15 };
	bool address32 = false;
	unsigned char byte;
	int form;

	memset(insn, 0, sizeof(*insn));
	/* REX counts only where the opcode follows. */
	for (;;) {
		if (!have(&reader, 1))
			return false;
		byte = code[reader.at++];
		if ((byte & 0xf0) == 0x40) {
			insn->rex = byte;
			continue;
		}
		if (!is_prefix(byte))
			break;
		insn->operand16 |= byte == 0x66;
		address32 |= byte == 0x67;
		insn->repeat |= byte == 0xf2 || byte == 0xf3;
		insn->rex = 0;
	}
	insn->wide = insn->rex & 8;
	insn->opcode = byte;
	/* pop with a register field that it does not have: XOP. */
	if (byte == 0xc4 || byte == 0xc5 || byte == 0x62 ||
	    (byte == 0x8f && have(&reader, 1) && (code[reader.at] & 31) >= 8)) {
		if (!read_vector_prefix(insn, &reader, byte))
			return false;
		form = vector_form(insn, byte);
	} else if (byte == 0x0f) {
		form = read_escape(insn, &reader);
	} else {
		form = one_byte[byte];
	}
	form = special_form(insn, form < O ? form & ~L : form);
	if (form == X || form == P || !read_operands(insn, &reader, form, address32))
		return false;
	insn->length = reader.at;
	return true;
}

/* modrm and what it brings: a SIB byte, a displacement. */
static unsigned int memory_length(const unsigned char *modrm)
{
	unsigned int mod = modrm[0] >> 6, rm = modrm[0] & 7;
	bool sib = rm == 4 && mod != 3;
	bool no_base = mod == 0 && (sib ? modrm[1] & 7 : rm) == 5;

	/* Half a byte for each mod: no displacement, 1, 4, none. */
	return 1 + sib + (0x0410 >> 4 * mod & 15) + (no_base ? 4 : 0);
}

/* The length of what neither jumps nor branches, if its form is frequent, else 0; reads
 * up to 15 bytes. */
static unsigned int plain_length(const unsigned char *code)
{
	const unsigned char *p = code;
	unsigned int form, length;
	bool wide = false;

	/* The prefix of the operand size counts for immediates only: not behind 0f. */
	if (*p == 0x64 || ((*p == 0x66 || *p == 0xf2 || *p == 0xf3) &&
			   (p[1] == 0x0f || ((p[1] & 0xf0) == 0x40 && p[2] == 0x0f))))
		p++;
	if ((*p & 0xf0) == 0x40)
		wide = *p++ & 8;
	form = *p == 0x0f ? two_bytes[*++p] : one_byte[*p];
	if (form & L)
		return 0;
	length = p + 1 - code + (form & IMMEDIATE);
	if (form & M)
		length += memory_length(p + 1);
	else if (form == V && wide)
		length += 4;
	return length;
}

unsigned int mmun_insn_pass(const unsigned char *code, unsigned int at, unsigned int size,
			    unsigned char *lengths)
{
	unsigned int length;

	for (; at + 15 <= size; at += length) {
		length = plain_length(code + at);
		if (!length)
			break;
		lengths[at] |= length;
	}
	return at;
}

unsigned int mmun_insn_plain_branch(const unsigned char *code, unsigned long size, long *distance)
{
	unsigned int length;
	int value;

	if (size < 6)
		return 0;
	if ((*code & 0xf0) == 0x70 || *code == 0xeb) {
		*distance = (signed char)code[1];
		return 2;
	}
	if (*code == 0xe9)
		length = 5;
	else if (*code == 0x0f && (code[1] & 0xf0) == 0x80)
		length = 6;
	else
		return 0;
	memcpy(&value, code + length - 4, 4);
	*distance = value;
	return length;
}

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

static bool one_of(int reg, unsigned int set)
{
	return set >> reg & 1;
}

/* What a called function may change: all but rbx, rsp, rbp and r12 to r15. */
#define CALL_CHANGES 0x0fc7

/* Registers that an instruction of the one-byte map writes, as a set. */
static unsigned int one_byte_writes(const struct mmun_insn *insn)
{
	unsigned int rm = mmun_insn_has_memory(insn) ? 0 : 1U << mmun_insn_rm(insn);
	unsigned int reg = 1U << mmun_insn_reg(insn), field = insn->modrm >> 3 & 7;
	unsigned int low = 1U << ((insn->opcode & 7) | (insn->rex & 1 ? 8 : 0));
	unsigned char op = insn->opcode;

	/* Without REX, four byte registers are the upper halves of others. */
	if (!insn->rex &&
	    (op == 0x88 || op == 0x8a || op == 0xc6 || op == 0x80 || op == 0xf6 || op == 0xfe ||
	     op == 0xc0 || op == 0xd0 || op == 0xd2 || op == 0x86 || (op < 0x40 && !(op & 1)))) {
		rm |= rm >> 4 & 15;
		reg |= reg >> 4 & 15;
	}
	if (op < 0x40) {
		/* cmp writes nothing */
		if ((op & 0xf8) == 0x38)
			return 0;
		return (op & 7) < 2 ? rm : (op & 7) < 4 ? reg : 1 << MMUN_RAX;
	}
	if (op >= 0x50 && op < 0x58)
		return 0;
	if (op >= 0x58 && op < 0x60)
		return low;
	if (op >= 0x70 && op < 0x80)
		return 0;
	if (op >= 0xb0 && op < 0xb8)
		return low | (insn->rex ? 0 : low >> 4 & 15);
	if (op >= 0xb8 && op < 0xc0)
		return low;
	if (op > 0x90 && op < 0x98)
		return low | 1 << MMUN_RAX;
	switch (op) {
	case 0x63:
	case 0x69:
	case 0x6b:
	case 0x8a:
	case 0x8b:
	case 0x8d:
		return reg;
	case 0x68:
	case 0x6a:
	case 0x84:
	case 0x85:
	case 0x90:
	case 0x9b:
	case 0xa8:
	case 0xa9:
	case 0xc3:
	case 0xc2:
	case 0xeb:
	case 0xe9:
	case 0xcc:
	case 0xf4:
	case 0xfc:
	case 0xfd:
	case 0xf8:
	case 0xf9:
	case 0xf5:
	case 0x9c:
	case 0x9d:
	case 0x9e:
		return 0;
	case 0x80:
	case 0x81:
	case 0x83:
		return field == 7 ? 0 : rm;
	case 0x86:
	case 0x87:
		return rm | reg;
	case 0x88:
	case 0x89:
	case 0xc6:
	case 0xc7:
	case 0x8f:
	case 0xc0:
	case 0xc1:
	case 0xd0:
	case 0xd1:
	case 0xd2:
	case 0xd3:
	case 0xfe:
		return rm;
	case 0x98:
	case 0xa0:
	case 0xa1:
	case 0x9f:
		return 1 << MMUN_RAX;
	case 0xa2:
	case 0xa3:
		return 0;
	case 0x99:
		return 1 << MMUN_RDX;
	case 0xa4:
	case 0xa5:
	case 0xa6:
	case 0xa7:
		return 1 << MMUN_RSI | 1 << MMUN_RDI | 1 << MMUN_RCX;
	case 0xaa:
	case 0xab:
	case 0xae:
	case 0xaf:
		return 1 << MMUN_RDI | 1 << MMUN_RCX;
	case 0xc9:
		return 1 << MMUN_RBP | 1 << MMUN_RSP;
	case 0xe8:
		return CALL_CHANGES;
	case 0xe0:
	case 0xe1:
	case 0xe2:
		return 1 << MMUN_RCX;
	case 0xe3:
		return 0;
	case 0xf6:
	case 0xf7:
		if (field < 2)
			return 0;
		return field < 4 ? rm : 1 << MMUN_RAX | 1 << MMUN_RDX;
	case 0xff:
		if (field < 2)
			return rm;
		return field == 2 || field == 3 ? CALL_CHANGES : 0;
	case 0xd8:
	case 0xd9:
	case 0xda:
	case 0xdb:
	case 0xdc:
	case 0xdd:
	case 0xde:
		return 0;
	case 0xdf:
		return insn->modrm == 0xe0 ? 1 << MMUN_RAX : 0;
	}
	return ~0U;
}

static unsigned int two_byte_writes(const struct mmun_insn *insn)
{
	unsigned int rm = mmun_insn_has_memory(insn) ? 0 : 1U << mmun_insn_rm(insn);
	unsigned int reg = 1U << mmun_insn_reg(insn), field = insn->modrm >> 3 & 7;
	unsigned char op = insn->opcode;

	if ((op & 0xf0) == 0x80)
		return 0;
	if ((op & 0xf0) == 0x40)
		return reg;
	if ((op & 0xf0) == 0x90)
		return rm | (insn->rex ? 0 : rm >> 4 & 15);
	if (op >= 0xc8 && op < 0xd0)
		return 1U << ((op & 7) | (insn->rex & 1 ? 8 : 0));
	/* Vector registers and memory. */
	if ((op >= 0x10 && op < 0x18) || (op >= 0x28 && op < 0x2c) || op == 0x2e || op == 0x2f ||
	    (op >= 0x51 && op < 0x77) || op == 0x7f || op == 0xc2 || op == 0xc3 || op == 0xc4 ||
	    op == 0xc6 || (op >= 0xd0 && op != 0xd7 && op != 0xff))
		return 0;
	switch (op) {
	case 0x05:
		return 1 << MMUN_RAX | 1 << MMUN_RCX | 1 << 11;
	case 0x0b:
	case 0x0d:
	case 0x18:
	case 0x19:
	case 0x1a:
	case 0x1b:
	case 0x1c:
	case 0x1d:
	case 0x1f:
	case 0xa3:
	case 0x77:
	case 0xa0:
	case 0xa1:
	case 0xa8:
	case 0xa9:
		return 0;
	case 0x1e:
		/* rdssp */
		return rm;
	case 0x2c:
	case 0x2d:
	case 0x50:
	case 0xaf:
	case 0xb6:
	case 0xb7:
	case 0xbe:
	case 0xbf:
	case 0xbc:
	case 0xbd:
	case 0xb8:
	case 0xc5:
	case 0xd7:
		return reg;
	case 0x7e:
	case 0xa4:
	case 0xa5:
	case 0xac:
	case 0xad:
	case 0xab:
	case 0xb3:
	case 0xbb:
		return rm;
	case 0x31:
		return 1 << MMUN_RAX | 1 << MMUN_RDX;
	case 0xa2:
		return 1 << MMUN_RAX | 1 << MMUN_RBX | 1 << MMUN_RCX | 1 << MMUN_RDX;
	case 0xae:
		return rm;
	case 0xb0:
	case 0xb1:
		return rm | 1 << MMUN_RAX | (insn->rex ? 0 : rm >> 4 & 15);
	case 0xba:
		return field == 4 ? 0 : rm;
	case 0xc0:
	case 0xc1:
		return rm | reg | (insn->rex ? 0 : (rm | reg) >> 4 & 15);
	case 0xc7:
		return mmun_insn_has_memory(insn) ? 1 << MMUN_RAX | 1 << MMUN_RDX : rm;
	}
	return ~0U;
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
	if (!one_of(reg, writes))
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
