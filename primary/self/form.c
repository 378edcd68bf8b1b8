/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How the bytes at a system call instruction can be replaced: the first of the five forms
 * (site.h) that fits.  Each instruction boundary within the replaced bytes must stay a right
 * way for a thread that stands there, and no branch may lead into them.
 * Not here: the fifth form, a call of the function of all cancellation points (scan.c); the
 * bytes that are written (stub.c).
 * Tests: tests/glibc, tests/contract/window.c, tests/contract/objects.c.
 */
#include "function.h"
#include "site.h"

/* How far an instruction may stand in front of its system call. */
#define MAX_RUN 40
_Static_assert(MAX_RUN + 15 <= MMUN_RUN_LENGTH, "a run fits into its site");

/* Made once more it changes nothing: it reads nothing that it writes, and no
 * memory that others write. */
static bool may_run_twice(const struct mmun_insn *insn)
{
	if (insn->map || insn->vector || insn->operand16)
		return false;
	if (insn->opcode >= 0xb8 && insn->opcode < 0xc0)
		return true;
	if (insn->opcode == 0xc7 && !mmun_insn_has_memory(insn))
		return true;
	if (insn->opcode == 0x8d && insn->rip_relative)
		return true;
	/* mov from the stack */
	return insn->opcode == 0x8b && mmun_insn_has_memory(insn) && (insn->modrm & 7) == 4 &&
	       insn->modrm >> 6 && !(insn->rex & 3) && mmun_insn_reg(insn) != MMUN_RSP;
}

/* The base of that load is the stack pointer alone: its SIB byte says so. */
static bool reads_stack_only(const struct mmun_insn *insn, const unsigned char *code)
{
	return insn->opcode != 0x8b || code[insn->displacement_at - 1] == 0x24;
}

static bool try_back(const struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int before = mmun_scan_previous(scan, at);
	struct mmun_insn insn;

	if (before == at)
		return false;
	mmun_scan_decode(scan, before, &insn);
	if (insn.length < 5 || !may_run_twice(&insn) ||
	    !reads_stack_only(&insn, scan->code + before))
		return false;
	/* A thread that comes by a branch has not run what is in front. */
	if (mmun_scan_is_target(scan, at) &&
	    !(insn.opcode == 0xb8 && insn.length == 5 && finding->nr >= 0))
		return false;
	finding->form = MMUN_FORM_BACK;
	finding->at = finding->address - insn.length;
	return true;
}

static bool is_padding(const struct mmun_scan *scan, unsigned long start, unsigned long end)
{
	const unsigned char *code = scan->part->bytes - scan->part->start + start;

	for (unsigned long at = 0; at < end - start;) {
		struct mmun_insn insn;

		if (!mmun_insn_decode(&insn, code + at, end - start - at))
			return false;
		if (!mmun_insn_is_nop(&insn) && !(insn.map == 0 && insn.opcode == 0xcc))
			return false;
		at += insn.length;
	}
	return true;
}

static bool pad_is_free(const struct mmun_scan *scan, unsigned long pad)
{
	for (int i = 0; i < scan->nr_pads; i++)
		if (pad < scan->pads[i] + 5 && scan->pads[i] < pad + 5)
			return false;
	return true;
}

static unsigned long pad_within(const struct mmun_scan *scan, unsigned long low, unsigned long high,
				unsigned long address)
{
	for (; low + 5 <= high; low++) {
		long distance = low - (address + 2);

		if (distance >= -128 && distance <= 127 && pad_is_free(scan, low))
			return low;
	}
	return 0;
}

/* Five bytes of the padding in front of the function at @start that a short jump
 * at @address reaches; 0 if there are none. */
static unsigned long pad_before(struct mmun_scan *scan, unsigned long start, unsigned long address)
{
	unsigned long low;

	if (start & 15 || start - 15 <= scan->part->start)
		return 0;
	/* The last byte that belongs to a function. */
	for (low = start; low > start - 15 && !mmun_object_covers(scan->object, low - 1);)
		low--;
	if (start - low < 5 || !is_padding(scan, low, start))
		return 0;
	return pad_within(scan, low, start, address);
}

/* The same in the function itself: padding behind a jump. */
static unsigned long pad_inside(const struct mmun_scan *scan, unsigned long address)
{
	unsigned int at = address - scan->function.start, end, next;
	unsigned long pad = 0;

	for (at = at > 130 ? at - 130 : 0; !pad && at < scan->size; at = next) {
		struct mmun_insn insn;

		next = at + 1;
		if (!(scan->map[at] & MMUN_SCAN_LENGTH))
			continue;
		mmun_scan_decode(scan, at, &insn);
		next = at + insn.length;
		if (mmun_insn_flow(&insn) != MMUN_FLOW_JUMP &&
		    mmun_insn_flow(&insn) != MMUN_FLOW_AWAY)
			continue;
		for (end = next; end < scan->size && mmun_scan_is_nop(scan, end) &&
				 !mmun_scan_is_target(scan, end);)
			end += scan->map[end] & MMUN_SCAN_LENGTH;
		pad = pad_within(scan, scan->function.start + next, scan->function.start + end,
				 address);
		if (scan->function.start + at > address + 130)
			break;
	}
	return pad;
}

