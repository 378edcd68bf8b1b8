/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a system call instruction can do is read from the code before it.  Its
 * function is decoded from its first byte; from the instruction the number is
 * followed backwards over every way that leads there, until each has ended at an
 * immediate.  Ways from outside the function are known too: branches of other
 * functions, tables of addresses, the entry.  A way that cannot be followed makes
 * the number unknown; then the instruction is redirected whatever the number
 * (C libraries), or reported.
 *
 * Where bytes are replaced, each instruction boundary within them must stay a
 * right way for a thread that stands there; see site.h.
 * Tests: tests/glibc.
 */
#include "scan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "insn.h"
#include "search.h"
#include "state.h"

#define MAX_FUNCTION (256UL << 10)
#define MAX_STATES   128
#define MAX_PADS     64
/* How far an instruction may stand in front of its system call. */
#define MAX_RUN 40
_Static_assert(MAX_RUN + 15 <= MMUN_RUN_LENGTH, "a run fits into its site");

/* A byte for each byte of the function: the length of an instruction that
 * begins there, and whether somebody leads there. */
#define LENGTH  0x0f
#define TARGET  0x10 /* a branch of this function */
#define OUTSIDE 0x20 /* anybody else */

struct branch {
	unsigned int from, to;
	bool is_far;
};

/* An executable segment, and what is known of the function looked at. */
struct scan {
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
	struct branch *branches;
	unsigned int size, nr_branches;
	bool decoded, jumps_by_table;

	/* Padding in use. */
	unsigned long pads[MAX_PADS];
	int nr_pads;
};

static unsigned long map_memory(unsigned long size)
{
	long map = mmun_syscall6(SYS_mmap, 0, mmun_page_up(size), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map < 0 && map > -4096 ? 0 : (unsigned long)map;
}

static void unmap_memory(void *at, unsigned long size)
{
	if (at)
		mmun_syscall3(SYS_munmap, (unsigned long)at, mmun_page_up(size), 0);
}

/* Entries of a jump table are distances from its start: those that lie in the
 * function are ways into it. */
static void note_table(struct scan *scan, unsigned long table)
{
	for (unsigned long at = table;; at += 4) {
		const unsigned char *entry = mmun_object_at(scan->object, at, 4);
		unsigned long target =
			entry ? table + mmun_search_distance(entry) - scan->function.start : ~0UL;

		if (target >= scan->size)
			break;
		scan->map[target] |= OUTSIDE;
	}
}

static void note_tables(struct scan *scan)
{
	for (unsigned int at = 0; at < scan->size; at += scan->map[at] & LENGTH) {
		struct mmun_insn insn;

		if (!(scan->map[at] & LENGTH) ||
		    !mmun_insn_decode(&insn, scan->code + at, scan->size - at))
			break;
		if (!insn.map && !insn.vector && insn.opcode == 0x8d && insn.rip_relative)
			note_table(scan, scan->function.start + at + insn.length +
						 mmun_search_distance(scan->code + at +
								      insn.displacement_at));
	}
}

static void add_branch(struct scan *scan, unsigned int from, unsigned int length, long distance,
		       bool is_far)
{
	unsigned long target = from + length + distance;
	struct branch *branch = &scan->branches[scan->nr_branches];

	if (target >= scan->size)
		return;
	scan->map[target] |= TARGET;
	branch->from = from;
	branch->to = target;
	branch->is_far = is_far;
	scan->nr_branches++;
}

static void note_branch(struct scan *scan, const struct mmun_insn *insn, unsigned int at)
{
	long distance;

	if (mmun_insn_flow(insn) == MMUN_FLOW_AWAY && !insn->map && insn->opcode == 0xff)
		scan->jumps_by_table = true;
	if (mmun_insn_flow(insn) != MMUN_FLOW_CALL &&
	    mmun_insn_target(insn, scan->code + at, &distance))
		add_branch(scan, at, insn->length, distance,
			   insn->immediate_size == 4 && insn->opcode != 0xc7);
}

static unsigned int count_far_branches(const struct scan *scan, unsigned int at)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < scan->nr_branches; i++)
		count += scan->branches[i].to == at && scan->branches[i].is_far;
	return count;
}

