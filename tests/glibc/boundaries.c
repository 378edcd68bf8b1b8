/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Reads "address bytes" as a disassembler prints instructions (two hexadecimal
 * words a line), decodes each, and prints those whose length is another.
 * Beside it: check.sh.
 */
#include <stdio.h>
#include <string.h>

#include "insn.h"

/* The short way says the same or nothing, and passes over no branch. */
static bool is_pass_right(const struct mmun_insn *insn, const unsigned char *code)
{
	unsigned char lengths[64] = { 0 };
	unsigned int branch;
	long distance, plain;

	mmun_insn_pass(code, 0, sizeof(lengths), lengths);
	branch = mmun_insn_plain_branch(code, sizeof(lengths), &plain);
	if (branch)
		return !lengths[0] && branch == insn->length &&
		       mmun_insn_target(insn, code, &distance) && distance == plain;
	if (!lengths[0])
		return true;
	return lengths[0] == insn->length &&
	       (mmun_insn_flow(insn) == MMUN_FLOW_CALL ||
		!mmun_insn_target(insn, code, &distance)) &&
	       (mmun_insn_flow(insn) != MMUN_FLOW_AWAY || insn->map || insn->opcode != 0xff);
}

int main(void)
{
	unsigned long address, checked = 0, different = 0;
	char text[128];

	while (scanf("%lx %127s", &address, text) == 2) {
		unsigned char code[64] = { 0 };
		size_t length = strlen(text) / 2;
		struct mmun_insn insn;
		unsigned int byte;

		for (size_t i = 0; i < length && i < sizeof(code); i++)
			if (sscanf(text + 2 * i, "%2x", &byte) == 1)
				code[i] = byte;
		checked++;
		if (mmun_insn_decode(&insn, code, length) && insn.length == length &&
		    is_pass_right(&insn, code))
			continue;
		different++;
		if (different <= 20)
			printf("%lx %s: %u bytes\n", address, text, insn.length);
	}
	printf("%lu instructions, %lu different\n", checked, different);
	return different != 0;
}
