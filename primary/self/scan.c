/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a system call instruction can do is read from the code before it: its function is
 * decoded (function.c), its numbers are followed backwards (number.c), and then it is
 * redirected (form.c), or its numbers are shown to be none of ours.  Where a number stays
 * unknown the instruction is redirected whatever the number (C libraries), or reported.
 *
 * Here: the search for the instructions, the verdict on each, and the C library's own ways.
 * Tests: tests/glibc, tests/contract/{objects,garbled}.c.
 */
#include "scan.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "function.h"
#include "state.h"

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

static bool is_ours(const struct mmun_finding *finding)
{
	for (int i = 0; i < finding->nr_numbers; i++)
		if (mmun_self_wants(finding->numbers[i]))
			return true;
	return !finding->nr_numbers;
}

/* libmmunotify's own are marked: a nop that says so follows. */
static bool is_own(const struct mmun_scan *scan, unsigned long address)
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

static bool is_cancellation_point(const struct mmun_scan *scan, unsigned int at)
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

/* libc's syscall(): its caller has no vector register alive. */
static bool is_syscall_function(const struct mmun_scan *scan)
{
	unsigned long offset;
	const char *name = mmun_object_name(scan->object, scan->function.start, &offset);

	return name && !offset && !strcmp(name, "syscall");
}

static bool is_at_entry(const struct mmun_scan *scan, const struct mmun_finding *finding)
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
static bool is_id_change(const struct mmun_scan *scan, unsigned int at)
{
	unsigned int displacements = 0;
	int base = MMUN_NO_REGISTER;

	for (int i = 0; i < 4; i++) {
		struct mmun_insn insn;
		unsigned int before = mmun_scan_previous(scan, at), displacement = 0;

		mmun_scan_decode(scan, before, &insn);
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
static bool is_reached(const struct mmun_scan *scan, unsigned int at)
{
	while (at && !mmun_scan_is_target(scan, at)) {
		unsigned int before = mmun_scan_previous(scan, at);
		struct mmun_insn insn;
		enum mmun_flow flow;

		if (before == at)
			return false;
		mmun_scan_decode(scan, before, &insn);
		flow = mmun_insn_flow(&insn);
		if (flow == MMUN_FLOW_JUMP || flow == MMUN_FLOW_AWAY)
			return false;
		at = before;
	}
	return true;
}

static void judge(struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
{
	mmun_scan_numbers(scan, at, finding);
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
	if (!mmun_scan_form(scan, at, finding)) {
		finding->why = "no instruction near it can become a jump";
		return;
	}
	finding->verdict = MMUN_VERDICT_SITE;
	finding->at_entry = is_at_entry(scan, finding) ||
			    (finding->nr < 0 && is_syscall_function(scan));
}

/* Each call of the function of cancellation points is a site. */
static int find_callers(struct mmun_scan *scan, const struct mmun_finding *function,
			mmun_finding_fn fn, void *arg)
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
			if (!mmun_scan_enter(scan, at) ||
			    !(scan->map[at - scan->function.start] & MMUN_SCAN_LENGTH))
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
static bool has_prefix(const struct mmun_scan *scan, unsigned int at)
{
	struct mmun_insn insn;

	while (at && !(scan->map[at] & MMUN_SCAN_LENGTH))
		at--;
	mmun_scan_decode(scan, at, &insn);
	return insn.map == 1 && !insn.vector && insn.opcode == 0x05;
}

/* @address holds the bytes of a system call instruction. */
static int examine(struct mmun_scan *scan, unsigned long address, struct mmun_finding *shared,
		   mmun_finding_fn fn, void *arg)
{
	struct mmun_finding finding = { .address = address, .nr = MMUN_NUMBER_IN_REGISTER };
	unsigned int at;

	if (is_own(scan, address)) {
		finding.verdict = MMUN_VERDICT_OWN;
		return fn(&finding, arg);
	}
	if (!mmun_scan_enter(scan, address)) {
		finding.verdict = MMUN_VERDICT_UNKNOWN;
		finding.why = "where its function begins is not known, or not all of it is code";
		return fn(&finding, arg);
	}
	finding.function = scan->function;
	at = address - scan->function.start;
	if (!(scan->map[at] & MMUN_SCAN_LENGTH)) {
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
static int scan_block(struct mmun_scan *scan, unsigned long block, struct mmun_finding *shared,
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

static int scan_blocks(struct mmun_scan *scan, const unsigned char *blocks, mmun_finding_fn fn,
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

static void mark_function(struct mmun_scan *scan, const struct mmun_function *function)
{
	unsigned long block = (function->start - scan->part->start) / MMUN_SEARCH_BLOCK;
	unsigned long end = (function->end - scan->part->start) / MMUN_SEARCH_BLOCK;

	for (; block <= end; block++)
		if (!scan->numbers[block])
			scan->numbers[block] = ++scan->nr_numbers;
}

/* Marks in @blocks where system calls begin, and numbers the blocks of the functions whose
 * numbers will be asked for. */
static void mark(struct mmun_scan *scan, unsigned char *blocks)
{
	struct mmun_function function = { 0 };

	FOR_EACH_SYSCALL(p, scan->part)
	{
		unsigned long address = scan->part->start + (p - scan->part->bytes);

		set_block(blocks, (p - scan->part->bytes) / MMUN_SEARCH_BLOCK);
		if ((address >= function.start && address < function.end) || is_own(scan, address))
			continue;
		if (mmun_scan_find_function(scan, address, &function))
			mark_function(scan, &function);
		else
			function.end = 0;
	}
}

/* Working memory in one mapping: pages that are not needed are never touched. */
static int scan_part(struct mmun_scan *scan, mmun_finding_fn fn, void *arg)
{
	unsigned long size = mmun_page_up(scan->part->end - scan->part->start);
	unsigned long branches = MMUN_SCAN_FUNCTION / 2 * sizeof(struct mmun_branch);
	unsigned long blocks = size_of_blocks(scan->part);
	unsigned long numbers = 8 * blocks * sizeof(*scan->numbers);
	unsigned long all =
		branches + MMUN_SCAN_FUNCTION + numbers + size + MMUN_SEARCH_BLOCK + blocks;
	unsigned char *memory;
	int ret;

	if (mmun_search_syscall(scan->part->bytes, end_of(scan->part)) == end_of(scan->part))
		return 0;
	memory = (unsigned char *)map_memory(all);
	if (!memory)
		return -ENOMEM;
	scan->branches = (struct mmun_branch *)memory;
	scan->map = memory + branches;
	scan->numbers = (unsigned int *)(scan->map + MMUN_SCAN_FUNCTION);
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
	struct mmun_scan scan = { .object = object, .is_c_library = is_c_library };
	int ret = 0;

	for (int i = 0; !ret && i < object->nr_parts; i++) {
		scan.part = &object->parts[i];
		if (scan.part->executable && scan.part->end - scan.part->start > 16)
			ret = scan_part(&scan, fn, arg);
	}
	return ret;
}