/* Ways from other functions are more far branches than ours account for. */
static bool is_outside(const struct scan *scan, unsigned int at)
{
	unsigned long place = scan->function.start - scan->part->start + at;
	unsigned int number = scan->numbers[place / MMUN_SEARCH_BLOCK];
	unsigned int far = number ? scan->far_targets[number - 1][place % MMUN_SEARCH_BLOCK] : 0;

	return scan->map[at] & OUTSIDE || (far && far > count_far_branches(scan, at));
}

/* Does anybody lead there but by falling through? */
static bool is_target(const struct scan *scan, unsigned int at)
{
	return scan->map[at] & TARGET || is_outside(scan, at);
}

static bool find_function(const struct scan *scan, unsigned long address,
			  struct mmun_function *function)
{
	return mmun_object_function(scan->object, address, function) &&
	       function->start >= scan->part->start && function->end <= scan->part->end &&
	       function->end - function->start <= MAX_FUNCTION;
}

/* Decodes the function that @address is in. */
static bool enter_function(struct scan *scan, unsigned long address)
{
	struct mmun_function function;
	unsigned int at = 0;

	if (scan->decoded && address >= scan->function.start && address < scan->function.end)
		return true;
	scan->decoded = false;
	if (!find_function(scan, address, &function))
		return false;
	scan->function = function;
	scan->code = scan->part->bytes + (function.start - scan->part->start);
	scan->size = function.end - function.start;
	scan->nr_branches = 0;
	scan->jumps_by_table = false;
	memset(scan->map, 0, scan->size);
	for (;;) {
		struct mmun_insn insn;
		unsigned int length;
		long distance;

		at = mmun_insn_pass(scan->code, at, scan->size, scan->map);
		if (at == scan->size)
			break;
		length = mmun_insn_plain_branch(scan->code + at, scan->size - at, &distance);
		if (length) {
			scan->map[at] |= length;
			add_branch(scan, at, length, distance, length > 2);
			at += length;
			continue;
		}
		if (!mmun_insn_decode(&insn, scan->code + at, scan->size - at))
			return false;
		scan->map[at] |= insn.length;
		note_branch(scan, &insn, at);
		at += insn.length;
	}
	if (scan->jumps_by_table)
		note_tables(scan);
	scan->decoded = true;
	return true;
}

/* The instruction in front of @at; @at itself if there is none. */
static unsigned int previous(const struct scan *scan, unsigned int at)
{
	for (unsigned int back = 1; back <= 15 && back <= at; back++)
		if ((scan->map[at - back] & LENGTH) == back)
			return at - back;
	return at;
}

static void decode_at(const struct scan *scan, unsigned int at, struct mmun_insn *insn)
{
	mmun_insn_decode(insn, scan->code + at, scan->size - at);
}

/* What the register holds in front of the instruction at @at is wanted. */
struct state {
	unsigned int at;
	int reg;
};

struct walk {
	struct state states[MAX_STATES];
	int nr_states;
	bool unknown;
};

static void want(struct walk *walk, unsigned int at, int reg)
{
	for (int i = 0; i < walk->nr_states; i++)
		if (walk->states[i].at == at && walk->states[i].reg == reg)
			return;
	if (walk->nr_states == MAX_STATES) {
		walk->unknown = true;
		return;
	}
	walk->states[walk->nr_states].at = at;
	walk->states[walk->nr_states++].reg = reg;
}

static void add_number(struct mmun_finding *finding, struct walk *walk, unsigned int value)
{
	for (int i = 0; i < finding->nr_numbers; i++)
		if (finding->numbers[i] == (int)value)
			return;
	if (finding->nr_numbers == MMUN_SCAN_NUMBERS)
		walk->unknown = true;
	else
		finding->numbers[finding->nr_numbers++] = value;
}

/* Comes here from the instruction at @from: what did that leave in @reg? */
static void come_from(const struct scan *scan, struct walk *walk, struct mmun_finding *finding,
		      unsigned int from, int reg)
{
	struct mmun_insn insn;
	struct mmun_effect effect;

	decode_at(scan, from, &insn);
	effect = mmun_insn_effect(&insn, scan->code + from, reg);
	switch (effect.write) {
	case MMUN_WRITE_NONE:
		want(walk, from, reg);
		break;
	case MMUN_WRITE_COPY:
		want(walk, from, effect.from);
		break;
	case MMUN_WRITE_VALUE:
		add_number(finding, walk, effect.value);
		break;
	case MMUN_WRITE_UNKNOWN:
		walk->unknown = true;
		break;
	}
}

