/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decodes one function, and notes what leads to which of its instructions; see function.h. */
#include "function.h"

#include <string.h>

/* Entries of a jump table are distances from its start: those that lie in the
 * function are ways into it. */
static void note_table(struct mmun_scan *scan, unsigned long table)
{
	for (unsigned long at = table;; at += 4) {
		const unsigned char *entry = mmun_object_at(scan->object, at, 4);
		unsigned long target =
			entry ? table + mmun_search_distance(entry) - scan->function.start : ~0UL;

		if (target >= scan->size)
			break;
		scan->map[target] |= MMUN_SCAN_OUTSIDE;
	}
}

static void note_tables(struct mmun_scan *scan)
{
	for (unsigned int at = 0; at < scan->size; at += scan->map[at] & MMUN_SCAN_LENGTH) {
		struct mmun_insn insn;

		if (!(scan->map[at] & MMUN_SCAN_LENGTH) ||
		    !mmun_insn_decode(&insn, scan->code + at, scan->size - at))
			break;
		if (!insn.map && !insn.vector && insn.opcode == 0x8d && insn.rip_relative)
			note_table(scan, scan->function.start + at + insn.length +
						 mmun_search_distance(scan->code + at +
								      insn.displacement_at));
	}
}

static void add_branch(struct mmun_scan *scan, unsigned int from, unsigned int length,
		       long distance, bool is_far)
{
	unsigned long target = from + length + distance;
	struct mmun_branch *branch = &scan->branches[scan->nr_branches];

	if (target >= scan->size)
		return;
	scan->map[target] |= MMUN_SCAN_TARGET;
	branch->from = from;
	branch->to = target;
	branch->is_far = is_far;
	scan->nr_branches++;
}

static void note_branch(struct mmun_scan *scan, const struct mmun_insn *insn, unsigned int at)
{
	long distance;

	if (mmun_insn_flow(insn) == MMUN_FLOW_AWAY && !insn->map && insn->opcode == 0xff)
		scan->jumps_by_table = true;
	if (mmun_insn_flow(insn) != MMUN_FLOW_CALL &&
	    mmun_insn_target(insn, scan->code + at, &distance))
		add_branch(scan, at, insn->length, distance,
			   insn->immediate_size == 4 && insn->opcode != 0xc7);
}

static unsigned int count_far_branches(const struct mmun_scan *scan, unsigned int at)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < scan->nr_branches; i++)
		count += scan->branches[i].to == at && scan->branches[i].is_far;
	return count;
}

/* Ways from other functions are more far branches than ours account for. */
bool mmun_scan_is_outside(const struct mmun_scan *scan, unsigned int at)
{
	unsigned long place = scan->function.start - scan->part->start + at;
	unsigned int number = scan->numbers[place / MMUN_SEARCH_BLOCK];
	unsigned int far = number ? scan->far_targets[number - 1][place % MMUN_SEARCH_BLOCK] : 0;

	return scan->map[at] & MMUN_SCAN_OUTSIDE || (far && far > count_far_branches(scan, at));
}

bool mmun_scan_is_target(const struct mmun_scan *scan, unsigned int at)
{
	return scan->map[at] & MMUN_SCAN_TARGET || mmun_scan_is_outside(scan, at);
}

bool mmun_scan_find_function(const struct mmun_scan *scan, unsigned long address,
			     struct mmun_function *function)
{
	return mmun_object_function(scan->object, address, function) &&
	       function->start >= scan->part->start && function->end <= scan->part->end &&
	       function->end - function->start <= MMUN_SCAN_FUNCTION;
}

bool mmun_scan_enter(struct mmun_scan *scan, unsigned long address)
{
	struct mmun_function function;
	unsigned int at = 0;

	if (scan->decoded && address >= scan->function.start && address < scan->function.end)
		return true;
	scan->decoded = false;
	if (!mmun_scan_find_function(scan, address, &function))
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

bool mmun_scan_is_nop(const struct mmun_scan *scan, unsigned int at)
{
	struct mmun_insn insn;

	mmun_scan_decode(scan, at, &insn);
	return mmun_insn_is_nop(&insn);
}
