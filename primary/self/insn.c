/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The encoding in tables: for each opcode what follows it.  An opcode that is not known
 * ends decoding.
 * Not here: what the instruction does (effect.c); APX (REX2, EVEX map 4), which no library
 * uses yet.
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