static bool is_nop(const struct mmun_insn *insn)
{
	if (insn->vector)
		return false;
	return (insn->map == 0 && insn->opcode == 0x90 && !insn->repeat) ||
	       (insn->map == 1 && insn->opcode == 0x1f);
}

/* Padding in front of what others branch to: behind a jump nobody runs it. */
static bool is_nop_at(const struct scan *scan, unsigned int at)
{
	struct mmun_insn insn;

	decode_at(scan, at, &insn);
	return is_nop(&insn);
}

/* Does the instruction at @at go on with the next, entered at its start only? */
static bool falls_through(const struct scan *scan, unsigned int at, struct walk *walk)
{
	struct mmun_insn insn;
	enum mmun_flow flow;

	decode_at(scan, at, &insn);
	flow = mmun_insn_flow(&insn);
	if (flow == MMUN_FLOW_JUMP || flow == MMUN_FLOW_AWAY)
		return false;
	for (unsigned int i = 1; i < insn.length; i++)
		walk->unknown |= is_target(scan, at + i);
	return true;
}

static void step_back(const struct scan *scan, struct walk *walk, struct mmun_finding *finding,
		      struct state state)
{
	unsigned int before = previous(scan, state.at);
	bool reached = false;

	if (state.at == 0 || is_outside(scan, state.at)) {
		walk->unknown = true;
		return;
	}
	if (before != state.at && falls_through(scan, before, walk)) {
		come_from(scan, walk, finding, before, state.reg);
		reached = true;
	}
	for (unsigned int i = 0; scan->map[state.at] & TARGET && i < scan->nr_branches; i++) {
		if (scan->branches[i].to != state.at)
			continue;
		come_from(scan, walk, finding, scan->branches[i].from, state.reg);
		reached = true;
	}
	/* Nobody leads here that we know of: an exception, a table of another kind. */
	walk->unknown |= !reached && !is_nop_at(scan, state.at);
}

/* Fills in which numbers the instruction at @at makes. */
static void find_numbers(const struct scan *scan, unsigned int at, struct mmun_finding *finding)
{
	struct walk walk = { .nr_states = 0 };

	finding->nr_numbers = 0;
	want(&walk, at, MMUN_RAX);
	for (int i = 0; i < walk.nr_states && !walk.unknown; i++)
		step_back(scan, &walk, finding, walk.states[i]);
	if (walk.unknown)
		finding->nr_numbers = 0;
	finding->nr = finding->nr_numbers == 1 ? finding->numbers[0] : MMUN_NUMBER_IN_REGISTER;
}

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

static bool try_back(const struct scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int before = previous(scan, at);
	struct mmun_insn insn;

	if (before == at)
		return false;
	decode_at(scan, before, &insn);
	if (insn.length < 5 || !may_run_twice(&insn) ||
	    !reads_stack_only(&insn, scan->code + before))
		return false;
	/* Who comes by a branch has not run what is in front. */
	if (is_target(scan, at) && !(insn.opcode == 0xb8 && insn.length == 5 && finding->nr >= 0))
		return false;
	finding->form = MMUN_FORM_BACK;
	finding->at = finding->address - insn.length;
	return true;
}

static bool is_padding(const struct scan *scan, unsigned long start, unsigned long end)
{
	const unsigned char *code = scan->part->bytes - scan->part->start + start;

	for (unsigned long at = 0; at < end - start;) {
		struct mmun_insn insn;

		if (!mmun_insn_decode(&insn, code + at, end - start - at))
			return false;
		if (!is_nop(&insn) && !(insn.map == 0 && insn.opcode == 0xcc))
			return false;
		at += insn.length;
	}
	return true;
}

static bool pad_is_free(const struct scan *scan, unsigned long pad)
{
	for (int i = 0; i < scan->nr_pads; i++)
		if (pad < scan->pads[i] + 5 && scan->pads[i] < pad + 5)
			return false;
	return true;
}

