/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Findings that are known and not to be reported: lines "kind:pattern" of a file. */
#ifndef MMUN_TOOL_AUDIT_SUPPRESSIONS_H
#define MMUN_TOOL_AUDIT_SUPPRESSIONS_H

#include "findings.h"

struct suppression {
	/* -1: any kind. */
	int kind;
	/* Which stacks are looked at. */
	bool made, changed;
	const char *file;
	unsigned int line;
	char *text;
	const char *pattern;
	unsigned long matched;
	struct suppression *next;
};

/*
 * suppressions_read() - add a file's.
 * Return: 0, or the exit status after one sentence on stderr.
 */
int suppressions_read(struct suppression **list, const char *path);
void suppressions_free(struct suppression **list);

/* suppressions_match() - the first that matches, which counts it; NULL: none. */
const struct suppression *suppressions_match(struct suppression *list,
					     struct symbolizer *symbolizer,
					     const struct finding *finding);

#endif
