/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One function of an object, decoded from its first byte: where each instruction begins, and
 * what leads there.  Ways from outside the function are known too: branches of other
 * functions, tables of addresses.  What scan.c looks at, number.c walks backwards and form.c
 * finds a form in.
 *
 * Not here: where functions begin (object.c), what one instruction is and does (insn.h).
 * Tests: tests/glibc, tests/contract/garbled.c.
 */
#ifndef MMUN_SELF_FUNCTION_H
#define MMUN_SELF_FUNCTION_H

#include "insn.h"
#include "scan.h"
#include "search.h"

/* Longer ones are not looked at. */
#define MMUN_SCAN_FUNCTION (256UL << 10)
#define MMUN_SCAN_PADS     64

/* A byte for each byte of the function: the length of an instruction that
 * begins there, and whether something leads there. */
#define MMUN_SCAN_LENGTH  0x0f
#define MMUN_SCAN_TARGET  0x10 /* a branch of this function */
#define MMUN_SCAN_OUTSIDE 0x20 /* anything else */

struct mmun_branch {
	unsigned int from, to;
	bool is_far;
};

/* An executable segment, and what is known of the function looked at. */
struct mmun_scan {
	const struct mmun_object *object;
	const struct mmun_object_part *part;
	bool is_c_library;
	/* For each byte of the functions with system calls, how many far branches lead
	 * there from the whole segment, up to 255: what only looks like one makes a
	 * number unknown that could have been known, no worse.  Block number N of these
	 * functions is at N - 1; @numbers says which block of the segment has which. */
	unsigned char (*far_targets)[MMUN_SEARCH_BLOCK];
	unsigned int *numbers, nr_numbers;

	struct mmun_function function;
	const unsigned char *code;
	unsigned char *map;
	struct mmun_branch *branches;
	unsigned int size, nr_branches;
	bool decoded, jumps_by_table;

	/* Padding in use. */
	unsigned long pads[MMUN_SCAN_PADS];
	int nr_pads;
};

/* Is it part of the segment, and short enough to be looked at? */
bool mmun_scan_find_function(const struct mmun_scan *scan, unsigned long address,
			     struct mmun_function *function);

/* Decodes the function that @address is in.  False: where it begins is not known, or not
 * all of it is code. */
bool mmun_scan_enter(struct mmun_scan *scan, unsigned long address);

/* Is there a way to the instruction at @at from another function? */
bool mmun_scan_is_outside(const struct mmun_scan *scan, unsigned int at);
/* Is there a way there but falling through? */
bool mmun_scan_is_target(const struct mmun_scan *scan, unsigned int at);
/* Is it padding? */
bool mmun_scan_is_nop(const struct mmun_scan *scan, unsigned int at);

/* The instruction in front of @at; @at itself if there is none. */
static inline unsigned int mmun_scan_previous(const struct mmun_scan *scan, unsigned int at)
{
	for (unsigned int back = 1; back <= 15 && back <= at; back++)
		if ((scan->map[at - back] & MMUN_SCAN_LENGTH) == back)
			return at - back;
	return at;
}

static inline void mmun_scan_decode(const struct mmun_scan *scan, unsigned int at,
				    struct mmun_insn *insn)
{
	mmun_insn_decode(insn, scan->code + at, scan->size - at);
}

/* number.c: fills in which numbers the system call instruction at @at makes. */
void mmun_scan_numbers(const struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding);

/* form.c: fills in how it can be redirected.  False: in no way. */
bool mmun_scan_form(struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding);

#endif