static unsigned long pad_within(const struct scan *scan, unsigned long low, unsigned long high,
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
static unsigned long pad_before(struct scan *scan, unsigned long start, unsigned long address)
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
static unsigned long pad_inside(const struct scan *scan, unsigned long address)
{
	unsigned int at = address - scan->function.start, end, next;
	unsigned long pad = 0;

	for (at = at > 130 ? at - 130 : 0; !pad && at < scan->size; at = next) {
		struct mmun_insn insn;

		next = at + 1;
		if (!(scan->map[at] & LENGTH))
			continue;
		decode_at(scan, at, &insn);
		next = at + insn.length;
		if (mmun_insn_flow(&insn) != MMUN_FLOW_JUMP &&
		    mmun_insn_flow(&insn) != MMUN_FLOW_AWAY)
			continue;
		for (end = next; end < scan->size && is_nop_at(scan, end) && !is_target(scan, end);)
			end += scan->map[end] & LENGTH;
		pad = pad_within(scan, scan->function.start + next, scan->function.start + end,
				 address);
		if (scan->function.start + at > address + 130)
			break;
	}
	return pad;
}

static bool try_pad(struct scan *scan, struct mmun_finding *finding)
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
	scan->pads[scan->nr_pads % MAX_PADS] = pad;
	if (scan->nr_pads < MAX_PADS)
		scan->nr_pads++;
	finding->form = MMUN_FORM_PAD;
	finding->at = finding->address;
	finding->pad = pad;
	return true;
}

