/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which numbers a system call instruction makes: from the instruction the number is followed
 * backwards over every way that leads there, until each has ended at an immediate.  A way that
 * cannot be followed (from another function, through memory, too many) makes the number
 * unknown: none are returned then, never some of them.
 * Not here: what an unknown number means for the instruction (scan.c).
 * Tests: tests/glibc, tests/contract/objects.c.
 */
#include "function.h"

/* Places and registers that one walk may come to. */
#define MAX_STATES 128

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
static void come_from(const struct mmun_scan *scan, struct walk *walk, struct mmun_finding *finding,
		      unsigned int from, int reg)
{
	struct mmun_insn insn;
	struct mmun_effect effect;

	mmun_scan_decode(scan, from, &insn);
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

/* Does the instruction at @at go on with the next, entered at its start only? */
static bool falls_through(const struct mmun_scan *scan, unsigned int at, struct walk *walk)
{
	struct mmun_insn insn;
	enum mmun_flow flow;

	mmun_scan_decode(scan, at, &insn);
	flow = mmun_insn_flow(&insn);
	if (flow == MMUN_FLOW_JUMP || flow == MMUN_FLOW_AWAY)
		return false;
	for (unsigned int i = 1; i < insn.length; i++)
		walk->unknown |= mmun_scan_is_target(scan, at + i);
	return true;
}

static void step_back(const struct mmun_scan *scan, struct walk *walk, struct mmun_finding *finding,
		      struct state state)
{
	unsigned int before = mmun_scan_previous(scan, state.at);
	bool reached = false;

	if (state.at == 0 || mmun_scan_is_outside(scan, state.at)) {
		walk->unknown = true;
		return;
	}
	if (before != state.at && falls_through(scan, before, walk)) {
		come_from(scan, walk, finding, before, state.reg);
		reached = true;
	}
	for (unsigned int i = 0; scan->map[state.at] & MMUN_SCAN_TARGET && i < scan->nr_branches;
	     i++) {
		if (scan->branches[i].to != state.at)
			continue;
		come_from(scan, walk, finding, scan->branches[i].from, state.reg);
		reached = true;
	}
	/* Nobody leads here that we know of: an exception, a table of another kind. */
	walk->unknown |= !reached && !mmun_scan_is_nop(scan, state.at);
}

void mmun_scan_numbers(const struct mmun_scan *scan, unsigned int at, struct mmun_finding *finding)
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