static bool try_pad(struct mmun_scan *scan, struct mmun_finding *finding)
{
	unsigned long pad = 0;

	for (unsigned long start = (finding->address - 120) & ~15UL;
	     !pad && start <= finding->address + 140; start += 16)
		pad = pad_before(scan, start, finding->address);
	if (!pad)
		pad = pad_inside(scan, finding->address);
	if (!pad)
		return false;
	/* Used up by the first in a ring of the latest: they are near each other. */
	scan->pads[scan->nr_pads % MMUN_SCAN_PADS] = pad;
	if (scan->nr_pads < MMUN_SCAN_PADS)
		scan->nr_pads++;
	finding->form = MMUN_FORM_PAD;
	finding->at = finding->address;
	finding->pad = pad;
	return true;
}

static bool try_run(const struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int start = at, before;

	for (;; start = before) {
		struct mmun_insn insn;

		/* A thread that comes by a branch would miss the jump. */
		if (mmun_scan_is_target(scan, start))
			return false;
		before = mmun_scan_previous(scan, start);
		if (before == start || at - before > MAX_RUN)
			return false;
		mmun_scan_decode(scan, before, &insn);
		if (mmun_insn_flow(&insn) != MMUN_FLOW_NEXT ||
		    (insn.map == 1 && insn.opcode == 0x05))
			return false;
		if (insn.length >= 5)
			break;
	}
	finding->form = MMUN_FORM_RUN;
	finding->at = scan->function.start + before;
	return true;
}

/*
 * Of those that may run in a row and then again from the first: it only loads a general
 * register.  What it reads from memory may be another value by then, as if the thread had
 * come later.
 */
static bool only_loads(const struct mmun_insn *insn)
{
	bool in_memory = mmun_insn_has_memory(insn);
	int to = mmun_insn_reg(insn);

	if (insn->map || insn->vector || insn->operand16 || insn->repeat)
		return false;
	/* No index register. */
	if (in_memory && (insn->modrm & 7) == 4)
		return false;
	switch (insn->opcode) {
	case 0xb8:
	case 0xb9:
	case 0xba:
	case 0xbb:
	case 0xbd:
	case 0xbe:
	case 0xbf:
		return true;
	case 0x89:
	case 0xc7:
		to = mmun_insn_rm(insn);
		return !in_memory && to != MMUN_RSP;
	case 0x8b:
		return to != MMUN_RSP;
	case 0x8d:
		return in_memory && to != MMUN_RSP;
	}
	return false;
}

/* The one register that it reads. */
static int register_read(const struct mmun_insn *insn)
{
	if (!insn->has_modrm || insn->rip_relative || insn->opcode == 0xc7)
		return MMUN_NO_REGISTER;
	return insn->opcode == 0x89 ? mmun_insn_reg(insn) : mmun_insn_rm(insn);
}

/* Does an instruction from @at to @end write @reg?  Then it would be read changed. */
static bool is_written(const struct mmun_scan *scan, unsigned int at, unsigned int end, int reg)
{
	for (; reg != MMUN_NO_REGISTER && at < end; at += scan->map[at] & MMUN_SCAN_LENGTH) {
		struct mmun_insn insn;

		mmun_scan_decode(scan, at, &insn);
		if (mmun_insn_effect(&insn, scan->code + at, reg).write != MMUN_WRITE_NONE)
			return true;
	}
	return false;
}

static bool try_window(const struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int start = at, before;

	/* A table that we do not know may lead anywhere. */
	if (scan->jumps_by_table)
		return false;
	for (;; start = before) {
		struct mmun_insn insn;

		/* Nobody else comes there, and a jump back has its two bytes. */
		if (mmun_scan_is_target(scan, start) || (scan->map[start] & MMUN_SCAN_LENGTH) < 2)
			return false;
		before = mmun_scan_previous(scan, start);
		if (before == start || at + 2 - before > MMUN_SCAN_WINDOW)
			return false;
		mmun_scan_decode(scan, before, &insn);
		if (!only_loads(&insn) || is_written(scan, before, at, register_read(&insn)))
			return false;
		if (insn.length == 4)
			break;
	}
	finding->form = MMUN_FORM_WINDOW;
	finding->at = scan->function.start + before;
	return true;
}

bool mmun_scan_form(struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
{
	return try_back(scan, at, finding) || try_pad(scan, finding) ||
	       try_run(scan, at, finding) || (!scan->is_c_library && try_window(scan, at, finding));
}