static bool try_run(const struct scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int start = at, before;

	for (;; start = before) {
		struct mmun_insn insn;

		/* Who comes by a branch would miss the jump. */
		if (is_target(scan, start))
			return false;
		before = previous(scan, start);
		if (before == start || at - before > MAX_RUN)
			return false;
		decode_at(scan, before, &insn);
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
static bool is_written(const struct scan *scan, unsigned int at, unsigned int end, int reg)
{
	for (; reg != MMUN_NO_REGISTER && at < end; at += scan->map[at] & LENGTH) {
		struct mmun_insn insn;

		decode_at(scan, at, &insn);
		if (mmun_insn_effect(&insn, scan->code + at, reg).write != MMUN_WRITE_NONE)
			return true;
	}
	return false;
}

static bool try_window(const struct scan *scan, unsigned int at, struct mmun_finding *finding)
{
	unsigned int start = at, before;

	/* A table that we do not know may lead anywhere. */
	if (scan->jumps_by_table)
		return false;
	for (;; start = before) {
		struct mmun_insn insn;

		/* Nobody else comes there, and a jump back has its two bytes. */
		if (is_target(scan, start) || (scan->map[start] & LENGTH) < 2)
			return false;
		before = previous(scan, start);
		if (before == start || at + 2 - before > MMUN_SCAN_WINDOW)
			return false;
		decode_at(scan, before, &insn);
		if (!only_loads(&insn) || is_written(scan, before, at, register_read(&insn)))
			return false;
		if (insn.length == 4)
			break;
	}
	finding->form = MMUN_FORM_WINDOW;
	finding->at = scan->function.start + before;
	return true;
}

static bool is_ours(const struct mmun_finding *finding)
{
	for (int i = 0; i < finding->nr_numbers; i++)
		if (mmun_self_wants(finding->numbers[i]))
			return true;
	return !finding->nr_numbers;
}

/* libmmunotify's own are marked: a nop that says so follows. */
static bool is_own(const struct scan *scan, unsigned long address)
{
	static const unsigned char mark[] = MMUN_SYSCALL_MARK;
	const unsigned char *code = mmun_object_at(scan->object, address + 2, sizeof(mark));

	return code && !memcmp(code, mark, sizeof(mark));
}

/*
 * The end of the function through which all cancellation points of glibc 2.41
 * go.  Its arguments become those of the system call.
 */
static const unsigned char cancel_start[] = { 0x8b, 0x07, 0xf6, 0x07, 0x08, 0x0f, 0x85 };
static const unsigned char cancel_end[] = {
	0x49, 0x89, 0xfb,             /* mov %rdi,%r11 */
	0x48, 0x89, 0xf0,             /* mov %rsi,%rax */
	0x48, 0x89, 0xd7,             /* mov %rdx,%rdi */
	0x48, 0x89, 0xce,             /* mov %rcx,%rsi */
	0x4c, 0x89, 0xc2,             /* mov %r8,%rdx */
	0x4d, 0x89, 0xca,             /* mov %r9,%r10 */
	0x4c, 0x8b, 0x44, 0x24, 0x08, /* mov 8(%rsp),%r8 */
	0x4c, 0x8b, 0x4c, 0x24, 0x10, /* mov 16(%rsp),%r9 */
	0x4c, 0x89, 0x5c, 0x24, 0x08, /* mov %r11,8(%rsp) */
	0x0f, 0x05,                   /* syscall */
	0xc3,                         /* ret */
};

static bool is_cancellation_point(const struct scan *scan, unsigned int at)
{
	const unsigned int before = sizeof(cancel_end) - 3;
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	const unsigned char *code = scan->code;

	if (scan->size >= 4 && !memcmp(code, endbr64, 4))
		code += 4;
	return scan->is_c_library && scan->code + at == code + sizeof(cancel_start) + 4 + before &&
	       at + 3 <= scan->size && !memcmp(code, cancel_start, sizeof(cancel_start)) &&
	       !memcmp(scan->code + at - before, cancel_end, sizeof(cancel_end));
}

/* libc's syscall(): whoever calls it has no vector register alive. */
static bool is_syscall_function(const struct scan *scan)
{
	unsigned long offset;
	const char *name = mmun_object_name(scan->object, scan->function.start, &offset);

	return name && !offset && !strcmp(name, "syscall");
}

static bool is_at_entry(const struct scan *scan, const struct mmun_finding *finding)
{
	static const unsigned char endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	unsigned long entry = scan->function.start;

	if (scan->size >= 4 && !memcmp(scan->code, endbr64, 4))
		entry += 4;
	/* Only the function's first instruction is known to see none alive. */
	return finding->at == entry;
}

/*
 * setuid() and its kin make their call in every thread, with number and arguments
 * from a structure that only they fill: four loads over one register, the number
 * from its start.  None of those numbers is ours.
 */
static bool is_id_change(const struct scan *scan, unsigned int at)
{
	unsigned int displacements = 0;
	int base = MMUN_NO_REGISTER;

	for (int i = 0; i < 4; i++) {
		struct mmun_insn insn;
		unsigned int before = previous(scan, at), displacement = 0;

		decode_at(scan, before, &insn);
		if (before == at || insn.map || insn.vector || insn.opcode != 0x8b ||
		    !mmun_insn_has_memory(&insn) || insn.rip_relative ||
		    (base != MMUN_NO_REGISTER && mmun_insn_rm(&insn) != base))
			return false;
		base = mmun_insn_rm(&insn);
		if (insn.modrm >> 6 == 1)
			displacement = scan->code[before + insn.displacement_at];
		if (i == 0 && (displacement || insn.wide || mmun_insn_reg(&insn) != MMUN_RAX))
			return false;
		displacements |= 1U << (displacement / 8 & 31);
		at = before;
	}
	return displacements == 0x0f;
}

/* Does anybody lead to the instructions in front of @at?  If not they may be data. */
static bool is_reached(const struct scan *scan, unsigned int at)
{
	while (at && !is_target(scan, at)) {
		unsigned int before = previous(scan, at);
		struct mmun_insn insn;
		enum mmun_flow flow;

		if (before == at)
			return false;
		decode_at(scan, before, &insn);
		flow = mmun_insn_flow(&insn);
		if (flow == MMUN_FLOW_JUMP || flow == MMUN_FLOW_AWAY)
			return false;
		at = before;
	}
	return true;
}

static void judge(struct scan *scan, unsigned int at, struct mmun_finding *finding)
{
	find_numbers(scan, at, finding);
	if (!is_ours(finding) || (scan->is_c_library && is_id_change(scan, at))) {
		finding->verdict = MMUN_VERDICT_OTHER;
		return;
	}
	finding->verdict = MMUN_VERDICT_UNKNOWN;
	if (!scan->is_c_library) {
		if (finding->nr < 0)
			finding->why = "its number is not known";
		else if (!is_reached(scan, at))
			finding->why = "nobody is seen to lead to it: it may be data";
		else if (!mmun_self_wants_elsewhere(finding->nr, scan->object->is_go))
			finding->why =
				scan->object->is_go
					? "it may run on a small stack"
					: "fork, exec and exit are redirected in the C library only";
		if (finding->why)
			return;
	}
	if (!try_back(scan, at, finding) && !try_pad(scan, finding) &&
	    !try_run(scan, at, finding) && (scan->is_c_library || !try_window(scan, at, finding))) {
		finding->why = "no instruction near it can become a jump";
		return;
	}
	finding->verdict = MMUN_VERDICT_SITE;
	finding->at_entry = is_at_entry(scan, finding) ||
			    (finding->nr < 0 && is_syscall_function(scan));
}

/* Each call of the function of cancellation points is a site. */
static int find_callers(struct scan *scan, const struct mmun_finding *function, mmun_finding_fn fn,
			void *arg)
{
	const unsigned char *start = scan->part->bytes, *p = start;
	const unsigned char *end = start + (scan->part->end - scan->part->start) - 5;
	struct mmun_finding finding = *function;
	int found = 0, ret;

	finding.form = MMUN_FORM_CALL;
	finding.verdict = MMUN_VERDICT_SITE;
	for (int opcode = 0xe8; opcode <= 0xe9; opcode++) {
		for (p = start; p < end && (p = memchr(p, opcode, end - p)); p++) {
			unsigned long at = scan->part->start + (p - start);

			if (at + 5 + mmun_search_distance(p + 1) != function->function.start)
				continue;
			if (!enter_function(scan, at) ||
			    !(scan->map[at - scan->function.start] & LENGTH))
				continue;
			if (found++ == MMUN_SCAN_CALLERS)
				break;
			finding.at = at;
			ret = fn(&finding, arg);
			if (ret)
				return ret;
		}
	}
	if (found)
		return 0;
	finding.verdict = MMUN_VERDICT_UNKNOWN;
	finding.why = "nobody is seen to call its function";
	return fn(&finding, arg);
}

/* In the middle of another instruction: is that a system call all the same? */
static bool has_prefix(const struct scan *scan, unsigned int at)
{
	struct mmun_insn insn;

	while (at && !(scan->map[at] & LENGTH))
		at--;
	decode_at(scan, at, &insn);
	return insn.map == 1 && !insn.vector && insn.opcode == 0x05;
}

/* @address holds the bytes of a system call instruction. */
static int examine(struct scan *scan, unsigned long address, struct mmun_finding *shared,
		   mmun_finding_fn fn, void *arg)
{
	struct mmun_finding finding = { .address = address, .nr = MMUN_NUMBER_IN_REGISTER };
	unsigned int at;

	if (is_own(scan, address)) {
		finding.verdict = MMUN_VERDICT_OWN;
		return fn(&finding, arg);
	}
	if (!enter_function(scan, address)) {
		finding.verdict = MMUN_VERDICT_UNKNOWN;
		finding.why = "where its function begins is not known, or not all of it is code";
		return fn(&finding, arg);
	}
	finding.function = scan->function;
	at = address - scan->function.start;
	if (!(scan->map[at] & LENGTH)) {
		if (!has_prefix(scan, at))
			return 0;
		finding.verdict = MMUN_VERDICT_UNKNOWN;
		finding.why = "it has a prefix";
		return fn(&finding, arg);
	}
	if (is_cancellation_point(scan, at)) {
		*shared = finding;
		return 0;
	}
	judge(scan, at, &finding);
	return fn(&finding, arg);
}

static const unsigned char *end_of(const struct mmun_object_part *part)
{
	return part->bytes + (part->end - part->start);
}

#define FOR_EACH_SYSCALL(p, part) \
	for (const unsigned char *p = mmun_search_syscall((part)->bytes, end_of(part)); \
	     p < end_of(part); p = mmun_search_syscall(p + 1, end_of(part)))

/* A bit for each block of code. */
static unsigned long size_of_blocks(const struct mmun_object_part *part)
{
	return (part->end - part->start) / MMUN_SEARCH_BLOCK / 8 + 1;
}

static bool has_block(const unsigned char *blocks, unsigned long block)
{
	return blocks[block / 8] >> block % 8 & 1;
}

static void set_block(unsigned char *blocks, unsigned long block)
{
	blocks[block / 8] |= 1 << block % 8;
}

/* Looks at those that begin in one block. */
static int scan_block(struct scan *scan, unsigned long block, struct mmun_finding *shared,
		      mmun_finding_fn fn, void *arg)
{
	const unsigned char *end = end_of(scan->part);
	const unsigned char *p = scan->part->bytes + block * MMUN_SEARCH_BLOCK;
	const unsigned char *behind = end - p < MMUN_SEARCH_BLOCK ? end : p + MMUN_SEARCH_BLOCK;
	int ret = 0;

	/* The last may have its second byte in the next block. */
	end = behind < end ? behind + 1 : end;
	for (p = mmun_search_syscall(p, end); !ret && p < behind;
	     p = mmun_search_syscall(p + 1, end))
		ret = examine(scan, scan->part->start + (p - scan->part->bytes), shared, fn, arg);
	return ret;
}

static int scan_blocks(struct scan *scan, const unsigned char *blocks, mmun_finding_fn fn,
		       void *arg)
{
	unsigned long count = (scan->part->end - scan->part->start) / MMUN_SEARCH_BLOCK + 1;
	struct mmun_finding shared = { .address = 0 };

	for (unsigned long block = 0; block < count; block++) {
		int ret;

		if (!has_block(blocks, block)) {
			/* Most often there is none in eight. */
			block |= blocks[block / 8] ? 0 : 7;
			continue;
		}
		ret = scan_block(scan, block, &shared, fn, arg);
		if (ret)
			return ret;
	}
	return shared.address ? find_callers(scan, &shared, fn, arg) : 0;
}

static void mark_function(struct scan *scan, const struct mmun_function *function)
{
	unsigned long block = (function->start - scan->part->start) / MMUN_SEARCH_BLOCK;
	unsigned long end = (function->end - scan->part->start) / MMUN_SEARCH_BLOCK;

	for (; block <= end; block++)
		if (!scan->numbers[block])
			scan->numbers[block] = ++scan->nr_numbers;
}

/* Marks in @blocks where system calls begin, and numbers the blocks of the functions whose
 * numbers will be asked for. */
static void mark(struct scan *scan, unsigned char *blocks)
{
	struct mmun_function function = { 0 };

	FOR_EACH_SYSCALL(p, scan->part)
	{
		unsigned long address = scan->part->start + (p - scan->part->bytes);

		set_block(blocks, (p - scan->part->bytes) / MMUN_SEARCH_BLOCK);
		if ((address >= function.start && address < function.end) || is_own(scan, address))
			continue;
		if (find_function(scan, address, &function))
			mark_function(scan, &function);
		else
			function.end = 0;
	}
}

/* Working memory in one mapping: pages that are not needed are never touched. */
static int scan_part(struct scan *scan, mmun_finding_fn fn, void *arg)
{
	unsigned long size = mmun_page_up(scan->part->end - scan->part->start);
	unsigned long branches = MAX_FUNCTION / 2 * sizeof(struct branch);
	unsigned long blocks = size_of_blocks(scan->part);
	unsigned long numbers = 8 * blocks * sizeof(*scan->numbers);
	unsigned long all = branches + MAX_FUNCTION + numbers + size + MMUN_SEARCH_BLOCK + blocks;
	unsigned char *memory;
	int ret;

	if (mmun_search_syscall(scan->part->bytes, end_of(scan->part)) == end_of(scan->part))
		return 0;
	memory = (unsigned char *)map_memory(all);
	if (!memory)
		return -ENOMEM;
	scan->branches = (struct branch *)memory;
	scan->map = memory + branches;
	scan->numbers = (unsigned int *)(scan->map + MAX_FUNCTION);
	scan->nr_numbers = 0;
	scan->far_targets = (void *)((unsigned char *)scan->numbers + numbers);
	scan->decoded = false;
	memory = (unsigned char *)scan->far_targets + size + MMUN_SEARCH_BLOCK;
	mark(scan, memory);
	if (scan->nr_numbers)
		mmun_search_branches(scan->part->bytes, scan->part->end - scan->part->start,
				     scan->numbers, scan->far_targets);
	ret = scan_blocks(scan, memory, fn, arg);
	unmap_memory(scan->branches, all);
	return ret;
}

int mmun_scan(const struct mmun_object *object, bool is_c_library, mmun_finding_fn fn, void *arg)
{
	struct scan scan = { .object = object, .is_c_library = is_c_library };
	int ret = 0;

	for (int i = 0; !ret && i < object->nr_parts; i++) {
		scan.part = &object->parts[i];
		if (scan.part->executable && scan.part->end - scan.part->start > 16)
			ret = scan_part(&scan, fn, arg);
	}
	return ret;
}
