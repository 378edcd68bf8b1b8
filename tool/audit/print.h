/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Findings as text and as JSON. */
#ifndef MMUN_TOOL_AUDIT_PRINT_H
#define MMUN_TOOL_AUDIT_PRINT_H

#include <stdio.h>

#include "../trace/processes.h"
#include "findings.h"
#include "suppressions.h"

#define REPORT_UNFOLLOWED 16

struct report {
	FILE *out;
	struct findings *findings;
	struct symbolizer *symbolizer;
	struct process_table *processes;
	struct suppression *suppressions;
	struct record_header header;
	/* Findings to print at most. */
	unsigned long most;
	/* What the collector has said at the end: what was lost, how the command ended. */
	struct record lost, end;
	/* Processes that could not be watched; the first one's errno. */
	unsigned long nr_unwatchable;
	int unwatchable_error;

	/* Programs that were executed and not watched, the first ones by name and reason. */
	unsigned long nr_unfollowed;
	char *unfollowed[REPORT_UNFOLLOWED];

	/* Filled by report_count(). */
	unsigned long nr, nr_registrations, nr_used, nr_suppressed;
};

/* What is to be reported, after the suppressions. */
void report_count(struct report *report);
/* May something be missing?  The watching itself, not the suppressions. */
bool report_is_incomplete(const struct report *report);

/* Return: 0 or -errno. */
int report_print_text(struct report *report);
int report_print_json(struct report *report);

#endif
